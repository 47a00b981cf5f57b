"""A study: a sampler, an evaluator and a store. It resumes where it was stopped, whatever stopped it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lts._core import Architecture, Constraint, Objective, SearchSpace
from lts.errors import UsageError
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.measure.outcome import Provenance
from lts.measure.trial import Trial
from lts.study.baselines import Baseline, Baselines, checked
from lts.study.cost_model import CostModel, SurrogateLike
from lts.study.dataframe import Tabular
from lts.study.distinct import distinct_front, front_notes
from lts.study.front import Front
from lts.study.kinds import sampler_for
from lts.study.ledger import Ledger
from lts.study.loop import Loop, Progress
from lts.study.notebook import study_html
from lts.study.plan import algorithm_for, surrogate_for, trials_for
from lts.study.problem import beside, described, problem_of, search_for
from lts.study.resume import opened, replay, seed_front_of
from lts.study.sampler import Sampler
from lts.study.seeded import chosen_by
from lts.study.store import Store
from lts.system.environment import environment_hash
from lts.system.progress import Observer, unobserved


class Study(Tabular):
    """Search a space for the Pareto front of its members' values, keeping every trial on disk.

    Parameters
    ----------
    space
        What is searched.
    evaluator
        An `Evaluator`, or a function from an `Architecture` to a dictionary of values. The study does not close it.
    objectives
        Columns with "min" or "max"; by default more decoder parameters, and less of the costs that the evaluator has:
        latency and peak memory, or executed instructions.
    constraints
        Bounds such as ``"peak_memory_mib<=512"``.
    algorithm, algorithm_options, seed
        See `Search`; by default "lts", and "nsga2" where the core itself computes the costs.
    store
        Path of the SQLite file; None keeps the study in memory. A study found there is resumed when everything above
        is the same.
    surrogate
        "additive" predicts costs from the first measurements on (`lts.study.cost_model.Additive`): candidates evolve on
        predictions, and only those that the front is expected to gain most from are measured. "none" measures every
        candidate of the algorithm. "layers" is as "additive", and predicts qualities of the sub-networks of one
        super-network by layer (`lts.LayerQuality`). Or a `lts.study.cost_model.SurrogateLike` of your own. By default
        what `lts-engine search` does: "additive" for an evaluator that measures.
    design
        Number of measurements before the first predictions; by default a share of the trials.
    sampler
        Name in the entry point group ``lts.samplers`` of what decides instead of algorithm and surrogate; it gets
        `algorithm_options`.
    seed_front
        A counted column: the first population is the front of it and of predicted costs (`lts.study.seeded`); by
        default "decoder_params" where quality is evaluated without a surrogate. "none": random.
    baselines
        What the front is compared with, by name: architectures, files, folders or ``STUDY#ID``; measured first, once.

    Raises
    ------
    UsageError
        For an argument that is wrong, or a store that holds another study (saying what differs).
    """

    def __init__(
        self,
        space: SearchSpace,
        evaluator: Evaluator | Callable[[Architecture], Mapping[str, float]],
        *,
        objectives: Mapping[str, str] | Sequence[str] | None = None,
        constraints: Iterable[str] = (),
        algorithm: str | None = None,
        algorithm_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        store: str | Path | None = None,
        surrogate: str | SurrogateLike | None = None,
        design: int | None = None,
        sampler: str | None = None,
        seed_front: str | None = None,
        baselines: Mapping[str, Architecture | str | Path] | None = None,
    ) -> None:
        self.evaluator = evaluator if isinstance(evaluator, Evaluator) else FunctionEvaluator(evaluator)
        options = dict(algorithm_options or {})
        algorithm = algorithm or algorithm_for(self.evaluator)
        goals = objectives or self.evaluator.default_objectives
        search = search_for(space, goals, constraints, algorithm, seed, {} if sampler else options)
        self._description = self.evaluator.describe()
        self._problem = problem_of(search, self.evaluator)
        self.evaluator.check(space, self._problem.columns)
        compared = checked(baselines or {}, self.evaluator, self._problem)
        self._sampler = sampler_for(
            beside(self._problem, compared.values()),
            self.evaluator,
            search,
            options,
            surrogate=surrogate_for(self.evaluator, algorithm) if surrogate is None else surrogate,
            design=design,
            name=sampler,
            seed_front=seed_front_of(store) if seed_front is None else seed_front,
        )
        self._configuration = {**described(search, options), **self._description, **chosen_by(self._sampler)}
        self._closed = False
        self._store = Store(store, writable=True, create=True) if store is not None else None
        try:
            records = [] if self._store is None else opened(self._store, self._configuration)
            if records and self._store is not None:
                self._problem.limits.remember(self._store.meta("study"))
            self._ledger = Ledger(self.objectives, self._store, records)
            self._baselines = Baselines(compared, self._problem, self.evaluator, self._description, self._store)
            if self._store is not None:
                replay(self._store, records, self._sampler)
        except BaseException:
            self.close()
            raise
        self._resumed = bool(records)

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        return self._problem.space

    @property
    def objectives(self) -> Sequence[Objective]:
        """What is optimized."""
        return self._problem.objectives

    @property
    def constraints(self) -> Sequence[Constraint]:
        """The bounds."""
        return self._problem.constraints

    @property
    def columns(self) -> Sequence[str]:
        """What every complete trial has a value of: the objectives, and the columns that only constraints use."""
        return self._problem.columns

    @property
    def sampler(self) -> Sampler:
        """What decides which architecture is evaluated next."""
        return self._sampler

    @property
    def resumed(self) -> bool:
        """Whether trials were found in the store."""
        return self._resumed

    @property
    def trials(self) -> list[Trial]:
        """All trials in the order in which they were handed out, as all processes together have measured them."""
        return [*self._ledger.restated(self.constraints)]

    @property
    def baselines(self) -> list[Baseline]:
        """What is known of the baselines, also of those that earlier runs have measured."""
        return self._baselines.restated(self._ledger.trials)

    @property
    def n_finished(self) -> int:
        """Number of trials that are complete or failed."""
        return self._ledger.n_finished

    @property
    def settled(self) -> bool:
        """Whether the last run ended because further trials were not expected to change the front."""
        return self._sampler.settled

    @property
    def hopeless(self) -> str:
        """Why nothing that the last run has found may be run, in a phrase; empty where something may."""
        return self._sampler.hopeless

    @property
    def predicted_columns(self) -> tuple[str, ...]:
        """The columns that a surrogate predicts; none when every candidate is measured or counted."""
        return tuple(self._sampler.predicts)

    @property
    def notes(self) -> list[str]:
        """What the sampler has found out and what measuring again has shown, in sentences for people."""
        return [*self._sampler.notes, *front_notes(self.front(), self._ledger.trials, self.columns)]

    @property
    def models(self) -> dict[str, CostModel]:
        """The models of the costs by column, as of the last batch."""
        return dict(self._sampler.models)

    @property
    def environment_changed(self) -> bool:
        """Whether trials were evaluated on another machine, or with other software, than a trial now would be."""
        known = {trial.environment for trial in self._ledger.trials if trial.environment}
        return bool(known - {environment_hash(self.evaluator.environment())}) if known else False

    def front(self) -> Front:
        """The feasible, non-dominated trials, by the first objective, as far as their intervals tell them apart."""
        return distinct_front(self._ledger.restated(self.constraints), self.objectives, self.constraints)

    def run(
        self,
        trials: int | None = None,
        timeout: float | None = None,
        progress: Callable[[Progress], None] | None = None,
        *,
        confirm: bool = True,
        observe: Observer = unobserved,
    ) -> Front:
        """Evaluate candidates until the study has `trials` finished ones, or `timeout` seconds have passed.

        Without both, `lts.study.plan` says how many trials: as `lts-engine search` has by default. Where the core
        itself computes the costs, `trials` is the number of candidates that evolve on them, and the members of their
        front become trials.

        A candidate is not begun when the time left is shorter than candidates have taken; one that the end of the
        time cuts off is taken up again by the next run. `KeyboardInterrupt` passes through, with every finished trial
        stored. `progress` gets every trial that has ended, `observe` what is running.

        Where what an evaluator measures varies, `confirm` adds further processes, at most half as many as trials, so
        that intervals hold from run to run: see `lts.study.confirm`.

        Raises
        ------
        UsageError
            A bound that is not above 0, or a store that cannot be written.
        MeasurementError
            When nothing can be measured: the first ten trials all failed.
        """
        if self._closed:
            raise UsageError("the study is closed; open it again to resume it")
        if trials is None and timeout is None:
            trials = trials_for(self.evaluator, self.predicted_columns)
        if trials is not None and trials < 1:
            raise UsageError(f"trials is {trials}; it must be at least 1")
        if timeout is not None and not timeout > 0:
            raise UsageError(f"the timeout is {timeout} s; it must be above 0")
        timeout = self.measure_baselines(timeout, confirm=confirm)
        self._sampler.start(trials, timeout)
        if not self._ledger.trials:
            self._ledger.snapshot(self._sampler.save())
        loop = Loop(self._problem, self.evaluator, self._sampler, self._ledger, self._description)
        try:
            again = confirm and self.evaluator.varies and bool(self._problem.measured)
            loop.run(trials, timeout, progress, again, observe)
        finally:
            # Only an exception leaves anything running, and ending that takes the device with it.
            self._closed = loop.cut_off
            loop.close()
            self._ledger.flush()
        self._ledger.snapshot(self._sampler.save())
        return self.front()

    def measure_baselines(
        self, timeout: float | None = None, told: Callable[[Baseline], None] | None = None, *, confirm: bool = True
    ) -> float | None:
        """Measure the baselines, as `run` does first; the time that is left. `told` gets each of them."""
        return self._baselines.measure(timeout, confirm=confirm and self.evaluator.varies, told=told)

    def annotate(
        self, key: int, values: Mapping[str, float], provenance: Mapping[str, Provenance], deployed: str | None = None
    ) -> Trial:
        """Add to a complete trial what was found out later, and store it. What the sampler was told does not change.

        `deployed` as in `Trial`; None leaves it as it is.

        Raises
        ------
        UsageError
            For a trial that is not complete, or a value of a column that the sampler was told.
        """
        return self._ledger.annotate(key, values, provenance, deployed, told=self.columns)

    def close(self) -> None:
        """Release the store. The evaluator stays open: it may serve another study."""
        self._closed = True
        if self._store is not None:
            self._store.close()
            self._store = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        found = f"{self.n_finished} trials, front {len(self._ledger.archive)}"
        return f"<Study of {self.space.name} for {', '.join(map(str, self.objectives))}: {found}>"

    def _repr_html_(self) -> str:
        return study_html(self.space.name, self.trials, self.front()._repr_html_(), self.notes)
