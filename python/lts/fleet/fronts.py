"""The fronts of all devices: what was measured on each, and what all measurements together predict for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from lts._core import Architecture, Constraint, Objective, SearchSpace, Surrogate, analytic_names, parse_constraint
from lts.errors import InfeasibleError, UsageError
from lts.fleet.device import FleetDevice
from lts.fleet.preference import check_preference, losses
from lts.fleet.shared import Samples, pool
from lts.measure.trial import Trial
from lts.study.evolution import Evolution
from lts.study.front import Front, minimized
from lts.study.predicted_front import PredictedMember
from lts.study.predictions import Predictions

# Candidates of each device's evolution, what it takes over from each other device, and members that are shown.
_EVOLVED = 100_000
_EXCHANGED = 64
_MOST_MEMBERS = 40

_T = TypeVar("_T")


@dataclass(frozen=True)
class DeviceFront:
    """What is known of the best models for a device.

    Parameters
    ----------
    device
        Which one.
    measured
        The front of what was measured on it; None where nothing was.
    predicted
        The front of architectures that were not measured on it, by models that all devices are fitted to together,
        best in the first objective first.
    relative
        Columns of which only ratios are predicted: their mean over all measured architectures is 1.
    predictions
        The models; None where no device has enough measurements.
    trials
        What was measured on it, complete.
    """

    device: FleetDevice
    objectives: Sequence[Objective]
    measured: Front | None
    predicted: Sequence[PredictedMember]
    relative: Sequence[str] = ()
    predictions: Predictions | None = None
    trials: Sequence[Trial] = ()

    @property
    def constraints(self) -> list[Constraint]:
        """Its bounds, without those of relative columns, of which nobody knows whether they hold."""
        known = [parse_constraint(text) for text in self.device.constraints]
        return [each for each in known if each.name not in self.relative]

    def points(self) -> np.ndarray:
        """Objectives of the measured members, else of the predicted ones, minimized: (n, n_objectives)."""
        if self.measured is not None and len(self.measured):
            return self.measured.points()
        return minimized(self.predicted, self.objectives)

    def prefer(self, weights: Mapping[str, float] | None = None) -> Trial | PredictedMember:
        """The member that a preference chooses: of the measured ones, or where there are none of the predicted ones.

        Parameters
        ----------
        weights
            By objective, as of `FleetDevice.prefer`, which is the default.

        Raises
        ------
        UsageError
            For a weight of what is no objective.
        InfeasibleError
            When the front is empty.
        """
        chosen = self.device.prefer if weights is None else weights
        check_preference(chosen, self.objectives, f"the preference for '{self.device.name}'")
        points = self.points()
        if not len(points):
            raise InfeasibleError(f"the front of '{self.device.name}' is empty")
        at = int(np.argmin(losses(points, points, self.objectives, chosen)))
        return self.measured[at] if self.measured is not None and len(self.measured) else self.predicted[at]


@dataclass
class Known:
    """What there is of a device to make its front of.

    Parameters
    ----------
    device
        Which one.
    workload
        What counted columns are for: the keywords of `lts.analytic`.
    trials
        What was measured, complete.
    front
        The front of these; None where nothing was measured.
    units
        Surrogates of a profile that give relative costs a unit, by column.
    """

    device: FleetDevice
    workload: Mapping[str, Any]
    trials: Sequence[Trial] = ()
    front: Front | None = None
    units: Mapping[str, Any] = field(default_factory=dict)


def measured_columns(objectives: Iterable[Objective], devices: Iterable[FleetDevice]) -> list[str]:
    """The columns that are not counted, of the objectives and of all bounds."""
    names = [o.name for o in objectives]
    names += [parse_constraint(text).name for device in devices for text in device.constraints]
    return [name for name in dict.fromkeys(names) if name not in analytic_names()]


def fronts_of(
    space: SearchSpace, objectives: Sequence[Objective], known: Sequence[Known], samples: Mapping[str, list[Samples]]
) -> list[DeviceFront]:
    """The fronts of all devices, in their order.

    Each has an evolution of its own on its predictions, which begins with what was measured on it and with the fronts
    of the others, and in the end takes over what the others have found.

    Parameters
    ----------
    space, objectives
        What was searched, and what for.
    known
        What there is of each device.
    samples
        By measured column the measurements of each device, in that order.
    """
    models, relative = _models(known, samples)
    fronts = [
        DeviceFront(
            each.device,
            objectives,
            each.front,
            (),
            relative[i],
            Predictions(objectives, each.workload, models[i], "additive") if len(models[i]) == len(samples) else None,
            each.trials,
        )
        for i, each in enumerate(known)
    ]
    evolutions = [_evolved(space, front, fronts, seed) for seed, front in enumerate(fronts)]
    found = [[] if each is None else each.front() for each in evolutions]
    result = []
    for front, evolution in zip(fronts, evolutions, strict=True):
        if evolution is None or front.predictions is None:
            result.append(front)
            continue
        _add(evolution, front.predictions, [a for each in found for a in _spread(each, _EXCHANGED)])
        result.append(_with_members(front, evolution))
    return result


def _models(
    known: Sequence[Known], samples: Mapping[str, list[Samples]]
) -> tuple[list[dict[str, Surrogate]], list[list[str]]]:
    """By device the models of the measured columns, and those of which only ratios are known."""
    models: list[dict[str, Surrogate]] = [{} for _ in known]
    relative: list[list[str]] = [[] for _ in known]
    for column, of_devices in samples.items():
        pooled = pool(of_devices)
        if pooled is None:
            continue
        design = [a for each in of_devices for a in each.architectures]
        for i, surrogate in enumerate(pooled.surrogates):
            if len(of_devices[i]) == 0:
                if column in known[i].units:
                    ratios = np.asarray(known[i].units[column].predict(design)) / surrogate.predict(design)
                    surrogate = surrogate.scaled(float(np.median(ratios)))
                else:
                    relative[i].append(column)
            models[i][column] = surrogate
    return models, relative


def _evolved(space: SearchSpace, front: DeviceFront, fronts: Sequence[DeviceFront], seed: int) -> Evolution | None:
    if front.predictions is None:
        return None
    try:
        evolution = Evolution(
            space, [str(o) for o in front.objectives], [str(c) for c in front.constraints], "nsga2", {}, seed
        )
    except ValueError as error:
        raise UsageError(f"device '{front.device.name}': {error}") from None
    for trial in front.trials:
        evolution.add(trial.architecture, trial.values)
    others = [t.architecture for each in fronts if each is not front and each.measured for t in each.measured]
    _add(evolution, front.predictions, [a for a in others if space.contains(a)])
    evolution.run(front.predictions, _EVOLVED)
    return evolution


def _add(evolution: Evolution, predictions: Predictions, architectures: Sequence[Architecture]) -> None:
    """Let an evolution know architectures by their predictions."""
    if not architectures:
        return
    found = predictions.values(architectures, evolution.search.columns)
    for i, architecture in enumerate(architectures):
        evolution.add(architecture, {name: float(value[i]) for name, value in found.items()})


def _with_members(front: DeviceFront, evolution: Evolution) -> DeviceFront:
    """The front with predicted members, without what was measured."""
    assert front.predictions is not None
    measured = {trial.architecture.to_json() for trial in front.trials}
    names = [o.name for o in front.objectives]
    new = [member for member in evolution.members() if member.architecture.to_json() not in measured]
    first = front.objectives[0]
    new.sort(key=lambda member: member.values[first.name], reverse=first.direction == "max")
    chosen = _spread(new, _MOST_MEMBERS)
    architectures = [member.architecture for member in chosen]
    columns = [name for name in front.predictions.models if name in evolution.search.columns or name in names]
    ends = {name: front.predictions.interval(name, architectures) for name in columns} if chosen else {}
    members = [
        PredictedMember(
            member.architecture,
            dict(member.values),
            {name: (float(each[i][0]), float(each[i][1])) for name, each in ends.items()},
        )
        for i, member in enumerate(chosen)
    ]
    return DeviceFront(
        front.device, front.objectives, front.measured, members, front.relative, front.predictions, front.trials
    )


def _spread(members: Sequence[_T], most: int) -> list[_T]:
    """At most so many, evenly from the first to the last."""
    keep = np.unique(np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int))
    return [members[i] for i in keep]
