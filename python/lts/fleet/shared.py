"""What devices share: measurements of all of them, and predictions for each from all."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture, Pooled
from lts.measure.trial import Trial
from lts.study.cost_model import Additive, CostModel
from lts.study.spread import noise_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_LEAST = 3
_SMALLEST = 1e-100


@dataclass(frozen=True)
class Samples:
    """Measurements of one column on one device: architectures, values and relative standard errors, all of one length;
    `ids` are the numbers of the trials."""

    architectures: Sequence[Architecture] = ()
    values: Sequence[float] = ()
    noise: Sequence[float] = ()
    ids: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.values)


def samples_of(trials: Iterable[Trial], column: str) -> Samples:
    """What complete trials have measured of a column."""
    known = [
        t
        for t in trials
        if t.state == "complete" and t.provenance.get(column) != "exact" and t.values.get(column, 0.0) > _SMALLEST
    ]
    return Samples(
        [t.architecture for t in known],
        [t.values[column] for t in known],
        [noise_of(t, column) for t in known],
        [t.id for t in known],
    )


def pool(samples: Sequence[Samples], level: float = 0.9) -> Pooled | None:
    """All devices fitted at once; None where no device has enough measurements."""
    if not any(len(each) >= _LEAST for each in samples):
        return None
    return Pooled.fit(
        [each.architectures for each in samples],
        [np.asarray(each.values, dtype=np.float64) for each in samples],
        noise=[np.asarray(each.noise, dtype=np.float64) for each in samples],
        level=level,
    )


@dataclass
class Shared:
    """The measurements of all devices so far, which threads add to and read."""

    _trials: dict[str, dict[int, Trial]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def add(self, device: str, trials: Iterable[Trial]) -> None:
        """Keep trials of a device; one that is known already is replaced."""
        with self._guard:
            self._trials.setdefault(device, {}).update((trial.id, trial) for trial in trials)

    def of_others(self, device: str, column: str) -> list[Samples]:
        """What the other devices have measured of a column."""
        with self._guard:
            others = [list(trials.values()) for name, trials in sorted(self._trials.items()) if name != device]
        return [samples_of(trials, column) for trials in others]


class PooledAdditive:
    """The additive model of one device of a fleet: its fits start from what the others share at that time.

    Parameters
    ----------
    shared
        Measurements of all devices.
    device
        The name of this one.
    """

    name = Additive.name

    def __init__(self, shared: Shared, device: str) -> None:
        self._shared = shared
        self._device = device

    def fit(
        self, column: str, architectures: Sequence[Architecture], values: Array, noise: Array
    ) -> tuple[CostModel | None, list[str]]:
        """See `lts.study.cost_model.SurrogateLike.fit`."""
        own = Samples(list(architectures), np.asarray(values).tolist(), np.asarray(noise).tolist())
        pooled = pool([own, *self._shared.of_others(self._device, column)])
        prior = pooled.priors[0] if pooled is not None else None
        priors: Mapping[str, Mapping[str, float]] = {} if prior is None else {column: prior}
        return Additive(priors, trust_priors=True).fit(column, architectures, values, noise)
