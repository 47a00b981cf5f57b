"""One stored evaluation, in memory and as the record that every output is a view of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from lts._core import Architecture

SCHEMA = 1

TrialState = Literal["waiting", "running", "complete", "failed"]
"""waiting: handed out by the search, not started. running: being evaluated, or cut off while it was.
complete: has a value for every column. failed: could not be evaluated, for the reason in `error`."""

Provenance = Literal["exact", "measured", "predicted", "estimated", "emulated"]

CORRECT = "correct"
COMPILED = "compiled, not run"


@dataclass(frozen=True)
class Trial:
    """An architecture with what is known of it. Units are in the names of the values.

    `predicted` has what was predicted for a column before it was measured, with the ends of the interval. `deployed`
    says what became of compiling it for the target: `CORRECT` when every model was run and was right, `COMPILED` when
    nothing could run them, or else the reason; None when it was not tried.
    """

    id: int
    state: TrialState
    architecture: Architecture
    values: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Provenance] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    mad: dict[str, float] = field(default_factory=dict)
    predicted: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    samples_ns: dict[str, list[int]] = field(default_factory=dict, repr=False)
    feasible: bool | None = None
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    deployed: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    target: str = ""
    device: str = ""
    backend: str = ""
    environment: str = ""
    seed: int = 0
    time: str = ""
    lts_version: str = ""

    def record(self) -> dict[str, Any]:
        """The trial as one JSON object (schema 1)."""
        return {
            "schema": SCHEMA,
            "trial": self.id,
            "state": self.state,
            "architecture": self.architecture.to_dict(),
            "values": self.values,
            "provenance": self.provenance,
            "interval": {name: list(bounds) for name, bounds in self.interval.items()},
            "mad": self.mad,
            "predicted": {name: list(values) for name, values in self.predicted.items()},
            "samples_ns": self.samples_ns,
            "feasible": self.feasible,
            "error": self.error,
            "warnings": self.warnings,
            "deployed": self.deployed,
            "seconds": self.seconds,
            "target": self.target,
            "device": self.device,
            "backend": self.backend,
            "environment": self.environment,
            "seed": self.seed,
            "time": self.time,
            "lts_version": self.lts_version,
        }

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.record(), allow_nan=False)

    @staticmethod
    def from_record(record: dict[str, Any]) -> Trial:
        """The inverse of `record`. Raises `KeyError`, `TypeError` or `ValueError` when it is not a record."""
        if not isinstance(record, dict):
            raise TypeError(f"a record is an object, not {type(record).__name__}")
        if record.get("schema") != SCHEMA:
            raise ValueError(f"record schema is {record.get('schema')!r}; this version reads schema {SCHEMA}")
        fields = {key: value for key, value in record.items() if key not in ("schema", "trial")}
        fields["architecture"] = Architecture.from_dict(fields["architecture"])
        fields["interval"] = {name: (low, high) for name, (low, high) in fields["interval"].items()}
        fields["predicted"] = {name: (v, low, high) for name, (v, low, high) in fields.get("predicted", {}).items()}
        return Trial(id=record["trial"], **fields)
