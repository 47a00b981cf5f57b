"""Results on stdout: one set of records, five views of it."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lts.cli.arguments import Format
from lts.cli.table import Columns, print_table
from lts.system.text import number, runs, with_bounds

if TYPE_CHECKING:
    from lts.measure.trial import Trial
    from lts.study.front import Front

# What text begins with that a spreadsheet would calculate or run.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Columns that are shown beside the objectives where trials have them.
_MORE = (
    "latency_ms",
    "tokens_per_second",
    "latency_published_ms",
    "instructions",
    "decode_instructions",
    "output_error",
)


@dataclass(frozen=True)
class Results:
    """Records for programs, and the columns and rows of the same for people; on a narrow terminal the `last` columns
    come below the others."""

    records: list[dict[str, Any]]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str | None = None
    last: int = 0


class Spread(float):
    """A number and how far the ends of its interval are from it, at most."""

    bounds: tuple[float, float]

    def __new__(cls, value: float, bounds: tuple[float, float]) -> Spread:
        made = super().__new__(cls, value)
        made.bounds = bounds
        return made


def emit(results: Results, form: Format) -> None:
    """Print the results to stdout."""
    if form is Format.table:
        _table(results)
        return
    if form is Format.md:
        text = _markdown(results)
    elif form is Format.json:
        text = json.dumps(results.records, indent=2, allow_nan=False)
    elif form is Format.jsonl:
        text = "\n".join(json.dumps(record, allow_nan=False) for record in results.records)
    else:
        text = _csv(results.records)
    if text:
        sys.stdout.write(text.rstrip("\n") + "\n")


def cell(value: Any) -> str:
    """A value for people."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Spread):
        return with_bounds(value, value.bounds)
    return number(value) if isinstance(value, int | float) else str(value)


def trial_results(trials: Sequence[Trial], columns: Sequence[str], title: str | None = None) -> Results:
    """Trials with their values (each with its provenance in the heading) and architectures."""
    headings = []
    for name in columns:
        kinds = sorted({trial.provenance[name] for trial in trials if name in trial.provenance})
        headings.append(f"{name} ({', '.join(kinds)})" if kinds else name)
    rows = [
        [
            trial.id,
            *(value_of(trial, name) for name in columns),
            trial.architecture.n_layer,
            trial.architecture.d_model,
            runs(trial.architecture.n_head),
            runs(trial.architecture.d_ff),
        ]
        for trial in trials
    ]
    shape = ["n_layer", "d_model", "n_head", "d_ff"]
    return Results([trial.record() for trial in trials], ["trial", *headings, *shape], rows, title, len(shape))


def value_of(trial: Trial, name: str) -> float | None:
    """What a trial has of a column, with its interval where there is one."""
    value = trial.values.get(name)
    return Spread(value, trial.interval[name]) if value is not None and name in trial.interval else value


def front_columns(front: Front) -> list[str]:
    """The objectives of a front, and what else of its members is worth a column."""
    names = [o.name for o in front.objectives]
    return names + [n for n in _MORE if n not in names and any(n in trial.values for trial in front.trials)]


def front_results(front: Front, n_members: int | None = None) -> Results:
    """The members of a front; `n_members` is how many it has where these are some of them."""
    n = len(front)
    title = (
        f"Pareto front, {n} architectures" if n_members in (None, n) else f"Pareto front, {n} of {n_members} members"
    )
    return trial_results(front.trials, front_columns(front), title)


def _table(results: Results) -> None:
    places = range(len(results.columns))
    print_table(
        Columns(
            results.columns,
            [[cell(value) for value in row] for row in results.rows],
            [any(isinstance(row[i], int | float) for row in results.rows) for i in places],
            results.last,
        ),
        results.title,
    )


def _markdown(results: Results) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(" ".join(cell.splitlines()).replace("|", "\\|") for cell in cells) + " |"

    lines = [line(results.columns), line("---" for _ in results.columns)]
    return "\n".join(lines + [line(cell(value) for value in row) for row in results.rows])


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    flat = [_flatten(record) for record in records]
    columns = list(dict.fromkeys(key for record in flat for key in record))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_inert, columns))
    writer.writerows([_inert(record.get(column, "")) for column in columns] for record in flat)
    return out.getvalue() if columns else ""


def _inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that would be one is quoted; a number stays a number."""
    if not isinstance(value, str):
        return value
    value = "\n".join(value.splitlines()) if "\r" in value else value  # which ends a line unquoted
    if not value.startswith(_FORMULAS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _flatten(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects become dotted columns, lists become JSON; raw samples are left to the JSON formats."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if key == "samples_ns":
            continue
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list | tuple | bool) else value
    return flat
