"""MODNAS as a baseline, and preferences read off our own front.

Run: python benchmarks/modnas.py [--seeds 5] [--surrogates FOLDER]

Latency on the four devices of HW-GPT-S (Sukthanker et al. 2024) is known for ten architectures each, and perplexity for
30. From that, each of 24 evenly spread preferences is answered for each device: by MODNAS, one hypernetwork for all
devices, with Chebyshev's loss and with linear ones as published; and by reading the answer off our own front, that of
all rows by quality by layer (`lts.LayerQuality`) and pooled costs (`lts.Pooled`). Judged are measured perplexity and
latency of the 24 answers, as the share of the hypervolume of the front of all 5,000 rows. An answer of the hypernetwork
is worth what the nearest row is.
With FOLDER, which has the published surrogates of the benchmark, answers are worth what these say, on all devices that
it has; the front then is that of a long search, and ours is evolved (200,000 candidates).
Exits with 1 where, over the devices, Chebyshev's do not reach 0.90 or ours 0.95, or the hypernetwork takes over 60 s.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published import HWGPT, HWGPT_COLUMNS, folder

import lts
from lts.benchmarks.domain import Domain
from lts.benchmarks.modnas import MEASURED, Modnas, preferences
from lts.benchmarks.problem import BenchmarkProblem, PoolProblem, open_problem
from lts.fleet.preference import losses
from lts.measure.tables.hwgpt_surrogates import HwGptSurrogates
from lts.study.design import first_design

DEVICES = ("A100", "RTX 2080", "Xeon Silver", "AMD 7452")
EVOLVED = 200_000
OBJECTIVES = [lts.parse_objective("perplexity:min"), lts.parse_objective("latency_ms:min")]
EVALUATED = 30  # qualities
GOAL, GOAL_OWN, GOAL_S = 0.90, 0.95, 60.0


@dataclass
class Device:
    """What is known of a device, and what an architecture is worth there."""

    name: str
    problem: BenchmarkProblem
    front: np.ndarray
    reference: np.ndarray

    @classmethod
    def of(cls, name: str, problem: BenchmarkProblem) -> Device:
        return cls(name, problem, *problem.reference())

    def share(self, architectures: Sequence[lts.Architecture]) -> float:
        points = self.problem.points(architectures)
        return lts.hypervolume(points, self.reference) / lts.hypervolume(self.front, self.reference)


def opened(surrogates: Path | None) -> list[Device]:
    if surrogates is None:
        table = folder() / "hwgpt" / HWGPT
        return [Device.of(n, PoolProblem(table, ["ppl:min", f"{HWGPT_COLUMNS[n]}:min"], pool=True)) for n in DEVICES]
    columns = [name for name in HwGptSurrogates(surrogates, "s").columns if name.startswith("latencies")]
    return [
        Device.of(name, open_problem(f"hwgpt:{surrogates}/s", ["perplexity:min", f"{name}:min"])) for name in columns
    ]


def own_front(device: Device, quality: lts.LayerQuality, cost: lts.Surrogate, seed: int) -> list[lts.Architecture]:
    """What is likely to be on the front, by the models."""
    if isinstance(device.problem, PoolProblem):
        rows = device.problem.architectures
        points = np.column_stack([quality.predict(rows), cost.predict(rows)])
        return [rows[i] for i in lts.nondominated(points)]
    search = lts.Search(device.problem.domain.space, [str(o) for o in OBJECTIVES], algorithm="nsga2", seed=seed)
    search.run(EVOLVED, cost_models={"perplexity": quality, "latency_ms": cost})
    return [member.architecture for member in search.front()]


def read_off(front: list[lts.Architecture], quality: lts.LayerQuality, cost: lts.Surrogate) -> list[lts.Architecture]:
    """The members that the preferences choose, as `lts-engine front --prefer` does."""
    points = np.column_stack([quality.predict(front), cost.predict(front)])
    names = [objective.name for objective in OBJECTIVES]
    chosen = [losses(points, points, OBJECTIVES, dict(zip(names, w, strict=True))) for w in preferences().tolist()]
    return [front[int(each.argmin())] for each in chosen]


def others(domain: Domain, pool: Sequence[lts.Architecture] | None, seed: int) -> list[lts.Architecture]:
    """Random ones whose quality is evaluated, too."""
    n = EVALUATED - MEASURED
    if pool is None:
        return domain.space.sample(n, seed)
    return [pool[i] for i in np.random.default_rng(seed).choice(len(pool), n, replace=False)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--surrogates", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    devices = opened(given.surrogates)
    domain = devices[0].problem.domain
    found: dict[str, list[list[float]]] = defaultdict(list)
    seconds: list[float] = []
    for seed in range(given.seeds):
        pool: Any = getattr(devices[0].problem, "architectures", None)
        design = first_design(domain.space, MEASURED, seed, pool)
        known = [(design, device.problem.points(design)[:, 1]) for device in devices]
        fit = lts.Pooled.fit([architectures for architectures, _ in known], [values for _, values in known])
        seen = [*design, *others(domain, pool, seed)]
        quality = lts.LayerQuality.fit(seen, devices[0].problem.points(seen)[:, 0], n_layer=max(domain.n_layer))
        for name, linear in (("MODNAS, Chebyshev", False), ("MODNAS, linear", True)):
            begun = time.process_time()
            network = Modnas(domain, linear=linear, seed=seed)
            network.fit(quality.predict, fit.surrogates)
            answers = [[each[0] for each in network.answers(i, preferences())] for i in range(len(devices))]
            seconds.append(time.process_time() - begun)
            found[name].append([d.share(a) for d, a in zip(devices, answers, strict=True)])
        fronts = [own_front(d, quality, m, seed) for d, m in zip(devices, fit.surrogates, strict=True)]
        read = [read_off(front, quality, model) for front, model in zip(fronts, fit.surrogates, strict=True)]
        found["read off our own front"].append([d.share(a) for d, a in zip(devices, read, strict=True)])
        found["all of our own front"].append([d.share(a) for d, a in zip(devices, fronts, strict=True)])
    print(f"| answers | mean | {' | '.join(device.name for device in devices)} |")
    print(f"|---|---|{'---|' * len(devices)}")
    means = {name: np.mean(shares, axis=0) for name, shares in found.items()}
    for name, each in means.items():
        print(f"| {name} | {each.mean():.3f} | {' | '.join(f'{value:.3f}' for value in each)} |")
    print(f"a hypernetwork for {len(devices)} devices takes {np.median(seconds):.1f} s of processor time")
    met = means["MODNAS, Chebyshev"].mean() >= GOAL and means["read off our own front"].mean() >= GOAL_OWN
    return 0 if met and max(seconds) <= GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
