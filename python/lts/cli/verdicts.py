"""Verdicts for people and programs: a table, a sentence each, and records."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lts.cli.arguments import Format
from lts.cli.log import say

if TYPE_CHECKING:
    from lts.measure.compare import Center, Verdict
    from lts.measure.interleaved import Comparison, Side
    from lts.study.pairs import Compared


def show(found: Sequence[Compared], output: Format) -> list[dict[str, Any]]:
    """Print what comparing has shown, and return it as records, one per model and metric."""
    from lts.cli.output import Results, Spread, emit

    def side(center: Center) -> float:
        return Spread(center.value, (center.low, center.high)) if center.n > 1 else center.value

    records = [record for each in found for record in _records(each)]
    verdicts = [(each, name, verdict) for each in found for name, verdict in each.comparison.verdicts.items()]
    several = len(found) > 1
    rows = [
        [
            *([each.pair.name] if several else []),
            f"{name} ({record['provenance']})",
            side(verdict.baseline),
            side(verdict.contender),
            "" if each.pair.limit else _change(verdict),
            "" if verdict.p_value is None else f"{verdict.p_value:.2g}",
            "limit" if each.pair.limit else f"{100 * verdict.max_regression:.3g} %",
            verdict.answer.value,
        ]
        for (each, name, verdict), record in zip(verdicts, records, strict=True)
    ]
    columns = [*(["model"] if several else []), "metric", "baseline", "contender", "change", "p", "bound", "verdict"]
    people = output in (Format.table, Format.md)
    title = _title([verdict for _, _, verdict in verdicts])
    emit(Results(records, columns if people else (), rows if people else (), title), output)
    sentences = [
        f"{f'{each.pair.name}: ' if several else ''}"
        + (_limit(verdict) if each.pair.limit else _sentence(verdict, each.comparison))
        for each, name, verdict in verdicts
    ]
    sentences += [
        f"{each.pair.name}: the architecture is another one" for each in found if several and each.pair.changed
    ]
    if not people:
        for sentence in sentences:
            say(sentence)
        return records
    if output is Format.md:
        sys.stdout.write("\n")
    for sentence in sentences:
        sys.stdout.write(f"{'* ' if output is Format.md else ''}{sentence}\n")
    return records


def exit_code(found: Sequence[Compared]) -> int:
    """1 for a regression; 3 where something is inconclusive of those for which that fails; else 0."""
    from lts.errors import InfeasibleError, MeasurementError
    from lts.measure.compare import Answer

    if any(each.comparison.answers(Answer.regression) for each in found):
        return InfeasibleError.exit_code
    if any(each.comparison.answers(Answer.inconclusive) for each in found if each.inconclusive_fails):
        return MeasurementError.exit_code
    return 0


def _title(verdicts: Sequence[Verdict]) -> str:
    sides = [side for each in verdicts for side in (each.baseline, each.contender) if side.n > 1]
    if not sides:
        return "Baseline and contender, one process each"
    n, held = min(side.n for side in sides), min(side.coverage for side in sides)
    return f"Medians of {n} processes per side, ± with {100 * held:.3g} %"


def _change(verdict: Verdict) -> str:
    """The change with its interval: "+3.1 % (+1.2 to +5.0 %)"."""
    if verdict.change_interval is None:
        return f"{100 * verdict.change:+.3g} %"
    low, high = verdict.change_interval
    if low == high:
        return f"{100 * verdict.change:+.3g} %"
    return f"{100 * verdict.change:+.3g} % ({100 * low:+.3g} to {100 * high:+.3g} %)"


def _sentence(verdict: Verdict, found: Comparison) -> str:
    """The verdict of a comparison on a metric in words."""
    from lts.measure.compare import Answer

    name, bound = verdict.metric.name, f"{100 * verdict.max_regression:.3g} %"
    beyond = f" by more than {bound}" if verdict.max_regression else ""
    if verdict.answer is Answer.regression:
        twice = ", seen in two measurements" if name in found.measured_again else ""
        return f"{name}: regression, {_change(verdict)}: worse{beyond}{twice}"
    if verdict.answer is Answer.improvement:
        return f"{name}: improvement, {_change(verdict)}: better{beyond}"
    if verdict.answer is Answer.same:
        return f"{name}: same, {_change(verdict)}: no change{beyond.replace(' by', ' of')}"
    if name in found.not_seen_again:
        return f"{name}: inconclusive, {_change(verdict)}: a regression was seen, but not when it was measured again"
    if verdict.enough is None:
        return f"{name}: inconclusive, {_change(verdict)}: the processes differ too much for a bound of {bound}"
    more = f"about {verdict.enough} processes per side would do (estimated)"
    return f"{name}: inconclusive, {_change(verdict)}: no change and one of more than {bound} both fit; {more}"


def _limit(verdict: Verdict) -> str:
    """The verdict on a limit in words."""
    from lts.cli.output import cell
    from lts.measure.compare import Answer

    place = {Answer.regression: "beyond", Answer.same: "within"}.get(verdict.answer, "perhaps beyond")
    return (
        f"{verdict.metric.name}: {cell(verdict.contender.value)} is {place} the limit of {cell(verdict.baseline.value)}"
    )


def _records(compared: Compared) -> list[dict[str, Any]]:
    """One record per metric, with what every process measured and its samples."""
    pair, found = compared.pair, compared.comparison
    sides = pair.conditions

    def center(side: Side, each: Center) -> dict[str, Any]:
        return {
            "name": sides[side].model,
            "value": each.value,
            "interval": [each.low, each.high],
            "coverage": each.coverage,
            "processes": each.n,
        }

    def provenance(name: str) -> str:
        outcomes = [outcome for _, outcome, _ in found.processes] + list(sides.values())
        return next((each.provenance[name] for each in outcomes if name in each.provenance), "measured")

    where = sides["contender"]
    return [
        {
            "model": pair.name,
            "metric": name,
            "verdict": each.answer.value,
            "provenance": provenance(name),
            "baseline": center("baseline", each.baseline),
            "contender": center("contender", each.contender),
            "change": each.change,
            "change_interval": None if each.change_interval is None else list(each.change_interval),
            "p_value": each.p_value,
            "max_regression": each.max_regression,
            "enough": each.enough,
            "measured_again": name in found.measured_again,
            "not_seen_again": name in found.not_seen_again,
            "inconclusive_fails": compared.inconclusive_fails,
            "changed_architecture": pair.changed,
            "conditions_differ": pair.differ,
            "processes": [
                {
                    "side": side,
                    "value": outcome.values.get(name),
                    "counts": counts,
                    "error": outcome.error,
                    "warnings": outcome.warnings,
                }
                for side, outcome, counts in found.processes
            ],
            "samples_ns": [outcome.samples_ns for _, outcome, _ in found.processes],
            "target": where.target,
            **({} if where.workload is None else where.workload.describe()),
            "inputs": where.inputs,
            "device": where.device,
            "backend": where.backend,
            "environment": next((o.environment for _, o, _ in found.processes if o.environment), where.environment),
        }
        for name, each in found.verdicts.items()
    ]
