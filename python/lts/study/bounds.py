"""Candidates close to the bounds of a study: whoever gives a bound asks about models there.

Baselines are bounds, too: a front that is compared with one should have a member that is as large, and not much larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture, Constraint, Objective
from lts.measure.trial import Trial
from lts.study.expected_gain import expected_gains
from lts.study.front import minimized
from lts.study.predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SHARE = 0.25
"""Share of the predicted candidates that is for the bounds, where there are any."""
SHARE_BESIDE = 0.5
"""The same where the front will be compared with baselines, each of which is a bound: as large, and no slower."""
WIDTH = 0.15
"""How far from the bound a candidate may be, relative to it."""
EVOLVED_NEAR = 50_000
"""Candidates that evolve in a window: their front is as good as that of four times as many."""
ORIGIN = "bound"
"""Origin of these proposals."""

# A better first objective than this is worth a measurement of its own, relative to the best one so far.
_LEAST_BETTER = 0.001
# Gaps are filled from the bound outwards with members so far apart, relative to the bounded column; then more finely.
_STEPS = (0.02, 0.01)
# The least probability that a candidate for a gap is feasible.
_LIKELY = 0.8


@dataclass(frozen=True)
class Window:
    """The feasible side of a bound: what is within `WIDTH` of it.

    Attributes
    ----------
    bound
        The constraint of the study.
    limits
        What holds in the window: the end, and the bound, which is loosened where its column is predicted.
    """

    bound: Constraint
    limits: tuple[Constraint, Constraint]

    def objectives(self, objectives: Sequence[Objective]) -> list[Objective]:
        """Those of a study, and to keep a distance from the bound, so that what is likely feasible is not given up."""
        name = self.bound.name
        inward = Objective(name, "max" if self.bound.relation == ">=" else "min")
        return [*objectives, *([] if name in {each.name for each in objectives} else [inward])]

    def among(self, constraints: Iterable[Constraint]) -> list[Constraint]:
        """The constraints of a study with those of the window in place of the bound."""
        return [*(each for each in constraints if each != self.bound), *self.limits]

    def places(self, values: Array) -> Array:
        """Distances from the bound: 0 at it, 1 at the other end, logarithmic in between; beyond, negative or above 1.

        Values of 0 and below are infinitely far away.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            places = np.log(values / self.bound.bound) / np.log(self.limits[0].bound / self.bound.bound)
        return np.where(values > 0, places, np.inf)


def windows_of(constraints: Iterable[Constraint], errors: Mapping[str, float]) -> list[Window]:
    """A window at every bound above 0; others have no scale. `errors` are relative ones of predicted columns."""
    found = []
    for bound in constraints:
        if bound.bound > 0:
            name, relation, inward = bound.name, bound.relation, 1.0 if bound.relation == ">=" else -1.0
            end = Constraint(name, "<=" if relation == ">=" else ">=", bound.bound * (1 + inward * WIDTH))
            loose = bound.bound * (1 - inward * min(WIDTH, errors.get(name, 0.0)))
            found.append(Window(bound, (end, Constraint(name, relation, loose))))
    return found


def n_due(trials: Sequence[Trial], n: int, share: float = SHARE) -> int:
    """How many of the next `n` predicted candidates are for the bounds, so that of all of them it is this share."""
    origins = [trial.origin for trial in trials if trial.predicted]
    due = int(share * (len(origins) + n) + 1e-9) - origins.count(ORIGIN)
    return max(0, min(due, int(np.ceil(share * n))))


def chosen_at_bounds(
    candidates: Mapping[Window, Sequence[Architecture]],
    members: Sequence[Trial],
    running: Sequence[Architecture],
    constraints: Sequence[Constraint],
    predictions: Predictions,
    n: int,
) -> list[Architecture]:
    """At most `n` candidates: the best within the bounds, then what fills the gaps of the front next to them.

    The best has the largest expected improvement of the first objective over the members of the front: the difference
    times the probability that all constraints hold (Schonlau 1997). Gaps are filled from the bound outwards, with
    candidates that are likely feasible, until members are 2 % apart, then 1 %; of all about there, by the one with the
    largest expected gain of hypervolume. What was chosen counts as measured as predicted. What a member is predicted to
    dominate is not chosen. Of several windows, the one whose bound has no member near it comes first.

    Parameters
    ----------
    candidates
        By window, those in it that were not measured and are predicted to be best there.
    members
        The front so far.
    running
        What is being measured elsewhere.
    constraints
        Those of the study.
    predictions
        What is predicted of all these.
    n
        How many.
    """
    left = {window: _Candidates(window, each, members, constraints, predictions) for window, each in candidates.items()}
    chosen: list[Architecture] = []

    def take(window: Window, i: int) -> None:
        architecture = left[window].architectures[i]
        chosen.append(architecture)
        for each in left.values():
            each.believe([architecture])

    for each in left.values():
        each.believe(running)
    while len(chosen) < n and (left := {window: each for window, each in left.items() if each.open.any()}):
        gains = {window: each.improvements() for window, each in left.items()}
        window = max(gains, key=lambda w: float(gains[w].max()))
        if gains[window].max() > _LEAST_BETTER and not chosen:
            take(window, int(gains[window].argmax()))
        else:
            gaps = {window: i for window, each in left.items() if (i := each.in_a_gap()) is not None}
            if not gaps:
                break
            window = min(gaps, key=lambda w: (-left[w].steps_away, left[w].n_inside))
            take(window, gaps[window])
    return chosen


class _Candidates:
    """Candidates in a window, with what is predicted of them and which of them may still be chosen."""

    def __init__(
        self,
        window: Window,
        architectures: Sequence[Architecture],
        members: Sequence[Trial],
        constraints: Sequence[Constraint],
        predictions: Predictions,
    ) -> None:
        self.window = window
        self.architectures = list(architectures)
        self._predictions = predictions
        self._names = [*(o.name for o in predictions.objectives), window.bound.name]
        values = predictions.values(self.architectures, self._names)
        self.places = window.places(values[window.bound.name])
        self.points = predictions.points(values)
        self.spread = predictions.spread(self.architectures)
        self.probability = np.ones(len(self.architectures))
        for constraint in constraints:
            self.probability *= predictions.probability(constraint, self.architectures)
        self.known = minimized(members, predictions.objectives)
        self._inside = self._places_inside(np.array([trial.values[window.bound.name] for trial in members]))
        hopeful = self.points - self.spread
        self.open = np.array([not _dominated(point, self.known) for point in hopeful], dtype=bool)

    @property
    def n_inside(self) -> int:
        """How many are measured in the window, those that were chosen among them."""
        return len(self._inside)

    @property
    def steps_away(self) -> int:
        """How many of the first steps the member next to the bound is away from it, at most those of the window."""
        return int(np.log1p(WIDTH) * self._inside.min(initial=1.0) / _STEPS[0])

    def believe(self, architectures: Sequence[Architecture]) -> None:
        """Take these for measured as predicted."""
        if architectures:
            values = self._predictions.values(architectures, self._names)
            self.known = np.vstack([self.known, self._predictions.points(values)])
            self._inside = np.append(self._inside, self._places_inside(values[self.window.bound.name]))
            names = {architecture.to_json() for architecture in architectures}
            self.open &= np.array([a.to_json() not in names for a in self.architectures], dtype=bool)

    def _places_inside(self, values: Array) -> Array:
        places = self.window.places(values)
        return places[(places >= 0) & (places <= 1)]

    def improvements(self) -> Array:
        """Expected improvements of the first objective, relative to the best of what is known; 0 without any."""
        if not len(self.known):
            return np.zeros(len(self.architectures))
        best = float(self.known[:, 0].min())
        better = np.maximum(0.0, best - self.points[:, 0]) / (abs(best) or 1.0)
        return np.where(self.open, better * self.probability, 0.0)

    def in_a_gap(self) -> int | None:
        """The candidate for the gap next to the bound, None when all gaps are filled: of those about there, the one
        with the largest expected gain."""
        span = np.log1p(WIDTH)
        distances = span * np.abs(self.places[:, None] - self._inside[None, :]).min(axis=1, initial=np.inf)
        for step in _STEPS:
            free = np.flatnonzero(self.open & (self.probability >= _LIKELY) & (distances >= step))
            if len(free):
                near = free[span * (self.places[free] - self.places[free].min()) <= step / 4]
                return int(near[expected_gains(self.known, self.points[near], self.spread[near], 1)[0]])
        return None


def _dominated(point: Array, front: Array) -> bool:
    return bool(((front <= point).all(axis=1) & (front < point).any(axis=1)).any())
