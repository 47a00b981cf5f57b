"""What runs of a benchmark say: quality by budget with quartiles, and which algorithms differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from lts._core import attainment_surfaces, hypervolume, igd_plus, nondominated
from lts.benchmarks.problem import BenchmarkProblem
from lts.benchmarks.runs import Runs
from lts.measure.ranks import holm, signed_rank_test
from lts.system.text import plural

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIGNIFICANT = 0.05
"""Pairs with a corrected p value below this differ."""

_CHECKPOINTS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
_PER_CURVE = 60  # points of a curve, at most


@dataclass(frozen=True)
class Standing:
    """An algorithm after so many evaluations: quartiles over the seeds of the share of the reference front's
    hypervolume, and the median distance IGD+ to it, with every objective scaled to the extent of the front."""

    algorithm: str
    evaluations: int
    low: float
    median: float
    high: float
    igd_plus: float
    n: int


@dataclass(frozen=True)
class Difference:
    """Two algorithms at the whole budget, paired by seed.

    `p` is that of the signed-rank test, corrected for all pairs by Holm; `effect` the matched-pairs rank-biserial
    correlation: 1 where `one` is better with every seed, -1 where `other` is (Kerby 2014). `gain` is the median
    difference of the share of the hypervolume.
    """

    one: str
    other: str
    p: float
    effect: float
    gain: float

    @property
    def differ(self) -> bool:
        """Whether the runs show that they differ."""
        return self.p < SIGNIFICANT

    def __str__(self) -> str:
        numbers = f"p {self.p:.2g}, effect {self.effect:+.2f}, median difference {self.gain:+.4f}"
        if not self.differ:
            return f"no difference between {self.one} and {self.other} is shown ({numbers})"
        better, worse = (self.one, self.other) if self.effect > 0 else (self.other, self.one)
        return f"{better} finds more than {worse} ({numbers})"


class Summary:
    """Runs of a benchmark with what they are measured against.

    Parameters
    ----------
    problem
        What was searched.
    runs
        The runs.
    budget
        Evaluations of each.
    """

    def __init__(self, problem: BenchmarkProblem, runs: Runs, budget: int) -> None:
        self.problem = problem
        self.runs = runs
        self.budget = budget
        known, self.point = problem.reference()
        every = np.vstack([known, *(points[nondominated(points)] for points in runs.values())])
        self.front: Array = every[nondominated(every)]
        self._whole = hypervolume(self.front, self.point)

    @cached_property
    def algorithms(self) -> list[str]:
        """In the order in which they were named."""
        return list(dict.fromkeys(name for name, _ in self.runs))

    @cached_property
    def seeds(self) -> list[int]:
        """All seeds."""
        return list(dict.fromkeys(seed for _, seed in self.runs))

    @cached_property
    def checkpoints(self) -> list[int]:
        """Numbers of evaluations that are told of: 10, 30, 100 and so on, and the whole budget."""
        return [*(n for n in _CHECKPOINTS if n < self.budget), self.budget]

    @cached_property
    def grid(self) -> list[int]:
        """Numbers of evaluations of a curve, evenly on a logarithmic scale."""
        steps = np.geomspace(1, self.budget, min(self.budget, _PER_CURVE)).round().astype(int)
        return sorted({*steps.tolist(), *self.checkpoints})

    def share(self, points: Array) -> float:
        """The hypervolume of points, of that of the reference front; 0 where that has none."""
        return hypervolume(points, self.point) / self._whole if self._whole > 0 else 0.0

    @cached_property
    def curves(self) -> dict[str, Array]:
        """By algorithm the share of the hypervolume after each number of the grid, (n_seeds, n_grid)."""
        return {name: np.array([self._curve(self.runs[name, seed]) for seed in self.seeds]) for name in self.algorithms}

    def _curve(self, points: Array) -> list[float]:
        front = points[:0]
        found, before = [], 0
        for n in self.grid:  # of the front so far and what is new: the same hypervolume, of few points
            front = np.vstack([front, points[before:n]])
            front = front[nondominated(front)]
            before = n
            found.append(self.share(front))
        return found

    @cached_property
    def standings(self) -> list[Standing]:
        """Of every algorithm at every checkpoint; within a checkpoint the best median first."""
        least, extent = self.front.min(axis=0), np.ptp(self.front, axis=0)
        extent = np.where(extent > 0, extent, 1.0)
        front = (self.front - least) / extent
        found = []
        for n in self.checkpoints:
            here = []
            for name, curve in self.curves.items():
                low, middle, high = map(float, np.quantile(curve[:, self.grid.index(n)], [0.25, 0.5, 0.75]))
                runs = [self.runs[name, seed][:n] for seed in self.seeds]
                distance = np.median([igd_plus((points - least) / extent, front) for points in runs])
                here.append(Standing(name, n, low, middle, high, float(distance), len(runs)))
            found += sorted(here, key=lambda each: -each.median)
        return found

    @cached_property
    def differences(self) -> list[Difference]:
        """All pairs of algorithms, the better one first."""
        last = {name: curve[:, -1] for name, curve in self.curves.items()}
        pairs = []
        for one, other in combinations(sorted(last, key=lambda name: -float(np.median(last[name]))), 2):
            gains = last[one] - last[other]
            pairs.append((one, other, *signed_rank_test(gains.tolist()), float(np.median(gains))))
        corrected = holm([p for _, _, p, _, _ in pairs])
        return [
            Difference(one, other, p, effect, gain)
            for p, (one, other, _, effect, gain) in zip(corrected, pairs, strict=True)
        ]

    @cached_property
    def too_few(self) -> str:
        """Why no two algorithms can be told apart, in a sentence; empty where enough seeds can."""
        n_pairs = math.comb(len(self.algorithms), 2)
        needed = math.floor(math.log2(2 * n_pairs / SIGNIFICANT)) + 1 if n_pairs else 0
        if len(self.seeds) >= needed:
            return ""
        return (
            f"with {plural(len(self.seeds), 'seed')} no difference can be shown at a level of {SIGNIFICANT:.0%}: "
            f"{plural(n_pairs, 'comparison')} {'needs' if n_pairs == 1 else 'need'} at least {needed}"
        )

    def surfaces(self, algorithm: str) -> Sequence[Array]:
        """What one run at least, half of the runs and all runs of an algorithm attain, of two objectives, minimized."""
        sets = [self.runs[algorithm, seed] for seed in self.seeds]
        return attainment_surfaces(sets, [1, (len(sets) + 1) // 2, len(sets)])
