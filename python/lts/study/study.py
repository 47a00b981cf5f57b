"""A study: a search, an evaluator and a store. It goes on where it was stopped, whatever stopped it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lts import _core
from lts._core import Architecture, Search, SearchSpace, analytic_names
from lts.errors import MeasurementError, UsageError
from lts.measure.evaluation import EvaluatorLike, problem_with
from lts.measure.function import FunctionEvaluator
from lts.measure.trial import Provenance, Trial
from lts.study.arguments import differences, population_for
from lts.study.cost_model import CostModel, SurrogateLike, surrogate_of
from lts.study.evaluations import Evaluated, Evaluations
from lts.study.front import Front, front_of
from lts.study.proposals import DEFAULT_BUDGET, LARGEST_BATCH, Proposal, Proposer
from lts.study.store import Store

DEFAULT_OBJECTIVES = ("decoder_params:max", "latency_ms:min", "peak_memory_mib:min")

_LEAST_TIME = 1e-3  # seconds; no candidate is measured in it
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
        Columns with "min" or "max"; by default more decoder parameters, and less of the costs that the evaluator has:
        latency and peak memory, or executed instructions.
    constraints
        Bounds such as ``"peak_memory_mib<=512"``.
    algorithm, algorithm_options, seed
        See `Search`.
    store
        Path of the SQLite file; None keeps the study in memory. A study found there is resumed when everything above
        is the same.

    surrogate
        "additive" predicts costs from the first measurements on (`lts.study.cost_model.Additive`): candidates evolve on
        predictions, and only those that the front is expected to gain most from are measured. "none" measures every
        candidate of the algorithm. Or a `lts.study.cost_model.SurrogateLike` of one's own.
    design
        Measurements before the first predictions; by default a share of the trials.

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
        surrogate: str | SurrogateLike = "none",
        design: int | None = None,
    ) -> None:
        self.evaluator: EvaluatorLike = (
            evaluator if isinstance(evaluator, EvaluatorLike) else FunctionEvaluator(evaluator)
        )
        options = dict(algorithm_options or {})
        try:
            default: Sequence[str] = getattr(self.evaluator, "default_objectives", DEFAULT_OBJECTIVES)
            fresh = Search(space, objectives or default, tuple(constraints), algorithm, seed, **options)
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
        self._proposer = self._make_proposer(fresh, surrogate, options, design)
        self._configuration["surrogate"] = "none" if self._proposer is None else self._proposer.surrogate.name
        self._proposals: list[Proposal] = []
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

    def _make_proposer(
        self, search: Search, given: str | SurrogateLike, options: Mapping[str, Any], design: int | None
    ) -> Proposer | None:
        """Nothing for a study that measures all candidates, or none."""
        surrogate = surrogate_of(given, getattr(self.evaluator, "priors", {}))
        measured = [name for name in search.columns if name not in analytic_names()]
        if surrogate is None or not measured:
            return None
        about = self.evaluator.describe()
        return Proposer(
            search.space,
            search.objectives,
            search.constraints,
            measured,
            surrogate,
            algorithm=search.algorithm,
            algorithm_options=options,
            workload={"n_prompt": about.get("n_prompt", 128), "precision": about.get("precision", "float32")},
            pool=self._pool(search.space),
            seed=search.seed,
            n_design=design,
        )

    def _pool(self, space: SearchSpace) -> list[Architecture] | None:
        """All that can be evaluated, where the evaluator knows; None when that is the whole space."""
        known: Sequence[Architecture] | None = getattr(self.evaluator, "architectures", None)
        if known is None:
            return None
        pool = [architecture for architecture in known if space.contains(architecture)]
        if not pool:
            raise UsageError("the evaluator has no architecture of the space; choose the space that they come from")
        return pool

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
    def settled(self) -> bool:
        """Whether the last run ended because further measurements were not expected to change the front."""
        return self._proposer is not None and self._proposer.settled

    @property
    def predicted_columns(self) -> tuple[str, ...]:
        """The columns that a surrogate predicts; none when every candidate is measured or counted."""
        return () if self._proposer is None else tuple(self._proposer.columns)

    @property
    def notes(self) -> list[str]:
        """What predicting the costs has shown, in sentences for people."""
        return [] if self._proposer is None else list(self._proposer.notes)

    @property
    def models(self) -> dict[str, CostModel]:
        """The models of the costs by column, as of the last batch."""
        return {} if self._proposer is None else dict(self._proposer.models)

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
        evaluations = Evaluations(self.evaluator, self.search.columns)
        try:
            self._loop(evaluations, trials, timeout, start, progress)
        finally:
            # Only an exception leaves anything running, and ending that takes the evaluator with it.
            self._closed = bool(evaluations.trials) and evaluations.parallel > 1
            evaluations.close()
        return self.front()

    def _loop(
        self,
        evaluations: Evaluations,
        trials: int | None,
        timeout: float | None,
        start: float,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        durations: list[float] = []
        n_failed = 0
        more = True
        while True:
            while more and len(evaluations.trials) < evaluations.parallel:
                left = None if timeout is None else timeout - (time.monotonic() - start)
                n = self.n_finished + len(evaluations.trials)
                enough = (trials is not None and n >= trials) or (
                    left is not None and left < max(durations[-5:], default=0.0)
                )
                trial = None if enough else self._next(evaluations.trials, trials)
                if trial is None:  # enough, or the space is used up
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
                progress(Progress(trial, self.n_finished, n_failed, trials, time.monotonic() - start, timeout))
            if n_failed == len(durations) == _MAX_FIRST_FAILURES:
                raise MeasurementError(f"the first {n_failed} trials all failed, the last one because: {trial.error}")

    def annotate(
        self,
        key: int,
        values: Mapping[str, float],
        provenance: Mapping[str, Provenance],
        deployed: str | None = None,
    ) -> Trial:
        """Add to a complete trial what was found out later, and store it. What the search was told does not change.

        `deployed` as in `Trial`; None leaves it as it is.

        Raises
        ------
        UsageError
            For a trial that is not complete, or a value of a column that the search was told.
        """
        trial = self._trials.get(key)
        if trial is None or trial.state != "complete":
            raise UsageError(f"trial {key} is not a complete trial of this study")
        if told := set(values) & set(self.search.columns):
            raise UsageError(f"trial {key} has its value of '{sorted(told)[0]}', which the search was told")
        self._trials[key] = replace(
            trial,
            values={**trial.values, **values},
            provenance={**trial.provenance, **provenance},
            deployed=deployed if deployed is not None else trial.deployed,
        )
        if self._store is not None:
            self._store.write(trials=(self._trials[key],))
        return self._trials[key]

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

    def _next(self, running: Collection[int], budget: int | None) -> Trial | None:
        """A trial that an earlier run left unfinished, or a new one, stored as running."""
        for candidate in self.search.pending():
            if candidate.id in running:
                continue
            known = self._trials.get(candidate.id)
            if known is not None and known.state in ("complete", "failed"):
                self._tell(known)  # an interrupt came between its result and the search
            else:
                predicted = known.predicted if known is not None else {}
                return self._keep(self._new_trial(candidate.id, candidate.architecture, predicted))
        while proposal := self._propose(budget):
            if (key := self.search.add(proposal.architecture)) is not None:
                return self._keep(self._new_trial(key, proposal.architecture, proposal.predicted))
        if self._proposer is not None:
            if self._proposer.settled or self._proposer.waiting:
                return None
            if self._proposer.pool is not None:
                return self._of_pool(self._proposer.pool)
        candidates = self.search.ask(1)
        if not candidates:
            return None
        return self._keep(self._new_trial(candidates[0].id, candidates[0].architecture))

    def _of_pool(self, pool: Sequence[Architecture]) -> Trial | None:
        """One that can be evaluated, and was not; nothing when all of them were."""
        for architecture in pool:
            if (key := self.search.add(architecture)) is not None:
                return self._keep(self._new_trial(key, architecture))
        return None

    def _propose(self, budget: int | None) -> Proposal | None:
        """What the surrogate would measure next; nothing without one, or when it has settled or is of no use."""
        if self._proposer is None or self._proposer.useless:
            return None
        if not self._proposals:
            self._proposals = self._proposer.propose(
                self.trials, budget or max(DEFAULT_BUDGET, len(self._trials) + LARGEST_BATCH)
            )
            if self._store is not None:
                self._store.write(meta={"notes": self.notes})
        return self._proposals.pop(0) if self._proposals else None

    def _new_trial(
        self, key: int, architecture: Architecture, predicted: Mapping[str, tuple[float, float, float]] | None = None
    ) -> Trial:
        description = self.evaluator.describe()
        return Trial(
            id=key,
            state="running",
            architecture=architecture,
            predicted=dict(predicted or {}),
            target=description.get("target", ""),
            device=description.get("device", ""),
            backend=description.get("backend", ""),
            seed=self._seed,
            lts_version=_core.__version__,
        )

    def _finish(self, evaluated: Evaluated) -> Trial:
        """The trial with what came out for it; unchanged when it failed for want of time."""
        trial, evaluation = evaluated.trial, evaluated.evaluation
        error = problem_with(evaluation, self.search.columns)
        if error is not None and evaluated.allowed is not None and evaluated.seconds >= evaluated.allowed:
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
        from lts.system.environment import environment_hash

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
