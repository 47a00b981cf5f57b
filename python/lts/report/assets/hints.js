"use strict";
// What a sentence about a wrong word or sign most likely should be answered with: lts.errors.hint, whose words these are.
const Hints = (() => {
  const WORD = "[\\p{L}\\p{N}_]";
  const SPACE = "[ \\t\\n\\v\\f\\r\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
  const NO_SPACE = SPACE.replace("[", "");
  const STRICT = new RegExp(`constraint '${SPACE}*(${WORD}+)${SPACE}*([<>])${SPACE}*([^='${NO_SPACE}[^']*)': expected`, "u");
  const UNKNOWN = /\b(?:unknown [a-z ]+|no column) ['"]([^'"]+)['"].*?; (?:expected|allowed|the trials have)(.*)/s;
  const KNOWN = new RegExp(`[A-Za-z]${WORD}(?:${WORD}|[.-])*`, "gu");
  const ENDS = new RegExp(`^${SPACE}+|${SPACE}+$`, "gu");
  const CUTOFF = 0.65;

  /** How many letters two words share in matching blocks, as Python's difflib counts them. */
  function matching(a, b) {
    let [size, i, j] = [0, 0, 0];
    let lengths = new Map();
    a.forEach((letter, x) => {
      const next = new Map();
      b.forEach((other, y) => {
        if (other !== letter) return;
        const length = (lengths.get(y - 1) ?? 0) + 1;
        next.set(y, length);
        if (length > size) [size, i, j] = [length, x - length + 1, y - length + 1];
      });
      lengths = next;
    });
    if (size === 0) return 0;
    return size + matching(a.slice(0, i), b.slice(0, j)) + matching(a.slice(i + size), b.slice(j + size));
  }

  /** The known word that is most like another one; undefined where none is like it. */
  function closest(word, known) {
    const letters = [...word.toLowerCase()];
    const rated = known.map((name) => {
      const other = [...name];
      return { name, ratio: (2 * matching(other, letters)) / (other.length + letters.length) };
    });
    const close = rated.filter(({ ratio }) => ratio >= CUTOFF);
    close.sort((a, b) => b.ratio - a.ratio || (a.name < b.name ? 1 : -1));
    return close[0]?.name;
  }

  /** The hint that a message ends with; empty for most. */
  function hint(message) {
    if (/; did you mean '|; bounds are inclusive, /.test(message)) return "";
    const strict = STRICT.exec(message);
    if (strict) {
      const [, name, sign, bound] = strict;
      return `; bounds are inclusive, use ${sign}=: ${name}${sign}=${bound.replace(ENDS, "")}`;
    }
    const unknown = UNKNOWN.exec(message);
    if (unknown === null) return "";
    const known = unknown[2].match(KNOWN) ?? [];
    const begun = known.find((name) => [...unknown[1]].length > 2 && name.startsWith(unknown[1]));
    const close = begun ?? closest(unknown[1], known);
    return close === undefined ? "" : `; did you mean '${close}'?`;
  }

  return { hint };
})();
