"""A fleet: fronts for devices of which little or nothing was measured.

Run: python benchmarks/fleet.py pool|time [--seeds 5]

``pool``: the four devices of HW-GPT-S (Sukthanker et al. 2024) and 5,000 measured architectures. One first design of 12
is measured on every device. Each device in turn is the one of which less is known: nothing, 3, 5 or all 12 of its own,
beside all of the others. The front of all 5,000 by decoder parameters and predicted latency is judged by measured
perplexity and latency, as the share of the hypervolume of the front of all 5,000 up to the worst perplexity and latency
among them. Beside it the front from its own 12 alone; the errors of predictions; and how many of the 90 % intervals
hold, without own measurements those of relative latency, in the unit that is the median over the 5,000. The same with a
design of 12 random architectures. Exits with 1 where a goal is missed.

``time``: 13 devices, made of the terms, with 12 measurements each: the pooled fit, and an evolution of 200,000
candidates of the space of HW-GPT-S on the predictions for each device; processor time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from few_measurements import Replay
from published import HWGPT_COLUMNS, hwgpt_space, hwgpt_table

import lts
from lts.study.design import first_design

DEVICES = ("A100", "RTX 2080", "Xeon Silver", "AMD 7452")
DESIGN = 12
OWN = (0, 3, 5, 12)
GOAL_MEAN, GOAL_WORST, GOAL_HELD, GOAL_S = 0.960, 0.92, (0.85, 0.95), 15.0
N_DEVICES, N_CANDIDATES = 13, 200_000

Found = dict[str, dict[str, list[float]]]


def pooled(known: Sequence[tuple[list[lts.Architecture], np.ndarray]]) -> lts.Pooled:
    return lts.Pooled.fit([architectures for architectures, _ in known], [values for _, values in known])


def judge(table: Replay, surrogate: lts.Surrogate, *, relative: bool) -> dict[str, float]:
    """What the predictions of all architectures of a device are worth."""
    predicted = surrogate.predict(table.architectures)
    unit = float(np.median(table.latency / predicted)) if relative else 1.0
    low, high = unit * surrogate.interval(table.architectures).T
    return {
        "share": table.share(table.front(predicted, range(len(predicted)))),
        "error": float(np.mean(np.abs(unit * predicted / table.latency - 1))),
        "held": float(np.mean((low <= table.latency) & (table.latency <= high))),
    }


def of_design(tables: dict[str, Replay], design: Sequence[int]) -> Found:
    """By what is known and device, the figures of `judge`."""
    architectures = [tables[DEVICES[0]].architectures[i] for i in design]
    measured = {name: (architectures, table.latency[list(design)]) for name, table in tables.items()}
    found: Found = defaultdict(lambda: defaultdict(list))
    for name, table in tables.items():
        others = [measured[other] for other in tables if other != name]
        for n in OWN:
            own = [(architectures[:n], measured[name][1][:n])] if n else []
            fit = pooled([*others, *own])
            surrogate = fit.surrogates[-1] if own else fit.unmeasured
            for figure, value in judge(table, surrogate, relative=not n).items():
                found[f"{n} and the others'"][figure].append(value)
        alone = judge(table, lts.Surrogate.fit(*measured[name]), relative=False)
        for figure, value in alone.items():
            found[f"{DESIGN} alone"][figure].append(value)
    return found


def pool(seeds: int) -> bool:
    rows = hwgpt_table()
    tables = {name: Replay(rows, HWGPT_COLUMNS[name]) for name in DEVICES}
    architectures = tables[DEVICES[0]].architectures
    place = tables[DEVICES[0]].index
    space = hwgpt_space(min_ff_ratio=2.0)
    reached = True
    for kind in ("first design", "random"):
        found: Found = defaultdict(lambda: defaultdict(list))
        for seed in range(seeds):
            if kind == "random":
                design = np.random.default_rng(seed).choice(len(rows), DESIGN, replace=False).tolist()
            else:
                design = [place[a.to_json()] for a in first_design(space, DESIGN, seed, architectures)]
            for known, figures in of_design(tables, design).items():
                for figure, values in figures.items():
                    found[known][figure].extend(values)
        print(f"\n{kind}, {seeds} seeds\n")
        print("| measured on the device | hypervolume, mean | by device | worst of all | error | intervals that hold |")
        print("|---|---|---|---|---|---|")
        for known, figures in found.items():
            share, error, held = (np.reshape(figures[f], (seeds, -1)) for f in ("share", "error", "held"))
            each = ", ".join(f"{value:.3f}" for value in share.mean(axis=0))
            worst = f"{share.min():.3f}"
            print(f"| {known} | {share.mean():.3f} | {each} | {worst} | {error.mean():.1%} | {held.mean():.1%} |")
            if known.startswith("0 "):
                reached &= bool(share.mean() >= GOAL_MEAN and share.mean(axis=0).min() >= GOAL_WORST)
                reached &= bool(GOAL_HELD[0] <= held.mean() <= GOAL_HELD[1])
            elif known.startswith(f"{DESIGN} and"):
                reached &= bool(share.mean() >= GOAL_MEAN)
    return reached


def seconds() -> bool:
    space = hwgpt_space(min_ff_ratio=2.0)
    random = np.random.default_rng(0)
    design = first_design(space, DESIGN, 0)
    amounts = np.asarray(lts.cost_terms(design)).mean(axis=0)
    terms = np.asarray(lts.cost_terms(design)) / np.where(amounts > 0, amounts, 1.0)
    known = []
    for _ in range(N_DEVICES):
        values = terms @ random.dirichlet(np.ones(terms.shape[1])) * np.exp(random.normal())
        known.append((design, values * (1 + 0.02 * random.normal(size=len(design)))))
    start = time.process_time()
    fit = pooled(known)
    fitted = time.process_time() - start
    for seed, surrogate in enumerate(fit.surrogates):
        search = lts.Search(space, ["decoder_params:max", "latency_ms:min"], algorithm="nsga2", seed=seed)
        search.run(N_CANDIDATES, cost_models={"latency_ms": surrogate})
    total = time.process_time() - start
    print(f"{N_DEVICES} devices: fit {fitted:.2f} s, with {N_CANDIDATES:,} candidates each {total:.1f} s")
    return total <= GOAL_S


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pool", "time"))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    sys.exit(0 if (pool(given.seeds) if given.what == "pool" else seconds()) else 1)


if __name__ == "__main__":
    main()
