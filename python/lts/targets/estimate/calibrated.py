"""Costs of an architecture on a target that was calibrated, without running anything."""

from __future__ import annotations

import json

from lts._core import Architecture, Surrogate, cost_term_names, cost_terms
from lts.targets.calibration import Calibration
from lts.targets.target import Target
from lts.targets.workload import Workload


def calibration_for(target: Target, workload: Workload) -> Calibration | None:
    """What the target was measured to cost; None when it was measured otherwise than it is used."""
    known = target.calibration
    return known if known is not None and known.workload == workload else None


def predicted(architecture: Architecture, target: Target, workload: Workload) -> dict[str, tuple[float, float, float]]:
    """Costs on a calibrated target: by name, the value and the low and high ends of its interval.

    Empty when the calibration was measured under another workload. The interval is
    as wide as the largest error of predicting a measurement from the others.
    """
    known = calibration_for(target, workload)
    if known is None:
        return {}
    amounts = dict(zip(cost_term_names(), cost_terms([architecture])[0].tolist(), strict=True))
    found = {}
    for name, cost in known.costs.items():
        value = sum(cost.coefficients[term] * amount for term, amount in amounts.items())
        found[name] = (value, value / (1 + cost.error_max), value * (1 + cost.error_max))
    return found


def calibrated_models(target: Target, workload: Workload) -> dict[str, Surrogate]:
    """What `predicted` computes, as models for the core."""
    known = calibration_for(target, workload)
    if known is None:
        return {}
    n = len(cost_term_names())
    return {
        name: Surrogate.from_json(
            json.dumps(
                {
                    "schema": 1,
                    "pairwise": False,
                    "level": 0.9,
                    "n_samples": cost.n,
                    "error": cost.error,
                    "error_max": cost.error_max,
                    "quantile": 0.0,
                    "coefficients": cost.coefficients,
                    "covariance": [0.0] * n * n,
                }
            )
        )
        for name, cost in known.costs.items()
    }
