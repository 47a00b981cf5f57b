"use strict";
// Conditions as `lts-engine front --where` has them. The grammar is that of lts::parse_constraint, the order of checks that
// of lts.study.front.filtered, and the sentences are theirs: a test compares both.
const Where = (() => {
  const SPACES = /^[ \t\r\n]+|[ \t\r\n]+$/g;
  const NAME = /^[^\u0000-\u0020\u007f:<>=]+$/;
  const NUMBER = /^-?(\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
  const CONTROL = /[\u0000-\u001f\u007f]/g;

  /** A condition that is none, or names a column that there is not; its message is for people. */
  class Refused extends Error {
    constructor(message) {
      super(message + Hints.hint(message));
    }
  }

  function refuse(text) {
    const line = text.replace(CONTROL, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
    throw new Refused(`constraint '${line}': expected NAME<=NUMBER or NAME>=NUMBER, such as latency_ms<=10`);
  }

  /** The condition {name, relation, bound} that NAME<=NUMBER or NAME>=NUMBER means. Throws Refused. */
  function parsed(text) {
    const sign = text.search(/[<>]/);
    if (sign < 0 || text[sign + 1] !== "=") refuse(text);
    const name = text.slice(0, sign).replace(SPACES, "");
    const digits = text.slice(sign + 2).replace(SPACES, "");
    const match = NUMBER.exec(digits);
    if (!NAME.test(name) || match === null) refuse(text);
    const bound = Number(digits);
    // Too large for a number, or too small for one that is not 0.
    if (!Number.isFinite(bound) || (bound === 0 && /[1-9]/.test(match[1]))) refuse(text);
    return { name, relation: text[sign] === "<" ? "<=" : ">=", bound };
  }

  function holds(condition, value) {
    return condition.relation === "<=" ? value <= condition.bound : value >= condition.bound;
  }

  /** By code points, as Python sorts; JavaScript's own order is that of UTF-16. */
  function inOrder(names) {
    const points = (text) => Array.from(text, (c) => c.codePointAt(0));
    const before = (a, b) => {
      for (let i = 0; i < Math.min(a.length, b.length); i += 1) if (a[i] !== b[i]) return a[i] - b[i];
      return a.length - b.length;
    };
    return [...names].sort((a, b) => before(points(a), points(b)));
  }

  /**
   * The rows whose values satisfy all conditions. `valueOf(name, row)` is a number or null, `namesOf(row)` are the
   * columns that a row has. Throws Refused.
   */
  function kept(rows, texts, valueOf, namesOf) {
    let left = rows;
    for (const condition of texts.map(parsed)) {
      for (const row of left) {
        if (valueOf(condition.name, row) !== null) continue;
        throw new Refused(`no column '${condition.name}'; the trials have ${inOrder(namesOf(row)).join(", ")}`);
      }
      left = left.filter((row) => holds(condition, valueOf(condition.name, row)));
    }
    return left;
  }

  return { Refused, parsed, kept };
})();
