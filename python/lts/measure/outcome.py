"""What came out of evaluating an architecture: the one record that evaluators, trials and deployments share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Literal

# "given" is by a function of the user's own, which does not say how it found it.
Provenance = Literal["exact", "measured", "predicted", "estimated", "emulated", "given"]

_MOST_SHOWN = 60


def finite(value: object) -> bool:
    """Whether it is a number that a float holds: a bool, text, None or an integer of 400 digits is not."""
    try:
        return not isinstance(value, bool) and math.isfinite(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def shown(value: object) -> str:
    """A value of any kind in a sentence: short, and on one line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of an integer of thousands of digits, or of somebody's own type
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}... ({type(value).__name__})"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Values with their provenance, or the reason why there are none. Units are in the names of the values.

    Parameters
    ----------
    values, provenance
        By column: the number, and where it comes from.
    interval
        Bounds that hold with 95 %: for what was timed of the median in one process, until `lts.study.spread` knows how
        much processes differ; of the estimate or prediction for other columns.
    mad
        Median absolute deviation of what was timed.
    samples_ns
        Every sample of ``latency`` and ``decode``; where other programs had the processor meanwhile, so that some are
        shorter than the time on the wall, also all of those, as ``latency_wall``.
    warnings
        Reasons to doubt the values, one sentence each.
    disturbed
        Whether something was wrong with the machine meanwhile, for example too little memory, so that the measured
        values do not show what the model takes; a warning says what.
    seconds
        Duration of the parts of the evaluation itself.
    environment
        Hash of the fingerprint of the machine and its software; empty when the evaluator's holds.
    device
        Which of several devices measured it, as in ``--device``; empty when the evaluator has one.
    error
        Why there are no values, one sentence; None when there are.
    """

    values: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Provenance] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    mad: dict[str, float] = field(default_factory=dict)
    samples_ns: dict[str, list[int]] = field(default_factory=dict, repr=False)
    warnings: list[str] = field(default_factory=list)
    disturbed: bool = False
    seconds: dict[str, float] = field(default_factory=dict, repr=False)
    environment: str = ""
    device: str = ""
    error: str | None = None

    def outcome(self) -> dict[str, Any]:
        """The fields of an `Outcome` by name, of this or of a record that has more."""
        return {each.name: getattr(self, each.name) for each in fields(Outcome)}

    def __or__(self, other: Outcome) -> Outcome:
        """Both together: what `other` says of a column counts, seconds and warnings add up, the first error stays."""
        return Outcome(
            values={**self.values, **other.values},
            provenance={**self.provenance, **other.provenance},
            interval={**self.interval, **other.interval},
            mad={**self.mad, **other.mad},
            samples_ns={**self.samples_ns, **other.samples_ns},
            warnings=[*self.warnings, *other.warnings],
            disturbed=self.disturbed or other.disturbed,
            seconds={
                key: self.seconds.get(key, 0.0) + other.seconds.get(key, 0.0)
                for key in dict.fromkeys((*self.seconds, *other.seconds))
            },
            environment=other.environment or self.environment,
            device=", ".join(dict.fromkeys(each for both in (self, other) for each in both.device.split(", ") if each)),
            error=self.error if self.error is not None else other.error,
        )

    def problem(self, columns: Iterable[str]) -> str | None:
        """Why it cannot count: its own error, a missing column, or a value that is not finite."""
        if self.error is not None:
            return self.error
        for name in columns:
            if name not in self.values:
                return f"no value for '{name}'"
            if not finite(self.values[name]):
                return f"the value of '{name}' is {shown(self.values[name])}; it must be finite"
        return None
