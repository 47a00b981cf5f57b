"""Costs of an architecture on a target that was calibrated, without running anything."""

from __future__ import annotations

from lts._core import Architecture, cost_term_names, cost_terms
from lts.targets.target import Target


def predicted(architecture: Architecture, target: Target, n_prompt: int) -> dict[str, tuple[float, float, float]]:
    """Costs of a calibrated target with the ends of their intervals; nothing for what was measured otherwise.

    The interval is the largest error that was seen when every measurement was predicted from the others.
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
