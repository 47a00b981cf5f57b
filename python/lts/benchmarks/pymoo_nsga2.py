"""NSGA-II of pymoo (Blank and Deb 2020) in a benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import ElementwiseProblem
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from lts.benchmarks.optimizers import Evaluations, population_of


class _Problem(ElementwiseProblem):  # type: ignore[misc]
    """The variables as integers."""

    def __init__(self, evaluations: Evaluations) -> None:
        sizes = np.array(evaluations.problem.domain.sizes)
        n_obj = len(evaluations.problem.objectives)
        super().__init__(n_var=len(sizes), n_obj=n_obj, xl=0, xu=sizes - 1, vtype=int)
        self._evaluations = evaluations

    def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"] = self._evaluations.at(x)


def nsga2(evaluations: Evaluations, seed: int) -> None:
    """With pymoo's operators for integers: random sampling, uniform crossover, and polynomial mutation, rounded."""
    algorithm = NSGA2(
        pop_size=population_of(evaluations.budget),
        sampling=IntegerRandomSampling(),
        crossover=UX(),
        mutation=PM(eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    # A generation more than there are evaluations: where duplicates were eliminated, generations are smaller.
    minimize(_Problem(evaluations), algorithm, ("n_gen", evaluations.budget + 1), seed=seed, verbose=False)
