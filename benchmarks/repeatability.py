"""Whether stated intervals hold from run to run, and what that costs.

Run: python benchmarks/repeatability.py intervals|search [--loaded] [--rounds 10] [--save FILE] [--load FILE]

``intervals``: random architectures of gpt2-small, each measured in a process of its own in every round, the rounds one
after another; with ``--loaded`` beside a program that keeps one core busy. From three of them a study would learn how
much processes differ (`lts.study.spread`): each measured in the first round and, in turn, in every third of the others,
as `lts.study.confirm` does it over 40 trials. Then, over all other models and rounds: how
many of the medians that later processes measure lie within the 95 % interval that is stated for an earlier one (two
equally noisy values: an honest interval holds 83 %, one that also allows for not knowing the spread exactly some more),
how many of the intervals from three processes hold the median of all rounds, and the same for the intervals that one
process states of its own samples. The three are chosen anew, every three of the models in turn.

``search``: the same search with 40 measurements with and without measuring again, one after the other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

import lts
from lts.measure.evaluator import TargetEvaluator
from lts.measure.trial import Trial
from lts.spaces.space import load_space
from lts.study.spread import center, restated, spread_of
from lts.study.study import Study

COLUMNS = ("latency_ms", "peak_memory_mib")
REFERENCES, CONFIRMED = 3, 3


def measured(models: int, rounds: int) -> list[list[dict[str, list[float]]]]:
    """By round and model, for each column the median and the interval that the process states."""
    space = load_space("gpt2-small")
    architectures = space.sample(models, 1)
    with lts.open_evaluator("host", device="local") as evaluator:
        found = []
        for number in range(rounds):
            row = []
            for architecture in architectures:
                outcome = evaluator.evaluate(architecture, COLUMNS)
                assert outcome.error is None, outcome.error
                row.append(
                    {
                        name: [outcome.values[name], *outcome.interval.get(name, (outcome.values[name],) * 2)]
                        for name in COLUMNS
                    }
                )
            found.append(row)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return found


def intervals(found: list[list[dict[str, list[float]]]]) -> None:
    rounds, models = len(found), len(found[0])
    times = [[0, *range(1 + k, rounds, REFERENCES)] for k in range(REFERENCES)]
    for name in COLUMNS:
        values = np.array([[row[m][name][0] for row in found] for m in range(models)])
        bounds = np.array([[row[m][name][1:] for row in found] for m in range(models)])
        grand = np.median(values, axis=1)
        later, own, confirmed, widths, spreads = [], [], [], [], []
        architecture = load_space("gpt2-small").sample(1, 1)[0]
        for chosen in combinations(range(models), REFERENCES):
            known = [trial(architecture, name, values[m, at].tolist()) for m, at in zip(chosen, times, strict=True)]
            spread = spread_of(known, name)
            assert spread is not None
            spreads.append(spread.relative)
            widths.append(spread.half_width(1))
            within = np.exp(spread.half_width(1))
            for m in set(range(models)) - set(chosen):
                low = np.minimum(values[m] / within, bounds[m, :, 0])
                high = np.maximum(values[m] * within, bounds[m, :, 1])
                later += [low[i] <= v <= high[i] for i in range(rounds) for v in values[m, i + 1 :]]
                own += [bounds[m, i, 0] <= v <= bounds[m, i, 1] for i in range(rounds) for v in values[m, i + 1 :]]
                half = spread.half_width(CONFIRMED)
                step = rounds // CONFIRMED
                for i in range(rounds - (CONFIRMED - 1) * step):
                    middle = center(values[m, i : i + CONFIRMED * step : step].tolist())
                    confirmed.append(abs(np.log(middle / grand[m])) <= half)
        print(
            f"{name:16s} of later medians, one process's own interval holds {np.mean(own):.0%}, the stated one "
            f"{np.mean(later):.1%}; of the grand medians, the confirmed one {np.mean(confirmed):.1%}; spread "
            f"{np.median(spreads):.2%} ({np.min(spreads):.2%} to {np.max(spreads):.2%}), half width "
            f"{np.median(widths):.1%}"
        )


def trial(architecture: lts.Architecture, name: str, values: list[float]) -> Trial:
    return Trial(
        id=0,
        state="complete",
        architecture=architecture,
        values={name: values[0]},
        provenance={name: "measured"},
        rounds={name: values},
    )


def search(trials: int) -> None:
    seconds = {}
    for confirm in (False, True):
        begun = time.monotonic()
        with (
            lts.open_evaluator("host", device="local") as evaluator,
            Study(load_space("gpt2-small"), evaluator, seed=1) as study,
        ):
            assert isinstance(evaluator, TargetEvaluator)
            front = study.run(trials=trials, confirm=confirm)
            seconds[confirm] = time.monotonic() - begun
            again = sum(len(t.rounds.get("latency_ms", [0])) - 1 for t in study.trials)
            one = [replace(t, rounds={}) for t in study.trials]
            widths = [np.log(t.interval["latency_ms"][1] / t.interval["latency_ms"][0]) / 2 for t in front]
            print(
                f"confirm={confirm!s:5s} {seconds[confirm]:6.1f} s, {again} further processes, front "
                f"{len(front)} of {len(restated(one))}, half width {np.median(widths):.1%}"
            )
    print(f"time with measuring again over without: {seconds[True] / seconds[False]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["intervals", "search"])
    parser.add_argument("--loaded", action="store_true", help="beside a program that keeps one core busy")
    parser.add_argument("--models", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--save", type=Path, help="write what was measured to this file")
    parser.add_argument("--load", type=Path, help="read it from this file instead of measuring")
    options = parser.parse_args()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if options.loaded else None
    try:
        if options.what == "search":
            search(options.trials)
            return
        found = json.loads(options.load.read_text()) if options.load else measured(options.models, options.rounds)
        if options.save:
            options.save.write_text(json.dumps(found))
        intervals(found)
    finally:
        if busy is not None:
            busy.kill()


if __name__ == "__main__":
    main()
