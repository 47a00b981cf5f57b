"""A study as its store holds it, for whoever reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts._core import Constraint, parse_constraint, parse_objective
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.baselines import KEY, Baseline, from_entry, together
from lts.study.dataframe import Tabular
from lts.study.distinct import distinct_front, front_notes
from lts.study.front import Front
from lts.study.notebook import study_html
from lts.study.spread import restated
from lts.study.store import Store


@dataclass(frozen=True)
class StoredStudy(Tabular):
    """What the store of a study holds."""

    configuration: dict[str, Any]
    constraints: list[Constraint]
    trials: list[Trial]
    front: Front
    environments: dict[str, dict[str, Any]]
    notes: list[str]
    baselines: list[Baseline]

    @property
    def space_name(self) -> str:
        """The name of what was searched; empty where the store does not say."""
        space = self.configuration.get("space")
        return str(space.get("name", "")) if isinstance(space, dict) else ""

    def _repr_html_(self) -> str:
        return study_html(self.space_name, self.trials, self.front._repr_html_(), self.notes)


def read_study(path: Path) -> StoredStudy:
    """Read a store. Raises `UsageError` when it is not a study, or a damaged one."""
    with Store(path) as store:
        configuration, trials, environments = store.meta("study"), store.trials(), store.environments()
        notes = store.meta("notes") or []
        entry = store.meta(KEY)
        about_file = store.notes
    if configuration is None:
        raise UsageError(f"{path} holds no study yet; run lts-engine search first")
    try:
        objectives = [parse_objective(text) for text in configuration["objectives"]]
        constraints = [parse_constraint(text) for text in configuration["constraints"]]
        columns = [*(each.name for each in objectives), *(each.name for each in constraints)]
        baselines = together(from_entry(entry, columns), trials, constraints)
        trials = restated(trials, constraints)
        front = distinct_front(trials, objectives, constraints)
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise TypeError("its notes are no texts")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"store {path} is damaged ({error}); restore a copy") from None
    about_front = front_notes(front, trials, columns)
    return StoredStudy(
        configuration, constraints, trials, front, environments, [*about_file, *notes, *about_front], baselines
    )


def stored_front(path: Path) -> Front:
    """The front of the study in that store. Raises `UsageError` as `read_study`."""
    return read_study(path).front
