"""Results of models as a table and as records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lts.cli.arguments import Format
from lts.system.text import listed

if TYPE_CHECKING:
    from lts.measure.result import Result


def show_results(results: Sequence[Result], output: Format) -> None:
    """Print results: what they were measured with, as far as that differs, and their values."""
    from lts.cli.output import Results, Spread, emit

    loads = [_load(result) for result in results]
    known = dict.fromkeys(name for load in loads for name in load)
    names = [name for name in known if len({str(load[name]) for load in loads if name in load}) > 1]
    metrics = list(dict.fromkeys(name for result in results for name in result.values))
    headings = []
    for name in metrics:
        kinds = sorted({result.provenance[name] for result in results if name in result.provenance})
        headings.append(f"{name} ({', '.join(kinds)})")

    def cell(result: Result, name: str) -> float | str | None:
        if name not in result.values:
            return "failed" if result.error is not None else None
        value, bounds = result.values[name], result.interval[name]
        return Spread(value, bounds) if bounds[0] < bounds[1] else value

    rows = [
        [result.model, *(load.get(name) for name in names), *(cell(result, name) for name in metrics)]
        for result, load in zip(results, loads, strict=True)
    ]
    records = [result.record() for result in results]
    emit(Results(records, ["model", *names, *headings], rows, _title(results)), output)


def _load(result: Result) -> dict[str, Any]:
    """What it was run with; of a model with inputs of its own the threads alone."""
    return {"threads": result.threads} if result.workload is None else result.workload.describe()


def _title(results: Sequence[Result]) -> str:
    n = min((len(values) for result in results for values in result.rounds.values()), default=0)
    held = min((result.coverage for result in results if result.rounds), default=0.0)
    backends = dict.fromkeys(result.backend for result in results)
    where = f"{results[0].target} on {results[0].device} with {listed(backends)}"
    loads = {str(result.workload) for result in results if result.workload is not None}
    if len(loads) == 1:
        where += f", {loads.pop()}"
    if n <= 1:
        return f"{where}, one process each"
    return f"{where}, medians of {n} processes, ± with {100 * held:.3g} %"
