"""Candidates evaluated by workers of an engine: on other machines, or in processes of this one."""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any

from lts._core import Architecture, SearchSpace, __version__
from lts.devices.device import Device
from lts.errors import MeasurementError, UsageError, first_line
from lts.measure.evaluator import CoreModel, Evaluator, TargetEvaluator
from lts.measure.outcome import Outcome
from lts.measure.record import checked
from lts.measure.workers import elsewhere
from lts.measure.workers.answer import FaultError, answer_of, differences
from lts.measure.workers.crew import Crew, ExecutorCrew, reach_crew
from lts.system.environment import environment_hash
from lts.system.outside import sentence

# Workers that an architecture is tried on: when so many are lost, it is to blame.
_ATTEMPTS = 3
# Seconds that a worker gets, beyond the time for an architecture, to say that this was not enough.
_GRACE = 5.0
_NOTHING = object()


class DistributedEvaluator(Evaluator):
    """Has the workers of an engine evaluate; all else is that of an evaluator here. Opened by `on_workers`.

    Every worker opens an evaluator of its own, with the first architecture, and evaluates one at a time. When a worker
    is lost, another one gets its architecture. What a study stores does not name the workers: it resumes with others.

    Parameters
    ----------
    inner
        The same evaluator, opened here, which says what it gives and checks; closed with this one.
    make
        Opens the evaluator in a worker: a function, with its arguments, that can be pickled.
    crew
        The workers; closed with this evaluator.

    Raises
    ------
    UsageError
        When workers have another version of lts-engine, or are different machines while values are measured.
    MeasurementError
        When a worker cannot open the evaluator.
    """

    def __init__(self, inner: Evaluator, make: Callable[[], Evaluator], crew: Crew) -> None:
        self.inner = inner
        self.parallel = crew.size
        self.costs = inner.costs
        self.surrogate = inner.surrogate
        self.provenance = inner.provenance
        self.varies = inner.varies
        self.compiles = inner.compiles
        self.architectures = inner.architectures
        self.priors = inner.priors
        self._crew = crew
        self._recipe = _pickled(make)
        self._stops = 0
        self._running: dict[Future[Any], threading.Event] = {}
        self._environment = self._agreed()
        self._hash = environment_hash(self._environment)

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        """As the evaluator of a worker.

        Raises
        ------
        MeasurementError
            When no worker is left, or none can evaluate at all.
        """
        stops = self._stops
        end = math.inf if timeout is None else time.monotonic() + timeout
        lost: list[str] = []
        faults: list[str] = []
        while len(lost) + len(faults) < _ATTEMPTS:
            left = None if timeout is None else end - time.monotonic()
            if left is not None and left <= 0:
                return Outcome(error=f"no result within {timeout:.3g} s")
            try:
                future = self._crew.submit(
                    elsewhere.evaluate, self._recipe, architecture.to_json(), list(columns), left
                )
                said = self._awaited(future, end, stops)
                if self._stops != stops:
                    return Outcome(error="the evaluator was stopped")
                if said is not _NOTHING:
                    return self._outcome(said)
            except MeasurementError:
                raise
            except FaultError as fault:
                faults.append(str(fault))
            except Exception as error:  # whatever the engine makes of a worker that is gone
                lost.append(f"a worker was lost: {type(error).__name__}: {sentence(first_line(error))}")
                self._crew.check()
        if len(faults) == _ATTEMPTS:  # no candidate is to blame
            raise MeasurementError(faults[-1])
        return Outcome(error="; ".join(dict.fromkeys([*lost, *faults])))

    @property
    def default_objectives(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.inner.default_objectives)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        self.inner.check(space, columns)

    def check_architecture(self, architecture: Architecture, columns: Iterable[str]) -> None:
        self.inner.check_architecture(architecture, columns)

    def first(self, n: int, kept: Callable[[Iterable[Architecture]], list[Architecture]]) -> Sequence[Architecture]:
        return self.inner.first(n, kept)

    def environment(self) -> dict[str, Any]:
        """That of the workers."""
        return self._environment

    def cost_models(self, space: SearchSpace, columns: Iterable[str]) -> Mapping[str, CoreModel] | None:
        return self.inner.cost_models(space, columns)

    def stop(self) -> None:
        self._stops += 1
        for over in list(self._running.values()):
            over.set()

    def close(self) -> None:
        self.stop()
        self._crew.close()
        self.inner.close()

    def _awaited(self, future: Future[Any], end: float, stops: int) -> Any:
        """What a worker says; `_NOTHING` when the time is over, or this was stopped."""
        over = threading.Event()
        future.add_done_callback(lambda _: over.set())
        self._running[future] = over
        try:
            if self._stops == stops:
                over.wait(None if end == math.inf else max(0.0, end - time.monotonic()) + _GRACE)
            if self._stops == stops and future.done():
                return future.result()
            future.cancel()
            return _NOTHING
        finally:
            del self._running[future]

    def _outcome(self, said: Any) -> Outcome:
        """The outcome in a worker's answer, checked. Raises `FaultError` when it has none for us."""
        answer = answer_of(said)
        outcome = answer.get("outcome")
        if not isinstance(outcome, dict):
            raise FaultError("a worker's answer is wrong: it has no outcome")
        try:
            checked(outcome)
            bounds = {name: (low, high) for name, (low, high) in outcome.get("interval", {}).items()}
            found = Outcome(**{**outcome, "interval": bounds})
        except (TypeError, ValueError) as error:
            raise FaultError(f"a worker's answer is wrong: {sentence(error)}") from None
        if self._same and found.environment != self._hash:
            raise FaultError(
                f"the worker {answer['name']} is another machine than those that measured before, or has other "
                "software; measure on machines of one kind"
            )
        return found

    @property
    def _same(self) -> bool:
        """Whether all workers have to be machines of one kind: times of different ones do not belong together."""
        return self.provenance == "measured" and self.varies

    def _agreed(self) -> dict[str, Any]:
        """The environment of the workers. Raises when they are not fit, or do not agree."""
        found: dict[str, dict[str, Any]] = {}
        for name, said in self._crew.survey(elsewhere.hello, self._recipe).items():
            if isinstance(said, ModuleNotFoundError):
                raise UsageError(f"the worker {name} has no lts-engine ({said}); install {__version__} there")
            if isinstance(said, Exception):
                raise MeasurementError(f"the worker {name} does not answer: {sentence(first_line(said))}")
            try:
                environment = answer_of(said)["environment"]
            except (FaultError, KeyError) as error:
                raise MeasurementError(f"the worker {name} cannot evaluate: {error}") from None
            if not isinstance(environment, dict):
                raise MeasurementError(f"the worker {name} does not say what machine it is")
            found[name] = environment
        if not found:
            raise MeasurementError("there are no workers")
        (first, environment), *others = found.items()
        for name, other in others:
            if self._same and environment_hash(other) != environment_hash(environment):
                raise UsageError(f"the workers {first} and {name} differ: {differences(environment, other)}")
        return environment


class DistributedTargetEvaluator(DistributedEvaluator, TargetEvaluator):
    """The same where values hold for a target."""

    inner: TargetEvaluator

    def __init__(self, inner: TargetEvaluator, make: Callable[[], Evaluator], crew: Crew) -> None:
        TargetEvaluator.__init__(self, inner.target, inner.device_name, inner.backend_name, inner.workload)
        DistributedEvaluator.__init__(self, inner, make, crew)

    @property
    def device(self) -> Device | None:
        """The device that is open here: what comes out of a search is checked on it."""
        return self.inner.device

    @property
    def no_energy(self) -> str:
        return self.inner.no_energy

    def tuning(self) -> dict[str, Any]:
        return self.inner.tuning()


def on_workers(
    make: Callable[[], Evaluator],
    workers: str | Executor | Crew,
    *,
    parallel: int = 1,
    inner: Evaluator | None = None,
) -> DistributedEvaluator:
    """An evaluator whose architectures are evaluated by workers.

    Parameters
    ----------
    make
        Opens the evaluator, here and in each worker: a function, with its arguments, that can be pickled.
    workers
        The URI of an engine, see `lts.measure.workers.crew.FORMS`, or any executor; that stays open.
    parallel
        How many calls an executor runs at the same time.
    inner
        What `make` gives, where that is open already.

    Raises
    ------
    UsageError, MeasurementError
        See `lts.measure.workers.crew.reach_crew` and `DistributedEvaluator`.
    """
    if isinstance(workers, Executor):
        crew: Crew = ExecutorCrew(workers, parallel)
    else:
        crew = reach_crew(workers) if isinstance(workers, str) else workers
    try:
        inner = make() if inner is None else inner
        kind = DistributedTargetEvaluator if isinstance(inner, TargetEvaluator) else DistributedEvaluator
        return kind(inner, make, crew)  # type: ignore[arg-type]
    except BaseException:
        crew.close()
        if inner is not None:
            with suppress(Exception):
                inner.close()
        raise


def _pickled(make: Callable[[], Evaluator]) -> bytes:
    """As bytes for workers. cloudpickle, where it is there, also takes functions of a notebook."""
    try:
        from cloudpickle import dumps
    except ImportError:
        from pickle import dumps
    try:
        return bytes(dumps(make))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise UsageError(f"what opens the evaluator cannot be sent to workers: {first_line(error)}") from None
