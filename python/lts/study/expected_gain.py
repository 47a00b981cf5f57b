"""Which measurements a front should gain most hypervolume from."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

import numpy as np

from lts._core import hypervolume, nondominated
from lts.study.front import by_ratio, have_ratios

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# The normal distribution in three points (Gauss-Hermite).
_NODES = ((-math.sqrt(3.0), 1 / 6), (0.0, 2 / 3), (math.sqrt(3.0), 1 / 6))


def expected_gains(measured: Array, points: Array, spread: Array, n: int) -> list[int]:
    """Greedily the `n` points whose measurement is expected to add most hypervolume, all minimized.

    Costs are normal around `points` with standard deviations `spread`, those of one point fully correlated. What was
    chosen counts as measured as predicted (the kriging believer of Ginsbourger, Le Riche and Carraro 2010). Gains only
    shrink, so that most of them are never computed again (Minoux 1978).

    Hypervolume is that of logarithms, in every objective whose values are all above 0, or all below: of a front from 2
    to 200 million parameters, a model that is 10 % faster counts as much at either end. Without them, nearly all
    measurements would be of the largest.
    """
    every = np.vstack([measured, points])
    columns = have_ratios(every)
    spread = np.where(columns, spread / np.abs(np.where(columns, points, 1.0)), spread)
    every = by_ratio(every, columns)
    measured, points = every[: len(measured)], every[len(measured) :]
    low, high = every.min(axis=0), every.max(axis=0)
    scale = np.where(high > low, high - low, 1.0)
    front, mean, sigma = (measured - low) / scale, (points - low) / scale, spread / scale
    reference = np.full(points.shape[1], 1.1)

    def gain(i: int) -> float:
        total = 0.0
        for z, weight in _NODES:
            point = mean[i] + z * sigma[i]
            if (point < reference).all():
                covered = hypervolume(np.maximum(front, point), reference) if len(front) else 0.0
                total += weight * max(0.0, float(np.prod(reference - point)) - covered)
        return total

    heap = [(-gain(i), i) for i in range(len(points))]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < n:
        _, i = heapq.heappop(heap)
        now = gain(i)
        if heap and now < -heap[0][0]:
            heapq.heappush(heap, (-now, i))
            continue
        chosen.append(i)
        front = np.vstack([front, mean[i]])
        front = front[nondominated(front)]
    return chosen
