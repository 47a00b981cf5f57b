"use strict";
// Numbers, lists and what others say as text for people, as lts.system has them.
const Numbers = (() => {
  const THIN = "\u202f"; // narrow no-break space between groups of digits

  function grouped(whole) {
    return String(whole).replace(/\B(?=(\d{3})+$)/g, THIN);
  }

  function halfToEven(value) {
    const floor = Math.floor(value);
    return value - floor === 0.5 ? floor + Math.abs(floor % 2) : Math.round(value);
  }

  /** As "1.235e+3", with exact ties to even; toExponential would round them up. */
  function fourDigits(value) {
    const tie = /^(-?\d\.\d\d[02468])50*(e.*)$/.exec(value.toExponential(100));
    return tie ? `${tie[1]}${tie[2]}` : value.toExponential(3);
  }

  /** Whole numbers with their digits grouped, others to four significant digits. */
  function number(value) {
    const size = Math.abs(value);
    if (size < 1e10 && Number.isInteger(value)) return grouped(value);
    if (size >= 1e4 && size < 1e10) return grouped(halfToEven(value));
    const [digits, power] = fourDigits(value).split("e");
    const exponent = Number(power);
    if (exponent >= -4 && exponent < 4) return Number(`${digits}e${power}`).toFixed(3 - exponent);
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }

  /** Values per layer with repetitions counted: [2, 2, 2, 8] is "3×2 8". */
  function runs(values) {
    const counted = [];
    for (const value of values) {
      const last = counted.at(-1);
      if (last && last.value === value) last.n += 1;
      else counted.push({ n: 1, value });
    }
    return counted.map(({ n, value }) => (n === 1 ? `${value}` : `${n}×${value}`)).join(" ");
  }

  /** A size of a file. */
  function bytes(size) {
    const units = ["bytes", "KiB", "MiB", "GiB"];
    let i = 0;
    for (; size >= 1024 && i + 1 < units.length; i += 1) size /= 1024;
    return `${i === 0 ? size : size.toPrecision(3)} ${units[i]}`;
  }

  /** What somebody else says, as one line that is fit to be shown: cut, and without what no screen prints. */
  function sentence(text, most) {
    const line = text.slice(0, 16 * most).replace(/[\p{C}\p{Z}]+/gu, " ").trim();
    const letters = [...line];
    return letters.length <= most ? line : `${letters.slice(0, most - 1).join("")}…`;
  }

  function plural(n, noun) {
    return `${grouped(n)} ${noun}${n === 1 ? "" : "s"}`;
  }

  return { number, grouped, runs, bytes, plural, sentence };
})();
