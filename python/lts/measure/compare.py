"""Whether one model costs more than another: verdicts on what processes have measured of both.

A process is the unit, with the median of its samples: samples within one process say little about the next one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from statistics import fmean

from lts.errors import UsageError
from lts.measure.outcome import finite, shown
from lts.measure.ranks import rank_test, shift
from lts.measure.statistics import median_ranks, student_quantile

MAX_REGRESSION = 0.05
"""What timed and measured metrics may get worse by, unless it is said: relative to the baseline."""
MAX_EXACT_REGRESSION = 0.0
"""As `MAX_REGRESSION`, of exact metrics."""
CONFIDENCE = 0.95
FEWEST = 4
"""Processes per side that a test with this confidence needs."""

Bounds = float | Mapping[str, float] | None
"""The bound of all metrics, or of some by name; by default that of each metric."""

_MOST_PROCESSES = 50
_MOST_ENOUGH = 1000
_MOST_CHANGE = 300 * math.log(10)
_HIGHER = ("tokens_per_second",)
_EXACT_PARTS = ("instructions", "bytes", "params")
# What floating point may make of a change that is just the bound.
_ROUNDING = 1e-9
# Standard deviations of a normal distribution below which 80 % lie: the power that `enough` aims at.
_POWER = 0.8416
# Asymptotic efficiency of the rank test beside Student's, for normal noise (Lehmann, Nonparametrics, 1975, 2.4).
_EFFICIENCY = 3 / math.pi


class Answer(StrEnum):
    """What a comparison says of a metric. A change is larger than the bound when the worse side is by more than that
    above the better one."""

    regression = "regression"
    """Worse for sure, and by more than the bound."""
    improvement = "improvement"
    """Better for sure, and by more than the bound."""
    same = "same"
    """No change larger than the bound."""
    inconclusive = "inconclusive"
    """No change, and one larger than the bound, would both fit what was measured."""


@dataclass(frozen=True)
class Metric:
    """A quantity that is compared; its name ends with its unit.

    Parameters
    ----------
    name
        As of columns: "latency_ms".
    higher_is_better
        Whether more of it is better, as of ``tokens_per_second``.
    exact
        Whether each process finds the same, as of instructions and bytes: no test is needed, and the bound is another.
    """

    name: str
    higher_is_better: bool
    exact: bool

    @staticmethod
    def named(name: str) -> Metric:
        """The metric that a column is."""
        return Metric(name, name in _HIGHER, name.split("_")[-1] in _EXACT_PARTS)

    @property
    def bound(self) -> float:
        """What it may get worse by, unless it is said."""
        return MAX_EXACT_REGRESSION if self.exact else MAX_REGRESSION


@dataclass(frozen=True)
class Center:
    """What the processes of one side say together, in the unit of the metric.

    `value` is the median of `n` processes, of an even number the geometric mean of the two in the middle. The median of
    all processes that there could be lies between `low` and `high`, which are measured values, with the probability
    `coverage`: see `lts.measure.statistics.median_ranks`.
    """

    value: float
    low: float
    high: float
    coverage: float
    n: int


@dataclass(frozen=True)
class Verdict:
    """What a comparison says of one metric.

    Parameters
    ----------
    metric
        What was compared.
    answer
        See `Answer`.
    baseline, contender
        Both sides.
    change
        Of the contender, relative to the baseline: 0.1 is 10 % more of it, be that worse or better.
    change_interval
        Bounds of the change, with at least 95 %; None where there are too few processes for that.
    p_value
        Probability of a difference as large between processes of one and the same model, by the exact two-sided test of
        Mann and Whitney; None for exact metrics, where there is no chance.
    max_regression
        The bound.
    enough
        Where it is inconclusive, so many processes per side would do in four of five cases, estimated from how much
        these differ; None where more than 1,000 would be needed, or it is not.
    """

    metric: Metric
    answer: Answer
    baseline: Center
    contender: Center
    change: float
    change_interval: tuple[float, float] | None
    p_value: float | None
    max_regression: float
    enough: int | None = None


def verdicts(
    baseline: Mapping[str, Sequence[float]],
    contender: Mapping[str, Sequence[float]],
    max_regression: Bounds = None,
) -> dict[str, Verdict]:
    """What processes have measured of two models, compared metric by metric.

    Parameters
    ----------
    baseline, contender
        By metric, with its unit in its name, one value per process, in any order.
    max_regression
        The bound for all metrics, or by name for some: 0.05 lets the contender be 5 % worse. By default that of each
        metric.

    Raises
    ------
    UsageError
        When the two have different metrics, or as `verdict`.
    """
    if not baseline and not contender:
        raise UsageError("there is nothing to compare: neither side has a metric")
    if alone := sorted({*baseline} ^ {*contender}):
        raise UsageError(
            f"the baseline has {_names(baseline)} and the contender {_names(contender)}: "
            f"{alone[0]} is on one side only; expected the same metrics, in the same units"
        )
    bounds = max_regression if isinstance(max_regression, Mapping) else dict.fromkeys(baseline, max_regression)
    return {name: verdict(Metric.named(name), baseline[name], contender[name], bounds.get(name)) for name in baseline}


def verdict(
    metric: Metric, baseline: Sequence[float], contender: Sequence[float], max_regression: float | None = None
) -> Verdict:
    """What processes have measured of one metric of two models, compared.

    A regression has to be significant, by an exact test on the medians of processes (see `lts.measure.ranks`), and
    larger than the bound. The change is the median ratio of a process of one side and one of the other, with the
    interval that this test gives. Where that holds both no change and one of the bound, in one direction or the other,
    the answer is inconclusive. Both directions are treated alike, on a logarithmic scale: swapping the sides swaps
    regression and improvement.

    Exact metrics need no test: their change must lie beyond the bound, or not.

    Parameters
    ----------
    metric
        What is compared.
    baseline, contender
        One value per process, in any order.
    max_regression
        The bound, relative; by default that of the metric.

    Raises
    ------
    UsageError
        For a side without values or with more than 50, a value that is not finite or not above 0, sides that differ by
        more than a float holds, or a bound that is not finite or below 0.
    """
    bound = metric.bound if max_regression is None else max_regression
    if not finite(bound) or bound < 0:
        raise UsageError(f"max_regression is {shown(bound)}; it must be a number of at least 0, as in 0.05 for 5 %")
    one = _logarithms(metric, "baseline", baseline)
    other = _logarithms(metric, "contender", contender)
    if max(one[-1] - other[0], other[-1] - one[0]) > _MOST_CHANGE:
        raise UsageError(
            f"{metric.name} of the two sides differs by a factor of more than 10^300; are both in the same unit?"
        )
    change, low, high = shift(one, other, CONFIDENCE)
    p_value: float | None = rank_test(baseline, contender)
    if metric.exact:
        low, high, p_value = other[0] - one[-1], other[-1] - one[0], None
    # Upwards is worse from here on.
    worse = (-change, -high, -low) if metric.higher_is_better else (change, low, high)
    limit = math.log1p(bound) + _ROUNDING
    answer = _exact_answer(worse, limit) if p_value is None else _answer(worse, limit, p_value)
    needed = p_value is not None and answer is Answer.inconclusive
    return Verdict(
        metric,
        answer,
        _center(baseline),
        _center(contender),
        math.expm1(change),
        (math.expm1(low), math.expm1(high)) if math.isfinite(low) else None,
        p_value,
        float(bound),
        _enough(one, other, abs(change), limit) if needed else None,
    )


def _answer(worse: tuple[float, float, float], limit: float, p_value: float) -> Answer:
    change, low, high = worse
    if abs(change) > limit:
        if low <= 0 <= high or p_value > 1 - CONFIDENCE:
            return Answer.inconclusive
        return Answer.regression if change > 0 else Answer.improvement
    return Answer.inconclusive if low <= 0 <= high and (low < -limit or high > limit) else Answer.same


def _exact_answer(worse: tuple[float, float, float], limit: float) -> Answer:
    _, low, high = worse
    if low > limit:
        return Answer.regression
    if high < -limit:
        return Answer.improvement
    return Answer.same if -limit <= low and high <= limit else Answer.inconclusive


def _enough(one: Sequence[float], other: Sequence[float], change: float, limit: float) -> int | None:
    """So many processes per side would make the interval of the change leave out zero, or all beyond the bound.

    In four of five cases, for a change and a spread as those of these processes: by the width of Student's interval, a
    little larger for ranks, and how far the next change may be from this one.
    """
    margin = change if change > limit else max(change, limit - change)
    freedom = len(one) + len(other) - 2
    if freedom < 1:
        return FEWEST
    squares = sum((x - fmean(side)) ** 2 for side in (one, other) for x in side)
    deviation = math.sqrt(squares / freedom)
    for n in range(max(FEWEST, min(len(one), len(other)) + 1), _MOST_ENOUGH + 1):
        # Beyond 60 degrees of freedom it hardly changes any more.
        quantile = _quantile(min(2 * n - 2, 60))
        if (quantile + _POWER) * deviation * math.sqrt(2 / n / _EFFICIENCY) < margin:
            return n
    return None


@lru_cache(maxsize=64)
def _quantile(freedom: int) -> float:
    return student_quantile(CONFIDENCE, freedom)


def _center(values: Sequence[float]) -> Center:
    ordered = sorted(map(float, values))
    low, high, coverage = median_ranks(len(ordered), CONFIDENCE)
    left, right = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    middle = left if left == right else math.sqrt(left) * math.sqrt(right)
    return Center(middle, ordered[low], ordered[high], coverage, len(ordered))


def _logarithms(metric: Metric, side: str, values: Sequence[float]) -> list[float]:
    """The logarithms of checked values, in order."""
    if not 1 <= len(values) <= _MOST_PROCESSES:
        raise UsageError(f"{len(values)} values of {metric.name} of the {side}; expected 1 to {_MOST_PROCESSES}")
    for value in values:
        if not finite(value) or value <= 0:
            raise UsageError(f"a value of {metric.name} of the {side} is {shown(value)}; it must be finite and above 0")
    return sorted(map(math.log, values))


def _names(side: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(side) or "no metrics"
