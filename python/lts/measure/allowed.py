"""What a contender may be worse by, as people write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lts.errors import UsageError
from lts.measure.compare import Bounds, Metric

_MOST = 1000.0


def share_of(value: Any, where: str) -> float:
    """The number that "5%", "0.05" or 0.05 is; from 1 on it needs the sign. Raises `UsageError` for something else."""
    text = value.strip() if isinstance(value, str) else ""
    percent = text.endswith("%")
    digits = text.removesuffix("%").strip()
    try:
        share = float(digits if text else value) / (100 if percent else 1)
        known = not isinstance(value, bool) and (
            not text or (digits.isascii() and digits.replace(".", "", 1).isdigit())
        )
    except (TypeError, ValueError, OverflowError):
        known, share = False, 0.0
    if not known or not 0 <= share <= _MOST:
        raise UsageError(f"{where} is {value!r}; expected a share of at least 0, such as 5% or 0.05")
    if share >= 1 and not percent:
        raise UsageError(f"{where} is {value!r}, {share:.0%}; write {value}% or the sign with the number")
    return share


def bounds_for(given: Mapping[str, float], metrics: Sequence[str]) -> Bounds:
    """Bounds by metric from those that are given by name; "" is for all that are not exact, which have bounds of 0.

    Raises
    ------
    UsageError
        For a metric that is not compared.
    """
    for name in given:
        if name and name not in metrics:
            raise UsageError(
                f"a bound is given for {name}, which is not compared; expected any of {', '.join(metrics)}"
            )
    common = {name: given[""] for name in metrics if "" in given and not Metric.named(name).exact}
    return {**common, **{name: value for name, value in given.items() if name}}
