"""Choosing by preference: the best member of a front for weights, and a few models for many devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import comb

import numpy as np

from lts._core import Objective
from lts.errors import InfeasibleError, UsageError
from lts.measure.trial import Trial
from lts.study.front import Front
from lts.system.toml_file import number

# Sets of models that are all tried; beyond that, one is added after the other, and exchanged as long as that helps.
_MOST_SETS = 20_000
# What all objectives add, so that of members that are equally far in the worst one the better one is chosen.
_AUGMENTED = 1e-3
# What a device loses that no model serves within its bounds, and at most from one that does.
_UNSERVED, _FARTHEST = 10.0, 5.0


def parse_preference(text: str) -> dict[str, float]:
    """Weights by column from ``"decoder_params=2,latency_ms=1"``. Raises `UsageError` for other texts."""
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, separator, value = (each.strip() for each in part.partition("="))
        try:
            weight = float(value)
        except ValueError:
            weight = float("nan")
        if not separator or not name or weight != weight or name in weights:
            raise UsageError(f"preference '{text}': expected weights such as decoder_params=2,latency_ms=1")
        weights[name] = float(number(weight, f"preference '{text}': {name}"))
    return weights


def check_preference(prefer: Mapping[str, float], objectives: Sequence[Objective], where: str) -> None:
    """Raise `UsageError` for weights of what is no objective, or of which none is above 0."""
    names = [objective.name for objective in objectives]
    for name in prefer:
        if name not in names:
            raise UsageError(f"{where}: '{name}' is no objective; expected some of {', '.join(names)}")
    if prefer and not any(value > 0 for value in prefer.values()):
        raise UsageError(f"{where}: all weights are 0; at least one must be above 0")


def losses(
    points: np.ndarray, front: np.ndarray, objectives: Sequence[Objective], prefer: Mapping[str, float]
) -> np.ndarray:
    """How far points are from the best of a front, (n,): weighted Chebyshev distance to its ideal point.

    Steuer and Choo (1983): the largest weighted part of the range of the front by which an objective is worse than the
    best, and a thousandth of their sum.

    Parameters
    ----------
    points, front
        Objectives, minimized: (n, n_objectives) and (m, n_objectives), m at least 1.
    objectives
        Their names, in order.
    prefer
        Weights by name; empty: all the same.
    """
    weights = np.array([prefer.get(o.name, 0.0) if prefer else 1.0 for o in objectives])
    weights = weights / weights.max()
    low, high = front.min(axis=0), front.max(axis=0)
    parts = weights * (points - low) / np.where(high > low, high - low, 1.0)
    found: np.ndarray = parts.max(axis=1) + _AUGMENTED * parts.sum(axis=1)
    return found


def preferred(front: Front, text: str) -> Trial:
    """The member of a front that weights such as ``"decoder_params=2,latency_ms=1"`` choose.

    Raises
    ------
    UsageError
        For another text, or a weight of what is no objective.
    InfeasibleError
        When the front is empty.
    """
    weights = parse_preference(text)
    check_preference(weights, front.objectives, f"preference '{text}'")
    if not len(front):
        raise InfeasibleError("the front is empty")
    points = front.points()
    return front[int(np.argmin(losses(points, points, front.objectives, weights)))]


def serve(loss: np.ndarray, k: int) -> list[int]:
    """The at most `k` models with the least mean loss over devices, each device with the best of them for it.

    Exact where there are few sets; else greedy, with exchanges (the k-median problem: Arya et al. 2004).

    Parameters
    ----------
    loss
        (n_models, n_devices); infinite where a model is outside of a device's bounds.
    k
        Models, at least 1.
    """
    known = np.where(np.isfinite(loss), np.minimum(loss, _FARTHEST), _UNSERVED)
    n = len(known)
    k = min(k, n)
    if k == 0:
        return []

    def total(chosen: Iterable[int]) -> float:
        return float(known[list(chosen)].min(axis=0).mean())

    if comb(n, k) <= _MOST_SETS:
        return list(min(combinations(range(n), k), key=total))
    chosen: list[int] = []
    for _ in range(k):
        chosen.append(min((i for i in range(n) if i not in chosen), key=lambda i: total([*chosen, i])))
    better = True
    while better:
        better = False
        for place in range(k):
            without = chosen[:place] + chosen[place + 1 :]
            best = min((i for i in range(n) if i not in without), key=lambda i: total([*without, i]))
            if total([*without, best]) < total(chosen) - 1e-12:
                chosen[place] = best
                better = True
    return sorted(chosen)
