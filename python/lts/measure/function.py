"""A function of one's own as an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lts._core import Architecture, SearchSpace, analytic_names
from lts.measure.evaluation import Evaluation, counted, counted_provenance

if TYPE_CHECKING:
    from lts.measure.trial import Provenance


class FunctionEvaluator:
    """One's own measurement: a function from an architecture to its values. An exception makes a failed trial."""

    def __init__(
        self,
        function: Callable[[Architecture], Mapping[str, float]],
        *,
        name: str | None = None,
        provenance: Provenance = "measured",
    ) -> None:
        self._function = function
        self._name = name or getattr(function, "__qualname__", type(function).__name__)
        self._provenance = provenance

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        """Which values the function gives is known once it is called."""

    def describe(self) -> dict[str, Any]:
        return {"target": "", "device": "function", "backend": self._name}

    def environment(self) -> dict[str, Any]:
        from lts.system.environment import fingerprint

        return fingerprint(threads=1)

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Evaluation:
        try:
            given = dict(self._function(architecture))
        except Exception as error:
            return Evaluation(error=f"{self._name} raised {type(error).__name__}: {error}")
        values = {}
        provenance: dict[str, Provenance] = {}
        for name in dict.fromkeys((*columns, *given)):
            if name in given:
                try:
                    values[name] = float(given[name])
                except (TypeError, ValueError):
                    return Evaluation(error=f"{self._name} gave {given[name]!r} for '{name}'; expected a number")
                provenance[name] = self._provenance
            elif name in analytic_names():
                values[name] = counted(name, architecture)
                provenance[name] = counted_provenance(name)
        return Evaluation(values=values, provenance=provenance)

    def close(self) -> None:
        """Nothing is held."""
