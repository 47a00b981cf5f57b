"""From what came out of an evaluation to a finished trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from lts._core import Constraint
from lts.jobs.cause_of_death import explained
from lts.measure.trial import Trial
from lts.study.evaluations import Evaluated


def finished(
    evaluated: Evaluated, columns: Iterable[str], constraints: Sequence[Constraint], environment: str
) -> Trial:
    """The trial, complete or failed; unchanged when it failed for want of time.

    `environment` is the hash of the fingerprint for an outcome that has none of its own.
    """
    trial, outcome = evaluated.trial, evaluated.outcome
    error = outcome.problem(columns)
    if error is not None and evaluated.allowed is not None and evaluated.seconds >= evaluated.allowed:
        return trial
    error = explained(error) if error is not None else None
    values = {name: _plain(value) for name, value in outcome.values.items() if math.isfinite(value)}
    return replace(
        trial,
        **{
            **outcome.outcome(),
            "values": values,
            "provenance": {name: p for name, p in outcome.provenance.items() if name in values},
            "interval": {n: bounds for n, bounds in outcome.interval.items() if all(map(math.isfinite, bounds))},
            "environment": outcome.environment or environment,
            "error": error,
        },
        state="complete" if error is None else "failed",
        feasible=all(c.holds(values[c.name]) for c in constraints) if error is None else None,
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _plain(value: float) -> float:
    """The number as JSON knows it; an evaluator may give one of NumPy's."""
    return value if isinstance(value, int | float) else float(value)
