"""Which architectures to measure next: a first design, then those that the front is expected to gain most from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import (
    Architecture,
    Constraint,
    Objective,
    SearchSpace,
    nondominated,
)
from lts.measure.trial import Trial
from lts.study.cost_model import outlier_notes, outliers_of
from lts.study.design import design_size, first_design
from lts.study.evolution import Evolution
from lts.study.expected_gain import expected_gains
from lts.study.front import front_of, hypervolume_history, minimized
from lts.study.limits import Limits
from lts.study.predictions import Predictions
from lts.study.sampler import Proposal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lts.study.cost_model import CostModel, SurrogateLike

    Array = NDArray[np.float64]

# Number of trials that a study is taken to have when nobody says.
DEFAULT_BUDGET = 40
# What is measured after the first design comes in so many batches, of at most so many candidates.
_BATCHES, LARGEST_BATCH = 4, 8
# Share of the first design that has to be measured before predictions begin, where several are measured at once.
_ENOUGH_OF_DESIGN = 0.75
_LEAST_FIT = 3
# Smallest cost that a surrogate accepts.
_SMALLEST = 1e-100
# Fronts behind the first one that are looked at; members of the predicted front that are compared.
_PEELED = 3
_COMPARED = 300
# Settled: two batches in a row gave less than this share of the hypervolume, and were predicted as well as expected.
_SETTLED_GAIN = 0.002
_SETTLED_ERROR = 2.0
# Relative standard error of what was disturbed: next to measurements that were not, it has no say.
_DISTURBED = 1.0

DESIGN, GAIN = "design", "gain"
"""Origins of proposals: the first design, and the largest expected gain."""


@dataclass
class Proposer:
    """Chooses what a study measures. `waiting` says that trials which are running have to be measured first.

    Parameters
    ----------
    space
        What is searched.
    objectives, constraints
        Objectives and constraints of the study.
    columns
        Those that are measured, which the surrogate predicts. All others are counted.
    surrogate
        What predicts.
    algorithm
        What evolves candidates on predictions, with its options.
    workload
        What counted columns are for: the keywords of `lts.analytic`.
    pool
        The only architectures that can be measured, where that is so.
    seed
        Seed of everything random.
    n_design
        Measurements of the first design; by default a share of the budget, and few when the surrogate starts from
        what is known of another device.
    limits
        What is not run.
    """

    space: SearchSpace
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]
    columns: Sequence[str]
    surrogate: SurrogateLike
    algorithm: str = "lts"
    algorithm_options: Mapping[str, Any] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    pool: Sequence[Architecture] | None = None
    seed: int = 0
    n_design: int | None = None
    limits: Limits = field(default_factory=Limits)
    models: dict[str, CostModel] = field(default_factory=dict)
    settled: bool = False
    waiting: bool = False
    useless: bool = False
    _notes: dict[str, list[str]] = field(default_factory=dict)
    _barren: int = 0

    @property
    def notes(self) -> list[str]:
        """What the last fits have shown, in sentences for people."""
        return [note for notes in self._notes.values() for note in notes]

    def propose(self, trials: Sequence[Trial], budget: int) -> list[Proposal]:
        """The next batch, after these trials, of a study that may have `budget` of them; none when it has settled."""
        self.settled = self.waiting = False
        n_design = min(budget, self.n_design or self._design_size(budget))
        seen = {trial.architecture.to_json() for trial in trials}
        if len(trials) < n_design:
            rest = [a for a in self.design(n_design) if a.to_json() not in seen]
            if rest:
                return [Proposal(a, origin=DESIGN) for a in rest[: n_design - len(trials)]]
        n = max(1, min(LARGEST_BATCH, math.ceil((budget - n_design) / _BATCHES)))
        complete = [trial for trial in trials if trial.state == "complete"]
        n_running = sum(trial.state == "running" for trial in trials)
        if n_running > 0 and len(trials) - n_running < _ENOUGH_OF_DESIGN * n_design:
            self.waiting = True
            return []
        if len(complete) < _LEAST_FIT or not self._fit(complete):
            return []
        self.settled = self._is_settled(complete, n)
        if self.settled or len(trials) < self._barren:
            return []
        candidates = self._candidates(trials, n)
        if not candidates:
            # All that is near the predicted front is measured: done, if the predictions of that were right.
            self.settled = self._is_confirmed([t for t in complete if t.predicted][-n:])
            self._barren = len(trials) + n
            return []
        return self._best(trials, candidates, min(n, max(1, budget - len(trials))))

    def _design_size(self, budget: int) -> int:
        priors = getattr(self.surrogate, "priors", {})
        return design_size(budget, warm=all(column in priors for column in self.columns))

    def _fit(self, trials: Sequence[Trial]) -> bool:
        """Fit all columns; false when one of them is better measured than predicted."""
        architectures = [trial.architecture for trial in trials]
        for column in self.columns:
            values = np.array([trial.values[column] for trial in trials])
            if not ((values >= _SMALLEST) & (values <= 1 / _SMALLEST)).all():
                self._notes[column] = [
                    f"{column}: predictions need values above 0; candidates are chosen by measuring alone"
                ]
                self.useless = True
                return False
            noise = np.array([noise_of(trial, column) for trial in trials])
            model, self._notes[column] = self.surrogate.fit(column, architectures, values, noise)
            if model is not None:
                self._notes[column] += outlier_notes(column, model, [trial.id for trial in trials], values)
            if model is None:
                self.useless = True
                return False
            self.models[column] = model
        return True

    def outliers(self, trials: Sequence[Trial]) -> list[int]:
        """Ids of the trials that a fit to all of them leaves out."""
        complete = [trial for trial in trials if trial.state == "complete"]
        if self.useless or len(complete) < _LEAST_FIT or not self._fit(complete):
            return []
        return sorted({complete[i].id for model in self.models.values() for i in outliers_of(model)})

    def _is_settled(self, trials: Sequence[Trial], n: int) -> bool:
        """Whether the last two batches changed neither the front nor what is known of the error."""
        predicted = [trial for trial in trials if trial.predicted]
        if len(predicted) < 2 * n:
            return False
        new = {trial.id for trial in predicted[-2 * n :]}
        old = [trial for trial in trials if trial.id not in new]
        history = hypervolume_history([*old, *(t for t in trials if t.id in new)], self.objectives, ratios=True)
        if not old or history[-1] - history[len(old) - 1] > _SETTLED_GAIN * history[-1]:
            return False
        return self._is_confirmed(predicted[-n:])

    def _is_confirmed(self, last: Sequence[Trial]) -> bool:
        """Whether there are feasible ones among these trials, and they cost what was predicted."""
        return any(trial.feasible for trial in last) and all(
            np.mean([abs(t.predicted[c][0] / t.values[c] - 1) for t in last if c in t.predicted])
            <= _SETTLED_ERROR * self.models[c].error + 0.005
            for c in self.columns
        )

    @property
    def predictions(self) -> Predictions:
        """What the last models say."""
        return Predictions(self.objectives, self.workload, self.models, self.surrogate.name)

    def design(self, n: int) -> list[Architecture]:
        """See `lts.study.design.first_design`."""
        return first_design(self.space, n, self.seed, self.pool, self.limits)

    def _candidates(self, trials: Sequence[Trial], n: int) -> list[Architecture]:
        """Architectures that were not measured, near the front of what was and of predictions."""
        seen = {trial.architecture.to_json() for trial in trials}
        if self.pool is not None:
            rest = [a for a in self.pool if a.to_json() not in seen]
            near = self._near_front(rest)
            return near if len(near) >= n else rest
        found: dict[str, Architecture] = {}
        # Fronts behind the first one, where that has fewer members than a batch: an optimum is one point.
        for _ in range(_PEELED):
            before = len(found)
            for architecture in self.limits.kept(self._evolved(trials, list(found.values()))):
                if architecture.to_json() not in seen:
                    found[architecture.to_json()] = architecture
            if len(found) == before or len(found) >= n:
                break
        return list(found.values())

    def _evolved(self, trials: Sequence[Trial], without: Sequence[Architecture]) -> list[Architecture]:
        """The front of what was measured and of candidates that evolve on predictions, without some."""
        evolution = Evolution(
            self.space,
            [str(o) for o in self.objectives],
            [str(c) for c in self.constraints],
            self.algorithm,
            self.algorithm_options,
            (self.seed + len(trials)) % 2**64,
        )
        for trial in trials:  # as measured: what is known needs no prediction
            evolution.add(trial.architecture, trial.values if trial.state == "complete" else None)
        for architecture in without:
            evolution.add(architecture, None)
        evolution.run(self.predictions)
        members = evolution.front()
        keep = np.unique(np.linspace(0, len(members) - 1, min(_COMPARED, len(members))).round().astype(int))
        return [members[i] for i in keep]

    def _near_front(self, pool: list[Architecture]) -> list[Architecture]:
        """Those of a pool that may be on the front, given the intervals."""
        found = self.predictions.values(pool, [*(o.name for o in self.objectives), *(c.name for c in self.constraints)])
        feasible = np.ones(len(pool), dtype=bool)
        for constraint in self.constraints:
            feasible &= np.array([constraint.holds(float(v)) for v in found[constraint.name]])
        pool = [a for a, keep in zip(pool, feasible, strict=True) if keep]
        if not pool:
            return []
        points = self.predictions.points({name: value[feasible] for name, value in found.items()})
        best = points - self.predictions.spread(pool)
        front = points[nondominated(points)]
        worse = np.array([bool((front < point).all(axis=1).any()) for point in best])
        return [a for a, out in zip(pool, worse, strict=True) if not out]

    def _best(self, trials: Sequence[Trial], candidates: list[Architecture], n: int) -> list[Proposal]:
        """Those with the largest expected gain of hypervolume, each given the ones before it as predicted."""
        if not candidates:
            return []
        names = [o.name for o in self.objectives]
        points = self.predictions.points(self.predictions.values(candidates, names))
        spread = self.predictions.spread(candidates)
        members = front_of(trials, self.objectives, self.constraints).trials
        measured = minimized(members, self.objectives)
        running = [trial.architecture for trial in trials if trial.state == "running"]
        if running:  # elsewhere at the same time: as predicted
            measured = np.vstack([measured, self.predictions.points(self.predictions.values(running, names))])
        chosen = expected_gains(measured, points, spread, n)
        order = np.random.default_rng([self.seed, len(trials)]).permutation(len(chosen))
        return [Proposal(candidates[chosen[i]], self.predictions.of(candidates[chosen[i]]), GAIN) for i in order]


def noise_of(trial: Trial, column: str) -> float:
    """Relative standard error of a measured median, from its 95 % interval; a large one when the run was disturbed."""
    least = _DISTURBED if trial.disturbed else 0.0
    if column not in trial.interval:
        return least
    low, high = trial.interval[column]
    return max(least, (high - low) / (2 * 1.96) / trial.values[column])
