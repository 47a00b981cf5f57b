"""The sampler that the arguments of a study ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lts._core import Search, analytic_names
from lts.errors import UsageError
from lts.measure.evaluator import Evaluator
from lts.study.core import CoreSampler
from lts.study.cost_model import Additive, SurrogateLike
from lts.study.evolved import EvolvedSampler
from lts.study.problem import Problem
from lts.study.sampler import Sampler, load_sampler
from lts.study.seeded import NONE, SeededSampler, proxy_for
from lts.study.surrogate import SurrogateSampler
from lts.study.surrogates import surrogate_of


def sampler_for(
    problem: Problem,
    evaluator: Evaluator,
    search: Search,
    options: Mapping[str, Any],
    *,
    surrogate: str | SurrogateLike = "none",
    design: int | None = None,
    name: str | None = None,
    seed_front: str | None = None,
) -> Sampler:
    """An installed sampler by name; else one that evolves on the evaluator's models of the costs, that predicts, or
    that evaluates all candidates of the search, whose first population `seed_front` may say: see `proxy_for`.

    Raises
    ------
    UsageError
        For an unknown sampler or surrogate, or a first population that another one has no use for.
    """
    chosen = None
    if name is None and surrogate == "none":
        chosen = proxy_for(seed_front, search, problem, analytic_names())
    elif seed_front not in (None, NONE):
        raise UsageError(
            f"a first population of {seed_front} is for algorithms that measure every candidate: leave it out"
        )
    if name is not None:
        return load_sampler(name, problem, options)
    predicts = surrogate_of(surrogate, evaluator.priors)
    models = evaluator.cost_models(problem.space, problem.measured)
    if models is not None and problem.measured:
        if predicts is not None:
            raise UsageError("costs that are estimated need no surrogate: leave it out")
        return EvolvedSampler(problem, models, search.algorithm, options)
    if chosen is not None:
        return SeededSampler(problem, Additive(evaluator.priors), search, options, chosen)
    core = CoreSampler(search, options, problem.limits)
    if predicts is None or not problem.measured:
        return core
    return SurrogateSampler(problem, predicts, core, options, design)
