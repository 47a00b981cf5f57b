"""The front that a surrogate predicts from a stored study: architectures that nobody has measured yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lts._core import Architecture, SearchSpace, analytic_names
from lts.errors import UsageError
from lts.study.cost_model import Additive, CostModel
from lts.study.evolution import Evolution
from lts.study.predictions import Predictions
from lts.study.spread import noise_of
from lts.study.stored import StoredStudy
from lts.targets.workload import Workload

_LEAST_FIT = 3
_EVOLVED = 50_000  # candidates: a picture needs no more


@dataclass(frozen=True)
class PredictedMember:
    """A member of a predicted front.

    Parameters
    ----------
    architecture
        What it is.
    values
        By column of the objectives and constraints: counted, or predicted.
    interval
        By predicted column the ends of its 90 % interval.
    """

    architecture: Architecture
    values: Mapping[str, float]
    interval: Mapping[str, tuple[float, float]]


def predicted_front(study: StoredStudy, space: SearchSpace, most: int) -> list[PredictedMember]:
    """The feasible, non-dominated architectures by additive models fitted to all complete trials.

    Parameters
    ----------
    study
        A study that was searched with the surrogate "additive"; of any other there are no predictions.
    space
        What it searched.
    most
        Members at most, evenly from the first to the last.

    Returns
    -------
    list of PredictedMember
        Without what was measured; none where the models are of no use.
    """
    models = _models(study)
    if not models:
        return []
    workload = Workload.of(study.configuration).counted
    algorithm = str(study.configuration.get("algorithm", "lts"))
    options = study.configuration.get("algorithm_options") or {}
    seed = study.configuration.get("seed", 0)
    objectives = study.front.objectives
    try:
        evolution = Evolution(
            space, [str(o) for o in objectives], [str(c) for c in study.constraints], algorithm, options, seed
        )
    except (TypeError, ValueError):  # options of another program's algorithm
        return []
    for trial in study.trials:
        evolution.add(trial.architecture, trial.values if trial.state == "complete" else None)
    predictions = Predictions(objectives, workload, models, Additive.name)
    evolution.run(predictions, _EVOLVED)
    measured = {trial.architecture.to_json() for trial in study.trials}
    members = [member for member in evolution.members() if member.architecture.to_json() not in measured]
    keep = np.unique(np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int))
    chosen = [members[i] for i in keep]
    architectures = [member.architecture for member in chosen]
    ends = {name: predictions.interval(name, architectures) for name in models} if chosen else {}
    return [
        PredictedMember(
            member.architecture,
            dict(member.values),
            {name: (float(each[i][0]), float(each[i][1])) for name, each in ends.items()},
        )
        for i, member in enumerate(chosen)
    ]


def _models(study: StoredStudy) -> dict[str, CostModel]:
    """A model of every column that was measured; none where one cannot be had."""
    if study.configuration.get("surrogate") != Additive.name:
        return {}
    complete = [trial for trial in study.trials if trial.state == "complete"]
    names = [*(o.name for o in study.front.objectives), *(c.name for c in study.constraints)]
    columns = [name for name in dict.fromkeys(names) if name not in analytic_names()]
    if len(complete) < _LEAST_FIT or not columns:
        return {}
    models: dict[str, CostModel] = {}
    architectures = [trial.architecture for trial in complete]
    for column in columns:
        values = np.array([trial.values[column] for trial in complete])
        if values.min() <= 0:
            return {}
        noise = np.array([noise_of(trial, column) for trial in complete])
        try:
            model, _ = Additive().fit(column, architectures, values, noise)
        except (UsageError, ValueError):
            return {}
        if model is None:
            return {}
        models[column] = model
    return models
