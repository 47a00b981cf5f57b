"""Which members of a front the intervals of what was measured tell apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lts._core import Constraint, Objective
from lts.measure.trial import Trial
from lts.study.front import Front, front_of
from lts.study.spread import CONFIRMED, drift_notes, n_processes, spread_of


def distinct_front(
    trials: Iterable[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> Front:
    """The front of trials, as `lts.study.spread.restated`, of members that their intervals tell apart.

    Where no trial was measured by several processes, all non-dominated trials are members.
    """
    trials = list(trials)
    front = front_of(trials, objectives, constraints)
    return told_apart(front) if any(trial.rounds for trial in trials) else front


def front_notes(front: Front, trials: Sequence[Trial], columns: Iterable[str]) -> list[str]:
    """What measuring again has shown, for people: which of the columns changed meanwhile, what the intervals of a front
    include, and what they cannot tell from its members."""
    if not any(trial.rounds for trial in trials):
        return []
    known = {column for trial in trials for column in trial.rounds}
    optimized = [objective.name for objective in front.objectives if objective.name in known]
    spreads = {column: spread for column in optimized if (spread := spread_of(trials, column)) is not None}
    told = ", ".join(f"{name} {100 * spread.relative:.2g} %" for name, spread in spreads.items())
    ids = ", ".join(str(trial.id) for trial in front if n_processes(trial) >= CONFIRMED)
    notes = [
        *drift_notes(trials, columns),
        f"intervals include how much processes differ (standard deviation: {told}); confirmed in {CONFIRMED} processes "
        f"or more: {f'trial {ids}' if ids else 'none'}",
    ]
    if same := front.indistinguishable:
        pairs = ", ".join(f"{key} from {known}" for key, known in same.items())
        notes.append(
            f"not on the front, because the intervals cannot tell it from a member with better "
            f"{front.objectives[0].name}: trial {pairs}"
        )
    return notes


def told_apart(front: Front) -> Front:
    """The front without members that are beaten beyond the intervals, or that these cannot tell from a better one.

    A member is beaten by one that is better in a measured objective beyond both intervals, and that it is not better
    than in any objective: not beyond the intervals where that is measured, not at all where it is counted. Where no
    measured objective differs beyond the intervals, the better in the first objective stays.
    """
    kept: list[Trial] = []
    same: dict[int, int] = {}
    for place, trial in enumerate(front.trials):
        others = [*kept, *front.trials[place + 1 :]]
        if any(relation(other, trial, front.objectives) == "beats" for other in others):
            continue
        equal = next((o for o in kept if relation(o, trial, front.objectives) == "equals"), None)
        if equal is not None:
            same[trial.id] = equal.id
        else:
            kept.append(trial)
    return replace(front, trials=kept, indistinguishable=same)


def relation(one: Trial, other: Trial, objectives: Sequence[Objective]) -> str:
    """Whether one "beats" the other, or "equals" it as far as the intervals tell; empty for neither."""
    beats = False
    for objective in objectives:
        a, b = one.values[objective.name], other.values[objective.name]
        if a == b or (a > 0 and b > 0 and abs(math.log(a / b)) <= doubt(one, other, objective.name)):
            continue
        if (a > b) != (objective.direction == "max"):
            return ""
        beats |= one.provenance.get(objective.name) == "measured"
    return "beats" if beats else "equals"


def doubt(one: Trial, other: Trial, column: str) -> float:
    """By how much the logarithms of two values have to differ for their intervals to tell them apart."""
    return math.hypot(_half_width(one, column), _half_width(other, column))


def _half_width(trial: Trial, column: str) -> float:
    """Half of the interval of what was measured, as a logarithm; 0 for what is exact."""
    low, high = trial.interval.get(column, (0.0, 0.0))
    return math.log(high / low) / 2 if trial.provenance.get(column) == "measured" and 0 < low <= high else 0.0
