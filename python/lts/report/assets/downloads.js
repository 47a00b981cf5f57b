"use strict";
// What is shown as files: the rows as CSV with the columns of `lts-engine front -o csv`, the picture as SVG or PNG.
const Downloads = (() => {
  // What text begins with that a spreadsheet would calculate or run.
  const FORMULAS = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

  function save(name, blob) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  /** A cell that no spreadsheet takes for a formula. */
  function inert(text) {
    return FORMULAS.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  }

  /** A cell: nothing for null, JSON for lists and truth. */
  function cell(value) {
    if (value === null || value === undefined) return "";
    if (Array.isArray(value)) return quoted(`[${value.map((each) => JSON.stringify(each)).join(", ")}]`);
    return typeof value === "string" ? quoted(inert(value)) : String(value);
  }

  function quoted(text) {
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  }

  /** Columns of the file, each with how a row has it. */
  function columnsOf(table) {
    const { data } = table;
    const each = (prefix, names, of) => [...names].map((name) => [`${prefix}.${name}`, (row) => of(name, row)]);
    const fields = [...new Set([...Object.keys(data.architecture.shared), ...table.fields.keys()])];
    return [
      ["trial", (row) => data.id[row]],
      ["state", (row) => table.text("state", row)],
      ...each("architecture", fields, (name, row) => table.field(name, row)),
      ...each("values", table.values.keys(), (name, row) => table.value(name, row)),
      ...each("provenance", table.values.keys(), (name, row) => table.provenance(name, row)),
      ...each("interval", table.low.keys(), (name, row) => table.interval(name, row)),
      ...each("predicted", table.foretold.keys(), (name, row) => table.prediction(name, row)),
      ["feasible", (row) => data.feasible[row]],
      ...["error", "warnings", "deployed", "origin", "time"].map((name) => [name, (row) => table.text(name, row)]),
    ];
  }

  /** Rows of trials as CSV. */
  function csv(study, rows) {
    const columns = columnsOf(study.trials);
    const lines = [columns.map(([name]) => quoted(inert(name))).join(",")];
    for (const row of rows) lines.push(columns.map(([, of]) => cell(of(row))).join(","));
    return `${lines.join("\n")}\n`;
  }

  function saveCsv(study, rows) {
    save("lts-trials.csv", new Blob([csv(study, rows)], { type: "text/csv" }));
  }

  /** Save a chart as "svg" or "png", on the color of its card. */
  function savePicture(chart, format) {
    const card = lts.colored("var(--card)");
    const layout = { ...chart.layout, paper_bgcolor: card, plot_bgcolor: card };
    const { width, height } = chart.getBoundingClientRect();
    const size = { width: Math.round(width), height: Math.round(height), scale: format === "png" ? 2 : 1 };
    return Plotly.downloadImage({ data: chart.data, layout }, { format, filename: "lts-front", ...size });
  }

  return { csv, saveCsv, savePicture };
})();
