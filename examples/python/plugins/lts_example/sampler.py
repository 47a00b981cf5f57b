"""The sampler `even`: trials of all sizes, evenly spaced, as one wants them to fit a model of costs to."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from lts import Architecture, Proposal, Sampler, Trial, decoder_params
from lts.study.problem import Problem
from lts.study.sampler import Answer


class Even(Sampler):
    """Proposes what is farthest in size from every trial so far, among `pool` random members of the space.

    It follows from the trials alone, so that it has no state to save: a resumed study goes on as if nothing had been.
    """

    def __init__(self, problem: Problem, pool: int = 100) -> None:
        if pool < 1:
            raise ValueError(f"pool is {pool}; it must be at least 1")
        self._problem = problem
        self._pool = pool

    def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
        known = {trial.architecture for trial in trials}  # also those that are running
        fresh = [each for each in self._candidates(len(trials)) if each not in known]
        if not fresh:
            return "done"
        sizes = [_size(architecture) for architecture in known]
        farthest = max(fresh, key=lambda a: min((abs(_size(a) - size) for size in sizes), default=0.0))
        return Proposal(farthest, origin="even")

    def _candidates(self, n_trials: int) -> Sequence[Architecture]:
        if self._problem.architectures is not None:  # a table has few
            return self._problem.architectures
        return self._problem.space.sample(self._pool, seed=self._problem.seed + n_trials)


def _size(architecture: Architecture) -> float:
    return math.log(decoder_params(architecture))
