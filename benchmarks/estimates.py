"""What a search without a device finds, by candidates and seconds, against estimating one by one.

    python benchmarks/estimates.py [SPACE...] [--target arm64] [--algorithms lts,nsga2] [--most 1000000]

Prints for each space and algorithm the hypervolume of the front after 10^3 to 10^6 candidates that evolve on estimates,
relative to the best of all, and the seconds. For gpt2-any-shapes and arm64 it also says how that compares with
`estimates_984.csv`, the front of 984 estimates there, stored trial by trial (reference point: the worst value of each
objective in that file, and a tenth of its range beyond). First it checks that the core's sums are the estimates.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np

import lts
from lts.measure.opening import open_evaluator
from lts.study.evolution import Evolution
from lts.study.front import minimized

OBJECTIVES = ("decoder_params:max", "latency_ms:min", "peak_memory_mib:min")
BEFORE = Path(__file__).with_name("estimates_984.csv")
SPACE_BEFORE = "gpt2-any-shapes"


def front_before() -> np.ndarray:
    """The stored front, minimized: (n, 3)."""
    with BEFORE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return np.array([[-float(r["decoder_params"]), float(r["latency_ms"]), float(r["peak_memory_mib"])] for r in rows])


def volume(points: np.ndarray, low: np.ndarray, reference: np.ndarray) -> float:
    """Hypervolume of minimized points, each objective scaled to its range."""
    inside = points[(points < reference).all(axis=1)]
    scale = reference - low
    return lts.hypervolume((inside - low) / scale, np.ones(points.shape[1])) if len(inside) else 0.0


def check(evaluator: lts.Evaluator, space: lts.SearchSpace, models: dict) -> None:
    architectures = space.sample(200, 0)
    for name, model in models.items():
        expected = [evaluator.evaluate(a, [name]).values[name] for a in architectures]
        np.testing.assert_allclose(model.predict(architectures, **evaluator.workload.counted), expected, rtol=1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spaces", nargs="*", default=[SPACE_BEFORE, "gpt2-lts", "llama-edge"])
    parser.add_argument("--target", default="arm64")
    parser.add_argument("--algorithms", default="nsga2,lts,random")
    parser.add_argument("--most", type=int, default=1_000_000)
    arguments = parser.parse_args()
    evaluator = open_evaluator(arguments.target, device="none")
    before = front_before()
    box = before.min(axis=0), before.max(axis=0) + 0.1 * np.ptp(before, axis=0)
    print("space\talgorithm\tcandidates\tseconds\tfront\thypervolume\tover_984_estimates")
    for name in arguments.spaces:
        space = lts.SearchSpace.load(name)
        models = dict(evaluator.cost_models(space, ["latency_ms", "peak_memory_mib"]))
        check(evaluator, space, models)
        found = []
        for algorithm in arguments.algorithms.split(","):
            evolution = Evolution(space, OBJECTIVES, (), algorithm, {}, 0)
            start, done = time.perf_counter(), 0
            for n in (10**3, 10**4, 10**5, 200_000, 10**6):
                if n > arguments.most:
                    break
                done += evolution.run_in_core(n - done, evaluator.workload.counted, models)
                seconds = time.perf_counter() - start
                points = minimized(evolution.members(), evolution.search.objectives)
                found.append((algorithm, done, seconds, points))
        every = np.vstack([points for *_, points in found])
        low, reference = every.min(axis=0), every.max(axis=0) + 0.1 * np.ptp(every, axis=0)
        best = max(volume(points, low, reference) for *_, points in found)
        for algorithm, n, seconds, points in found:
            ratio = ""
            if name == SPACE_BEFORE and arguments.target == "arm64":
                ratio = f"{volume(points, *box) / volume(before, *box):.4f}"
            share = volume(points, low, reference) / best
            print(f"{name}\t{algorithm}\t{n}\t{seconds:.2f}\t{len(points)}\t{share:.4f}\t{ratio}", flush=True)


if __name__ == "__main__":
    main()
