"""The Pareto front of a study's trials, and choosing from it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from lts._core import Constraint, Objective, ParetoArchive, hypervolume, nondominated, parse_constraint
from lts.errors import InfeasibleError, UsageError
from lts.measure.trial import Trial
from lts.study.dataframe import Tabular
from lts.study.notebook import front_html

_PICKS = ("knee", "best", "all")
_EMPTY = "the front is empty: no feasible trial yet"


@dataclass(frozen=True, repr=False)
class Front(Tabular):
    """Feasible, non-dominated trials, ordered by the first objective, best first.

    `indistinguishable` has by its id every trial that the intervals of what was measured cannot tell from a better
    member, and the id of that member.
    """

    trials: list[Trial]
    objectives: list[Objective]
    indistinguishable: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    def __getitem__(self, place: int) -> Trial:
        """The member at that place."""
        return self.trials[place]

    def __repr__(self) -> str:
        return f"<Front of {len(self.trials)} for {', '.join(map(str, self.objectives))}>"

    def _repr_html_(self) -> str:
        knee = self.knee() if len(self) > 1 else None
        return front_html(self.trials, self.objectives, knee, self.indistinguishable)

    def points(self) -> np.ndarray:
        """Values turned so that less is better: (n, n_objectives) float64."""
        return minimized(self.trials, self.objectives)

    def knee(self) -> Trial:
        """The member nearest to the ideal point, where each objective is best, with each scaled to its range.

        The compromise solution of Zeleny 1973. The distance is Euclidean, so that of two correlated costs neither
        extreme of the front wins by counting twice. Raises `InfeasibleError` on an empty front.
        """
        if not self.trials:
            raise InfeasibleError(_EMPTY)
        points = self.points()
        low, high = points.min(axis=0), points.max(axis=0)
        scaled = (points - low) / np.where(high > low, high - low, 1.0)
        return self.trials[int(np.argmin(np.linalg.norm(scaled, axis=1)))]

    def pick(self, choice: str) -> list[Trial]:
        """Members by id ("17"), "knee", "best" (in the first objective), "all", or a condition ("latency_ms<=20": the
        best such).

        Raises `UsageError` for something else, `InfeasibleError` when no member is it.
        """
        check_pick(choice)
        if choice == "all":
            return list(self.trials)
        if choice == "best" and self.trials:
            return [self.trials[0]]
        if choice in ("best", "knee") and not self.trials:
            raise InfeasibleError(_EMPTY)
        if choice == "knee":
            return [self.knee()]
        if re.fullmatch(r"\d+", choice):
            for trial in self.trials:
                if trial.id == int(choice):
                    return [trial]
            ids = ", ".join(str(trial.id) for trial in self.trials)
            raise UsageError(f"trial {choice} is not on the front; its members are {ids or 'none'}")
        kept = filtered(self.trials, [choice])
        if not kept:
            raise InfeasibleError(f"no member of the front satisfies '{choice}'")
        return [kept[0]]

    def spread(self, n: int) -> Front:
        """At most `n` members that stand for all: the knee, then always the one that adds most hypervolume.

        Hypervolume is submodular, so that this reaches at least 63 % of the hypervolume of the knee with the best
        `n - 1` others (Nemhauser, Wolsey and Fisher 1978). In the order of the front. Complexity: `n` times the size of
        the front hypervolumes of at most `n` points.
        """
        if len(self.trials) <= n:
            return self
        points = minimized(self.trials, self.objectives)
        low, high = points.min(axis=0), points.max(axis=0)
        scaled = (points - low) / np.where(high > low, high - low, 1.0)
        reference = np.full(len(self.objectives), 1.1)
        chosen = [self.trials.index(self.pick("knee")[0])]
        while len(chosen) < n:
            rest = [i for i in range(len(self.trials)) if i not in chosen]
            chosen.append(max(rest, key=lambda i: (hypervolume(scaled[[*chosen, i]], reference), -i)))
        return replace(self, trials=[self.trials[i] for i in sorted(chosen)])


def check_pick(choice: str) -> None:
    """Raise `UsageError` for what `Front.pick` takes for no front."""
    if choice in _PICKS or re.fullmatch(r"\d+", choice):
        return
    if re.fullmatch(r"\w+", choice):
        raise UsageError(
            f"unknown member '{choice}'; expected {', '.join(_PICKS)}, an ID, or a condition such as 'latency_ms<=20'"
        )
    try:
        parse_constraint(choice)
    except ValueError as error:
        raise UsageError(str(error)) from None


class Valued(Protocol):
    """Anything that has values by column: a trial, or a member of a predicted front."""

    @property
    def values(self) -> Mapping[str, float]: ...


def minimized(members: Sequence[Valued], objectives: Sequence[Objective]) -> np.ndarray:
    """Objective values turned so that less is better: (n, n_objectives) float64."""
    signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in objectives])
    values = [[member.values[o.name] for o in objectives] for member in members]
    points: np.ndarray = np.asarray(values, dtype=np.float64).reshape(len(members), len(objectives)) * signs
    return points


def front_of(trials: Iterable[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> Front:
    """The feasible, non-dominated ones of the complete trials."""
    feasible = [
        trial
        for trial in trials
        if trial.state == "complete" and all(c.holds(trial.values[c.name]) for c in constraints)
    ]
    points = minimized(feasible, objectives)
    members = [feasible[i] for i in nondominated(points)] if feasible else []
    members.sort(key=lambda trial: (tuple(minimized([trial], objectives)[0]), trial.id))
    return Front(members, list(objectives))


def filtered(trials: Iterable[Trial], conditions: Iterable[str]) -> list[Trial]:
    """The trials whose values satisfy all conditions of the form NAME<=NUMBER or NAME>=NUMBER."""
    try:
        parsed = [parse_constraint(text) for text in conditions]
    except ValueError as error:
        raise UsageError(str(error)) from None
    kept = list(trials)
    for condition in parsed:
        for trial in kept:
            if condition.name not in trial.values:
                raise UsageError(f"no column '{condition.name}'; the trials have {', '.join(sorted(trial.values))}")
        kept = [trial for trial in kept if condition.holds(trial.values[condition.name])]
    return kept


def hypervolume_history(
    trials: Sequence[Trial], objectives: Sequence[Objective], *, ratios: bool = False
) -> list[float]:
    """Hypervolume after each trial, as a fraction of the box of the observed values, 10 % longer at the worst end.

    The same box for the whole history, so the curve never falls. Failed and infeasible trials add nothing. With
    `ratios`, it is that of logarithms (`by_ratio`), in the objectives that have them.
    """
    points, scale, reference = _in_box(trials, objectives, ratios=ratios)
    history: list[float] = []
    archive = ParetoArchive(len(objectives))
    n_seen, value = 0, 0.0
    for trial in trials:
        if _counts(trial):
            # What a point adds is its own box less the part of that box that the front before it dominates.
            point = points[n_seen]
            if not archive.covers(point):
                front = archive.points
                covered = hypervolume(np.maximum(front, point), reference) if len(front) else 0.0
                value += max(0.0, math.prod((reference - point).tolist()) - covered) * scale
                archive.insert(point)
            n_seen += 1
        history.append(value)
    return history


def observed_hypervolume(trials: Sequence[Trial], objectives: Sequence[Objective]) -> float:
    """The last value of `hypervolume_history`; 0 without feasible trials."""
    points, scale, reference = _in_box(trials, objectives)
    return hypervolume(points, reference) * scale if len(points) else 0.0


def _counts(trial: Trial) -> bool:
    return trial.state == "complete" and bool(trial.feasible)


def have_ratios(points: np.ndarray) -> np.ndarray:
    """Of points (n, n_objectives), the columns whose values are all above 0, or all below: (n_objectives,) bool."""
    columns: np.ndarray = np.logical_or(np.all(points > 0, axis=0), np.all(points < 0, axis=0))
    return columns


def by_ratio(points: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Points in logarithms in those columns, where the order of values stays, so that equal ratios are equally far."""
    inside = np.where(columns, points, 1.0)
    turned: np.ndarray = np.where(columns, np.sign(inside) * np.log(np.abs(inside)), points)
    return turned


def _in_box(
    trials: Sequence[Trial], objectives: Sequence[Objective], *, ratios: bool = False
) -> tuple[np.ndarray, float, np.ndarray]:
    """The feasible points, one over the volume of their box, and its worst corner: the reference point.

    The corner lies 10 % of each side beyond the worst value, so that the extremes of the front count too. A flat side
    counts as 1.
    """
    points = minimized([trial for trial in trials if _counts(trial)], objectives)
    if not len(points):
        return points, 1.0, np.ones(len(objectives))
    points = by_ratio(points, have_ratios(points)) if ratios else points
    low, high = points.min(axis=0), points.max(axis=0)
    side = 1.1 * np.where(high > low, high - low, 1.0)
    return points, 1.0 / math.prod(side.tolist()), low + side
