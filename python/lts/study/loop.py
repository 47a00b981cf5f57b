"""One run of a study: ask the sampler, evaluate, tell it and the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lts._core import __version__
from lts.errors import MeasurementError, UsageError
from lts.measure.evaluator import Evaluator
from lts.measure.trial import Trial
from lts.study.evaluations import Evaluated, Evaluations
from lts.study.finishing import finished
from lts.study.ledger import Ledger
from lts.study.problem import Problem
from lts.study.sampler import Sampler
from lts.system.environment import environment_hash
from lts.system.uninterrupted import without_interrupts

_LEAST_TIME = 1e-3  # seconds; no candidate is measured in it
# A device that fails this often before its first success is not worth more trials.
_MAX_FIRST_FAILURES = 10


@dataclass(frozen=True)
class Progress:
    """What a progress callback gets after every trial: the trial, and how far the run is."""

    trial: Trial
    n_finished: int
    n_failed: int
    n_front: int
    trials: int | None
    seconds: float
    timeout: float | None


class Loop:
    """Evaluates what a sampler proposes, several candidates at a time where the evaluator has room for them.

    Parameters
    ----------
    problem, evaluator, sampler, ledger
        The parts of a study.
    description
        What the evaluator says of itself.
    """

    def __init__(
        self,
        problem: Problem,
        evaluator: Evaluator,
        sampler: Sampler,
        ledger: Ledger,
        description: Mapping[str, Any],
    ) -> None:
        self._problem = problem
        self._evaluator = evaluator
        self._sampler = sampler
        self._ledger = ledger
        self._description = description
        self._evaluations = Evaluations(evaluator, problem.columns, problem.limits)
        self._left = ledger.unfinished()
        self._notes: list[str] = []
        # Read once: an outcome that comes from elsewhere says so itself.
        self._environment = environment_hash(evaluator.environment())

    @property
    def cut_off(self) -> bool:
        """Whether evaluations of other threads are running; `close` ends them."""
        return bool(self._evaluations.trials) and self._evaluations.parallel > 1

    def close(self) -> None:
        """End what is still running, if anything is."""
        self._evaluations.close()

    def run(self, trials: int | None, timeout: float | None, progress: Callable[[Progress], None] | None) -> None:
        """Evaluate until the study has `trials` finished ones, `timeout` seconds have passed, or nothing is left."""
        start = time.monotonic()
        evaluations = self._evaluations
        durations: list[float] = []
        n_failed = 0
        more = True
        while True:
            while more and len(evaluations.trials) < evaluations.parallel:
                left = None if timeout is None else timeout - (time.monotonic() - start)
                n = self._ledger.n_finished + len(evaluations.trials)
                enough = (trials is not None and n >= trials) or (
                    left is not None and left < max(durations[-5:], default=0.0)
                )
                trial = None if enough else self._next(trials)
                if trial is None:  # enough, or nothing is left to propose
                    break
                # Choosing it takes its time as well, and may take all that was left: then it is cut off at once.
                left = None if timeout is None else timeout - (time.monotonic() - start)
                evaluations.start(trial, None if left is None else max(left, _LEAST_TIME))
            if not evaluations.trials:
                return
            done = evaluations.next()
            trial = self._finish(done)
            if trial.state == "running":  # cut off by the end of the time
                more = False
                continue
            durations.append(done.seconds)
            n_failed += trial.state == "failed"
            if progress is not None:
                n, n_front = self._ledger.n_finished, len(self._ledger.archive)
                progress(Progress(trial, n, n_failed, n_front, trials, time.monotonic() - start, timeout))
            if n_failed == len(durations) == _MAX_FIRST_FAILURES:
                raise MeasurementError(f"the first {n_failed} trials all failed, the last one because: {trial.error}")

    def _next(self, budget: int | None) -> Trial | None:
        """A trial that an earlier run left unfinished, or a new one."""
        trials = self._ledger.trials
        if self._left:
            return trials[self._left.pop(0)]
        answer = self._sampler.ask(trials, self._evaluations.trials, budget)
        if self._sampler.notes != self._notes:
            self._notes = list(self._sampler.notes)
            self._ledger.flush({"notes": self._notes})
        if answer == "wait" and not self._evaluations.trials:
            raise UsageError(f"the sampler '{self._sampler.name}' waits for trials, but none is running")
        if isinstance(answer, str):
            return None
        trial = Trial(
            id=len(trials),
            state="running",
            architecture=answer.architecture,
            predicted=dict(answer.predicted),
            origin=answer.origin,
            target=self._description.get("target", ""),
            device=self._description.get("device", ""),
            backend=self._description.get("backend", ""),
            seed=self._problem.seed,
            lts_version=__version__,
        )
        self._ledger.begin(trial)
        return trial

    def _finish(self, evaluated: Evaluated) -> Trial:
        """The trial with what came out for it; unchanged when it failed for want of time."""
        trial = finished(evaluated, self._problem.columns, self._problem.constraints, self._environment)
        if trial.state != "running":
            with without_interrupts():  # a result counts for all, or for none
                self._sampler.tell(trial)
                self._ledger.finish(trial, evaluated.seconds, self._evaluator.environment)
        return trial
