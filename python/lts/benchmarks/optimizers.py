"""What is compared: search algorithms by name, and the interface between them and a problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture
from lts.benchmarks.problem import BenchmarkProblem
from lts.errors import UsageError
from lts.study.arguments import population_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class BudgetSpent(Exception):  # noqa: N818  the end of a run, no error
    """Every evaluation of the budget was made."""


class Evaluations:
    """Evaluates architectures of a problem, and keeps what was found; raises `BudgetSpent` when asked for more.

    Parameters
    ----------
    problem
        What is evaluated.
    budget
        How many evaluations there are. Asking for the same architecture again is another one.
    """

    def __init__(self, problem: BenchmarkProblem, budget: int) -> None:
        self.problem = problem
        self.budget = budget
        self.points: list[Array] = []

    @property
    def left(self) -> int:
        """Evaluations that are left."""
        return self.budget - len(self.points)

    def of(self, architecture: Architecture) -> Array:
        """Objectives of an architecture, minimized, (m,)."""
        if self.left <= 0:
            raise BudgetSpent
        point: Array = self.problem.points([architecture])[0]
        self.points.append(point)
        return point

    def at(self, x: Sequence[int]) -> Array:
        """Objectives of the architecture at these positions of the domain, minimized, (m,)."""
        return self.of(self.problem.domain.architecture([int(i) for i in x]))


Run = Callable[[Evaluations, int], None]
"""A run with a seed, until it has no more to ask or `BudgetSpent` ends it."""


@dataclass(frozen=True)
class Optimizer:
    """A search algorithm that can be compared.

    Parameters
    ----------
    name
        As on the command line.
    what
        What it is, with its source.
    where
        Module and name of its `Run`, imported when it is used.
    packages
        What it needs besides lts-engine, as imported.
    """

    name: str
    what: str
    where: str
    packages: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise `UsageError` where a package that it needs is not installed."""
        if missing := [package for package in self.packages if find_spec(package) is None]:
            extra = self.packages[0].replace("_", "-")
            raise UsageError(f"{self.name} needs {', '.join(missing)}: pip install 'lts-engine[{extra}]'")

    def run(self, problem: BenchmarkProblem, budget: int, seed: int) -> Array:
        """Objectives of everything that a run has evaluated, in order, minimized, (budget, m).

        Fewer come only from an algorithm that has seen the whole space.
        """
        run: Run = resolve_name(self.where)
        evaluations = Evaluations(problem, budget)
        with suppress(BudgetSpent):
            run(evaluations, seed)
        return np.array(evaluations.points).reshape(-1, len(problem.objectives))


_HERE = "lts.benchmarks"
OPTIMIZERS = (
    Optimizer("random", "random architectures, none twice", f"{_HERE}.native:random_search"),
    Optimizer("local", "Pareto local search (Paquete et al. 2004)", f"{_HERE}.native:local_search"),
    Optimizer("lts", "the search of LiteTransformerSearch (Javaheripi et al. 2022)", f"{_HERE}.native:lts_evolution"),
    Optimizer("nsga2", "NSGA-II (Deb et al. 2002) of the core", f"{_HERE}.native:nsga2"),
    Optimizer("seeded", "nsga2 from the front of a proxy and predicted costs", f"{_HERE}.native:seeded"),
    Optimizer("pymoo:nsga2", "NSGA-II of pymoo", f"{_HERE}.pymoo_nsga2:nsga2", ("pymoo",)),
    Optimizer("optuna:tpe", "TPE (Ozaki et al. 2022) of Optuna", f"{_HERE}.optuna_samplers:tpe", ("optuna",)),
    Optimizer("optuna:nsga2", "NSGA-II of Optuna", f"{_HERE}.optuna_samplers:nsga2", ("optuna",)),
    Optimizer(
        "syne-tune:morea",
        "multi-objective regularized evolution of Syne Tune",
        f"{_HERE}.syne_tune_morea:morea",
        ("syne_tune",),
    ),
    Optimizer(
        "botorch:ehvi",
        "expected hypervolume improvement (Daulton et al. 2020) of BoTorch",
        f"{_HERE}.botorch_acquisition:ehvi",
        ("botorch",),
    ),
    Optimizer(
        "botorch:parego",
        "ParEGO (Knowles 2006) of BoTorch: random scalarizations",
        f"{_HERE}.botorch_acquisition:parego",
        ("botorch",),
    ),
    Optimizer(
        "botorch:parego-fixed",
        "the same with scalarizations that take turns through evenly spread weights",
        f"{_HERE}.botorch_acquisition:parego_fixed",
        ("botorch",),
    ),
    Optimizer(
        "modnas",
        "a hypernetwork for all preferences (MODNAS: Sukthanker et al. 2024) with Chebyshev's loss",
        f"{_HERE}.modnas:chebyshev",
        ("torch",),
    ),
    Optimizer("modnas:linear", "the same with linear losses, as published", f"{_HERE}.modnas:linear", ("torch",)),
)
NATIVE = tuple(optimizer.name for optimizer in OPTIMIZERS if not optimizer.packages)
"""Names of those that need nothing else."""

_NOT_APPLICABLE = {"syne-tune:moasha": "it stops trainings early, and what is known here has one fidelity, no curves"}


def optimizers_of(names: Sequence[str]) -> list[Optimizer]:
    """The optimizers of these names, in this order.

    Raises
    ------
    UsageError
        For an unknown name, one that comes twice or is not applicable, or a library that is not installed.
    """
    known = {optimizer.name: optimizer for optimizer in OPTIMIZERS}
    for i, name in enumerate(names):
        if name in _NOT_APPLICABLE:
            raise UsageError(f"{name} is not applicable: {_NOT_APPLICABLE[name]}")
        if name not in known:
            raise UsageError(f"unknown algorithm '{name}'; expected of {', '.join(known)}")
        if name in names[:i]:
            raise UsageError(f"the algorithm '{name}' is named twice")
        known[name].check()
    return [known[name] for name in names]


def population_of(budget: int) -> int:
    """The population of evolutionary algorithms, ours and others': 100, and smaller for budgets below 300."""
    return population_for("nsga2", budget).get("population_size", 100)
