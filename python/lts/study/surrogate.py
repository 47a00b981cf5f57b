"""The sampler that predicts: a first design is measured, then what the front is expected to gain most from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lts.measure.trial import Trial
from lts.study.core import CoreSampler
from lts.study.cost_model import SurrogateLike
from lts.study.problem import Problem
from lts.study.proposals import DEFAULT_BUDGET, LARGEST_BATCH, Proposer
from lts.study.sampler import Answer, Proposal, Sampler

POOL = "pool"
"""Origin of what is evaluated because it is one of the few architectures that can be."""


class SurrogateSampler(Sampler):
    """Predicts the costs of candidates from the trials so far; see `lts.study.proposals.Proposer`.

    Where predictions are of no use, the algorithm of the core decides instead.

    Parameters
    ----------
    problem
        What to solve.
    surrogate
        Fits models to measurements.
    core
        The algorithm, which also knows what was proposed.
    options
        Options of the algorithm that evolves candidates on predictions.
    design
        Number of measurements before the first predictions; by default a share of the budget.
    """

    def __init__(
        self,
        problem: Problem,
        surrogate: SurrogateLike,
        core: CoreSampler,
        options: Mapping[str, Any] | None = None,
        design: int | None = None,
    ) -> None:
        self.name = surrogate.name
        self.predicts = tuple(problem.measured)
        self._core = core
        self._batch: list[Proposal] = []
        self._proposer = Proposer(
            problem.space,
            problem.objectives,
            problem.constraints,
            problem.measured,
            surrogate,
            algorithm=core.search.algorithm,
            algorithm_options=dict(options or {}),
            workload=problem.workload,
            pool=None if problem.architectures is None else problem.limits.kept(problem.architectures),
            seed=problem.seed,
            n_design=design,
            limits=problem.limits,
            compared_at=problem.compared_at,
            first=problem.first,
        )

    def start(self, budget: int | None, timeout: float | None) -> None:
        self._core.start(budget, timeout)

    def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
        if (lost := self._core.lost(trials)) is not None:
            return lost
        proposer = self._proposer
        while proposal := self._next(trials, budget):
            if self._core.add(proposal):
                return proposal
        if proposer.settled:
            return "done"
        if proposer.waiting:
            return "wait"
        if proposer.pool is None:
            return self._core.ask(trials, running, budget)
        for architecture in proposer.pool:
            if self._core.add(chosen := Proposal(architecture, origin=POOL)):
                return chosen
        return "done"

    def _next(self, trials: Sequence[Trial], budget: int | None) -> Proposal | None:
        """The next proposal of the batch; nothing when predictions are of no use, or the study has settled."""
        if self._proposer.useless:
            return None
        if not self._batch:
            n = len(trials)
            self._batch = self._proposer.propose(trials, budget or max(DEFAULT_BUDGET, n + LARGEST_BATCH))
        return self._batch.pop(0) if self._batch else None

    def tell(self, trial: Trial) -> None:
        self._core.tell(trial)

    def save(self) -> Any:
        return self._core.save()

    def restore(self, state: Any) -> None:
        self._core.restore(state)

    def repeat(self, trial: Trial) -> None:
        self._core.repeat(trial)

    @property
    def settled(self) -> bool:  # type: ignore[override]
        return self._proposer.settled

    @property
    def hopeless(self) -> str:  # type: ignore[override]
        if self._proposer.pool is not None and not self._proposer.pool:
            return "the limits exclude all architectures that can be evaluated"
        return self._core.hopeless

    def outliers(self, trials: Sequence[Trial]) -> Collection[int]:
        return self._proposer.outliers(trials)

    @property
    def notes(self) -> list[str]:
        return [*self._proposer.notes, *self._core.notes]

    @property
    def models(self) -> Mapping[str, Any]:
        return dict(self._proposer.models)
