"""The algorithms of the core in a benchmark."""

from __future__ import annotations

import numpy as np

from lts._core import Architecture, Search, analytic_names
from lts.benchmarks.optimizers import Evaluations, population_of
from lts.errors import UsageError
from lts.measure.evaluator import CoreModel
from lts.study.arguments import population_for
from lts.study.cost_model import Additive
from lts.study.design import first_design
from lts.study.layered import is_quality
from lts.study.seeded import DESIGN
from lts.study.seeds import seed_front, unseeded


def random_search(evaluations: Evaluations, seed: int) -> None:
    """Random architectures, none twice."""
    _ask(evaluations, _search(evaluations, "random", seed))


def local_search(evaluations: Evaluations, seed: int) -> None:
    """Pareto local search."""
    _ask(evaluations, _search(evaluations, "local", seed))


def lts_evolution(evaluations: Evaluations, seed: int) -> None:
    """The evolutionary search of LiteTransformerSearch."""
    _ask(evaluations, _search(evaluations, "lts", seed))


def nsga2(evaluations: Evaluations, seed: int) -> None:
    """NSGA-II."""
    _ask(evaluations, _search(evaluations, "nsga2", seed))


def seeded(evaluations: Evaluations, seed: int) -> None:
    """NSGA-II whose first population is the front of a proxy and of predicted costs.

    Costs that are not counted are predicted from a first design, whose evaluations count as all others do; quality is
    not used before it was evaluated.

    Raises
    ------
    UsageError
        When the objectives allow no front of a proxy: see `lts.study.seeds.unseeded`.
    """
    problem = evaluations.problem
    if reason := unseeded(problem.objectives):
        raise UsageError(f"seeded is not applicable: {reason}")
    search = _search(evaluations, "nsga2", seed)
    population = population_of(evaluations.budget)
    costs = [o for o in problem.objectives if not is_quality(o.name) and o.name not in analytic_names()]
    design = first_design(problem.domain.space, min(DESIGN, population // 2), seed) if costs else []
    models = _models(evaluations, search, design)
    n = population - len(design)
    space = problem.domain.space
    for architecture in seed_front(space, problem.objectives, (), n, models=models, seed=seed, without=design):
        _evaluate(evaluations, search, architecture)
    _ask(evaluations, search)


def _models(evaluations: Evaluations, search: Search, design: list[Architecture]) -> dict[str, CoreModel]:
    """Models of the costs, fitted to the design."""
    for architecture in design:
        _evaluate(evaluations, search, architecture)
    points = np.array(evaluations.points)
    models: dict[str, CoreModel] = {}
    for i, objective in enumerate(evaluations.problem.objectives):
        if is_quality(objective.name) or objective.name in analytic_names():
            continue
        values = np.abs(points[:, i])
        model, _ = Additive().fit(objective.name, design, values, np.zeros(len(values)))
        if isinstance(model, CoreModel):
            models[objective.name] = model
    return models


def _search(evaluations: Evaluations, algorithm: str, seed: int) -> Search:
    names = [f"{i}:min" for i in range(len(evaluations.problem.objectives))]
    options = population_for(algorithm, evaluations.budget)
    return Search(evaluations.problem.domain.space, names, (), algorithm, seed, **options)


def _ask(evaluations: Evaluations, search: Search) -> None:
    while candidates := search.ask(1):
        _tell(search, candidates[0].id, evaluations.of(candidates[0].architecture))


def _evaluate(evaluations: Evaluations, search: Search, architecture: Architecture) -> None:
    """Evaluate a member of the first population, unless it was evaluated before."""
    if (key := search.add(architecture, initial=True)) is not None:
        _tell(search, key, evaluations.of(architecture))


def _tell(search: Search, key: int, point: np.ndarray) -> None:
    search.tell(key, {f"{i}": float(value) for i, value in enumerate(point)})
