"""Checking what a gate says: models against a baseline, against fixed limits, or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from lts.errors import MeasurementError
from lts.measure.allowed import bounds_for
from lts.measure.bench import bench
from lts.measure.interleaved import Comparison, Side
from lts.measure.limit import limit_verdicts
from lts.measure.models.model import Model
from lts.measure.outcome import Outcome
from lts.measure.result import Result
from lts.study.gate_file import Check
from lts.study.pairs import LIMIT, Compared, OpenPairs, Pair, Told
from lts.study.sides import Members, built_side, matched, saved_side


def run_check(check: Check, *, told: Told | None = None, note: Callable[[str], None] | None = None) -> list[Compared]:
    """Measure what a check names, and say how it compares; one for each of its models.

    Parameters
    ----------
    check
        A row of the file.
    told
        Gets each process, see `lts.study.pairs.Told`.
    note
        Gets what is to be known of the comparison besides: models of one side alone, conditions that differ.

    Raises
    ------
    UsageError
        For what is wrong in the check, or does not fit the models.
    MeasurementError
        When it cannot be measured, or a revision does not build.
    """
    with ExitStack() as stack:
        contender = stack.enter_context(built_side(check.model, check.build, check.path, check.folder))
        if check.baseline is None and check.against is None:
            return _limits_alone(check, contender, told)
        if check.against is not None:
            baseline = saved_side(check.against, check.history, contender)
        else:
            assert check.baseline is not None
            baseline = stack.enter_context(built_side(check.baseline, check.build, check.path, check.folder))
        both = matched(baseline, contender)
        pairs = stack.enter_context(
            OpenPairs(both, check.conditions, check.metrics, also=check.limits, across=check.across)
        )
        if note is not None:
            for text in (*both.notes, *pairs.notes):
                note(text)
        given = check.max_regression
        if check.common_bounds:
            given = {name: bound for name, bound in given.items() if not name or name in pairs.metrics}
        found = list(pairs.compare(max_regression=bounds_for(given, pairs.metrics), most=check.processes, told=told))
        return _renamed(check, [each for one in found for each in (one, *_limits_of(check, one))])


def _limits_alone(check: Check, contender: Members, told: Told | None) -> list[Compared]:
    """Verdicts on the limits of models that are compared with nothing else."""
    baseline = {
        name: Result(model=LIMIT, kind=LIMIT, rounds={column: [1.0] for column in check.limits}) for name in contender
    }
    with OpenPairs(matched(baseline, contender), check.conditions, list(check.limits), across=True) as pairs:
        found = []
        for pair in pairs.pairs:
            result, processes = _measured(check, pair, told)
            verdicts = limit_verdicts(result.rounds, check.limits)
            found.append(Compared(replace(pair, differ=[]), Comparison(verdicts, processes)))
        return _renamed(check, found)


def _renamed(check: Check, found: Sequence[Compared]) -> list[Compared]:
    """As the check says of what is inconclusive, and named as the check and, of several, the model."""
    several = len({each.pair.name for each in found}) > 1
    names = [f"{check.name}: {each.pair.name}" if several else check.name for each in found]
    fails = check.inconclusive == "fail"
    return [
        replace(each, pair=replace(each.pair, name=name), inconclusive_fails=fails)
        for each, name in zip(found, names, strict=True)
    ]


def _measured(check: Check, pair: Pair, told: Told | None) -> tuple[Result, list[tuple[Side, Outcome, bool]]]:
    """What is known, or is measured now, of a contender."""
    processes: list[tuple[Side, Outcome, bool]] = []
    if isinstance(pair.contender, Result):
        return pair.contender, processes

    def tell(_: Model, outcome: Outcome, counts: bool) -> None:
        processes.append(("contender", outcome, counts))
        if told is not None:
            told(pair, "contender", outcome, counts)

    (result,) = bench([pair.contender], list(check.limits), processes=check.processes, told=tell)
    if result.error is not None:
        raise MeasurementError(f"{pair.name} cannot be measured: {result.error}")
    return result, processes


def _limits_of(check: Check, compared: Compared) -> list[Compared]:
    """Verdicts on the limits of a contender that was compared with a baseline, by the same measurements."""
    if not check.limits:
        return []
    pair, found = compared.pair, compared.comparison
    values: dict[str, list[float]] = {}
    for name in check.limits:
        if isinstance(pair.contender, Result):
            values[name] = pair.contender.rounds[name]
            continue
        counted = [outcome.values for side, outcome, counts in found.processes if counts and side == "contender"]
        values[name] = [known[name] for known in counted if name in known]
        if not values[name]:
            raise MeasurementError(f"the limits of {pair.name} cannot be checked: no value for '{name}'")
    limit = Result(model=LIMIT, kind=LIMIT)
    against = replace(pair, baseline=limit, conditions={**pair.conditions, "baseline": limit}, differ=[])
    return [Compared(against, Comparison(limit_verdicts(values, check.limits), found.processes))]
