"""A few models that together serve all devices of a fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lts._core import Architecture
from lts.errors import InfeasibleError, UsageError
from lts.fleet.fronts import DeviceFront
from lts.fleet.preference import check_preference, losses, serve


@dataclass(frozen=True)
class Served:
    """What a device gets from a model.

    Parameters
    ----------
    device
        Its name.
    architecture
        The model.
    measured
        By column what was measured of it there.
    predicted
        By column what is predicted of it there, where it was not measured.
    loss
        How much worse it is than the best for the device's preference: 0 is ideal in every objective, 1 as bad as the
        worst of the device's front; infinite where no model is within its bounds.
    """

    device: str
    architecture: Architecture
    measured: Mapping[str, float]
    predicted: Mapping[str, float]
    loss: float


def common(fronts: Sequence[DeviceFront], k: int) -> list[Served]:
    """The `k` models that together serve all devices best, and which of them each device gets.

    Candidates are the members of all fronts; the mean over the devices of `lts.fleet.preference.losses`, with each
    device's preference, is least. What is outside of a device's bounds does not serve it.

    Raises
    ------
    UsageError
        For a `k` below 1, or a preference for what is no objective.
    InfeasibleError
        When there are no candidates.
    """
    if k < 1:
        raise UsageError(f"the number of common models is {k}; it must be at least 1")
    usable = [each for each in fronts if len(each.points()) and (each.predictions is not None or each.trials)]
    candidates = list({a.to_json(): a for front in usable for a in _members(front)}.values())
    if not candidates:
        raise InfeasibleError("there is no front yet from which models could be chosen")
    values = [_values(front, candidates) for front in usable]
    loss = np.column_stack([_losses(front, known) for front, known in zip(usable, values, strict=True)])
    chosen = serve(loss, k)
    result = []
    for i, front in enumerate(usable):
        at = min(chosen, key=lambda j: loss[j, i])
        measured, predicted = values[i][at]
        result.append(Served(front.device.name, candidates[at], measured, predicted, float(loss[at, i])))
    return result


_Values = tuple[dict[str, float], dict[str, float]]


def _members(front: DeviceFront) -> list[Architecture]:
    measured = [] if front.measured is None else [trial.architecture for trial in front.measured]
    return [*measured, *(member.architecture for member in front.predicted)]


def _values(front: DeviceFront, candidates: Sequence[Architecture]) -> list[_Values]:
    """By candidate what was measured of it on the device, and where it was not, what is predicted."""
    names = list(dict.fromkeys([*(o.name for o in front.objectives), *(c.name for c in front.constraints)]))
    known = {trial.architecture.to_json(): trial for trial in front.trials}
    predicted = {} if front.predictions is None else front.predictions.values(candidates, names)
    result: list[_Values] = []
    for i, candidate in enumerate(candidates):
        trial = known.get(candidate.to_json())
        if trial is not None:
            result.append(({name: trial.values[name] for name in names}, {}))
        else:
            result.append(({}, {name: float(value[i]) for name, value in predicted.items()}))
    return result


def _losses(front: DeviceFront, values: Sequence[_Values]) -> np.ndarray:
    """Losses of all candidates on a device, infinite outside of its bounds, and where nothing is known: (n,)."""
    check_preference(front.device.prefer, front.objectives, f"the preference for '{front.device.name}'")
    signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in front.objectives])
    together = [{**predicted, **measured} for measured, predicted in values]
    rows = [[each.get(o.name, np.inf) for o in front.objectives] for each in together]
    found = losses(np.asarray(rows, dtype=np.float64) * signs, front.points(), front.objectives, front.device.prefer)
    outside = [not all(c.holds(each.get(c.name, np.nan)) for c in front.constraints) for each in together]
    limited: np.ndarray = np.where(np.isfinite(found) & ~np.array(outside), found, np.inf)
    return limited
