"""What a report shows: one reading of a study's store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from lts._core import SearchSpace
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.front import hypervolume_history
from lts.study.stored import StoredStudy, read_study
from lts.system.outside import sentence
from lts.system.text import unit
from lts.targets.workload import Workload

LONGEST = 80
"""Characters of a name that somebody else gave, in headings and labels; all of it stands in the summary."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Charted(StoredStudy):
    """A study as charts show it."""

    @property
    def objectives(self) -> list[str]:
        """Names of the columns that are optimized."""
        return [objective.name for objective in self.front.objectives]

    @property
    def workload(self) -> Workload | None:
        """What was run, where the study says. Raises `UsageError` when it says what there is not."""
        return Workload.of(self.configuration) if "n_prompt" in self.configuration else None

    @cached_property
    def complete(self) -> list[Trial]:
        """Trials with a value for every column."""
        return [trial for trial in self.trials if trial.state == "complete"]

    @cached_property
    def failed(self) -> list[Trial]:
        """Trials that could not be evaluated."""
        return [trial for trial in self.trials if trial.state == "failed"]

    @cached_property
    def unfinished(self) -> list[Trial]:
        """Trials that are being evaluated, or were when the search stopped."""
        return [trial for trial in self.trials if trial.state in ("waiting", "running")]

    @cached_property
    def infeasible(self) -> list[Trial]:
        """Complete trials that violate a constraint."""
        return [
            trial
            for trial in self.complete
            if not all(constraint.holds(trial.values[constraint.name]) for constraint in self.constraints)
        ]

    @cached_property
    def dominated(self) -> list[Trial]:
        """Complete, feasible trials that are not on the front."""
        other = {trial.id for trial in self.front.trials} | {trial.id for trial in self.infeasible}
        return [trial for trial in self.complete if trial.id not in other]

    @cached_property
    def knee(self) -> Trial | None:
        """The knee of the front; None when the front is empty or a single point."""
        return self.front.knee() if len(self.front) > 1 else None

    @cached_property
    def hypervolume(self) -> list[float]:
        """Hypervolume after each trial, as a fraction of the box of the observed values."""
        return hypervolume_history(self.trials, self.front.objectives)

    @cached_property
    def columns(self) -> list[str]:
        """All columns with values: objectives, then those of constraints, then the others."""
        first = [*self.objectives, *(constraint.name for constraint in self.constraints)]
        return list(dict.fromkeys([*first, *(name for trial in self.complete for name in trial.values)]))

    @cached_property
    def _provenances(self) -> dict[str, list[str]]:
        found: dict[str, set[str]] = {}
        for trial in self.complete:
            for name, provenance in trial.provenance.items():
                found.setdefault(name, set()).add(provenance)
        return {name: sorted(kinds) for name, kinds in found.items()}

    def provenances(self, name: str) -> list[str]:
        """Provenances of the column's values; more than one when trials differ."""
        return self._provenances.get(name, [])

    def label(self, name: str) -> str:
        """Unit and provenance of a column, such as "ms, measured on local"."""
        kinds = self.provenances(name)
        device = self.configuration.get("device")
        text = " or ".join(kinds) if kinds else "no values yet"
        if device and "measured" in kinds:
            text += f" on {sentence(device, LONGEST)}"
        return ", ".join(part for part in (unit(name), text) if part)

    def has(self, name: str) -> bool:
        """Whether any complete trial has a value of that column."""
        return any(name in trial.values for trial in self.complete)

    @cached_property
    def seconds(self) -> dict[str, list[float]]:
        """Time of every phase of the finished trials, in seconds."""
        phases: dict[str, list[float]] = {}
        for trial in (*self.complete, *self.failed):
            for phase, seconds in trial.seconds.items():
                phases.setdefault(phase, []).append(seconds)
        return phases

    def times(self) -> tuple[datetime, datetime] | None:
        """When the first and the last trial finished; None before the first."""
        times = []
        for trial in self.trials:
            try:
                times.append(datetime.strptime(trial.time, _TIME))
            except ValueError:
                continue
        return (min(times), max(times)) if times else None


@dataclass(frozen=True)
class Contents(Charted):
    """A study as it was when its store was read."""

    path: Path
    space: SearchSpace


def read(path: Path) -> Contents:
    """Read a store, without writing to it; a search may be writing meanwhile.

    Raises
    ------
    UsageError
        When it is not a study, or damaged.
    """
    study = read_study(path)
    try:
        space = SearchSpace.from_json(json.dumps(study.configuration["space"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"store {path} is damaged ({error}); restore a copy") from None
    return Contents(**vars(study), path=path, space=space)
