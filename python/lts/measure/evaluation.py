"""What an evaluator is, and what it gives for an architecture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lts._core import Architecture, SearchSpace, analytic, analytic_names

if TYPE_CHECKING:
    from lts.measure.trial import Provenance

_EXACT = {
    name
    for name in analytic_names()
    if name.endswith("_params") or name in ("weight_mib", "geometric", "zerolm", "depth_weighted")
}


@dataclass(frozen=True)
class Evaluation:
    """What came out for one architecture: values with their provenance, or the reason why there are none."""

    values: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Provenance] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    mad: dict[str, float] = field(default_factory=dict)
    samples_ns: dict[str, list[int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    environment: str = ""
    error: str | None = None


@runtime_checkable
class EvaluatorLike(Protocol):
    """What a `Study` evaluates candidates with.

    More attributes are used where they are there: `parallel`, how many candidates may be evaluated at the same time,
    each in a thread of its own; `default_objectives`, what a study optimizes when it is not told; `architectures`, all
    that can be evaluated when these are few; and `priors`, coefficients of costs to start predictions from.
    """

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        """Raise `UsageError` naming the first column, or property of the space, that cannot be evaluated."""

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Evaluation:
        """Values of the columns, and any others; a failure is an `Evaluation` with an `error`."""

    def describe(self) -> dict[str, Any]:
        """What the values depend on, as JSON: a study resumes only with the same."""

    def environment(self) -> dict[str, Any]:
        """The machine and software that the values come from, as JSON."""

    def close(self) -> None:
        """Release the device."""


def counted_provenance(name: str) -> Provenance:
    """Of a value that the core counts: "exact", or "estimated" when it stands for a run that did not happen."""
    return "exact" if name in _EXACT else "estimated"


def counted(name: str, architecture: Architecture, **workload: Any) -> float:
    """An analytic quantity; a count as the integer that it is."""
    value = analytic(name, architecture, **workload)
    return int(value) if name in _EXACT and value.is_integer() else value


def problem_with(evaluation: Evaluation, columns: Iterable[str]) -> str | None:
    """Why the evaluation cannot count: its own error, a missing column, or a value that is not finite."""
    if evaluation.error is not None:
        return evaluation.error
    for name in columns:
        if name not in evaluation.values:
            return f"no value for '{name}'"
        if not math.isfinite(evaluation.values[name]):
            return f"the value of '{name}' is {evaluation.values[name]}; it must be finite"
    return None
