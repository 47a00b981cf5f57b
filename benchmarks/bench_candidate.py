"""Seconds that one measured candidate costs, from `ask` to the stored trial, and where they go.

Run: python benchmarks/bench_candidate.py [--candidates 20]

Candidates are drawn from the preset gpt2-any-shapes and kept up to 30 million parameters; prompt 128, latency and peak
memory, one thread. Also prints the CPU seconds of `lts-engine --help`.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lts

MAX_PARAMS = 30_000_000


def candidate_seconds(n: int) -> tuple[list[float], dict[str, list[float]]]:
    """Wall seconds of each trial of a random search, and of its stages."""
    space = lts.SearchSpace(**{**lts.SearchSpace.load("gpt2-any-shapes").options, "total_params": (None, MAX_PARAMS)})
    totals: list[float] = []
    stages: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        lts.Study(space, lts.Evaluator(), algorithm="random", store=Path(folder) / "study.db") as study,
    ):
        last = time.perf_counter()

        def note(progress: object) -> None:
            nonlocal last
            now = time.perf_counter()
            totals.append(now - last)
            last = now
            for stage, seconds in progress.trial.seconds.items():  # type: ignore[attr-defined]
                stages.setdefault(stage, []).append(seconds)

        study.run(trials=n, progress=note)
    return totals, stages


def help_cpu_seconds(repeats: int = 5) -> float:
    """Least CPU seconds of `lts-engine --help` over some runs."""
    command = [Path(sys.executable).with_name("lts-engine"), "--help"]
    best = float("inf")
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=20)
    totals, stages = candidate_seconds(parser.parse_args().candidates)
    print(f"one candidate: median {statistics.median(totals):.2f} s, worst {max(totals):.2f} s of {len(totals)}")
    for stage, seconds in stages.items():
        print(f"  {stage}: median {statistics.median(seconds):.3f} s")
    print(f"lts-engine --help: {help_cpu_seconds():.2f} s of CPU")


if __name__ == "__main__":
    main()
