"use strict";
// The view as parallel coordinates: a line for each trial through the axes of four and more columns, which lie one below
// the other so that long names and narrow screens fit, each from its least to its largest value. Plotly's own chart of
// this kind compiles code in the page, which the page's policy forbids.
const Parallel = (() => {
  const { COLORS, plain } = Axes;
  const ROW = 84; // pixels from axis to axis
  const MOST_LINES = 300; // of the front, and of the others

  /** Rows that have a value on every axis, with their places between the ends, from 0 to 1. */
  function placed(table, rows, names, ends) {
    const found = [];
    for (const row of rows) {
      const values = names.map((name) => table.number(name, row));
      if (values.every((value) => value !== null)) {
        found.push({ row, places: values.map((value, i) => Scatter.share(value, ends[i])) });
      }
    }
    return found;
  }

  /** At most as many lines as are drawn, evenly from all. */
  function evenly(lines) {
    const n = Math.min(lines.length, MOST_LINES);
    return Array.from({ length: n }, (_, i) => lines[Math.floor((i * lines.length) / n)]);
  }

  /** Lines as one trace, with gaps between them; the points of a line have its key. */
  function trace(study, table, lines, name, style, markers) {
    const [x, y, customdata, hovertext] = [[], [], [], []];
    for (const { row, places } of lines) {
      const [key, text] = [table.key(row), Scatter.hover(study, table, row)];
      places.forEach((place, i) => {
        x.push(place);
        y.push(-i);
        customdata.push(key);
        hovertext.push(text);
      });
      x.push(null);
      y.push(null);
      customdata.push(null);
      hovertext.push("");
    }
    return { type: "scatter", mode: "lines+markers", name, x, y, customdata, hovertext, hoverinfo: "text", line: style, marker: markers };
  }

  /** As `Scatter.figure`. */
  function figure(study, rows, view, width) {
    const names = view.axes;
    const { trials, baselines, predicted } = study;
    const valued = names.map((name) => rows.map((row) => trials.number(name, row)).filter((value) => value !== null));
    const ends = valued.map((values) => (values.length > 0 ? Scatter.extent(values) : [0, 1]));
    const all = placed(trials, rows, names, ends);
    const front = all.filter(({ row }) => study.onFront.has(row));
    const others = all.filter(({ row }) => !study.onFront.has(row));
    const [drawn, members] = [evenly(others), evenly(front)];
    const shown = (color, line, size, symbol = "circle") => [{ color, ...line }, { color, size, symbol }];
    const data = [
      trace(study, trials, drawn, "not on the front", ...shown(COLORS.grey, { width: 0.7 }, 3)),
      trace(study, trials, members, "Pareto front", ...shown(COLORS.accent, { width: 1.6 }, 6)),
    ];
    if (view.predicted) {
      const found = placed(predicted, predicted.rows, names, ends);
      data.push(trace(study, predicted, found, "predicted, not measured", ...shown(COLORS.accent, { width: 1, dash: "dot" }, 7, "circle-open")));
    }
    if (view.baselines) {
      const found = placed(baselines, baselines.rows, names, ends);
      data.push(trace(study, baselines, found, "baselines", ...shown(COLORS.warn, { width: 2, dash: "dash" }, 9, "star-diamond")));
    }
    view.selected.forEach((key, i) => {
      const { table, row } = study.keys.get(key);
      const color = i === 0 ? COLORS.first : COLORS.second;
      const symbol = i === 0 ? "circle" : "square";
      const name = plain(`selected: ${table.title(row)}`);
      data.push(trace(study, table, placed(table, [row], names, ends), name, ...shown(color, { width: 3.5 }, 9, symbol)));
    });
    const label = (i, x, yshift, text) => ({
      ...{ x, y: -i, xanchor: x === 0 ? "left" : "right", yshift, text },
      ...{ showarrow: false, bgcolor: COLORS.card, borderpad: 1 },
    });
    const annotations = names.flatMap((name, i) => [
      label(i, 0, 13, `<b>${plain(name)}</b>`),
      label(i, 0, -13, Numbers.number(ends[i][0])),
      label(i, 1, -13, Numbers.number(ends[i][1])),
    ]);
    const lines = names.map((_, i) => ({ type: "line", x0: 0, x1: 1, y0: -i, y1: -i, layer: "below", line: { color: COLORS.muted, width: 1 } }));
    const layout = Axes.layout(width, 30, {
      xaxis: { visible: false, range: [-0.02, 1.02], fixedrange: true },
      yaxis: { visible: false, range: [0.6 - names.length, 0.5], fixedrange: true },
    });
    Object.assign(layout, { annotations, shapes: lines, height: (width < Axes.NARROW ? 220 : 140) + ROW * names.length });
    return {
      data: data.filter((each) => each.x.length > 0),
      layout,
      points: drawn.length + members.length,
      of: all.length,
      missing: rows.length - all.length,
    };
  }

  return { figure };
})();
