"""Architectures, exported with random weights, which change neither time nor memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lts._core import Architecture, weight_bytes
from lts.measure.evaluator import TargetEvaluator
from lts.measure.models.model import SIZE, Model
from lts.measure.outcome import Outcome


class ArchitectureModel(Model):
    """An architecture as an evaluator measures it."""

    kind = "architecture"

    def __init__(self, name: str, architecture: Architecture, evaluator: TargetEvaluator) -> None:
        super().__init__(name)
        self.architecture: Architecture = architecture
        self._evaluator = evaluator
        self.provenance, self.varies = evaluator.provenance, evaluator.varies

    @property
    def costs(self) -> tuple[str, ...]:
        return (*self._evaluator.costs, SIZE)

    @property
    def no_energy(self) -> str:
        return self._evaluator.no_energy

    @property
    def default_costs(self) -> tuple[str, ...]:
        wanted = (name.rpartition(":") for name in self._evaluator.default_objectives)
        return tuple(name for name, _, goal in wanted if goal == "min")

    def check(self, costs: Sequence[str]) -> None:  # type: ignore[override]
        super().check(costs)
        self._evaluator.check_architecture(self.architecture, costs)

    def measure(self, costs: Sequence[str], timeout: float | None = None) -> Outcome:
        precision = self._evaluator.workload.precision
        size = Outcome(values={SIZE: weight_bytes(self.architecture, precision=precision)}, provenance={SIZE: "exact"})
        run = [name for name in costs if name != SIZE]
        return size | self._measure(run, timeout) if run else size

    def _measure(self, costs: Sequence[str], timeout: float | None) -> Outcome:
        return self._evaluator.evaluate(self.architecture, costs, timeout)

    def describe(self) -> dict[str, Any]:
        return {name: value for name, value in self._evaluator.describe().items() if name != "profile"}

    def environment(self) -> dict[str, Any]:
        return self._evaluator.environment()
