"""Costs of an architecture on a target that was calibrated, without running anything."""

from __future__ import annotations

from lts._core import Architecture, cost_term_names, cost_terms
from lts.targets.target import Target


def predicted(architecture: Architecture, target: Target, n_prompt: int) -> dict[str, tuple[float, float, float]]:
    """Costs on a calibrated target: by name, the value and the low and high ends of its interval.

    Empty when the calibration was measured with another prompt length, precision or number of threads. The interval is
    as wide as the largest error of predicting a measurement from the others.
    """
    known = target.calibration
    if known is None or (known.n_prompt, known.threads, known.precision) != (
        n_prompt,
        target.threads,
        target.precision,
    ):
        return {}
    amounts = dict(zip(cost_term_names(), cost_terms([architecture])[0].tolist(), strict=True))
    found = {}
    for name, cost in known.costs.items():
        value = sum(cost.coefficients[term] * amount for term, amount in amounts.items())
        found[name] = (value, value / (1 + cost.error_max), value * (1 + cost.error_max))
    return found
