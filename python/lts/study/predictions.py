"""Values of architectures that were not measured: counted, or predicted by fitted models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import Architecture, Constraint, Objective, analytic, nondominated
from lts.errors import UsageError
from lts.study.cost_model import CostModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_Z90 = 1.645


@dataclass(frozen=True)
class Predictions:
    """What models and counting say.

    Parameters
    ----------
    objectives
        What is optimized.
    workload
        What counted columns are for: the keywords of `lts.analytic`.
    models
        Models of the costs by column.
    source
        Name of the surrogate that made the models, for messages.
    """

    objectives: Sequence[Objective]
    workload: Mapping[str, Any]
    models: Mapping[str, CostModel]
    source: str

    def values(self, architectures: Sequence[Architecture], columns: Iterable[str]) -> dict[str, Array]:
        """Counted and predicted columns. Raises `UsageError` for predictions that are not numbers."""
        found = {}
        for name in columns:
            if name in self.models:
                found[name] = self._checked(name, self.models[name].predict(architectures), (len(architectures),))
            else:
                found[name] = np.array([analytic(name, a, **self.workload) for a in architectures])
        return found

    def interval(self, column: str, architectures: Sequence[Architecture]) -> Array:
        """Low and high ends of the 90 % intervals, (n, 2)."""
        return self._checked(column, self.models[column].interval(architectures), (len(architectures), 2))

    def points(self, values: Mapping[str, Array]) -> Array:
        """Values of the objectives, minimized: (n, n_objectives)."""
        return np.column_stack([values[o.name] * (-1.0 if o.direction == "max" else 1.0) for o in self.objectives])

    def spread(self, architectures: Sequence[Architecture]) -> Array:
        """Standard deviations of the predicted objectives, 0 for those that are counted: (n, n_objectives)."""
        columns = []
        for objective in self.objectives:
            if objective.name in self.models:
                low, high = self.interval(objective.name, architectures).T
                columns.append((high - low) / (2 * _Z90))
            else:
                columns.append(np.zeros(len(architectures)))
        return np.column_stack(columns)

    def probability(self, constraint: Constraint, architectures: Sequence[Architecture]) -> Array:
        """How likely a constraint holds for what is measured, (n,): predictions are normal in their intervals."""
        values = self.values(architectures, [constraint.name])[constraint.name]
        if constraint.name not in self.models:
            return np.array([float(constraint.holds(float(value))) for value in values])
        low, high = self.interval(constraint.name, architectures).T
        margin = (constraint.bound - values) * (1.0 if constraint.relation == "<=" else -1.0)
        sigma = np.maximum((high - low) / (2 * _Z90), 1e-12 * np.abs(values) + 1e-300)
        return np.array([0.5 * math.erfc(-z / math.sqrt(2)) for z in margin / sigma])

    def near_front(self, pool: Sequence[Architecture], constraints: Sequence[Constraint]) -> list[Architecture]:
        """Those of a pool that may be on the front of what is predicted to be feasible, given the intervals."""
        found = self.values(pool, [*(o.name for o in self.objectives), *(c.name for c in constraints)])
        feasible = np.ones(len(pool), dtype=bool)
        for constraint in constraints:
            feasible &= np.array([constraint.holds(float(v)) for v in found[constraint.name]], dtype=bool)
        pool = [a for a, keep in zip(pool, feasible, strict=True) if keep]
        if not pool:
            return []
        points = self.points({name: value[feasible] for name, value in found.items()})
        best = points - self.spread(pool)
        front = points[nondominated(points)]
        worse = np.array([bool((front < point).all(axis=1).any()) for point in best])
        return [a for a, out in zip(pool, worse, strict=True) if not out]

    def of(self, architecture: Architecture) -> dict[str, tuple[float, float, float]]:
        """By column what is predicted for one architecture: value, low and high."""
        found = {}
        for name, model in self.models.items():
            low, high = self.interval(name, [architecture])[0]
            found[name] = (float(model.predict([architecture])[0]), float(low), float(high))
        return found

    def _checked(self, column: str, given: object, shape: tuple[int, ...]) -> Array:
        array: Array = np.asarray(given, dtype=np.float64)
        if array.shape != shape or not np.isfinite(array).all():
            raise UsageError(
                f"the surrogate '{self.source}' gives {array.shape} numbers for '{column}', or some that are "
                f"not finite; expected {shape} finite ones"
            )
        return array
