"""Which architectures to measure next: a first design, then those that the front is expected to gain most from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import Architecture, Constraint, Objective, SearchSpace
from lts.measure.trial import Trial
from lts.study.bounds import EVOLVED_NEAR, ORIGIN, SHARE, SHARE_BESIDE, chosen_at_bounds, n_due, windows_of
from lts.study.cost_model import outlier_notes, outliers_of
from lts.study.design import design_size, first_design
from lts.study.evolution import EVOLVED, Evolution
from lts.study.expected_gain import expected_gains
from lts.study.front import front_of, hypervolume_history, minimized
from lts.study.limits import Limits
from lts.study.predictions import Predictions
from lts.study.sampler import Proposal
from lts.study.spread import noise_of

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
# Members of the front that is known to be likely, from which candidates evolve.
_LIKELY = 64
_COMPARED = 300
# Settled: two batches in a row gave less than this share of the hypervolume, and were predicted as well as expected.
_SETTLED_GAIN = 0.002
_SETTLED_ERROR = 2.0

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
    compared_at
        Where the front will be compared with baselines.
    first
        Architectures to begin with, at most so many; see `lts.study.problem.Problem`.
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
    compared_at: Sequence[Constraint] = ()
    first: Callable[[int], Sequence[Architecture]] = lambda n: ()
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
        n = min(n, max(1, budget - len(trials)))
        near = self._near_bounds(trials, n_due(trials, n, SHARE_BESIDE if self.compared_at else SHARE))
        candidates = self._candidates(trials, n)
        if not candidates and not near:
            # All that is near the predicted front is measured: done, if the predictions of that were right.
            self.settled = self._is_confirmed([t for t in complete if t.predicted][-n:])
            self._barren = len(trials) + n
            return []
        return self._best(trials, candidates, near, n)

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
        """What is likely to be on the front; where nobody knows, see `lts.study.design.first_design`."""
        return [*self.first(n)] or first_design(self.space, n, self.seed, self.pool, self.limits)

    def _near_bounds(self, trials: Sequence[Trial], n: int) -> list[Architecture]:
        """At most `n` architectures that were not measured, close to the bounds; see `lts.study.bounds`."""
        bounds = dict.fromkeys([*self.constraints, *self.compared_at])
        if n < 1 or not bounds:
            return []
        seen = {trial.architecture.to_json() for trial in trials}
        found = {}
        for window in windows_of(bounds, {column: model.error for column, model in self.models.items()}):
            goals, within = window.objectives(self.objectives), window.among(self.constraints)
            if self.pool is None:
                inside = self.limits.kept(self._evolved(trials, (), goals, within, EVOLVED_NEAR))
            else:
                inside = replace(self.predictions, objectives=goals).near_front(self.pool, within)
            found[window] = [a for a in inside if a.to_json() not in seen]
        members, running = self._measured(trials)
        return chosen_at_bounds(found, members, running, self.constraints, self.predictions, n)

    def _measured(self, trials: Sequence[Trial]) -> tuple[list[Trial], list[Architecture]]:
        """The front of what was measured, and what is being measured elsewhere at the same time."""
        members = front_of(trials, self.objectives, self.constraints).trials
        return members, [trial.architecture for trial in trials if trial.state == "running"]

    def _candidates(self, trials: Sequence[Trial], n: int) -> list[Architecture]:
        """Architectures that were not measured, near the front of what was and of predictions."""
        seen = {trial.architecture.to_json() for trial in trials}
        if self.pool is not None:
            rest = [a for a in self.pool if a.to_json() not in seen]
            near = self.predictions.near_front(rest, self.constraints)
            return near if len(near) >= n else rest
        found: dict[str, Architecture] = {}
        # Fronts behind the first one, where that has fewer members than a batch: an optimum is one point.
        for _ in range(_PEELED):
            before = len(found)
            for architecture in self.limits.kept(
                self._evolved(trials, list(found.values()), self.objectives, self.constraints)
            ):
                if architecture.to_json() not in seen:
                    found[architecture.to_json()] = architecture
            if len(found) == before or len(found) >= n:
                break
        return list(found.values())

    def _evolved(
        self,
        trials: Sequence[Trial],
        without: Sequence[Architecture],
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        n: int = EVOLVED,
    ) -> list[Architecture]:
        """The front of what was measured and of candidates that evolve on predictions, without some."""
        evolution = Evolution(
            self.space,
            [str(o) for o in objectives],
            [str(c) for c in constraints],
            self.algorithm,
            self.algorithm_options,
            (self.seed + len(trials)) % 2**64,
        )
        for trial in trials:  # as measured: what is known needs no prediction
            evolution.add(trial.architecture, trial.values if trial.state == "complete" else None)
        for architecture in without:
            evolution.add(architecture, None)
        if likely := self.first(_LIKELY):
            found = self.predictions.values(likely, evolution.search.columns)
            for i, architecture in enumerate(likely):
                evolution.add(architecture, {name: float(value[i]) for name, value in found.items()})
        evolution.run(self.predictions, n)
        members = evolution.front()
        keep = np.unique(np.linspace(0, len(members) - 1, min(_COMPARED, len(members))).round().astype(int))
        return [members[i] for i in keep]

    def _best(
        self, trials: Sequence[Trial], candidates: list[Architecture], near: list[Architecture], n: int
    ) -> list[Proposal]:
        """Those near a bound, and those with the largest expected gain of hypervolume, each given the ones before it
        as predicted."""
        chosen = [Proposal(a, self.predictions.of(a), ORIGIN) for a in near]
        known = {a.to_json() for a in near}
        candidates = [a for a in candidates if a.to_json() not in known]
        if candidates and len(near) < n:
            members, running = self._measured(trials)
            measured = np.vstack([minimized(members, self.objectives), self._points([*running, *near])])
            gains = expected_gains(
                measured, self._points(candidates), self.predictions.spread(candidates), n - len(near)
            )
            chosen += [Proposal(candidates[i], self.predictions.of(candidates[i]), GAIN) for i in gains]
        order = np.random.default_rng([self.seed, len(trials)]).permutation(len(chosen))
        return [chosen[i] for i in order]

    def _points(self, architectures: Sequence[Architecture]) -> Array:
        """Predicted objectives, minimized: (n, n_objectives)."""
        if not architectures:
            return np.empty((0, len(self.objectives)))
        names = [objective.name for objective in self.objectives]
        return self.predictions.points(self.predictions.values(architectures, names))
