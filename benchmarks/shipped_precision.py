"""What searching in another precision than the one that ships costs.

Run: python benchmarks/shipped_precision.py [--space gpt2-small] [--searched float32] [--shipped int8] [--trials 40]
     [--seeds 1] [--rounds 3]

The same search twice, with the same seed and as many measurements: in the precision that ships, and in another one
(objectives: decoder parameters, time of a request of 128 tokens and 32 generated ones, peak memory). Then all members
of both fronts are measured again in the precision that ships, interleaved, each in further processes. How good a front
of 40 measurements is also depends on luck, so a third search, in the precision that ships with another seed, is
compared in the same way: what it says is no cost of the precision.

Prints for each of the two, against the front of the precision that ships: the share of its hypervolume (every objective
scaled to the range of all members, reference point 10 % beyond the worst), how much longer the fastest member takes
among those with at least as many decoder parameters, at every size that a member of either front has, where both have
one: the geometric mean over the sizes and the worst size, with the 95 % interval of its ratio.
Exits with 1 where the wrong precision costs nothing: not less hypervolume than the other seed does, and no slowdown.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from interleaved import Ratio, Values, described, measured, ratios

import lts
from lts.measure.evaluator import TargetEvaluator
from lts.measure.opening import open_evaluator
from lts.study.spread import center
from lts.study.study import Study

SIZE, TIME, MEMORY = "decoder_params", "request_ms", "peak_memory_mib"


@dataclass(frozen=True)
class Member:
    """An architecture of a front, with what further processes have measured of it."""

    architecture: lts.Architecture
    values: Values

    @property
    def size(self) -> int:
        return lts.decoder_params(self.architecture)

    @property
    def point(self) -> list[float]:
        """All objectives, minimized."""
        return [-float(self.size), center(self.values[TIME]), center(self.values[MEMORY])]


@dataclass(frozen=True)
class Cost:
    """What one front costs against another."""

    hypervolume: float
    slowdown: float
    worst: Ratio
    at: int


def searched(space: str, precision: str, trials: int, seed: int) -> list[lts.Architecture]:
    with (
        open_evaluator("host", precision=precision, threads=1) as evaluator,
        Study(
            lts.SearchSpace.load(space),
            evaluator,
            objectives=[f"{SIZE}:max", f"{TIME}:min", f"{MEMORY}:min"],
            seed=seed,
        ) as study,
    ):
        front = study.run(trials=trials)
        print(f"{precision}, seed {seed}: {study.n_finished} measurements, front {len(front)}", flush=True)
        return [trial.architecture for trial in front]


def again(evaluator: TargetEvaluator, fronts: Sequence[Sequence[lts.Architecture]], rounds: int) -> list[list[Member]]:
    """The members of all fronts measured again, in the order of their sizes, so that those compared are neighbors."""
    queue = sorted(
        ((side, each) for side, front in enumerate(fronts) for each in front), key=lambda e: lts.decoder_params(e[1])
    )
    found = measured(evaluator, [each for _, each in queue], (TIME, MEMORY), rounds)
    sides: list[list[Member]] = [[] for _ in fronts]
    for (side, each), values in zip(queue, found, strict=True):
        sides[side].append(Member(each, values))
    return sides


def fastest(front: Sequence[Member], size: int) -> Member | None:
    large = [member for member in front if member.size >= size]
    return min(large, key=lambda member: center(member.values[TIME]), default=None)


def cost(front: Sequence[Member], right: Sequence[Member], every: Sequence[Member]) -> Cost:
    """Of a front against the right one, scaled to the ranges of all members."""
    points = np.array([member.point for member in every])
    low, high = points.min(axis=0), points.max(axis=0)
    volumes = [
        lts.hypervolume((np.array([m.point for m in side]) - low) / (high - low), np.full(3, 1.1))
        for side in (front, right)
    ]
    sizes = sorted({member.size for member in (*front, *right)})
    both = [(size, fastest(front, size), fastest(right, size)) for size in sizes]
    kept = [(size, one, other) for size, one, other in both if one is not None and other is not None]
    found = ratios([one.values[TIME] for _, one, _ in kept], [other.values[TIME] for *_, other in kept])
    worst = max(range(len(kept)), key=lambda i: found[i].value)
    return Cost(
        volumes[0] / volumes[1],
        statistics.geometric_mean(each.value for each in found),
        found[worst],
        kept[worst][0],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="gpt2-small")
    parser.add_argument("--searched", default="float32", help="the wrong precision")
    parser.add_argument("--shipped", default="int8", help="the right one")
    parser.add_argument("--trials", type=int, default=40, help="measurements of every search")
    parser.add_argument("--seeds", type=int, default=1, help="so many times, from seed 0 on")
    parser.add_argument("--rounds", type=int, default=3, help="further processes of every member")
    options = parser.parse_args()
    if options.rounds < 2 or options.seeds < 1:
        parser.error("--rounds must be at least 2 and --seeds at least 1")
    names = (f"searched in {options.searched}", f"in {options.shipped}, another seed")
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for seed in range(options.seeds):
        fronts = [
            searched(options.space, precision, options.trials, number)
            for precision, number in (
                (options.shipped, seed),
                (options.searched, seed),
                (options.shipped, seed + options.seeds),
            )
        ]
        with open_evaluator("host", precision=options.shipped, threads=1) as evaluator:
            if seed == 0:
                print(described(evaluator))
            right, *others = again(evaluator, fronts, options.rounds)
        every = [*right, *(member for side in others for member in side)]
        for name, side in zip(names, others, strict=True):
            found = cost(side, right, every)
            costs[name].append(found)
            print(
                f"seed {seed}, {name}: {found.hypervolume:.4f} of the hypervolume, {found.slowdown:.3f} times the time "
                f"in the mean over sizes, at worst {found.worst} times, at {found.at / 1e6:.2f} million decoder "
                "parameters",
                flush=True,
            )
    hypervolume = {name: statistics.fmean(c.hypervolume for c in found) for name, found in costs.items()}
    slowdown = {name: statistics.geometric_mean(c.slowdown for c in found) for name, found in costs.items()}
    for name in names:
        print(f"{name}: {hypervolume[name]:.4f} of the hypervolume, {slowdown[name]:.3f} times the time")
    wrong, luck = names
    sys.exit(hypervolume[wrong] >= hypervolume[luck] and slowdown[wrong] <= slowdown[luck])


if __name__ == "__main__":
    main()
