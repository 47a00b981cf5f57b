"""How much costs differ from process to process, and intervals that hold for the next one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from lts._core import Constraint
from lts.measure.statistics import student_quantile
from lts.measure.trial import Trial

CONFIRMED = 3
"""So many processes confirm what a trial costs; further ones are not worth their time."""

# Variance of the median of so many samples of a normal distribution with variance 1, beyond them pi / 2n
# (Sarhan and Greenberg, Contributions to Order Statistics, 1962, table 10B.1); of two, it is their mean.
_VARIANCE = (1.0, 0.5, 0.4487, 0.2982, 0.2868, 0.2147, 0.2104)
# A process that is off by this factor shows no noise, but that something was wrong: such a trial is measured again, and
# must not widen all intervals.
_FAR = 2.0
# Drift: the slope over the time of the study, in its standard errors, and from this change on.
_DRIFT, _DRIFT_ERRORS = 0.02, 3.0
_LEAST_FOR_DRIFT = 6
# Relative standard error of what was disturbed: next to measurements that were not, it has no say.
_DISTURBED = 1.0


@dataclass(frozen=True)
class Spread:
    """The relative standard deviation of what a process measures, and the degrees of freedom that it is known with."""

    relative: float
    freedom: int

    def half_width(self, n: int, confidence: float = 0.95) -> float:
        """Half of the interval for the `center` of `n` processes, relative to it: a logarithm."""
        variance = _VARIANCE[n - 1] if n <= len(_VARIANCE) else math.pi / (2 * n)
        return student_quantile(confidence, self.freedom) * self.relative * math.sqrt(variance)


def center(values: Sequence[float]) -> float:
    """What several processes say together: their median, in which one disturbed of three does not count; of an even
    number the geometric mean of the two in the middle, so that a speed has the reciprocal of its time."""
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else math.sqrt(low * high)


def n_processes(trial: Trial) -> int:
    """How many processes have measured a trial."""
    return max(map(len, trial.rounds.values()), default=1)


def spread_of(trials: Iterable[Trial], column: str) -> Spread | None:
    """How much processes differ, pooled over the trials that several have measured; None where there are none.

    Complexity: O(n log n) for n processes.
    """
    deviations = []
    n_trials = 0
    for trial in trials:
        rounds = _positive(trial.rounds.get(column, ()))
        if len(rounds) < 2:
            continue
        around = math.log(center(rounds))
        # Of few samples, deviations from what they have in common are too small by this.
        scale = math.sqrt(len(rounds) / (len(rounds) - 1))
        deviations += [scale * (math.log(value) - around) for value in rounds]
        n_trials += 1
    freedom = len(deviations) - n_trials
    if freedom < 1:
        return None
    kept = [x for x in deviations if abs(x) <= math.log(_FAR)] or deviations
    freedom = max(1, freedom - (len(deviations) - len(kept)))
    return Spread(math.sqrt(sum(x * x for x in kept) / len(kept)), freedom)


def restated(trials: Sequence[Trial], constraints: Sequence[Constraint] = ()) -> list[Trial]:
    """The trials with the centers of what their processes measured, and intervals that hold from process to process.

    Whether they are feasible follows from these values.

    What a trial was disturbed by, and what one process says of its own samples, can only widen its interval. Without
    any trial that several processes measured, all stay as they are.
    """
    columns = {column for trial in trials for column in trial.rounds}
    spreads = {column: spread for column in columns if (spread := spread_of(trials, column)) is not None}
    if not spreads:
        return list(trials)
    return [_restated(trial, spreads, constraints) if trial.state == "complete" else trial for trial in trials]


def _restated(trial: Trial, spreads: dict[str, Spread], constraints: Sequence[Constraint]) -> Trial:
    values, intervals = dict(trial.values), dict(trial.interval)
    for column, spread in spreads.items():
        if trial.provenance.get(column) != "measured" or trial.values[column] <= 0:
            continue
        rounds = _positive(trial.rounds.get(column, ())) or [trial.values[column]]
        value, half = center(rounds), spread.half_width(len(rounds))
        low, high = value * math.exp(-half), value * math.exp(half)
        if len(rounds) == 1 and column in intervals:
            low, high = min(low, intervals[column][0]), max(high, intervals[column][1])
        values[column], intervals[column] = value, (low, high)
    feasible = all(c.holds(values[c.name]) for c in constraints) if constraints else trial.feasible
    return replace(trial, values=values, interval=intervals, feasible=feasible)


def drift_notes(trials: Sequence[Trial], columns: Iterable[str]) -> list[str]:
    """A sentence for every column that changed over the study for sure, in the architectures measured throughout."""
    notes = []
    for column in columns:
        points = [
            (place / (len(rounds) - 1) - 0.5, math.log(value) - mean(map(math.log, rounds)))
            for trial in trials
            if len(rounds := _positive(trial.rounds.get(column, ()))) > 2
            for place, value in enumerate(rounds)
        ]
        if len(points) < _LEAST_FOR_DRIFT:
            continue
        square = sum(x * x for x, _ in points)
        slope = sum(x * y for x, y in points) / square
        rest = sum((y - slope * x) ** 2 for x, y in points) / max(1, len(points) - 3)
        if abs(slope) > max(_DRIFT, _DRIFT_ERRORS * math.sqrt(rest / square)):
            notes.append(
                f"{column}: the same architectures cost {math.expm1(slope):+.1%} at the end of the study against its "
                "beginning; the intervals hold that, but the device does not keep its speed"
            )
    return notes


def _positive(values: Sequence[float]) -> list[float]:
    return [value for value in values if value > 0]


def noise_of(trial: Trial, column: str) -> float:
    """Relative standard error of a measured median, from its 95 % interval; a large one when the run was disturbed."""
    least = _DISTURBED if trial.disturbed else 0.0
    if column not in trial.interval:
        return least
    low, high = trial.interval[column]
    return max(least, (high - low) / (2 * 1.96) / trial.values[column])
