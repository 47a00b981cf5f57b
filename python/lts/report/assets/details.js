"use strict";
// What is selected: values, architecture, files and the command that exports it, side by side for two.
const Details = (() => {
  const LONGEST = 1000; // letters of what a trial has to say
  /** An element with text and children; nothing is ever parsed as HTML. */
  function make(tag, { text, className, ...attributes } = {}, children = []) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /** A button that copies what `text()` is; where the browser does not allow that, it selects the text in `place`. */
  function copyButton(label, text, place) {
    const button = make("button", { text: label, type: "button", className: "copy" });
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text());
        button.textContent = "Copied";
      } catch {
        if (place) getSelection().selectAllChildren(place);
        button.textContent = place ? "Selected: press Ctrl+C" : "Not allowed here";
      }
      setTimeout(() => (button.textContent = label), 2000);
    });
    return button;
  }

  /** A value, and below it its interval, where it comes from, and what was predicted before it was measured. */
  function valueRow(study, table, name, row) {
    const interval = table.interval(name, row);
    const prediction = table.prediction(name, row);
    const notes = [
      interval === null ? null : interval.map(Numbers.number).join(" to "),
      table.provenance(name, row),
      prediction === null ? null : `predicted before: ${Numbers.number(prediction[0])}`,
    ];
    const text = `${Numbers.number(table.number(name, row))} ${study.unit(name)}`.trim();
    const small = make("small", { text: notes.filter((each) => each !== null).join(", ") });
    const heading = make("th", { text: Numbers.sentence(name, 80), scope: "row" });
    return make("tr", {}, [heading, make("td", { className: "n", text }, [small])]);
  }

  function values(study, table, row) {
    const names = [...study.columns.keys()].filter((name) => table.value(name, row) !== null);
    if (names.length === 0) return [];
    const body = names.map((name) => valueRow(study, table, name, row));
    return [make("div", { className: "table" }, [make("table", {}, [make("tbody", {}, body)])])];
  }

  /** Sentences that a trial has about itself. */
  function notes(table, row) {
    if (table.kind !== "trial") return [];
    const found = [
      ["failed", table.text("error", row)],
      ["warning", table.text("warnings", row)],
      ["compiled", table.text("deployed", row)],
      ["proposed by", table.text("origin", row)],
      ["finished", table.text("time", row)],
    ];
    const said = found.filter(([, text]) => text !== null).map(([name, text]) => `${name}: ${text}`);
    return said.map((text) => make("p", { text: Numbers.sentence(text, LONGEST) }));
  }

  function files(study, table, row) {
    if (table.kind !== "trial") return [];
    const found = study.files.get(table.key(row)) ?? [];
    const items = found.map(([name, size]) => make("li", { text: `${name} (${Numbers.bytes(size)})` }));
    const heading = make("h4", { text: "Files" });
    if (items.length > 0) return [heading, make("ul", {}, items)];
    return [heading, make("p", { className: "muted", text: "None were exported when this was written." })];
  }

  function command(study, table, row) {
    if (table.kind !== "trial") return [];
    const text = `${study.command}#${table.key(row)}`;
    const code = make("code", { text });
    return [make("h4", { text: "Export" }), make("p", { className: "command" }, [code, copyButton("Copy", () => text, code)])];
  }

  function member(study, key, scale) {
    const { table, row } = study.keys.get(key);
    const architecture = table.architecture(row);
    const title = table.title(row);
    const marks = study.marks(table, row).join(", ");
    const shape = table.shape(row).map(([name, text]) => `${name} ${text}`);
    return make("article", { className: "card member", "data-key": key }, [
      make("h3", { text: title }, marks ? [make("small", { text: ` ${marks}` })] : []),
      ...notes(table, row),
      ...values(study, table, row),
      make("h4", { text: "Architecture" }),
      Drawing.draw(title, architecture, scale),
      make("p", { className: "muted", text: `${architecture.family}; ${shape.join("; ")}` }),
      copyButton("Copy as JSON", () => JSON.stringify(architecture), null),
      ...files(study, table, row),
      ...command(study, table, row),
    ]);
  }

  /** Show the members of these keys in `place`, drawn to one scale. */
  function render(study, keys, place) {
    const chosen = keys.map((key) => study.keys.get(key));
    const scale = Drawing.scaleOf(chosen.map(({ table, row }) => table.architecture(row)));
    place.replaceChildren(...keys.map((key) => member(study, key, scale)));
  }

  return { make, copyButton, render };
})();
