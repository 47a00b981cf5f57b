"""A core algorithm whose first population is the front of a proxy and of predicted costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from lts._core import Architecture, Search
from lts.errors import UsageError
from lts.measure.evaluator import CoreModel
from lts.measure.trial import Trial
from lts.study.core import SEEDED, CoreSampler
from lts.study.cost_model import SurrogateLike
from lts.study.design import first_design
from lts.study.layered import is_quality
from lts.study.predictions import Predictions
from lts.study.problem import Problem
from lts.study.sampler import Answer, Proposal, Sampler
from lts.study.seeds import PROXY, pool_front, seed_front, unseeded

NONE = "none"
"""The proxy of a study whose first population is random."""

# Measurements from which costs are predicted, at most half of the first population; enough for 2 % on published devices
# (docs/surrogate.md).
DESIGN = 12
_LEAST_FIT = 3
# Options of algorithms that are the size of a first population.
_SIZES = ("population_size", "n_initial")


class SeededSampler(CoreSampler):
    """Measures a first design, predicts costs from it, and evolves a front of a proxy and of these: all of it is the
    first population of the algorithm, which then goes on by itself. Where every cost is counted, or the evaluator knows
    what is likely, there is no design.

    Parameters
    ----------
    problem
        What to solve.
    surrogate
        Fits models to measurements.
    search, options
        As of `CoreSampler`.
    proxy
        The counted column that stands for quality.
    """

    def __init__(
        self,
        problem: Problem,
        surrogate: SurrogateLike,
        search: Search,
        options: Mapping[str, Any] | None = None,
        proxy: str = PROXY,
    ) -> None:
        super().__init__(search, options, problem.limits)
        self.proxy = proxy
        self._problem = problem
        self._surrogate = surrogate
        self._costs = [name for name in problem.measured if not is_quality(name)]
        self._design: list[Architecture] | None = None
        self._left: list[Architecture] | None = None  # of what was found for the first population; None before
        self._notes: list[str] = []

    def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
        if (lost := self.lost(trials)) is not None:
            return lost
        if self._left is None and (likely := self._problem.first(self._population())):
            self._left = list(likely)
        if self._left is None:
            if self._design is None:
                self._design = self._first_design()
            for architecture in self._design:
                if self.add(proposal := Proposal(architecture, origin=SEEDED)):
                    return proposal
            design = {architecture.to_json() for architecture in self._design}
            measured = [trial for trial in trials if trial.architecture.to_json() in design]
            if any(trial.id in running for trial in measured):
                return "wait"
            self._left = self._front(measured, self._population() - len(self._design))
        while self._left:
            if self.add(proposal := Proposal(self._left.pop(0), origin=SEEDED)):
                return proposal
        return super().ask(trials, running, budget)

    def _population(self) -> int:
        return next(int(self.search.algorithm_options[name]) for name in _SIZES if has_size(self.search, name))

    def _first_design(self) -> list[Architecture]:
        if not self._costs:
            return []
        problem, n = self._problem, min(DESIGN, self._population() // 2)
        return first_design(problem.space, n, problem.seed, problem.architectures, problem.limits)

    def _front(self, measured: Sequence[Trial], n: int) -> list[Architecture]:
        """Members of the front of the proxy and of the costs, as they are predicted from what was measured."""
        models = self._models([trial for trial in measured if trial.state == "complete"])
        if models is None:
            return []
        problem, design = self._problem, self._design or ()
        bounds = [each for each in problem.constraints if not is_quality(each.name)]
        if problem.architectures is not None:
            known: dict[str, Any] = dict(models)
            predictions = Predictions(problem.objectives, problem.workload, known, self._surrogate.name)
            every = problem.limits.kept(problem.architectures)
            return pool_front(
                every, problem.objectives, bounds, n, proxy=self.proxy, predictions=predictions, without=design
            )
        found = seed_front(
            problem.space,
            problem.objectives,
            bounds,
            n,
            proxy=self.proxy,
            models=models,
            workload=problem.workload,
            seed=problem.seed,
            without=design,
        )
        return problem.limits.kept(found)

    def _models(self, complete: Sequence[Trial]) -> dict[str, CoreModel] | None:
        """Models of the measured costs; None, with a note, where there is none of one."""
        models: dict[str, CoreModel] = {}
        for name in self._costs:
            values = np.array([trial.values[name] for trial in complete])
            if len(values) < _LEAST_FIT or not (values > 0).all():
                self._notes.append(f"no front of {self.proxy}: {name} cannot be predicted from its first measurements")
                return None
            architectures = [trial.architecture for trial in complete]
            model, notes = self._surrogate.fit(name, architectures, values, np.zeros(len(values)))
            self._notes += notes
            if not isinstance(model, CoreModel):
                return None
            models[name] = model
        return models

    def start(self, budget: int | None, timeout: float | None) -> None:
        super().start(budget, timeout)
        self._design, self._left, self._notes = None, None, []

    @property
    def notes(self) -> list[str]:
        return [*super().notes, *self._notes]


def has_size(search: Search, name: str) -> bool:
    """Whether the algorithm of a search has an option of this name."""
    return name in search.algorithm_options


def proxy_for(given: str | None, search: Search, problem: Problem, counted: Collection[str]) -> str | None:
    """The proxy of a study's first population; None for a random one.

    By default `PROXY`, where quality is evaluated and the algorithm has a population.

    Parameters
    ----------
    given
        As the user says: a counted column, "none", or None for the default.
    search, problem
        The study's.
    counted
        Columns that the core counts.

    Raises
    ------
    UsageError
        For a proxy that is not counted, or where there can be no such population.
    """
    if given == NONE:
        return None
    proxy = given or PROXY
    if proxy not in counted:
        raise UsageError(f"unknown proxy '{proxy}' for the first population; expected none or {', '.join(counted)}")
    reason = unseeded(problem.objectives, proxy)
    if not reason and not any(has_size(search, name) for name in _SIZES):
        reason = f"the algorithm {search.algorithm} has no first population"
    if not reason and not any(is_quality(name) for name in problem.measured):
        reason = "quality is not evaluated"
    if reason and given is not None:
        raise UsageError(f"no first population of {proxy} and costs: {reason}; leave it out")
    return None if reason else proxy


def chosen_by(sampler: Sampler) -> dict[str, str]:
    """What a stored study has of its sampler, by key."""
    seeds = {"seed_front": sampler.proxy} if isinstance(sampler, SeededSampler) else {}
    return {"surrogate": sampler.name, **seeds}
