"use strict";
// Colors, axes and layout that both charts of the explorer have. Colors are variables of the page, which has two schemes.
const Axes = (() => {
  const NARROW = 560; // pixels
  const NAMES = ["ink", "card", "muted", "line", "accent", "edge", "grey", "warn", "first", "second"];
  const COLORS = {
    ...Object.fromEntries(NAMES.map((name) => [name, `var(--${name})`])),
    scale: Array.from({ length: 5 }, (_, i) => `var(--scale-${i})`),
  };

  /** Text for plotly in one line of at most so many letters; its markup is a part of HTML. */
  function plain(text, most = 120) {
    return Numbers.sentence(text, most).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  /** A title of two lines: the column, and in smaller letters what it is. */
  function title(study, name) {
    const about = study.about(name);
    return plain(name) + (about ? `<br><span style='font-size:11px'>${plain(about)}</span>` : "");
  }

  /** An axis; `range` has the ends of what is shown of it in plotly's coordinates, or nothing for all. */
  function axis(text, log, range) {
    const zoomed = range.length > 0 ? { range, autorange: false } : { autorange: true };
    return { title: { text, standoff: 10 }, type: log ? "log" : "linear", exponentformat: "SI", nticks: 8, ...zoomed };
  }

  function layout(width, top, axes) {
    const lines = { gridcolor: COLORS.line, linecolor: COLORS.line, zeroline: false, automargin: true, tickfont: { size: 11 } };
    const narrow = width < NARROW;
    return {
      height: narrow ? 640 : 600,
      margin: { l: narrow ? 40 : 60, r: 16, t: top, b: 60 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: COLORS.ink },
      hovermode: "closest",
      // `uirevision` keeps what its buttons chose, such as Pan, whenever the chart is drawn anew.
      modebar: { uirevision: "kept", bgcolor: "rgba(0,0,0,0)", color: COLORS.muted, activecolor: COLORS.ink },
      hoverlabel: {
        bgcolor: COLORS.card,
        bordercolor: COLORS.muted,
        align: "left",
        font: { family: "ui-monospace, monospace", size: 11, color: COLORS.ink },
      },
      legend: {
        ...{ orientation: "h", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" },
        ...{ itemclick: false, itemdoubleclick: false },
      },
      ...Object.fromEntries(Object.entries(axes).map(([name, axis]) => [name, { ...lines, ...axis }])),
    };
  }

  return { COLORS, NARROW, plain, title, axis, layout };
})();
