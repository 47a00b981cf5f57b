"""What workers gain, and how many of them one driver can keep busy.

Run: python benchmarks/workers.py [--trials 40] [--seconds 1.0]

`gain`: trials of a function that sleeps, with one process as a worker and with two, in one run; the ratio of the times.
`driver`: a study in a file whose evaluations take no time at all, by an executor that calls in this process: how many a
second the driver starts, checks and stores, and how many bytes each has. From these follows on paper what 1,000 workers
may need at least per evaluation.
Exits with 1 where two workers need more than 0.6 of the time of one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any

import lts
from lts.measure.distributed import on_workers
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.spaces.space import load_space

GOAL = 0.6
INSTANT = 2000  # evaluations that take no time
OBJECTIVES = ["decoder_params:max", "layers:min"]


def slept(seconds: float, architecture: lts.Architecture) -> Mapping[str, float]:
    time.sleep(seconds)
    return {"layers": float(architecture.n_layer)}


def evaluator(seconds: float) -> Evaluator:
    return FunctionEvaluator(partial(slept, seconds), name="slept")


class Here(Executor):
    """Calls at once, in the calling thread."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


def seconds_of(workers: str | Executor, each: float, trials: int, store: Path | None = None) -> float:
    """How long a study takes, once its workers are there."""
    with on_workers(partial(evaluator, each), workers) as there:
        study = lts.Study(load_space("gpt2-small"), there, objectives=OBJECTIVES, surrogate="none", store=store)
        begun = time.monotonic()
        study.run(trials=trials)
        taken = time.monotonic() - begun
        assert all(trial.state == "complete" for trial in study.trials)
        study.close()
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=1.0, help="that a trial sleeps")
    chosen = parser.parse_args()
    one, two = (seconds_of(f"processes:{n}", chosen.seconds, chosen.trials) for n in (1, 2))
    print(f"gain: {chosen.trials} trials of {chosen.seconds:g} s: {one:.1f} s with one worker, {two:.1f} s with two")
    print(f"      {two / one:.2f} of the time")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "study.db"
        taken = seconds_of(Here(), 0.0, INSTANT, store)
        n_bytes = sum(file.stat().st_size for file in Path(folder).iterdir())
    rate = INSTANT / taken
    print(f"driver: {rate:.0f} evaluations a second, {n_bytes / INSTANT:.0f} bytes each in the store")
    print(f"        1,000 workers are busy with evaluations of {1000 / rate:.1f} s or more")
    print(f"        10^6 evaluations take the driver {1e6 / rate / 3600:.1f} h and {n_bytes / INSTANT / 1e3:.1f} GB")
    return 0 if two <= GOAL * one else 1


if __name__ == "__main__":
    sys.exit(main())
