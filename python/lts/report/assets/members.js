"use strict";
// What the page knows of a study: tables of trials, baselines and predicted members, all read in the same way.
const Members = (() => {
  // Dimensions that are one number, which any column may be drawn against.
  const SHAPE = ["n_layer", "d_model"];
  const PER_LAYER = ["n_head", "n_kv_head", "d_ff", "mixer", "n_ff"];

  // A Map, because a column of a study may have any name, also "__proto__".
  const mapOf = (object) => new Map(Object.entries(object));
  const textAt = (column, row) => {
    const place = column?.of[row] ?? null;
    return place === null ? null : column.texts[place];
  };

  /** Rows of one kind: "trial", "baseline" or "predicted". */
  class Table {
    constructor(kind, data, size) {
      this.kind = kind;
      this.size = size;
      this.data = data;
      this.values = mapOf(data.values);
      this.low = mapOf(data.low);
      this.high = mapOf(data.high);
      this.provenances = mapOf(data.provenance);
      this.foretold = mapOf(data.foretold);
      this.fields = mapOf(data.architecture.rows);
      this.rows = Array.from({ length: size }, (_, row) => row);
    }

    /** A value of the study, as conditions see it; null where the row has none. */
    value(name, row) {
      return this.values.get(name)?.[row] ?? null;
    }

    /** A value, the number of the trial or a dimension of the architecture; null where there is none. */
    number(name, row) {
      if (this.values.has(name)) return this.value(name, row);
      if (name === "trial") return this.kind === "trial" ? this.data.id[row] : null;
      return SHAPE.includes(name) ? this.field(name, row) : null;
    }

    names(row) {
      return [...this.values.keys()].filter((name) => this.value(name, row) !== null);
    }

    interval(name, row) {
      const low = this.low.get(name)?.[row] ?? null;
      return low === null ? null : [low, this.high.get(name)[row]];
    }

    provenance(name, row) {
      return textAt(this.provenances.get(name), row);
    }

    /** What was predicted before it was measured: [value, low, high]; null where nothing was. */
    prediction(name, row) {
      return this.foretold.get(name)?.[row] ?? null;
    }

    text(name, row) {
      return textAt(this.data[name], row);
    }

    field(name, row) {
      const rows = this.fields.get(name);
      return (rows ? rows[row] : this.data.architecture.shared[name]) ?? null;
    }

    /** The architecture as its JSON file has it. */
    architecture(row) {
      const found = { ...this.data.architecture.shared };
      for (const [name, values] of this.fields) if (values[row] !== null) found[name] = values[row];
      return found;
    }

    /** What stands for the row in links: "17", "baseline-0", "predicted-3". */
    key(row) {
      return this.kind === "trial" ? String(this.data.id[row]) : `${this.kind}-${row}`;
    }

    title(row) {
      if (this.kind === "trial") return `trial ${this.data.id[row]}`;
      return this.kind === "baseline" ? `baseline ${Numbers.sentence(this.data.name[row], 80)}` : `predicted ${row + 1}`;
    }

    /** Dimensions by name, repeated layers counted. */
    shape(row) {
      const found = SHAPE.map((name) => [name, String(this.field(name, row))]);
      const heads = Numbers.runs(this.field("n_head", row) ?? []);
      for (const name of PER_LAYER) {
        const values = this.field(name, row);
        if (values === null) continue;
        const text = Numbers.runs(values);
        if (name !== "n_kv_head" || text !== heads) found.push([name, text]);
      }
      return found;
    }
  }

  /** All tables of a study, with what is known of its columns. */
  class Study {
    constructor(data) {
      this.trials = new Table("trial", data.trials, data.trials.id.length);
      this.baselines = new Table("baseline", data.baselines, data.baselines.name.length);
      const predicted = Object.values(data.predicted.values)[0] ?? [];
      this.predicted = new Table("predicted", data.predicted, predicted.length);
      this.columns = new Map(data.columns.map((column) => [column.name, column]));
      this.objectives = data.objectives;
      this.front = data.front;
      this.onFront = new Set(data.front);
      this.knee = data.knee;
      this.files = mapOf(data.files);
      this.command = data.export;
      this.complete = this.trials.rows.filter((row) => this.trials.text("state", row) === "complete");
      this.keys = new Map();
      for (const table of [this.trials, this.baselines, this.predicted]) {
        for (const row of table.rows) this.keys.set(table.key(row), { table, row });
      }
    }

    /** Names of all that axes can show: columns, then what else is one number. */
    get axes() {
      return [...new Set([...this.columns.keys(), "trial", ...SHAPE])];
    }

    goal(name) {
      return this.columns.get(name)?.goal ?? null;
    }

    unit(name) {
      return this.columns.get(name)?.unit ?? "";
    }

    /** Unit, provenance and goal of an axis in one line; empty for what has none. */
    about(name) {
      const goal = this.goal(name);
      const better = goal === null ? "" : `${goal === "min" ? "less" : "more"} is better`;
      return [this.columns.get(name)?.label ?? "", better].filter(Boolean).join("; ");
    }

    /** A value with its unit, interval and provenance. */
    valueText(table, name, row) {
      const value = table.number(name, row);
      if (value === null) return "";
      const interval = table.interval(name, row);
      const notes = interval === null ? [] : [interval.map(Numbers.number).join(" to ")];
      if (table.provenance(name, row) !== null) notes.push(table.provenance(name, row));
      return [Numbers.number(value), this.unit(name), notes.length ? `(${notes.join(", ")})` : ""].filter(Boolean).join(" ");
    }

    /** What is special about a row, in words. */
    marks(table, row) {
      if (table.kind === "predicted") return ["not measured"];
      if (table.kind === "baseline") return [];
      const found = [];
      if (this.onFront.has(row)) found.push("on the front");
      if (row === this.knee) found.push("knee");
      if (table.data.feasible[row] === false) found.push("violates a constraint");
      if (table.text("state", row) !== "complete") found.push(table.text("state", row));
      return found;
    }
  }

  return { Study, SHAPE };
})();
