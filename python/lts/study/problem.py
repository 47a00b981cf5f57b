"""What a sampler has to solve."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lts._core import Architecture, Constraint, Objective, Search, SearchSpace, analytic, analytic_names
from lts.errors import UsageError
from lts.measure.evaluator import Evaluator
from lts.study.limits import Limits, limits_of
from lts.targets.workload import Workload


@dataclass(frozen=True)
class Problem:
    """The space, what is optimized in it, and what is known of evaluating.

    Parameters
    ----------
    space
        What is searched.
    objectives, constraints
        What is optimized, and the bounds.
    columns
        What every trial has a value of: the objectives, then the columns that only constraints use.
    measured
        Those of the columns that the core does not count.
    seed
        Seed of everything random.
    workload
        What counted columns are for: the keywords of `lts.analytic`.
    architectures
        The only members of the space that can be evaluated; None when all of them can.
    limits
        What is known not to fit, and is not run.
    compared_at
        Where the front will be compared with baselines: as bounds of a column, without being constraints.
    first
        Architectures that are likely to be on the front, at most so many that may be run; see `Evaluator.first`.
    """

    space: SearchSpace
    objectives: Sequence[Objective]
    constraints: Sequence[Constraint]
    columns: Sequence[str]
    measured: Sequence[str]
    seed: int = 0
    workload: Mapping[str, Any] = field(default_factory=dict)
    architectures: Sequence[Architecture] | None = None
    limits: Limits = field(default_factory=Limits)
    compared_at: Sequence[Constraint] = ()
    first: Callable[[int], Sequence[Architecture]] = lambda n: ()


def search_for(
    space: SearchSpace,
    objectives: Mapping[str, str] | Sequence[str],
    constraints: Iterable[str],
    algorithm: str,
    seed: int,
    options: Mapping[str, Any],
) -> Search:
    """The search of the core for these arguments. Raises `UsageError` for a wrong one."""
    try:
        return Search(space, objectives, tuple(constraints), algorithm, seed, **options)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None


def problem_of(search: Search, evaluator: Evaluator) -> Problem:
    """The problem that a search of the core is for, with an evaluator.

    Raises
    ------
    UsageError
        When the evaluator has no architecture of the space.
    """
    workload = Workload.of(evaluator.describe()).counted
    limits = limits_of(search.constraints, workload, evaluator)
    return Problem(
        space=search.space,
        objectives=tuple(search.objectives),
        constraints=tuple(search.constraints),
        columns=tuple(search.columns),
        measured=tuple(name for name in search.columns if name not in analytic_names()),
        seed=search.seed,
        workload=workload,
        architectures=_pool(search.space, evaluator),
        limits=limits,
        first=lambda n: evaluator.first(n, limits.kept),
    )


def beside(problem: Problem, baselines: Iterable[Architecture]) -> Problem:
    """The problem of finding also what is best where baselines are: with at least as much of the first objective that
    the core counts (at most, where it is minimized). Without such an objective, nobody knows where that is."""
    for objective in problem.objectives:
        if objective.name not in problem.measured:
            relation = ">=" if objective.direction == "max" else "<="
            values = {float(analytic(objective.name, each, **problem.workload)) for each in baselines}
            return replace(problem, compared_at=[Constraint(objective.name, relation, each) for each in sorted(values)])
    return problem


def described(search: Search, options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it the same search, as JSON."""
    return {
        "space": json.loads(search.space.to_json()),
        "objectives": [str(objective) for objective in search.objectives],
        "constraints": [str(constraint) for constraint in search.constraints],
        "algorithm": search.algorithm,
        "seed": search.seed,
        "algorithm_options": options,
    }


def _pool(space: SearchSpace, evaluator: Evaluator) -> list[Architecture] | None:
    known = evaluator.architectures
    if known is None:
        return None
    pool = [architecture for architecture in known if space.contains(architecture)]
    if not pool:
        raise UsageError("the evaluator has no architecture of the space; choose the space that they come from")
    return pool
