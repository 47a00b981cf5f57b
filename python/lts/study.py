"""A study: a search, an evaluator and a store. It goes on where it was stopped, whatever stopped it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lts import _core
from lts._core import Architecture, Search, SearchSpace
from lts.errors import MeasurementError, UsageError
from lts.evaluate import EvaluatorLike, FunctionEvaluator, problem_with
from lts.front import Front, front_of
from lts.store import Store
from lts.study_arguments import differences, population_for
from lts.trial import Trial

DEFAULT_OBJECTIVES = {"decoder_params": "max", "latency_ms": "min", "peak_memory_mib": "min"}

# A device that fails this often before its first success is not worth more trials.
_MAX_FIRST_FAILURES = 10


@dataclass(frozen=True)
class Progress:
    """What a progress callback gets after every trial."""

    trial: Trial
    n_finished: int
    n_failed: int
    trials: int | None
    seconds: float
    timeout: float | None


class Study:
    """Search a space with measured costs, keeping every trial on disk.

    Parameters
    ----------
    space
        What is searched.
    evaluator
        An `Evaluator`, anything like it, or a function from an `Architecture` to a dictionary of values.
    objectives
        Columns with "min" or "max"; by default more decoder parameters, less latency, less peak memory.
    constraints
        Bounds such as ``"peak_memory_mib<=512"``.
    algorithm, algorithm_options, seed
        See `Search`.
    store
        Path of the SQLite file; None keeps the study in memory. A study found there is resumed when everything above
        is the same.

    Raises
    ------
    UsageError
        For an argument that is wrong, or a store that holds another study (saying what differs).
    """

    def __init__(
        self,
        space: SearchSpace,
        evaluator: EvaluatorLike | Callable[[Architecture], Mapping[str, float]],
        *,
        objectives: Mapping[str, str] | Sequence[str] | None = None,
        constraints: Iterable[str] = (),
        algorithm: str = "lts",
        algorithm_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        store: str | Path | None = None,
    ) -> None:
        self.evaluator: EvaluatorLike = (
            evaluator if isinstance(evaluator, EvaluatorLike) else FunctionEvaluator(evaluator)
        )
        options = dict(algorithm_options or {})
        try:
            fresh = Search(space, objectives or DEFAULT_OBJECTIVES, tuple(constraints), algorithm, seed, **options)
        except (ValueError, TypeError) as error:
            raise UsageError(str(error)) from None
        self.evaluator.check(space, fresh.columns)
        self._configuration = {
            "space": json.loads(space.to_json()),
            "objectives": [str(o) for o in fresh.objectives],
            "constraints": [str(c) for c in fresh.constraints],
            "algorithm": algorithm,
            "algorithm_options": options,
            "seed": seed,
            **self.evaluator.describe(),
        }
        self._seed = seed
        self._environment_key: str | None = None
        self._store = Store(store, writable=True, create=True) if store is not None else None
        self._closed = False
        self._trials: dict[int, Trial] = {}
        self._unsaved: dict[int, Trial] = {}
        try:
            self.search = self._open(fresh)
            self._resumed = bool(self._trials)
        except BaseException:
            self.close()
            raise

    def _open(self, fresh: Search) -> Search:
        if self._store is None:
            return fresh
        stored = self._store.meta("study")
        trials = self._store.trials()
        if stored is None and not trials:
            self._store.write(meta={"study": self._configuration, "search": fresh.save()})
            return fresh
        if not isinstance(stored, dict):
            raise self._damaged("its arguments are missing")
        if differing := differences(stored, self._configuration):
            raise UsageError(
                f"{self._store.path} holds another study: {'; '.join(differing)}; "
                "repeat its arguments to resume it, or use another --store"
            )
        try:
            search = Search.load(str(self._store.meta("search")))
        except (ValueError, TypeError) as error:
            raise self._damaged(f"the state of the search: {error}") from None
        n_finished = sum(trial.state in ("complete", "failed") for trial in trials)
        if n_finished != search.n_told + search.n_failed:
            told = search.n_told + search.n_failed
            raise self._damaged(f"it has {n_finished} finished trials, and its search knows of {told}")
        self._trials = {trial.id: trial for trial in trials}
        return search

    def _damaged(self, what: str) -> UsageError:
        assert self._store is not None
        return UsageError(f"store {self._store.path} is damaged ({what}); restore a copy or use another --store")

    @property
    def resumed(self) -> bool:
        """Whether trials were found in the store."""
        return self._resumed

    @property
    def trials(self) -> list[Trial]:
        """All trials in the order they were handed out."""
        return [self._trials[key] for key in sorted(self._trials)]

    @property
    def n_finished(self) -> int:
        """How many trials are complete or failed."""
        return sum(trial.state in ("complete", "failed") for trial in self._trials.values())

    @property
    def environment_changed(self) -> bool:
        """Whether trials were evaluated on another machine, or with other software, than a trial now would be."""
        known = {trial.environment for trial in self._trials.values() if trial.environment}
        return bool(known - {self._environment()}) if known else False

    def front(self) -> Front:
        """The feasible, non-dominated trials, by the first objective."""
        return front_of(self.trials, self.search.objectives, self.search.constraints)

    def run(
        self,
        trials: int | None = None,
        timeout: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Front:
        """Evaluate candidates until the study has `trials` finished ones, or `timeout` seconds have passed.

        When the first run of a study is given fewer than 300 trials, and there are no `algorithm_options`, populations
        are smaller than published: a budget that the first, random population used up would be no search.

        A candidate is not begun when the time left is shorter than candidates have taken; one that the end of the
        time cuts off is taken up again by the next run. `KeyboardInterrupt` passes through, with every finished trial
        stored.

        Raises
        ------
        UsageError
            Neither bound given, one that is not above 0, or a store that cannot be written.
        MeasurementError
            When nothing can be measured: the first ten trials all failed.
        """
        if self._closed:
            raise UsageError("the study is closed; open it again to go on")
        if trials is None and timeout is None:
            raise UsageError("give a number of trials, a timeout, or both; a search has no other end")
        if trials is not None and trials < 1:
            raise UsageError(f"trials is {trials}; it must be at least 1")
        if timeout is not None and not timeout > 0:
            raise UsageError(f"the timeout is {timeout} s; it must be above 0")
        start = time.monotonic()
        if self.search.n_asked == 0 and not self._configuration["algorithm_options"]:
            new = self.search
            sizes = population_for(new.algorithm, trials)
            self.search = Search(new.space, new.objectives, new.constraints, new.algorithm, new.seed, **sizes)
        durations: list[float] = []
        n_failed = 0
        while trials is None or self.n_finished < trials:
            left = None if timeout is None else timeout - (time.monotonic() - start)
            if left is not None and left < max(durations[-5:], default=0.0):
                break
            trial = self._next()
            if trial is None:
                break  # the space is used up
            begun = time.monotonic()
            trial = self._evaluate(trial, left)
            if trial.state == "running":
                break  # cut off by the end of the time
            durations.append(time.monotonic() - begun)
            n_failed += trial.state == "failed"
            if progress is not None:
                progress(Progress(trial, self.n_finished, n_failed, trials, time.monotonic() - start, timeout))
            if n_failed == len(durations) == _MAX_FIRST_FAILURES:
                raise MeasurementError(f"the first {n_failed} trials all failed, the last one because: {trial.error}")
        return self.front()

    def close(self) -> None:
        """Release the store and the device."""
        self._closed = True
        if self._store is not None:
            self._store.close()
            self._store = None
        self.evaluator.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> Trial | None:
        """A trial that an earlier run left unfinished, or a new one, stored as running."""
        for candidate in self.search.pending():
            known = self._trials.get(candidate.id)
            if known is not None and known.state in ("complete", "failed"):
                self._tell(known)  # an interrupt came between its result and the search
            else:
                return self._keep(self._new_trial(candidate.id, candidate.architecture))
        candidates = self.search.ask(1)
        if not candidates:
            return None
        return self._keep(self._new_trial(candidates[0].id, candidates[0].architecture))

    def _new_trial(self, key: int, architecture: Architecture) -> Trial:
        description = self.evaluator.describe()
        return Trial(
            id=key,
            state="running",
            architecture=architecture,
            target=description.get("target", ""),
            device=description.get("device", ""),
            backend=description.get("backend", ""),
            seed=self._seed,
            lts_version=_core.__version__,
        )

    def _evaluate(self, trial: Trial, left: float | None) -> Trial:
        begun = time.monotonic()
        evaluation = self.evaluator.evaluate(trial.architecture, self.search.columns, left)
        error = problem_with(evaluation, self.search.columns)
        taken = max(time.monotonic() - begun, sum(evaluation.seconds.values()))
        if error is not None and left is not None and taken >= left:
            return trial
        values = {name: _plain(value) for name, value in evaluation.values.items() if math.isfinite(value)}
        done = replace(
            trial,
            state="complete" if error is None else "failed",
            values=values,
            provenance={name: p for name, p in evaluation.provenance.items() if name in values},
            interval={name: bounds for name, bounds in evaluation.interval.items() if all(map(math.isfinite, bounds))},
            samples_ns=evaluation.samples_ns,
            mad=evaluation.mad,
            feasible=all(c.holds(values[c.name]) for c in self.search.constraints) if error is None else None,
            error=error,
            warnings=evaluation.warnings,
            seconds=evaluation.seconds,
            environment=evaluation.environment or self._environment(),
            time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        return self._keep(done)

    def _tell(self, trial: Trial) -> None:
        if trial.state == "complete":
            self.search.tell(trial.id, {name: trial.values[name] for name in self.search.columns})
        elif trial.state == "failed":
            self.search.tell_failed(trial.id)

    def _environment(self) -> str:
        from lts.environment import environment_hash

        return environment_hash(self.evaluator.environment())

    def _keep(self, trial: Trial) -> Trial:
        """Store the trial together with the state of the search that follows from it."""
        # In memory first: whatever interrupts the rest, the result is there and the next write has it.
        self._trials[trial.id] = self._unsaved[trial.id] = trial
        self._tell(trial)
        if self._store is not None:
            if trial.environment and trial.environment != self._environment_key:
                self._store.add_environment(trial.environment, self.evaluator.environment())
                self._environment_key = trial.environment
            self._store.write(trials=tuple(self._unsaved.values()), meta={"search": self.search.save()})
        self._unsaved.clear()
        return trial


def _plain(value: float) -> float:
    """The number as JSON knows it; an evaluator may give one of NumPy's."""
    return value if isinstance(value, int | float) else float(value)
