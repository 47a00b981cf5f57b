"""One run of a study: ask the sampler, evaluate, tell it and the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lts.errors import MeasurementError, UsageError
from lts.measure.evaluator import Evaluator
from lts.measure.trial import Trial
from lts.study.confirm import doubtful, reference_due
from lts.study.evaluations import Evaluated, Evaluations, begun
from lts.study.finishing import finished, measured_again
from lts.study.front import front_of
from lts.study.ledger import Ledger
from lts.study.problem import Problem
from lts.study.sampler import Sampler
from lts.system.environment import environment_hash
from lts.system.progress import Observer, Work, unobserved
from lts.system.uninterrupted import without_interrupts

_LEAST_TIME = 1e-3  # seconds; no candidate is measured in it
# A device that fails this often before its first success is not worth more trials.
_MAX_FIRST_FAILURES = 10
# Share of the time that is kept for measuring again what is in doubt.
CONFIRM_SHARE = 0.2


@dataclass(frozen=True)
class Progress:
    """What a progress callback gets after every trial: the trial, and how far the run is.

    `again` says that a trial which is finished was measured again, in another process.
    """

    trial: Trial
    n_finished: int
    n_failed: int
    n_front: int
    trials: int | None
    seconds: float
    timeout: float | None
    again: bool = False


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
        self._durations: list[float] = []
        self._n_failed = 0
        self._in_vain: set[int] = set()
        # Read once: an outcome that comes from elsewhere says so itself.
        self._environment = environment_hash(evaluator.environment())

    @property
    def cut_off(self) -> bool:
        """Whether evaluations of other threads are running; `close` ends them."""
        return bool(self._evaluations.trials) and self._evaluations.parallel > 1

    def close(self) -> None:
        """End what is still running, if anything is."""
        self._evaluations.close()

    def run(
        self,
        trials: int | None,
        timeout: float | None,
        progress: Callable[[Progress], None] | None,
        confirm: bool = False,
        observe: Observer = unobserved,
    ) -> None:
        """Evaluate until the study has `trials` finished ones, `timeout` seconds have passed, or nothing is left.

        With `confirm`, a few trials are measured again meanwhile and others at the end: see `lts.study.confirm`. The
        end gets a share of the time.
        """
        start = time.monotonic()

        def told(trial: Trial, again: bool) -> None:
            if progress is not None:
                n, n_front = self._ledger.n_finished, len(self._ledger.archive)
                seconds = time.monotonic() - start
                progress(Progress(trial, n, self._n_failed, n_front, trials, seconds, timeout, again))

        def proposed() -> Trial | None:
            known = self._ledger.trials
            if confirm and (due := reference_due(known, {*self._evaluations.trials, *self._in_vain})) is not None:
                return due
            n_running = sum(known[key].state == "running" for key in self._evaluations.trials)
            if trials is not None and self._ledger.n_finished + n_running >= trials:
                return None
            return self._next(trials)

        def working(what: str, total: int | None = None) -> None:
            now = ", ".join(f"trial {key}" for key in sorted(self._evaluations.trials))
            observe(Work(what, self._ledger.n_finished, total, now))

        share = 1.0 - CONFIRM_SHARE if confirm else 1.0
        end = None if timeout is None else start + timeout * share
        evaluating = partial(working, "evaluating candidates", trials)
        self._evaluate(proposed, end, told, evaluating, lambda: working(self._sampler.work))
        if confirm:
            end = None if timeout is None else start + timeout
            self._evaluate(self._doubtful, end, told, partial(working, "measuring again what is in doubt"))
            self._keep_notes()

    def _evaluate(
        self,
        choose: Callable[[], Trial | None],
        end: float | None,
        told: Callable[[Trial, bool], None],
        evaluating: Callable[[], None],
        choosing: Callable[[], None] = lambda: None,
    ) -> None:
        """Evaluate what `choose` gives until it gives nothing, or the time has come. The others are
        called when that begins."""
        evaluations = self._evaluations
        more = True
        while True:
            while more and len(evaluations.trials) < evaluations.parallel:
                left = None if end is None else end - time.monotonic()
                enough = left is not None and left < max(self._durations[-5:], default=0.0)
                if not (enough or evaluations.trials):
                    choosing()
                trial = None if enough else choose()
                if trial is None:  # enough, or nothing is left to evaluate
                    break
                # Choosing it takes its time as well, and may take all that was left: then it is cut off at once.
                left = None if end is None else end - time.monotonic()
                evaluations.start(trial, None if left is None else max(left, _LEAST_TIME))
            if not evaluations.trials:
                return
            evaluating()
            done = evaluations.next()
            again = done.trial.state != "running"
            trial = self._finish_again(done) if again else self._finish(done)
            if trial.state == "running":  # cut off by the end of the time
                more = False
                continue
            self._durations.append(done.seconds)
            self._n_failed += trial.state == "failed" and not again
            told(trial, again)
            if self._n_failed == len(self._durations) == _MAX_FIRST_FAILURES:
                raise MeasurementError(
                    f"the first {self._n_failed} trials all failed, the last one because: {trial.error}"
                )

    def _doubtful(self) -> Trial | None:
        trials = self._ledger.restated(self._problem.constraints)
        front = front_of(trials, self._problem.objectives, self._problem.constraints)
        outliers = self._sampler.outliers(trials)
        found = doubtful(trials, front, outliers, {*self._evaluations.trials, *self._in_vain})
        return None if found is None else self._ledger.trials[found.id]

    def _next(self, budget: int | None) -> Trial | None:
        """A trial that an earlier run left unfinished, or a new one."""
        trials = self._ledger.trials
        if self._left:
            return trials[self._left.pop(0)]
        known = self._ledger.restated(self._problem.constraints)
        answer = self._sampler.ask(known, self._evaluations.trials, budget)
        self._keep_notes()
        if answer == "wait" and not self._evaluations.trials:
            raise UsageError(f"the sampler '{self._sampler.name}' waits for trials, but none is running")
        if isinstance(answer, str):
            return None
        trial = begun(
            answer.architecture,
            self._description,
            key=len(trials),
            seed=self._problem.seed,
            predicted=dict(answer.predicted),
            origin=answer.origin,
        )
        self._ledger.begin(trial)
        return trial

    def _keep_notes(self) -> None:
        """Store what the sampler has found out since."""
        if self._sampler.notes != self._notes:
            self._notes = list(self._sampler.notes)
            self._ledger.flush({"notes": self._notes})

    def _finish(self, evaluated: Evaluated) -> Trial:
        """The trial with what came out for it; unchanged when it failed for want of time."""
        trial = finished(evaluated, self._problem.columns, self._problem.constraints, self._environment)
        if trial.state != "running":
            with without_interrupts():  # a result counts for all, or for none
                self._sampler.tell(trial)
                self._ledger.finish(trial, evaluated.seconds, self._evaluator.environment)
        return trial

    def _finish_again(self, evaluated: Evaluated) -> Trial:
        """The trial with what a further process has measured; unchanged where that has failed, or was disturbed."""
        trial = measured_again(evaluated, self._problem.columns, self._problem.constraints, self._environment)
        if trial is evaluated.trial:
            self._in_vain.add(trial.id)
        else:
            with without_interrupts():
                self._ledger.replace(trial)
        return trial
