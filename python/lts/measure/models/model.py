"""The interface of models that a user names: what can be measured, by what and with what, in a process of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from lts._core import Architecture
from lts.errors import UsageError
from lts.measure.columns import COLUMNS
from lts.measure.compare import Metric
from lts.measure.evaluator import ENERGY_COLUMNS
from lts.measure.outcome import Outcome, Provenance

SIZE = "size_bytes"
"""The column of a model's size: its files, or the weights of an architecture in the precision of the workload."""
SHORT = {column.short: column.name for column in COLUMNS if column.short}
"""Shorter names of columns."""


def columns_of(texts: Iterable[str]) -> list[str]:
    """Columns from names, or shorter ones, separated by commas. Raises `UsageError` where one is empty."""
    names = [name.strip() for text in texts for name in text.split(",")]
    if not names or not all(names):
        raise UsageError(f"the metrics are '{','.join(texts)}'; expected names of columns, separated by commas")
    return list(dict.fromkeys(SHORT.get(name, name) for name in names))


class Model(ABC):
    """Something that runs on one device with one workload.

    A subclass says what it is (`kind`), which `costs` can be measured of it, and how to `measure` them.
    """

    kind: str = ""
    """What it is, such as "onnx"."""

    provenance: Provenance = "measured"
    """Where its costs come from."""

    varies: bool = True
    """Whether another process says something else."""

    architecture: Architecture | None = None
    """Its architecture, where that is known."""

    def __init__(self, name: str) -> None:
        self.name = name
        """What the user calls it."""

    @property
    @abstractmethod
    def costs(self) -> tuple[str, ...]:
        """The columns that can be measured of it."""

    @property
    def default_costs(self) -> tuple[str, ...]:
        """What is measured unless it is said; by default everything but energy, which takes runs of its own."""
        return tuple(name for name in self.costs if name not in ENERGY_COLUMNS)

    @property
    def no_energy(self) -> str:
        """Why energy is not among its costs, in a phrase; empty where it is."""
        return "what runs it reads no meter"

    @abstractmethod
    def measure(self, costs: Sequence[str], timeout: float | None = None) -> Outcome:
        """Measure in a new process; a failure is an outcome's `error`. Seconds are by default those of the evaluator.

        Raises
        ------
        UsageError
            When the disk is full.
        MeasurementError
            When the device runs nothing at all.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What its values depend on besides itself: ``target device backend`` by name, and the workload's values."""

    @abstractmethod
    def environment(self) -> dict[str, Any]:
        """The fingerprint of the machine that it runs on, see `lts.system.environment.fingerprint`."""

    def check(self, costs: Iterable[str]) -> None:
        """Raise `UsageError` for a cost that cannot be measured of it, naming those that can."""
        for name in costs:
            if name not in self.costs and name in ENERGY_COLUMNS and (reason := self.no_energy):
                raise UsageError(
                    f"no energy: {reason}; the metrics of {self.name} are {', '.join(self.costs)}, without {name}"
                )
            if name not in self.costs:
                raise UsageError(
                    f"unknown metric '{name}' of {self.name}, {self.kind}; expected one of {', '.join(self.costs)}"
                )
            if not self.varies and not Metric.named(name).exact:
                raise UsageError(
                    f"{name} is not measured there, every time it is the same value; "
                    "name a device that measures it, as in --device local"
                )
