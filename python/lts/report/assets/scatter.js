"use strict";
// The view as a scatter plot of two columns, for plotly.js.
const Scatter = (() => {
  const { COLORS, plain } = Axes;
  const MOST_POINTS = 700; // drawn of the front, and of the others; the table and the CSV have all
  const MOST_BARS = 200; // points of a trace with intervals: more are a thicket
  const CELLS = 160; // of each side, when points are thinned
  const MOST_LETTERS = 48; // of a line of what hovering tells
  const MOST_LABEL = 20; // letters of a name beside its point
  const [SMALLEST, LARGEST] = [7, 22]; // diameters of points whose size means something

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
      if (table.value(name, row) !== null) lines.push(`${plain(name, MOST_LETTERS)} ${plain(study.valueText(table, name, row))}`);
    }
    for (const [name, text] of table.shape(row)) lines.push(plain(`${name} ${text}`, MOST_LETTERS));
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

  /** A trace of points; with intervals where the view has them and `style.bars` says so. */
  function trace(study, table, points, view, name, style) {
    const { bars: wanted = false, ...marker } = style;
    const withBars = wanted && view.intervals && points.length <= MOST_BARS;
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
  function meaning(study, table, points, view, scales) {
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
      marker.colorbar = colorbar([view.color, study.unit(view.color)].filter(Boolean).map((text) => plain(text, 40)).join(", "));
    }
    return marker;
  }

  function colorbar(title) {
    return { thickness: 10, outlinewidth: 0, nticks: 5, exponentformat: "SI", title: { text: title, side: "right" } };
  }

  /** The color of the scale that is nearest to a share of it. */
  const colorAt = (part) => COLORS.scale[Math.round(Math.min(Math.max(part, 0), 1) * (COLORS.scale.length - 1))];

  function frontLines(study, rows, view, scales) {
    const less = study.goal(view.x) === "min";
    return Fronts.lines(study, rows, view).map((line) => ({
      type: "scatter",
      mode: "lines",
      name: plain(line.name, 60),
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

  const DOT = { size: 6, color: COLORS.grey };
  const CROSS = { size: 7, symbol: "x-thin", color: COLORS.grey, line: { width: 1.5, color: COLORS.grey } };
  const HOLLOW = { bars: true, size: 9, symbol: "circle-open", color: COLORS.accent, line: { width: 1.5, color: COLORS.accent } };
  const DIAMOND = { size: 19, symbol: "diamond-open", color: COLORS.ink, line: { width: 2, color: COLORS.ink } };
  const STAR = { bars: true, size: 13, symbol: "star-diamond", color: COLORS.warn, line: { width: 1, color: COLORS.edge } };

  /** Baselines with their names, which are written towards the middle of the picture. */
  function baselines(study, view, xs) {
    const table = study.baselines;
    const points = pointsOf(table, table.rows, view);
    return {
      ...trace(study, table, points, view, "baselines", STAR),
      mode: "markers+text",
      text: points.map((p) => plain(table.data.name[p.row], MOST_LABEL)),
      textposition: points.map((p) => (share(p.x, xs) > 0.5 ? "top left" : "top right")),
    };
  }

  /** What a column is on the front, from its least to its largest value; null where nothing is. */
  function scaleOf(table, front, name) {
    const values = name ? front.map((p) => table.number(name, p.row)).filter((value) => value !== null) : [];
    return values.length > 0 ? extent(values) : null;
  }

  /** Figure {data, layout} of rows of trials in a chart so many pixels wide, and how many `points` of how many it has. */
  function figure(study, rows, view, width) {
    const { trials, predicted } = study;
    const points = pointsOf(trials, rows, view);
    const front = points.filter((p) => study.onFront.has(p.row));
    const members = thinned(front);
    const others = thinned(points.filter((p) => !study.onFront.has(p.row)));
    const fits = ({ row }) => trials.data.feasible[row] !== false;
    const scales = { color: scaleOf(trials, front, view.color), size: scaleOf(trials, front, view.size) };
    const title = (name) => Axes.title(study, name);
    const each = (table, some, name, style) => trace(study, table, some, view, name, style);
    const data = [
      ...(view.lines ? frontLines(study, rows, view, scales) : []),
      each(trials, others.filter(fits), "not on the front", DOT),
      each(trials, others.filter((p) => !fits(p)), "violates a constraint", CROSS),
      ...(view.predicted ? [each(predicted, pointsOf(predicted, predicted.rows, view), "predicted, not measured", HOLLOW)] : []),
      each(trials, members, "Pareto front", meaning(study, trials, members, view, scales)),
      { ...each(trials, front.filter((p) => p.row === study.knee), "knee", DIAMOND), hoverinfo: "skip" },
      ...(view.baselines ? [baselines(study, view, extent(points.map((p) => p.x)))] : []),
      ...rings(study, view),
    ];
    const [x, y] = [view.zoom.slice(0, 2), view.zoom.slice(2)];
    const layout = Axes.layout(width, 20, {
      xaxis: Axes.axis(title(view.x), view.xlog, x),
      yaxis: Axes.axis(title(view.y), view.ylog, y),
    });
    return {
      data: data.filter((some) => some.x.length > 0),
      layout,
      points: others.length + members.length,
      of: points.length,
      missing: rows.length - points.length,
    };
  }

  return { figure, extent, share, hover };
})();
