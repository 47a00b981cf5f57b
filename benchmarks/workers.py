"""What workers gain, and how many of them one driver can keep busy.

Run: python benchmarks/workers.py [--trials 40] [--seconds 1.0] [--simulated 20000] [--slots 1000] [--deaths 0.01]

`gain`: trials of a function that sleeps, with one process as a worker and with two, in one run; the ratio of the times.
`driver`: a study in a file whose evaluations take no time at all, by an executor that calls in this process: how many a
second the driver starts, checks and stores, and how many bytes each has.
`simulated`: the same with 1,000 workers at work at the same time, whose evaluations end in the order of simulated times
(log-normal: a tenth takes three times as long as the median), and of which one in a hundred dies: the driver's rate in
every fifth of the study, from which follow how busy 1,000 workers are and what a million evaluations take; bytes of the
store and, each way, between driver and workers.
Exits with 1 where two workers need more than 0.6 of the time of one.
"""

from __future__ import annotations

import argparse
import heapq
import pickle
import random
import resource
import sys
import tempfile
import threading
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
PARTS = 5
QUIET = 0.05  # seconds after which nothing more is submitted
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


class Simulated(Executor):
    """Workers in a simulated time: calls run here, one after the other, in the order in which they would end."""

    def __init__(self, slots: int, deaths: float, trials: int) -> None:
        self.calls = self.sent = self.received = self.lost = 0
        self.ended: list[float] = []  # when each call ended, on the real clock without what workers did
        self._slots, self._deaths, self._trials = slots, deaths, trials
        self._random = random.Random(0)
        self._now = self._work = 0.0
        self._running: list[tuple[float, int, Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._changed:
            self.calls += 1
            self.sent += len(pickle.dumps((function, arguments)))
            end = self._now + self._random.lognormvariate(0.0, 0.86)
            heapq.heappush(self._running, (end, self.calls, future, function, arguments))
            self._changed.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._changed:
                # Time goes on once all slots are taken, or nothing more is to come.
                while (not self._over and not self._running) or self._waits():
                    if not self._changed.wait(QUIET) and self._running:
                        break
                if self._over:
                    return
                self._now, _, future, function, arguments = heapq.heappop(self._running)
            self.ended.append(time.monotonic() - self._work)
            if self._random.random() < self._deaths:
                self.lost += 1
                future.set_exception(ConnectionError("the worker was killed"))
                continue
            begun = time.thread_time()
            found = function(*arguments)
            self._work += time.thread_time() - begun
            self.received += len(pickle.dumps(found))
            future.set_result(found)

    def _waits(self) -> bool:
        return not self._over and len(self._running) < self._slots and self.calls - self.lost < self._trials

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()


def seconds_of(
    workers: str | Executor, each: float, trials: int, store: Path | None = None, parallel: int = 1
) -> float:
    """How long a study takes, once its workers are there."""
    with on_workers(partial(evaluator, each), workers, parallel=parallel) as there:
        study = lts.Study(load_space("gpt2-small"), there, objectives=OBJECTIVES, surrogate="none", store=store)
        begun = time.monotonic()
        study.run(trials=trials)
        taken = time.monotonic() - begun
        assert all(trial.state == "complete" for trial in study.trials)
        study.close()
    return taken


def simulate(trials: int, slots: int, deaths: float) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder, Simulated(slots, deaths, trials) as workers:
        seconds_of(workers, 0.0, trials, Path(folder) / "study.db", slots)
        n_bytes = sum(file.stat().st_size for file in Path(folder).iterdir())
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    ends = [workers.ended[int(len(workers.ended) * part / PARTS) - 1] for part in range(1, PARTS + 1)]
    begins = [workers.ended[0], *ends[:-1]]
    rates = [len(workers.ended) / PARTS / (end - begin) for begin, end in zip(begins, ends, strict=True)]
    calls = workers.calls
    print(f"simulated: {trials} evaluations by {slots} workers, {workers.lost} of {calls} calls lost and repeated")
    print(f"           {', '.join(f'{rate:.0f}' for rate in rates)} calls a second, by fifths")
    for seconds in (0.1, 1.0, 10.0, 60.0):
        print(f"           evaluations of {seconds:g} s keep {min(1.0, min(rates) * seconds / slots):.0%} of them busy")
    print(
        f"           {n_bytes / trials:.0f} bytes each in the store; {workers.sent / calls:.0f} bytes to a worker and"
    )
    print(f"           {workers.received / (calls - workers.lost):.0f} back; {memory:.0f} MiB of memory of the driver")
    print(f"           10^6 evaluations: at least {1e6 / min(rates) / 3600:.1f} h, {n_bytes / trials / 1e3:.1f} GB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=1.0, help="that a trial sleeps")
    parser.add_argument("--simulated", type=int, default=20_000, help="evaluations of simulated workers")
    parser.add_argument("--slots", type=int, default=1000, help="simulated workers")
    parser.add_argument("--deaths", type=float, default=0.01, help="share of calls whose worker dies")
    chosen = parser.parse_args()
    one, two = (seconds_of(f"processes:{n}", chosen.seconds, chosen.trials) for n in (1, 2))
    print(f"gain: {chosen.trials} trials of {chosen.seconds:g} s: {one:.1f} s with one worker, {two:.1f} s with two")
    print(f"      {two / one:.2f} of the time")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "study.db"
        taken = seconds_of(Here(), 0.0, INSTANT, store)
        n_bytes = sum(file.stat().st_size for file in Path(folder).iterdir())
    print(f"driver: {INSTANT / taken:.0f} evaluations a second, {n_bytes / INSTANT:.0f} bytes each in the store")
    simulate(chosen.simulated, chosen.slots, chosen.deaths)
    return 0 if two <= GOAL * one else 1


if __name__ == "__main__":
    sys.exit(main())
