"""Candidates evaluated by a function of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lts._core import Architecture, analytic_names
from lts.measure.counted import counted
from lts.measure.evaluator import Evaluator
from lts.measure.outcome import Outcome, Provenance


class FunctionEvaluator(Evaluator):
    """Your own measurement: a function from an architecture to its values. An exception makes a failed trial.

    Parameters
    ----------
    function
        Called with an `Architecture`; gives a number by column. Columns that it leaves out are counted by the core.
    name
        Its name in records; by default that of the function.
    provenance
        What its values are.
    """

    def __init__(
        self,
        function: Callable[[Architecture], Mapping[str, float]],
        *,
        name: str | None = None,
        provenance: Provenance = "measured",
    ) -> None:
        self._function = function
        self._name = name or getattr(function, "__qualname__", type(function).__name__)
        self.provenance = provenance

    def describe(self) -> dict[str, Any]:
        return {"target": "", "device": "function", "backend": self._name}

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        try:
            given = dict(self._function(architecture))
        except Exception as error:
            return Outcome(error=f"{self._name} raised {type(error).__name__}: {error}")
        values = {}
        for name, value in given.items():
            try:
                values[name] = float(value)
            except (TypeError, ValueError, OverflowError):
                return Outcome(error=f"{self._name} gave {value!r} for '{name}'; expected a number")
        return counted(architecture, (name for name in columns if name in _COUNTED and name not in given)) | Outcome(
            values=values, provenance=dict.fromkeys(values, self.provenance)
        )


_COUNTED = frozenset(analytic_names())
