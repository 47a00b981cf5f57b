"use strict";
// The view: all that a reader has chosen. It is kept in the address, after the #, so that one link opens it again; what a
// link says is checked here, and what is not a view of this study is left out.
const View = (() => {
  const LONGEST = 8000;
  const MOST_CONDITIONS = 20;
  const LONGEST_CONDITION = 300;
  const MOST_SELECTED = 2;
  const NUMBER = /^-?\d{1,20}(\.\d{1,20})?(e[+-]?\d{1,2})?$/;
  const FLAGS = ["xlog", "ylog", "lines", "intervals", "baselines", "predicted", "descending"];

  /** The view of a study that nobody has changed; latency, or the second objective, is the x axis. */
  function initial(study) {
    const [y, ...rest] = study.objectives;
    const x = rest.includes("latency_ms") ? "latency_ms" : rest[0] ?? "trial";
    return {
      chart: "scatter",
      x,
      y,
      color: rest.find((name) => name !== x) ?? "",
      size: "",
      axes: study.objectives,
      shown: "complete",
      where: [],
      xlog: false,
      ylog: false,
      lines: true,
      intervals: true,
      baselines: true,
      predicted: false,
      sort: y,
      descending: study.goal(y) === "max",
      page: 0,
      selected: [],
      zoom: [],
    };
  }

  const isCondition = (text) => {
    try {
      Where.parsed(text);
      return text.length <= LONGEST_CONDITION;
    } catch {
      return false;
    }
  };

  /** What each part of a view may be: its value from the texts of a link, or undefined for what it is not. */
  function checks(study) {
    const oneOf = (allowed) => (texts) => (allowed.includes(texts[0]) ? texts[0] : undefined);
    const allOf = (most, allows) => (texts) => {
      const found = [...new Set(texts)].filter(allows).slice(0, most);
      return found.length > 0 ? found : undefined;
    };
    const flag = (texts) => (["0", "1"].includes(texts[0]) ? texts[0] === "1" : undefined);
    return {
      chart: oneOf(["scatter", "parallel"]),
      x: oneOf(study.axes),
      y: oneOf(study.axes),
      color: oneOf(["", ...study.axes]),
      size: oneOf(["", ...study.axes]),
      axes: allOf(study.axes.length, (name) => study.axes.includes(name)),
      shown: oneOf(["complete", "front", "all"]),
      where: allOf(MOST_CONDITIONS, isCondition),
      sort: oneOf(study.axes),
      page: (texts) => (/^\d{1,6}$/.test(texts[0]) ? Number(texts[0]) : undefined),
      selected: allOf(MOST_SELECTED, (key) => study.keys.has(key)),
      zoom: (texts) => (texts.length === 4 && texts.every((text) => NUMBER.test(text)) ? texts.map(Number) : undefined),
      ...Object.fromEntries(FLAGS.map((name) => [name, flag])),
    };
  }

  /** The view that a fragment such as "#x=latency_ms&xlog=1" means for a study. */
  function read(fragment, study) {
    const view = initial(study);
    if (fragment.length > LONGEST) return view;
    const given = new URLSearchParams(fragment.replace(/^#/, ""));
    for (const [name, check] of Object.entries(checks(study))) {
      const texts = given.getAll(name);
      const value = texts.length > 0 ? check(texts) : undefined;
      if (value !== undefined) view[name] = value;
    }
    return view;
  }

  /** The fragment of a view, without what is as it was; empty for the initial one. */
  function written(view, study) {
    const unchanged = initial(study);
    const parts = new URLSearchParams();
    for (const [name, value] of Object.entries(view)) {
      if (JSON.stringify(value) === JSON.stringify(unchanged[name])) continue;
      if (Array.isArray(value)) for (const each of value) parts.append(name, each);
      else parts.append(name, typeof value === "boolean" ? Number(value) : value);
    }
    const text = String(parts);
    return text ? `#${text}` : "";
  }

  /** The selected keys after a click on one: off when it was on; of more than two the oldest goes. */
  function toggled(selected, key) {
    return selected.includes(key) ? selected.filter((each) => each !== key) : [...selected, key].slice(-MOST_SELECTED);
  }

  return { read, written, toggled };
})();
