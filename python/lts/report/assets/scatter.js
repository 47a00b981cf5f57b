"use strict";
// The view as a scatter plot of two columns, for plotly.js.
const Scatter = (() => {
  const { COLORS, plain } = Axes;
  const MOST_POINTS = 1000; // drawn of the front, and of the others; the table and the CSV have all
  const MOST_BARS = 200; // points of a trace with intervals: more are a thicket
  const CELLS = 160; // of each side, when points are thinned
  const MOST_LETTERS = 48; // of a line of what hovering tells
  const [SMALLEST, LARGEST] = [7, 22]; // diameters of points whose size means something

  const cut = (text) => (text.length <= MOST_LETTERS ? text : `${text.slice(0, MOST_LETTERS)}…`);

  const extent = (values) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return [low, high];
  };

  /** Where a value is between the ends, from 0 to 1. */
  const share = (value, [low, high]) => (high > low ? (value - low) / (high - low) : 0.5);

  /** Points that fill the same picture: one for each cell of a grid, then evenly as many as are drawn. */
  function thinned(points, most = MOST_POINTS) {
    if (points.length <= most) return points;
    const [xs, ys] = [extent(points.map((p) => p.x)), extent(points.map((p) => p.y))];
    const cells = new Map();
    for (const point of points) {
      const cell = Math.round(share(point.x, xs) * CELLS) * (CELLS + 1) + Math.round(share(point.y, ys) * CELLS);
      if (!cells.has(cell)) cells.set(cell, point);
    }
    const found = [...cells.values()];
    return found.length <= most ? found : Array.from({ length: most }, (_, i) => found[Math.floor((i * found.length) / most)]);
  }

  /** Everything about a row, in plotly's markup. */
  function hover(study, table, row) {
    const marks = study.marks(table, row).join(", ");
    const lines = [`<b>${plain(table.title(row))}</b>${marks ? ` · ${plain(marks)}` : ""}`];
    for (const name of study.columns.keys()) {
      if (table.value(name, row) !== null) lines.push(plain(`${name} ${study.valueText(table, name, row)}`));
    }
    for (const [name, text] of table.shape(row)) lines.push(plain(cut(`${name} ${text}`)));
    return lines.join("<br>");
  }

  /** Points of rows that both axes can show: a logarithm needs values above 0. */
  function pointsOf(table, rows, view) {
    const drawable = (value, log) => value !== null && (!log || value > 0);
    const found = rows.map((row) => ({ row, x: table.number(view.x, row), y: table.number(view.y, row) }));
    return found.filter((p) => drawable(p.x, view.xlog) && drawable(p.y, view.ylog));
  }

  function bars(table, points, name, color) {
    const ends = points.map(({ row }) => table.interval(name, row));
    if (ends.every((each) => each === null)) return undefined;
    const value = (i) => table.number(name, points[i].row);
    return {
      type: "data",
      symmetric: false,
      array: ends.map((each, i) => (each === null ? 0 : Math.max(0, each[1] - value(i)))),
      arrayminus: ends.map((each, i) => (each === null ? 0 : Math.max(0, value(i) - each[0]))),
      color,
      thickness: 1.2,
      width: 3,
    };
  }

  function trace(study, table, points, view, name, marker) {
    const withBars = view.intervals && marker.bars && points.length <= MOST_BARS;
    return {
      type: "scatter",
      mode: "markers",
      name,
      x: points.map((p) => p.x),
      y: points.map((p) => p.y),
      customdata: points.map((p) => table.key(p.row)),
      marker,
      cliponaxis: false,
      hoverinfo: "text",
      hovertext: points.map((p) => hover(study, table, p.row)),
      error_x: withBars ? bars(table, points, view.x, COLORS.muted) : undefined,
      error_y: withBars ? bars(table, points, view.y, COLORS.muted) : undefined,
    };
  }

  const SCALE = COLORS.scale.map((color, i) => [i / (COLORS.scale.length - 1), color]);

  /** Marker of points whose color and size mean what the view says. */
  function meaning(table, points, view, scales, title) {
    const marker = { bars: true, size: 11, color: COLORS.accent, line: { width: 1, color: COLORS.edge } };
    if (scales.size) {
      marker.size = points.map(({ row }) => {
        const value = table.number(view.size, row);
        return value === null ? SMALLEST : SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(share(value, scales.size));
      });
    }
    if (scales.color) {
      const [cmin, cmax] = scales.color;
      Object.assign(marker, { cmin, cmax: cmax > cmin ? cmax : cmin + 1, colorscale: SCALE });
      marker.color = points.map(({ row }) => table.number(view.color, row));
      marker.colorbar = colorbar(title(view.color));
    }
    return marker;
  }

  function colorbar(title) {
    const place = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", len: 0.7, thickness: 10 };
    return { ...place, outlinewidth: 0, nticks: 4, exponentformat: "SI", title: { text: title, side: "top" } };
  }

  /** The color of the scale that is nearest to a share of it. */
  const colorAt = (part) => COLORS.scale[Math.round(Math.min(Math.max(part, 0), 1) * (COLORS.scale.length - 1))];

  function frontLines(study, rows, view, scales) {
    const less = study.goal(view.x) === "min";
    return Fronts.lines(study, rows, view).map((line) => ({
      type: "scatter",
      mode: "lines",
      name: plain(line.name),
      x: line.points.map((p) => p.x),
      y: line.points.map((p) => p.y),
      line: {
        shape: less ? "hv" : "vh",
        width: 1.5,
        dash: line.dash,
        color: scales.color && line.third === view.color ? colorAt(share(line.bound, scales.color)) : COLORS.muted,
      },
      hoverinfo: "skip",
    }));
  }

  /** The rings around what is selected. */
  function rings(study, view) {
    return view.selected.flatMap((key, i) => {
      const { table, row } = study.keys.get(key);
      const color = i === 0 ? COLORS.first : COLORS.second;
      const ring = { size: 21, symbol: i === 0 ? "circle-open" : "square-open", color, line: { width: 2.5, color } };
      return pointsOf(table, [row], view).map((p) => ({
        type: "scatter",
        mode: "markers",
        name: plain(`selected: ${table.title(row)}`),
        x: [p.x],
        y: [p.y],
        marker: ring,
        hoverinfo: "skip",
      }));
    });
  }

  /**
   * Figure {data, layout} of rows of trials, and how many `points` of how many there are; `width` in pixels decides where
   * titles break.
   */
  function figure(study, rows, view, width) {
    const { trials, baselines, predicted } = study;
    const points = pointsOf(trials, rows, view);
    const front = points.filter((p) => study.onFront.has(p.row));
    const others = points.filter((p) => !study.onFront.has(p.row));
    const drawn = thinned(others);
    const members = thinned(front);
    const scale = (name) => {
      const values = name ? front.map((p) => trials.number(name, p.row)).filter((value) => value !== null) : [];
      return values.length > 0 ? extent(values) : null;
    };
    const scales = { color: scale(view.color), size: scale(view.size) };
    const title = (name) => Axes.title(study, name);
    const fits = ({ row }) => trials.data.feasible[row] !== false;
    const grey = { size: 6, color: COLORS.grey, opacity: 1 };
    const cross = { size: 7, symbol: "x-thin", color: COLORS.grey, line: { width: 1.5, color: COLORS.grey } };
    const star = { bars: true, size: 13, symbol: "star-diamond", color: COLORS.warn, line: { width: 1, color: COLORS.edge } };
    const hollow = { bars: true, size: 9, symbol: "circle-open", color: COLORS.accent, line: { width: 1.5, color: COLORS.accent } };
    const data = [
      ...(view.lines ? frontLines(study, rows, view, scales) : []),
      trace(study, trials, drawn.filter(fits), view, "not on the front", grey),
      trace(study, trials, drawn.filter((p) => !fits(p)), view, "violates a constraint", cross),
    ];
    if (view.predicted) {
      data.push(trace(study, predicted, pointsOf(predicted, predicted.rows, view), view, "predicted, not measured", hollow));
    }
    data.push(trace(study, trials, members, view, "Pareto front", meaning(trials, members, view, scales, title)));
    const knee = front.filter((p) => p.row === study.knee);
    const ring = { size: 19, symbol: "diamond-open", color: COLORS.ink, line: { width: 2, color: COLORS.ink } };
    data.push({ ...trace(study, trials, knee, view, "knee", ring), hoverinfo: "skip" });
    if (view.baselines) {
      const marked = pointsOf(baselines, baselines.rows, view);
      const labels = marked.map((p) => plain(baselines.data.name[p.row].slice(0, 24)));
      data.push({
        ...trace(study, baselines, marked, view, "baselines", star),
        mode: "markers+text",
        text: labels,
        textposition: "top center",
      });
    }
    data.push(...rings(study, view));
    const axes = { xaxis: Axes.axis(view.x, view.xlog, title), yaxis: Axes.axis(view.y, view.ylog, title) };
    const layout = Axes.layout(width, scales.color ? 96 : 20, axes);
    return {
      data: data.filter((each) => each.x.length > 0),
      layout,
      points: drawn.length + members.length,
      of: points.length,
      missing: rows.length - points.length,
    };
  }

  return { figure, extent, share, hover };
})();
