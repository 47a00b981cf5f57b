"""Likely members of a front before any quality is known: those of a training-free proxy and of the costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import Architecture, Constraint, Objective, SearchSpace, nondominated
from lts.measure.evaluator import CoreModel
from lts.study.evolution import EVOLVED, Evolution
from lts.study.front import minimized
from lts.study.layered import is_quality
from lts.study.predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PROXY = "decoder_params"
"""What stands for quality until quality is known."""

_ALGORITHM = "nsga2"


def unseeded(objectives: Sequence[Objective], proxy: str = PROXY) -> str:
    """Why objectives allow no front of a proxy and of costs, in a phrase; empty where they do."""
    names = [objective.name for objective in objectives]
    if not any(map(is_quality, names)):
        return f"no objective is a quality, such as perplexity or accuracy; they are {', '.join(names)}"
    if proxy in names:
        return f"{proxy}, which would stand for quality, is an objective itself"
    if all(map(is_quality, names)):
        return "no objective is a cost"
    return ""


def seed_front(
    space: SearchSpace,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    n: int,
    *,
    proxy: str = PROXY,
    models: Mapping[str, CoreModel] | None = None,
    workload: Mapping[str, Any] | None = None,
    seed: int = 0,
    evolved: int = EVOLVED,
    without: Sequence[Architecture] = (),
) -> list[Architecture]:
    """Up to `n` members of the front of a proxy and of the costs that candidates evolve to in the core.

    They come farthest first, so that the first of them stand for all of the front.

    Parameters
    ----------
    space
        Where the architectures come from.
    objectives, constraints
        Those of the study; a counted proxy to maximize takes the place of objectives that are qualities, and bounds on
        them are left out.
    n
        How many.
    proxy
        A column that the core counts.
    models
        Models of the costs that the core does not count.
    workload
        What counted columns are for: the keywords of `lts.analytic`.
    seed, evolved
        Of the evolution, and its number of candidates.
    without
        Architectures that are not wanted again.

    Raises
    ------
    ValueError
        When a cost is neither counted nor modeled, or the proxy is a cost, too.
    """
    costs = [objective for objective in objectives if not is_quality(objective.name)]
    wanted = [Objective(proxy, "max"), *costs]
    evolution = Evolution(
        space,
        [str(objective) for objective in wanted],
        [str(constraint) for constraint in constraints if not is_quality(constraint.name)],
        _ALGORITHM,
        {},
        seed,
    )
    evolution.run_in_core(evolved, workload or {}, models or {})
    members = evolution.members()
    if not members or n < 1:
        return []
    order = farthest_first(minimized(members, wanted), n + len(without))
    return [members[i].architecture for i in order if members[i].architecture not in without][:n]


def pool_front(
    pool: Sequence[Architecture],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    n: int,
    *,
    proxy: str,
    predictions: Predictions,
    without: Sequence[Architecture] = (),
) -> list[Architecture]:
    """The same of the only architectures that there are, with their predicted costs."""
    costs = [objective for objective in objectives if not is_quality(objective.name)]
    names = [proxy, *(objective.name for objective in costs)]
    found = predictions.values(pool, [*names, *(constraint.name for constraint in constraints)])
    feasible = [i for i in range(len(pool)) if all(each.holds(float(found[each.name][i])) for each in constraints)]
    if not feasible or n < 1:
        return []
    signs = [-1.0, *(-1.0 if objective.direction == "max" else 1.0 for objective in costs)]
    points = np.column_stack([sign * found[name][feasible] for sign, name in zip(signs, names, strict=True)])
    front = nondominated(points)
    order = (pool[feasible[front[i]]] for i in farthest_first(points[front], n + len(without)))
    return [architecture for architecture in order if architecture not in without][:n]


def farthest_first(points: Array, n: int) -> list[int]:
    """Indices of up to `n` points: the best in each coordinate, then always the farthest from those before it.

    `points` are (m, k); distances are Euclidean after scaling every coordinate to 0 to 1 (Gonzalez 1985, "Clustering to
    minimize the maximum intercluster distance"). O(n m k).
    """
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    chosen = list(dict.fromkeys(int(i) for i in scaled.argmin(axis=0)))[:n]
    nearest = np.min([((scaled - scaled[i]) ** 2).sum(axis=1) for i in chosen], axis=0)
    while len(chosen) < n and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
    return chosen
