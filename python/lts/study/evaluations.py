"""Candidates under evaluation: one at a time in the calling thread, or several at once where the device has room."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from lts._core import Architecture, __version__
from lts.measure.evaluator import Evaluator
from lts.measure.outcome import Outcome
from lts.measure.trial import Trial
from lts.study.limits import Limits


@dataclass(frozen=True)
class Evaluated:
    """What came out for a trial, its time limit in seconds, and the seconds that it took."""

    trial: Trial
    outcome: Outcome
    allowed: float | None
    seconds: float


def begun(architecture: Architecture, description: Mapping[str, Any], *, key: int, seed: int, **more: Any) -> Trial:
    """A trial that is evaluated now, by what an evaluator says of itself; `more` are fields of `Trial`."""
    return Trial(
        id=key,
        state="running",
        architecture=architecture,
        target=description.get("target", ""),
        device=description.get("device", ""),
        backend=description.get("backend", ""),
        seed=seed,
        lts_version=__version__,
        **more,
    )


def evaluate(evaluator: Evaluator, trial: Trial, columns: Iterable[str], allowed: float | None) -> Evaluated:
    """Hand a trial to an evaluator, in the calling thread."""
    start = time.monotonic()
    outcome = evaluator.evaluate(trial.architecture, columns, allowed)
    taken = max(time.monotonic() - start, sum(outcome.seconds.values()))
    return Evaluated(trial, outcome, allowed, taken)


class Evaluations:
    """Hands trials to an evaluator and gives their outcomes back, in the order in which they end.

    An evaluator whose attribute `parallel` is above one is called from that many threads; any other in the calling
    thread, inside `next`. What `limits` excludes fails without being evaluated.
    """

    def __init__(self, evaluator: Evaluator, columns: Iterable[str], limits: Limits | None = None) -> None:
        self.parallel = max(1, evaluator.parallel)
        self._evaluator = evaluator
        self._columns = tuple(columns)
        self._limits = limits or Limits()
        self._waiting: list[tuple[Trial, float | None]] = []
        self._futures: set[Future[Evaluated]] = set()
        self._threads = ThreadPoolExecutor(self.parallel, "lts-evaluation") if self.parallel > 1 else None
        self.trials: set[int] = set()

    def start(self, trial: Trial, allowed: float | None) -> None:
        """Start a trial with a time limit in seconds. There must be room: fewer than `parallel` in `trials`."""
        self.trials.add(trial.id)
        if self._threads is None:
            self._waiting.append((trial, allowed))
        else:
            self._futures.add(self._threads.submit(self._evaluate, trial, allowed))

    def next(self) -> Evaluated:
        """The trial that ends next; one must have been started."""
        if self._threads is None:
            done = self._evaluate(*self._waiting.pop(0))
        else:
            future = next(iter(wait(self._futures, return_when=FIRST_COMPLETED).done))
            self._futures.remove(future)
            done = future.result()
        self.trials.remove(done.trial.id)
        return done

    def close(self) -> None:
        """End what is still running, if anything is."""
        if self._threads is None:
            return
        if self._futures:
            self._evaluator.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _evaluate(self, trial: Trial, allowed: float | None) -> Evaluated:
        if reason := self._limits.exclude(trial.architecture):  # of a sampler that does not know better
            return Evaluated(trial, Outcome(error=reason), None, 0.0)
        return evaluate(self._evaluator, trial, self._columns, allowed)
