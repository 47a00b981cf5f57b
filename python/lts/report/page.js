"use strict";
// Draws the figures in the colors of the page, and again when the color scheme changes.
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function colored(value, style) {
  if (typeof value === "string") {
    const match = /^var\((--[a-z]+)\)$/.exec(value);
    return match ? style.getPropertyValue(match[1]).trim() : value;
  }
  if (Array.isArray(value)) return value.map((entry) => colored(entry, style));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, colored(entry, style)]));
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  for (const [id, figure] of Object.entries(figures)) {
    const { data, layout } = colored(figure, style);
    Plotly.react(id, data, layout, {
      responsive: true,
      displaylogo: false,
      showSendToCloud: false,
      plotlyServerURL: "",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  }
}
draw();
document.documentElement.dataset.drawn = "";
dark.addEventListener("change", draw);

// A click on a heading sorts its table, a second one the other way round.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const key = (row) => Number(row.children[heading.cellIndex].dataset.value);
    const body = heading.closest("table").tBodies[0];
    const rows = [...body.rows].sort((a, b) => (descending ? key(b) - key(a) : key(a) - key(b)));
    body.append(...rows);
  });
}
