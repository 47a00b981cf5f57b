"""Two models compared: both measured in turn, or one of them, or neither, with what was measured before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lts._core import Architecture
from lts.errors import UsageError
from lts.measure.compare import Bounds
from lts.measure.evaluator import TargetEvaluator
from lts.measure.interleaved import MOST, Comparison, Measured, Run, Told, interleave
from lts.measure.models.architecture import ArchitectureModel
from lts.measure.models.model import SIZE, Model
from lts.measure.result import Result, differences, result_of
from lts.system.text import listed


def compare_models(
    baseline: Model | Result,
    contender: Model | Result,
    metrics: Sequence[str],
    *,
    max_regression: Bounds = None,
    also: Sequence[str] = (),
    most: int = MOST,
    timeout: float | None = None,
    across: bool = False,
    told: Told | None = None,
) -> Comparison:
    """Compare two models, of which those that can be run are measured; see `lts.measure.interleaved.interleave`.

    Where every process says the same, as an emulated processor that counts instructions does, one each is enough.

    Parameters
    ----------
    baseline, contender
        Models that are measured, or results of earlier measurements.
    metrics
        Of the costs of both.
    max_regression, most, told
        As of `interleave`.
    also
        What is measured besides of the models that have it, and not compared.
    timeout
        Seconds for one process; by default the evaluator's.
    across
        Whether results may come from other conditions than those of the other side.

    Raises
    ------
    UsageError
        For a metric that one of them does not have, an argument out of range, or conditions that differ.
    MeasurementError
        When one of them cannot be measured.
    """
    check_comparable(baseline, contender, metrics, across=across)
    return interleave(
        _side(baseline, metrics, also, timeout),
        _side(contender, metrics, also, timeout),
        metrics,
        max_regression=max_regression,
        most=most,
        varies=any(isinstance(each, Model) and each.varies for each in (baseline, contender)),
        told=told,
    )


def compare_architectures(
    baseline: Architecture,
    contender: Architecture,
    evaluator: TargetEvaluator,
    metrics: Sequence[str],
    **options: Any,
) -> Comparison:
    """Compare two architectures, measured by an evaluator; `options` are those of `compare_models`."""
    return compare_models(
        ArchitectureModel("baseline", baseline, evaluator),
        ArchitectureModel("contender", contender, evaluator),
        metrics,
        **options,
    )


def check_comparable(
    baseline: Model | Result, contender: Model | Result, metrics: Sequence[str], *, across: bool = False
) -> None:
    """Raise `UsageError` for a metric that a side does not have, and for conditions that differ unless `across`.

    Only sides that are both measured now may differ in their workload: that a model in another precision, or with other
    inputs, is compared is for whoever names them to know.
    """
    for side, each in (("baseline", baseline), ("contender", contender)):
        if isinstance(each, Model):
            try:
                each.check(metrics)
            except UsageError as error:
                raise UsageError(f"the {side}: {error.args[0]}") from None
            continue
        if each.error is not None:
            raise UsageError(f"the {side}, {each.model}, was not measured: {each.error}")
        if missing := [name for name in metrics if name not in each.rounds]:
            known = listed(each.rounds) or "nothing"
            raise UsageError(f"{missing[0]} was not measured of the {side}, {each.model}, but {known}")
    if not across and (differ := differing(baseline, contender, metrics)):
        one, other = (each.name if isinstance(each, Model) else each.model for each in (baseline, contender))
        raise UsageError(
            f"{one} and {other} are not of the same conditions: {listed(differ, 6)}; compare them anyway with --across"
        )


def differing(baseline: Model | Result, contender: Model | Result, metrics: Sequence[str]) -> list[str]:
    """What differs between the conditions of two sides, one phrase each; nothing for two that are both measured now."""
    if isinstance(baseline, Model) and isinstance(contender, Model):
        return []
    origins = ((name, _origin(baseline, name), _origin(contender, name)) for name in metrics)
    found = [f"{name} {one} and {other}" for name, one, other in origins if one and other and one != other]
    return [*differences(conditions(baseline), conditions(contender)), *found]


def _origin(side: Model | Result, name: str) -> str | None:
    """Where a metric of a side comes from, such as "measured"."""
    if isinstance(side, Result):
        return side.provenance.get(name)
    return "exact" if name == SIZE else side.provenance


def conditions(side: Model | Result) -> Result:
    """A result, or what one would say of a model besides what is measured."""
    return side if isinstance(side, Result) else result_of(side, (), ())


def metrics_of(baseline: Model | Result, contender: Model | Result) -> list[str]:
    """What is compared of two sides unless it is said: what is measured by default, or was, on both."""
    wanted = [list(each.default_costs if isinstance(each, Model) else each.rounds) for each in (baseline, contender)]
    known = [set(each.costs if isinstance(each, Model) else each.rounds) for each in (baseline, contender)]
    first = wanted[0] if isinstance(baseline, Result) or not isinstance(contender, Result) else wanted[1]
    return [name for name in first if all(name in each for each in known)]


def _side(side: Model | Result, metrics: Sequence[str], also: Sequence[str], timeout: float | None) -> Run | Measured:
    if isinstance(side, Result):
        found: Mapping[str, Sequence[float]] = {name: side.rounds[name] for name in metrics}
        return found
    model = side
    columns = list(dict.fromkeys((*metrics, *(name for name in also if name in model.costs))))
    return lambda: model.measure(columns, timeout)
