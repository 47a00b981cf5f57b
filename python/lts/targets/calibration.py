"""Cost coefficients fitted to measurements on a device: the table [calibration] of a target's profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lts.errors import UsageError
from lts.system.toml_file import check_keys, integer, number, table_at
from lts.targets.workload import BEFORE, Workload


@dataclass(frozen=True)
class CalibratedCost:
    """One cost as a sum of terms.

    Parameters
    ----------
    n
        Number of measurements that it was fitted to.
    error, error_max
        Mean and largest relative error of predicting each of them from the others.
    coefficients
        By the names of `lts.cost_term_names`, in the unit of the cost per unit of the term.
    """

    n: int
    error: float
    error_max: float
    coefficients: dict[str, float]


@dataclass(frozen=True)
class Calibration:
    """The costs of a device as measured; a search that starts from them needs fewer measurements.

    Parameters
    ----------
    device, backend
        Where, and by what.
    n_prompt, n_gen, batch, precision, logits, threads, cache
        What was run: see `lts.targets.workload.Workload`.
    space
        Search space that the architectures came from.
    environment
        Hash of the device's fingerprint.
    time, lts_version
        When it was measured, and with which version.
    costs
        By column, such as ``latency_ms``.
    """

    device: str
    backend: str
    n_prompt: int
    threads: int
    precision: str
    space: str
    environment: str = ""
    time: str = ""
    lts_version: str = ""
    provenance: str = "measured"
    n_gen: int = 0
    batch: int = 1
    logits: str = "all"
    cache: str = "copied"
    costs: dict[str, CalibratedCost] = field(default_factory=dict)

    @property
    def workload(self) -> Workload:
        """What was run. Raises `UsageError` for one that there is not."""
        return Workload(self.n_prompt, self.n_gen, self.batch, self.precision, self.logits, self.threads, self.cache)

    def to_dict(self) -> dict[str, Any]:
        """The content of the table in a profile, for `read_calibration`."""
        return asdict(self)


_FIELDS = tuple(each.name for each in fields(Calibration))
_COST = tuple(each.name for each in fields(CalibratedCost))
_COUNTS = {"n_prompt": 1, "threads": 1, "n_gen": 0, "batch": 1}


def read_calibration(document: Mapping[str, Any], base: Calibration | None, where: str) -> Calibration | None:
    """The table [calibration] of a profile, or `base` where it has none. Raises `UsageError` for a wrong entry."""
    if document.get("calibration") is None:
        return base
    table = table_at(document, "calibration", where)
    place = f"{where}, [calibration]"
    check_keys(table, _FIELDS, place)
    values: dict[str, Any] = {}
    for key in _FIELDS:
        if key == "costs":
            continue
        if key in _COUNTS:
            if key not in table and key in BEFORE:
                continue
            if integer(table.get(key), f"{place}, '{key}'") < _COUNTS[key]:
                raise UsageError(f"{place}: '{key}' is {table[key]}; it must be at least {_COUNTS[key]}")
        elif not isinstance(table.get(key, ""), str):
            raise UsageError(f"{place}: '{key}' must be a string, got {table[key]!r}")
        elif key not in table and key in ("device", "backend", "precision", "space"):
            raise UsageError(f"{place}: '{key}' is missing")
        if key in table:
            values[key] = table[key]
    costs = table_at(table, "costs", place, "calibration.costs")
    values["costs"] = {name: _cost(costs, name, where) for name in costs}
    calibration = Calibration(**values)
    try:
        _ = calibration.workload
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
    return calibration


def _cost(costs: Mapping[str, Any], name: str, where: str) -> CalibratedCost:
    from lts._core import cost_term_names

    place = f"{where}, [calibration.costs.{name}]"
    table = table_at(costs, name, where, f"calibration.costs.{name}")
    check_keys(table, _COST, place)
    if missing := [key for key in _COST if key not in table]:
        raise UsageError(f"{place}: '{missing[0]}' is missing; needed: {', '.join(_COST)}")
    coefficients = table_at(table, "coefficients", place, f"calibration.costs.{name}.coefficients")
    check_keys(coefficients, cost_term_names(), f"{place}, 'coefficients'")
    if not any(coefficients.values()):
        raise UsageError(f"{place}: all coefficients are 0; at least one must be above")
    return CalibratedCost(
        n=integer(table["n"], f"{place}, 'n'"),
        error=number(table["error"], f"{place}: 'error'"),
        error_max=number(table["error_max"], f"{place}: 'error_max'"),
        coefficients={
            term: number(coefficients.get(term, 0.0), f"{place}: coefficient '{term}'") for term in cost_term_names()
        },
    )
