"""From what came out of an evaluation to a finished trial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from lts._core import Constraint
from lts.jobs.cause_of_death import explained
from lts.measure.columns import QUALITY
from lts.measure.outcome import finite
from lts.measure.trial import Trial
from lts.study.evaluations import Evaluated

_MOST_TEXT, _MOST_WARNINGS = 500, 100
_MORE = " ... (cut)"


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
    values = {name: _plain(value) for name, value in outcome.values.items() if finite(value)}
    return replace(
        trial,
        **{
            **outcome.outcome(),
            "values": values,
            "provenance": {name: p for name, p in outcome.provenance.items() if name in values},
            "interval": {n: bounds for n, bounds in outcome.interval.items() if all(map(finite, bounds))},
            "environment": outcome.environment or environment,
            "device": outcome.device or trial.device,
            "error": None if error is None else _cut(error),
            "warnings": [_cut(warning) for warning in outcome.warnings[:_MOST_WARNINGS]],
        },
        state="complete" if error is None else "failed",
        feasible=all(c.holds(values[c.name]) for c in constraints) if error is None else None,
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def measured_again(
    evaluated: Evaluated, columns: Iterable[str], constraints: Sequence[Constraint], environment: str
) -> Trial:
    """A finished trial with what another process has measured: as further rounds, or in place of a failure.

    Unchanged when that process has failed, or was disturbed. What the trial's own process measured stays the value
    that the sampler was told.
    """
    trial, outcome = evaluated.trial, evaluated.outcome
    if outcome.problem(columns) is not None or outcome.disturbed:
        return trial
    if trial.state == "failed":
        again = finished(replace(evaluated, trial=replace(trial, state="running")), columns, constraints, environment)
        return replace(again, warnings=[*again.warnings, _cut(f"an earlier process failed: {trial.error}")])
    measured = [
        name
        for name, kind in outcome.provenance.items()
        if kind == "measured" and name in trial.values and name not in QUALITY
    ]
    if not measured:
        return trial
    rounds = {name: [*trial.rounds.get(name, [trial.values[name]]), _plain(outcome.values[name])] for name in measured}
    n = max(map(len, rounds.values()), default=1)
    return replace(
        trial,
        rounds={**trial.rounds, **rounds},
        samples_ns={**trial.samples_ns, **{f"{name}_{n}": samples for name, samples in outcome.samples_ns.items()}},
        warnings=[*trial.warnings, *(_cut(f"process {n}: {warning}") for warning in outcome.warnings)][:_MOST_WARNINGS],
    )


def with_process(
    evaluated: Evaluated, columns: Iterable[str], constraints: Sequence[Constraint], environment: str
) -> Trial:
    """The trial with what one process has measured, its first or a further one."""
    take = finished if evaluated.trial.state == "running" else measured_again
    return take(evaluated, columns, constraints, environment)


def _cut(text: str) -> str:
    """A sentence for the store: what a compiler or a function of the user's says may be very long."""
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - len(_MORE)]}{_MORE}"


def _plain(value: float) -> float:
    """The number as JSON knows it; an evaluator may give one of NumPy's."""
    return value if isinstance(value, int | float) else float(value)
