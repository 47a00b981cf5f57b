"""What estimates assume about compiled models on a target: the table [estimate] of its profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lts.errors import UsageError
from lts.system.toml_file import check_keys, integer, number, table_at


@dataclass(frozen=True)
class Published:
    """The latency of published software on a target, as a sum of five terms fitted to published measurements.

    Parameters
    ----------
    software, source
        What was measured and how; where the measurements and the fit come from.
    family, n_prompt, threads, models
        What was measured: the family of the models, the tokens of the prompt, the threads, and the number of models.
    error, error_max
        Mean and largest relative error of predicting each model from the others (leave-one-out).
    layer_ms_per_gflop, output_ms_per_gflop
        Milliseconds per 10^9 operations of matrix products: in the layers, attention included, and outside of them.
    ns_per_logit, ns_per_activation, ns_per_score
        Nanoseconds per element of the logits, of the feed-forward activations, and of the attention scores.
    """

    software: str
    source: str
    family: str
    n_prompt: int
    threads: int
    models: int
    error: float
    error_max: float
    layer_ms_per_gflop: float
    output_ms_per_gflop: float
    ns_per_logit: float
    ns_per_activation: float
    ns_per_score: float


@dataclass(frozen=True)
class Assumptions:
    """What an estimate assumes about compiled models on a target; see docs/estimates.md.

    Parameters
    ----------
    efficiency
        Share of the peak that matrix products reach, above 0 and at most 1; None for the default of the kind.
    operator_us
        Overhead of an operator in microseconds; None for the default of the kind.
    published
        The fit to published measurements, where there are any.
    """

    efficiency: float | None = None
    operator_us: float | None = None
    published: Published | None = None


_ASSUMPTIONS = tuple(field.name for field in fields(Assumptions))
_PUBLISHED = tuple(field.name for field in fields(Published))
_TEXTS = ("software", "source", "family")
_COUNTS = ("n_prompt", "threads", "models")
_ERRORS = ("error", "error_max")


def read_assumptions(document: Mapping[str, Any], base: Assumptions, where: str) -> Assumptions:
    """The table [estimate] of a profile; `base` supplies what it leaves out. Raises `UsageError` for unknown keys."""
    table = table_at(document, "estimate", where)
    check_keys(table, _ASSUMPTIONS, f"{where}, [estimate]")
    inner = table_at(table, "published", f"{where}, [estimate]", "estimate.published")
    check_keys(inner, _PUBLISHED, f"{where}, [estimate.published]")
    published = base.published
    if "published" in table:
        if missing := [key for key in _PUBLISHED if key not in inner]:
            needed = ", ".join(_PUBLISHED)
            raise UsageError(f"{where}, [estimate.published]: '{missing[0]}' is missing; needed: {needed}")
        published = Published(**inner)
    return Assumptions(
        efficiency=table.get("efficiency", base.efficiency),
        operator_us=table.get("operator_us", base.operator_us),
        published=published,
    )


def check_assumptions(assumptions: Any, where: str) -> None:
    """Check types and ranges. Raises `UsageError` for the first value that is wrong."""
    if not isinstance(assumptions, Assumptions):
        raise UsageError(f"{where}: 'estimate' must be lts.targets.assumptions.Assumptions, got {assumptions!r}")
    table = f"{where}, [estimate]"
    if assumptions.efficiency is not None:
        number(assumptions.efficiency, f"{table}: 'efficiency'", above=0, most=1)
    if assumptions.operator_us is not None:
        number(assumptions.operator_us, f"{table}: 'operator_us'")
    if (published := assumptions.published) is None:
        return
    table = f"{where}, [estimate.published]"
    for key in _PUBLISHED:
        value = getattr(published, key)
        if key in _TEXTS:
            if not isinstance(value, str):
                raise UsageError(f"{table}: '{key}' must be a string, got {value!r}")
        elif key in _COUNTS:
            if integer(value, f"{table}, '{key}'") < 1:
                raise UsageError(f"{table}: '{key}' is {value}; it must be at least 1")
        else:
            number(value, f"{table}: '{key}'", below=1 if key in _ERRORS else None)
