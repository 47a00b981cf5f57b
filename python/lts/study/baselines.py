"""Baselines: models of a user's own, measured like candidates and kept beside them, that a front is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lts._core import Architecture, Constraint
from lts.errors import UsageError
from lts.measure.evaluator import Evaluator
from lts.measure.outcome import shown
from lts.measure.trial import Trial
from lts.study.architectures import load_architecture
from lts.study.evaluations import begun, evaluate
from lts.study.finishing import with_process
from lts.study.limits import Limits
from lts.study.problem import Problem
from lts.study.resume import damaged
from lts.study.spread import CONFIRMED, n_processes, restated
from lts.study.store import Store
from lts.system.environment import environment_hash

KEY = "baselines"
"""The entry of a store that has them."""

_LEAST_TIME = 1e-3
_MOST, _MOST_NAME = 1_000, 1_000


@dataclass(frozen=True)
class Baseline:
    """What a front is compared with.

    Parameters
    ----------
    name
        What the user calls it.
    trial
        What was measured of it; its id is its place among the baselines, and says nothing of the study's trials.
    """

    name: str
    trial: Trial


class Baselines:
    """The baselines of a study, measured once.

    They are no trials of the study, and not in its front. Samplers that predict know how large they are
    (`lts.study.problem.beside`).

    Parameters
    ----------
    wanted
        Architectures by name, `checked`.
    problem, evaluator, description
        The columns to measure, by what, and what that says of itself.
    store
        Where they are kept; None keeps them in memory.
    """

    def __init__(
        self,
        wanted: Mapping[str, Architecture],
        problem: Problem,
        evaluator: Evaluator,
        description: Mapping[str, Any],
        store: Store | None,
    ) -> None:
        self._problem = problem
        self._evaluator = evaluator
        self._description = description
        self._store = store
        self._wanted = dict(wanted)
        self._known: dict[str, Trial] = {}
        if store is not None:
            try:
                self._known = {each.name: each.trial for each in from_entry(store.meta(KEY), problem.columns)}
            except (KeyError, TypeError, ValueError) as error:
                raise damaged(store, str(error)) from None

    def measure(
        self, timeout: float | None, *, confirm: bool, told: Callable[[Baseline], None] | None = None
    ) -> float | None:
        """Measure those that are not there yet, in as many processes as confirm a cost where `confirm` says so.

        One that failed is measured again; one that `timeout` cuts off is left to the next run. `told` gets each that
        was measured or cut off, which is "running". The time that is left comes back, which is never nothing.
        """
        end = None if timeout is None else time.monotonic() + timeout
        environment = ""
        for name, architecture in self._wanted.items():
            trial = self._known.get(name)
            if trial is None or trial.architecture != architecture or trial.state != "complete":
                trial = begun(architecture, self._description, key=0, seed=self._problem.seed, origin="baseline")
            before = None if trial.state == "running" else trial
            for _ in range(CONFIRMED if confirm else 1):
                left = None if end is None else end - time.monotonic()
                done = trial.state == "complete" and n_processes(trial) >= (CONFIRMED if confirm else 1)
                if done or (left is not None and left <= 0):
                    break
                environment = environment or environment_hash(self._evaluator.environment())
                after = self._evaluated(trial, left, environment)
                if after is trial:  # cut off, or a further process that failed
                    break
                trial = after
                self._keep(name, trial)
                if trial.state == "failed":
                    break
            if told is not None and trial is not before:
                told(Baseline(name, trial))
        return None if end is None else max(_LEAST_TIME, end - time.monotonic())

    def restated(self, trials: Sequence[Trial]) -> list[Baseline]:
        """What is known of them, with intervals that hold from process to process; `trials` are the study's."""
        return together([Baseline(name, trial) for name, trial in self._known.items()], trials, ())

    def _evaluated(self, trial: Trial, left: float | None, environment: str) -> Trial:
        """The trial with what one process more has measured; unchanged when the time was not enough for it."""
        done = evaluate(self._evaluator, trial, self._problem.columns, left)
        return with_process(done, self._problem.columns, self._problem.constraints, environment)

    def _keep(self, name: str, trial: Trial) -> None:
        self._known = {**self._known, name: trial}
        self._known = {key: replace(each, id=i) for i, (key, each) in enumerate(self._known.items())}
        if self._store is not None:
            self._store.add_environment(trial.environment, self._evaluator.environment())
            self._store.flush({KEY: [{"name": key, "record": each.record()} for key, each in self._known.items()]})


def read(given: Mapping[str, Architecture | str | Path]) -> dict[str, Architecture]:
    """The architectures of baselines, by name. Raises `UsageError` for one that cannot be read, naming it."""
    found = {}
    for name, each in given.items():
        if not _is_name(name):
            raise UsageError(f"a baseline is called {shown(name)}; expected 1 to {_MOST_NAME} printable characters")
        try:
            found[name] = each if isinstance(each, Architecture) else load_architecture(str(each))
        except UsageError as error:
            message = str(error.args[0])
            where = "" if message.startswith(str(each)) else f" {name}:"
            raise UsageError(f"baseline{where} {message}") from None
    return found


def checked(
    given: Mapping[str, Architecture | str | Path], evaluator: Evaluator, problem: Problem
) -> dict[str, Architecture]:
    """As `read`, of what the evaluator can measure. Raises `UsageError` for one that it cannot, too.

    What needs more than the memory of the target by estimate is refused; the bounds of the study do not count.
    """
    memory = Limits((), problem.limits.workload, problem.limits.memory_mib)
    found = read(given)
    for name, architecture in found.items():
        try:
            evaluator.check_architecture(architecture, problem.columns)
        except UsageError as error:
            raise UsageError(f"baseline {name}: {error.args[0]}") from None
        if reason := memory.exclude(architecture):
            raise UsageError(f"baseline {name} is {reason}")
    return found


def from_entry(value: Any, columns: Sequence[str]) -> list[Baseline]:
    """The baselines in a store's entry, with values of these columns where they were measured.

    Raises
    ------
    KeyError, TypeError, ValueError
        For an entry that is damaged, or that is none.
    """
    if value is None:
        return []
    if type(value) is not list or len(value) > _MOST:
        raise TypeError("its baselines are no list")
    found = []
    for each in value:
        if type(each) is not dict or type(each.get("name")) is not str or not _is_name(each["name"]):
            raise TypeError("a baseline has no name")
        trial = Trial.from_record(each["record"])
        needed = {*columns, *trial.provenance, *trial.rounds} if trial.state == "complete" else set()
        if trial.state not in ("complete", "failed") or not needed <= trial.values.keys():
            raise ValueError("a baseline lacks its result")
        found.append(Baseline(each["name"], trial))
    if len({each.name for each in found}) < len(found):
        raise ValueError("two baselines have the same name")
    return found


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _MOST_NAME and text.isprintable()


def together(
    baselines: Sequence[Baseline], trials: Sequence[Trial], constraints: Sequence[Constraint]
) -> list[Baseline]:
    """The baselines as all their processes have measured them; how much processes differ, the trials say as well."""
    known = restated([*trials, *(each.trial for each in baselines)], constraints)[len(trials) :]
    return [replace(each, trial=trial) for each, trial in zip(baselines, known, strict=True)]
