"""Candidates evaluated by a function of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lts._core import Architecture, analytic_names
from lts.measure.counted import counted
from lts.measure.evaluator import Evaluator
from lts.measure.outcome import Outcome, Provenance, shown
from lts.system.text import unit


class FunctionEvaluator(Evaluator):
    """Your own measurement: a function from an architecture to its values.

    An exception makes a failed trial, and so does a value that is no number, or below 0 where its column has a unit.

    Parameters
    ----------
    function
        Called with an `Architecture`; gives a number by column. Columns that the core counts, it leaves out.
    name
        Its name in records; by default that of the function.
    provenance
        What its values are: "given" unless you say, for example, "measured".
    """

    def __init__(
        self,
        function: Callable[[Architecture], Mapping[str, float]],
        *,
        name: str | None = None,
        provenance: Provenance = "given",
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
        values: dict[str, float] = {}
        for name, value in given.items():
            if not isinstance(name, str):
                return Outcome(error=f"{self._name} gave a value for {shown(name)}; expected the name of a column")
            number = _number(value)
            if number is None:
                return Outcome(error=f"{self._name} gave {shown(value)} for '{name}'; expected a number")
            if name in _COUNTED:
                return Outcome(
                    error=f"{self._name} gave a value for '{name}', which is counted for every architecture; "
                    "leave it out, or give it another name"
                )
            if number < 0 and _is_amount(name):
                return Outcome(error=f"{self._name} gave {shown(value)} for '{name}'; it must not be negative")
            values[name] = number
        return counted(architecture, (name for name in columns if name in _COUNTED)) | Outcome(
            values=values, provenance=dict.fromkeys(values, self.provenance)
        )


def _number(value: object) -> float | None:
    """The value as a float; None for what is none: a bool, text, or what no float holds. NaN and infinity are."""
    try:
        scalar: Any = value.item() if hasattr(value, "item") else value  # of NumPy's and PyTorch's numbers
        if isinstance(scalar, bool | str | bytes | bytearray) or not hasattr(type(scalar), "__float__"):
            return None
        return float(scalar)
    except Exception:  # whatever a value's own type raises
        return None


def _is_amount(name: str) -> bool:
    """Whether a column is an amount of something, such as time or memory, which is never below 0."""
    return unit(name) not in ("", "%") or name.split("_")[-1] in ("instructions", "perplexity")


_COUNTED = frozenset(analytic_names())
