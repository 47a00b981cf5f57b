"""How often `lts-engine compare` raises a false alarm, and how often it finds 10 % more work.

Run: python benchmarks/compare.py device [--comparisons 20] [--loaded] [--save FILE]
     python benchmarks/compare.py simulated [--comparisons 2000]

``device``: a GPT-2 of ten layers compared with itself, and with the same of eleven layers, in turn, on this machine:
`latency_ms`, a bound of 5 %, at most 6 processes per side. With ``--loaded`` another program keeps one core busy for
half of the time, in stretches of 1 to 9 s.

``simulated``: the same procedure on made-up processes with a known difference. Their noise is normal, with the standard
deviation of the row; in the rows "disturbed", one process in ten takes 30 % more on average besides, exponentially
distributed. Here the bound of the procedure can be seen, which no device shows in minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import lts
from lts.measure.compare import Answer
from lts.measure.interleaved import Comparison, Run, interleave
from lts.measure.models.comparison import compare_architectures
from lts.measure.outcome import Outcome

METRIC = "latency_ms"
LOAD = """
import os, random, time
parent, generator = os.getppid(), random.Random(1)
while os.getppid() == parent:
    stretch = generator.uniform(1, 9)
    end = time.monotonic() + stretch
    while time.monotonic() < end:
        pass
    time.sleep(stretch)
"""


def gpt2(n_layer: int) -> lts.Architecture:
    return lts.Architecture("gpt2", 512, 128, 128, n_head=4, d_ff=512, n_layer=n_layer)


def on_device(comparisons: int, loaded: bool, save: Path | None) -> None:
    model, larger = gpt2(10), gpt2(11)
    found: dict[str, list[Comparison]] = {"with itself": [], "with 10 % more": []}
    load = subprocess.Popen([sys.executable, "-c", LOAD]) if loaded else None
    try:
        with lts.open_evaluator("host", device="local", n_prompt=64, n_gen=0) as evaluator:
            for number in range(comparisons):
                for name, contender in (("with itself", model), ("with 10 % more", larger)):
                    found[name].append(compare_architectures(model, contender, evaluator, [METRIC]))
                print(f"comparison {number + 1} of {comparisons}", file=sys.stderr)
    finally:
        if load is not None:
            load.kill()
            load.wait()
    for name, each in found.items():
        changes = [comparison.verdicts[METRIC].change for comparison in each]
        n = [len(comparison.processes) for comparison in each]
        again = sum(bool(comparison.not_seen_again) for comparison in each)
        print(
            f"{name:16s} {len(each)} comparisons: {answers(each)}\n"
            f"  change {np.median(changes):+.1%} ({min(changes):+.1%} to {max(changes):+.1%}), "
            f"{np.mean(n):.1f} processes, {again} regressions not seen again"
        )
    if save is not None:
        lines = [
            {
                "compared": name,
                "answer": c.verdicts[METRIC].answer,
                "values": [o.values[METRIC] for _, o, _ in c.processes],
            }
            for name, each in found.items()
            for c in each
        ]
        save.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def made_up(generator: random.Random, center: float, deviation: float, disturbed: float) -> Run:
    def run() -> Outcome:
        value = center * np.exp(generator.gauss(0, deviation))
        if generator.random() < disturbed:
            value *= 1 + generator.expovariate(1 / 0.3)
        return Outcome(values={METRIC: value})

    return run


def simulated(comparisons: int) -> None:
    generator = random.Random(1)
    for disturbed in (0.0, 0.1):
        for deviation in (0.01, 0.02, 0.04, 0.08):
            for change in (0.0, 0.05, 0.1, 0.2):
                found = [
                    interleave(
                        made_up(generator, 1.0, deviation, disturbed),
                        made_up(generator, 1.0 + change, deviation, disturbed),
                        [METRIC],
                    )
                    for _ in range(comparisons)
                ]
                n = np.mean([len(comparison.processes) for comparison in found])
                noise = f"noise {deviation:.0%}{', disturbed' if disturbed else ''}"
                print(f"{noise:22s} change {change:+4.0%}: {answers(found)}  {n:.1f} processes")


def answers(found: list[Comparison]) -> str:
    counted = Counter(comparison.verdicts[METRIC].answer for comparison in found)
    return ", ".join(f"{counted[answer] / len(found):.1%} {answer}" for answer in Answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("device", "simulated"))
    parser.add_argument("--comparisons", type=int)
    parser.add_argument("--loaded", action="store_true", help="beside a program that is busy half of the time")
    parser.add_argument("--save", type=Path, help="what was measured, as JSON Lines")
    given = parser.parse_args()
    if given.what == "device":
        on_device(given.comparisons or 20, given.loaded, given.save)
    else:
        simulated(given.comparisons or 2000)


if __name__ == "__main__":
    main()
