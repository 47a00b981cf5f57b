"""The trials of a study: in memory, counted as they come, and in the store as soon as that is worth its time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lts._core import Constraint, Objective, ParetoArchive
from lts.errors import UsageError
from lts.measure.outcome import Provenance
from lts.measure.trial import Trial
from lts.study.front import minimized
from lts.study.rows import Stored
from lts.study.spread import restated
from lts.study.store import Store

# Seconds of evaluating from which on a result is stored at once, even where storing takes longer.
_CHEAP = 0.01


class Ledger:
    """All trials of a study, by id.

    Parameters
    ----------
    objectives
        Objectives of the study, whose front is kept.
    store
        Where trials are stored; None keeps them in memory.
    records
        What the store holds already.

    Attributes
    ----------
    trials : list
        The trials; the id of each is its index.
    n_finished : int
        Number of trials that are complete or failed.
    archive : ParetoArchive
        The feasible, non-dominated trials.
    """

    def __init__(self, objectives: Sequence[Objective], store: Store | None, records: Iterable[Stored] = ()) -> None:
        self.trials: list[Trial] = []
        self.n_finished = 0
        self.archive = ParetoArchive(len(objectives))
        self._objectives = objectives
        self._store = store
        self._several = False
        self._begun: list[int | None] = []
        self._environments: set[str] = set()
        for stored in records:
            self.trials.append(stored.trial)
            self._begun.append(stored.begun)
            self._several |= bool(stored.trial.rounds)
            self._count(stored.trial)

    def unfinished(self) -> list[int]:
        """Ids of the trials that were begun and have no result."""
        return [trial.id for trial in self.trials if trial.state == "running"]

    def begin(self, trial: Trial) -> None:
        """Add a trial that is handed out."""
        self.trials.append(trial)
        self._begun.append(self.n_finished)
        if self._store is not None:
            self._store.put(Stored(trial, self.n_finished))

    def finish(self, trial: Trial, seconds: float, environment: Callable[[], dict[str, Any]]) -> None:
        """Take a result that took so many seconds, and store it: at once, unless evaluating took less than storing.

        `environment` describes the machine, for a hash of it that is not stored yet.
        """
        ended = self.n_finished
        self.trials[trial.id] = trial
        self._count(trial)
        if self._store is None:
            return
        if trial.environment not in self._environments:
            self._store.add_environment(trial.environment, environment())
            self._environments.add(trial.environment)
        self._store.put(Stored(trial, self._begun[trial.id], ended))
        if seconds >= min(self._store.commit_seconds, _CHEAP):
            self._store.flush()

    def restated(self, constraints: Sequence[Constraint]) -> list[Trial]:
        """The trials as all processes together have measured them: see `lts.study.spread.restated`."""
        return restated(self.trials, constraints) if self._several else self.trials

    def replace(self, trial: Trial) -> None:
        """Change what is known of a finished trial, durably."""
        self.trials[trial.id] = trial
        self._several |= bool(trial.rounds)
        if self._store is not None:
            self._store.annotate(trial)

    def annotate(
        self,
        key: int,
        values: Mapping[str, float],
        provenance: Mapping[str, Provenance],
        deployed: str | None,
        *,
        told: Sequence[str],
    ) -> Trial:
        """Add to a complete trial, as `Study.annotate`; `told` are the columns that the sampler was told."""
        if not 0 <= key < len(self.trials) or self.trials[key].state != "complete":
            raise UsageError(f"trial {key} is not a complete trial of this study")
        if known := set(values) & set(told):
            raise UsageError(f"trial {key} has its value of '{sorted(known)[0]}', which the search was told")
        trial = self.trials[key]
        trial = replace(
            trial,
            values={**trial.values, **values},
            provenance={**trial.provenance, **provenance},
            deployed=deployed if deployed is not None else trial.deployed,
        )
        self.replace(trial)
        return trial

    def flush(self, meta: Mapping[str, Any] | None = None) -> None:
        """Store everything that is not stored yet, and meta values with it."""
        if self._store is not None:
            self._store.flush(meta)

    def snapshot(self, state: Any) -> None:
        """Store the state of the sampler, which knows all trials so far."""
        self.flush({"sampler": {"state": state, "begun": len(self.trials), "ended": self.n_finished}})

    def _count(self, trial: Trial) -> None:
        self.n_finished += trial.state in ("complete", "failed")
        if trial.state == "complete" and trial.feasible:
            self.archive.insert(minimized([trial], self._objectives), [trial.id])
