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
  function trace(study, table, lines, name, style) {
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
    return { type: "scatter", mode: "lines+markers", name, x, y, customdata, hovertext, hoverinfo: "text", ...style };
  }

  const shown = (color, line, size, symbol = "circle") => ({ line: { color, ...line }, marker: { color, size, symbol } });
  const GREY = shown(COLORS.grey, { width: 0.7 }, 3);
  const BLUE = shown(COLORS.accent, { width: 1.6 }, 6);
  const HOLLOW = shown(COLORS.accent, { width: 1, dash: "dot" }, 7, "circle-open");
  const STAR = shown(COLORS.warn, { width: 2, dash: "dash" }, 9, "star-diamond");
  const SELECTED = [shown(COLORS.first, { width: 3.5 }, 9), shown(COLORS.second, { width: 3.5 }, 9, "square")];

  /** What is drawn, the last on top: rows of a table with a name and a style. */
  function groups(study, rows, view) {
    const { trials, baselines, predicted, onFront } = study;
    return [
      { table: trials, rows: rows.filter((row) => !onFront.has(row)), name: "not on the front", style: GREY },
      { table: trials, rows: rows.filter((row) => onFront.has(row)), name: "Pareto front", style: BLUE },
      { table: predicted, rows: view.predicted ? predicted.rows : [], name: "predicted, not measured", style: HOLLOW },
      { table: baselines, rows: view.baselines ? baselines.rows : [], name: "baselines", style: STAR },
      ...view.selected.map((key, i) => {
        const { table, row } = study.keys.get(key);
        return { table, rows: [row], name: plain(`selected: ${table.title(row)}`), style: SELECTED[i] };
      }),
    ];
  }

  /** The least and the largest value of a column in all that is drawn. */
  function endsOf(drawn, name) {
    const [low, high] = Scatter.extent(
      drawn.flatMap(({ table, rows }) => rows.map((row) => table.number(name, row)).filter((value) => value !== null)),
    );
    return low <= high ? [low, high] : [0, 1];
  }

  /** Names above the axes, and their ends below. */
  function labels(names, ends, width) {
    const label = (i, x, yshift, text) => ({
      ...{ x, y: -i, xanchor: x === 0 ? "left" : "right", yshift, text },
      ...{ showarrow: false, bgcolor: COLORS.card, borderpad: 1 },
    });
    return names.flatMap((name, i) => [
      label(i, 0, 13, `<b>${plain(name, Math.max(16, Math.floor(width / 13)))}</b>`),
      label(i, 0, -13, Numbers.number(ends[i][0])),
      label(i, 1, -13, Numbers.number(ends[i][1])),
    ]);
  }

  /** As `Scatter.figure`. */
  function figure(study, rows, view, width) {
    const names = view.axes;
    const drawn = groups(study, rows, view);
    const ends = names.map((name) => endsOf(drawn, name));
    const found = drawn.map((group) => ({ ...group, lines: placed(group.table, group.rows, names, ends) }));
    const data = found.map(({ table, lines, name, style }) => trace(study, table, evenly(lines), name, style));
    const thin = { type: "line", layer: "below", line: { color: COLORS.muted, width: 1 } };
    const lineOf = (i) => ({ ...thin, x0: 0, x1: 1, y0: -i, y1: -i });
    const layout = Axes.layout(width, 30, {
      xaxis: { visible: false, range: [-0.02, 1.02], fixedrange: true },
      yaxis: { visible: false, range: [0.4 - names.length, 0.5], fixedrange: true },
    });
    const height = (width < Axes.NARROW ? 220 : 140) + ROW * names.length;
    const all = found[0].lines.length + found[1].lines.length;
    return {
      data: data.filter((each) => each.x.length > 0),
      layout: { ...layout, annotations: labels(names, ends, width), shapes: names.map((_, i) => lineOf(i)), height },
      points: Math.min(found[0].lines.length, MOST_LINES) + Math.min(found[1].lines.length, MOST_LINES),
      of: all,
      missing: rows.length - all,
    };
  }

  return { figure };
})();
