"use strict";
// The table of what is shown, a page at a time. Its rows are selected by click, or by the button that each begins with.
const Rows = (() => {
  const PER_PAGE = 50;
  const { make } = Details;

  /** Columns: objectives, what the axes show, and the architecture. */
  function columnsOf(study, view) {
    const drawn = view.chart === "parallel" ? view.axes : [view.x, view.y, view.color, view.size];
    const names = [...study.objectives, ...drawn, ...Members.SHAPE].filter((name) => name !== "" && name !== "trial");
    return ["trial", ...new Set(names)];
  }

  /** Rows by a column, those without a value last; equal ones stay in the order of their numbers. */
  function sorted(study, rows, view) {
    const { trials } = study;
    const turn = view.descending ? -1 : 1;
    const value = new Map(rows.map((row) => [row, trials.number(view.sort, row)]));
    return [...rows].sort((a, b) => {
      const [x, y] = [value.get(a), value.get(b)];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return turn * (x - y) || a - b;
    });
  }

  const pages = (rows) => Math.max(1, Math.ceil(rows.length / PER_PAGE));

  function heading(study, view, name) {
    const button = make("button", { type: "button", text: Numbers.sentence(name, 40), "data-sort": name });
    const about = study.about(name);
    const inside = about ? [button, make("small", { text: about })] : [button];
    const cell = make("th", { scope: "col", className: name === "trial" ? "" : "n" }, inside);
    if (view.sort === name) cell.setAttribute("aria-sort", view.descending ? "descending" : "ascending");
    return cell;
  }

  function cell(table, name, row) {
    const value = table.number(name, row);
    const made = make("td", { className: "n", text: value === null ? "" : Numbers.number(value) });
    const interval = table.interval(name, row);
    if (interval !== null) made.append(make("small", { text: interval.map(Numbers.number).join(" to ") }));
    return made;
  }

  function line(study, columns, row) {
    const { trials } = study;
    const key = trials.key(row);
    const marks = study.marks(trials, row).join(", ");
    const button = make("button", { type: "button", text: key, "data-key": key, "aria-label": `select trial ${key}` });
    const first = make("td", {}, marks ? [button, make("small", { text: marks })] : [button]);
    return make("tr", { "data-key": key }, [first, ...columns.slice(1).map((name) => cell(trials, name, row))]);
  }

  /** Say in the table which rows are selected. */
  function mark(table, selected) {
    for (const row of table.tBodies[0].rows) {
      const on = selected.includes(row.dataset.key);
      row.classList.toggle("selected", on);
      row.querySelector("button").setAttribute("aria-pressed", String(on));
    }
  }

  /** What has the focus in the table, to find it again after it was drawn anew. */
  function focused(table) {
    const { activeElement } = document;
    if (!table.contains(activeElement)) return null;
    return activeElement.dataset.sort ? { sort: activeElement.dataset.sort } : { key: activeElement.dataset.key };
  }

  function refocus(table, before) {
    if (before === null) return;
    const wanted = (button) => (before.sort ? button.dataset.sort === before.sort : button.dataset.key === before.key);
    [...table.querySelectorAll("button")].find(wanted)?.focus();
  }

  /** Draw the page of the view of sorted rows. */
  function render(study, rows, view, table) {
    const before = focused(table);
    const columns = columnsOf(study, view);
    const begin = view.page * PER_PAGE;
    table.tHead.replaceChildren(make("tr", {}, columns.map((name) => heading(study, view, name))));
    table.tBodies[0].replaceChildren(...rows.slice(begin, begin + PER_PAGE).map((row) => line(study, columns, row)));
    mark(table, view.selected);
    refocus(table, before);
  }

  /** Which rows of how many a page has. */
  function where(rows, page) {
    if (rows.length === 0) return "No trial is shown.";
    const [first, last] = [page * PER_PAGE + 1, Math.min((page + 1) * PER_PAGE, rows.length)];
    return `Rows ${Numbers.grouped(first)} to ${Numbers.grouped(last)} of ${Numbers.grouped(rows.length)}`;
  }

  /** Call `chosen(key)` and `sort(name)` for clicks; arrow keys go from row to row. */
  function listen(table, chosen, sort) {
    const act = (target) => {
      const name = target.closest("button")?.dataset.sort;
      const key = target.closest("tr[data-key]")?.dataset.key;
      if (name) sort(name);
      else if (key && String(getSelection()) === "") chosen(key);
    };
    table.addEventListener("click", (event) => act(event.target));
    // Who presses a button of the mouse leaves the box of a condition, which may draw the table anew: what was pressed is
    // gone before it is released, and no click comes.
    let pressed = null;
    table.addEventListener("mousedown", (event) => { pressed = event.button === 0 ? event.target : null; });
    document.addEventListener("mouseup", () => {
      if (pressed !== null && !pressed.isConnected) act(pressed);
      pressed = null;
    });
    table.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const row = event.target.closest("tbody tr");
      if (step === undefined || row === null) return;
      const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
      event.preventDefault();
      next?.querySelector("button").focus();
    });
  }

  return { render, mark, sorted, pages, where, listen };
})();
