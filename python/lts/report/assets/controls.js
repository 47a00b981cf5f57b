"use strict";
// The choices of the reader: selects and boxes named after the parts of a view, and boxes for conditions.
const Controls = (() => {
  const { make } = Details;
  const place = (name) => document.getElementById(`explorer-${name}`);
  const bound = () => [...document.querySelectorAll("#explorer [data-view]")];

  function fill(select, names) {
    const option = (name) => make("option", { value: name, text: Numbers.sentence(name, 80) || "none" });
    select.replaceChildren(...names.map(option));
  }

  /** Choices of columns for selects and the axes of parallel coordinates. */
  function offer(study) {
    for (const name of ["x", "y"]) fill(place(name), study.axes);
    for (const name of ["color", "size"]) fill(place(name), ["", ...study.axes]);
    place("columns").replaceChildren(...[...study.columns.keys()].map((name) => make("option", { value: `${name}<=` })));
    const boxes = study.axes.map((name) => {
      const box = make("input", { type: "checkbox", value: name });
      return make("label", {}, [box, document.createTextNode(` ${Numbers.sentence(name, 80)}`)]);
    });
    place("axes").append(...boxes);
    place("baselines").closest("label").hidden = study.baselines.size === 0;
    place("predicted").closest("label").hidden = study.predicted.size === 0;
  }

  const axesBoxes = () => [...place("axes").querySelectorAll("input")];

  /** Make the controls say what the view is. */
  function show(view) {
    for (const control of bound()) {
      const value = view[control.dataset.view];
      if (control.type === "checkbox") control.checked = value;
      else control.value = value;
    }
    for (const box of axesBoxes()) box.checked = view.axes.includes(box.value);
    place("axes").hidden = view.chart !== "parallel";
    for (const each of document.querySelectorAll("#explorer [data-only]")) each.hidden = each.dataset.only !== view.chart;
  }

  function conditionBox(text, number, changed) {
    const box = make("input", { type: "text", className: "condition", spellcheck: "false", autocomplete: "off" });
    box.setAttribute("list", "explorer-columns");
    box.setAttribute("aria-label", `condition ${number}`);
    box.setAttribute("aria-describedby", "explorer-refused");
    box.placeholder = "latency_ms<=10";
    box.value = text;
    box.addEventListener("change", changed);
    return box;
  }

  /** A box for each condition, and an empty one for the next. */
  function showConditions(texts, changed) {
    const had = [...place("where").children].indexOf(document.activeElement);
    const boxes = [...texts, ""].map((text, i) => conditionBox(text, i + 1, changed));
    place("where").replaceChildren(...boxes);
    if (had >= 0) boxes[Math.min(had, boxes.length - 1)].focus();
  }

  /** What is written in the boxes, without empty ones. */
  function conditions() {
    return [...place("where").children].map((box) => box.value).filter((text) => text.trim() !== "");
  }

  /** Say why conditions are none; an empty message for good ones. */
  function refuse(message) {
    place("refused").textContent = message;
    for (const box of place("where").children) box.toggleAttribute("aria-invalid", message !== "" && box.value.trim() !== "");
  }

  /** Call `changed(part)` with the parts of the view that the reader changes. */
  function listen(changed) {
    for (const control of bound()) {
      control.addEventListener("change", () => {
        changed({ [control.dataset.view]: control.type === "checkbox" ? control.checked : control.value });
      });
    }
    place("axes").addEventListener("change", () => {
      const axes = axesBoxes().filter((box) => box.checked).map((box) => box.value);
      if (axes.length > 0) changed({ axes });
    });
  }

  return { place, offer, show, showConditions, conditions, refuse, listen };
})();
