"use strict";
// Fronts of two columns as lines, one for each slice of a third.
const Fronts = (() => {
  const SLICES = 3;
  const DASHES = ["dot", "dash", "solid"];

  /** Of points {x, y}, those that no other one dominates, by x from the best; `less` says for x and y whether less is
   * better. Complexity: O(n log n). */
  function staircase(points, less) {
    const turned = (point, axis) => (less[axis] ? point[axis] : -point[axis]);
    const ordered = [...points].sort((a, b) => turned(a, "x") - turned(b, "x") || turned(a, "y") - turned(b, "y"));
    const kept = [];
    for (const point of ordered) {
      if (kept.length === 0 || turned(point, "y") < turned(kept.at(-1), "y")) kept.push(point);
    }
    return kept;
  }

  /** Bounds of a third column that leave a third, two thirds and all of its values on a front. */
  function bounds(values, less) {
    const ordered = [...new Set(values)].sort((a, b) => (less ? a - b : b - a));
    const places = Array.from({ length: SLICES }, (_, i) => Math.ceil(((i + 1) * ordered.length) / SLICES) - 1);
    return [...new Set(places)].filter((place) => place >= 0).map((place) => ordered[place]);
  }

  /**
   * Lines {name, dash, bound, points} over two objectives: what the trials reach with a third one within a bound, for
   * three bounds; one line without a third. None where an axis has no better end.
   */
  function lines(study, rows, view) {
    const goals = { x: study.goal(view.x), y: study.goal(view.y) };
    if (goals.x === null || goals.y === null || view.x === view.y) return [];
    const less = { x: goals.x === "min", y: goals.y === "min" };
    const { trials } = study;
    const third = [view.color, view.size].find((name) => study.goal(name) !== null && ![view.x, view.y].includes(name));
    const points = rows
      .filter((row) => trials.data.feasible[row] !== false)
      .map((row) => ({ x: trials.number(view.x, row), y: trials.number(view.y, row), row }))
      .filter((point) => point.x !== null && point.y !== null);
    if (third === undefined) return [{ name: "front of these two", dash: "solid", bound: null, points: staircase(points, less) }];
    const goal = study.goal(third);
    const within = (row, bound) => (goal === "min" ? trials.number(third, row) <= bound : trials.number(third, row) >= bound);
    const members = points.filter(({ row }) => study.onFront.has(row) && trials.number(third, row) !== null);
    const found = bounds(members.map(({ row }) => trials.number(third, row)), goal === "min");
    return found.map((bound, i) => ({
      name: `${third} ${goal === "min" ? "≤" : "≥"} ${Numbers.number(bound)}`,
      dash: DASHES.slice(-found.length)[i],
      third,
      bound,
      points: staircase(points.filter(({ row }) => trials.number(third, row) !== null && within(row, bound)), less),
    }));
  }

  return { lines };
})();
