"""One stored evaluation, in memory and as the record that every output is a view of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from lts._core import Architecture
from lts.measure.notebook import outcome_html
from lts.measure.outcome import Outcome
from lts.measure.outcome import Provenance as Provenance  # of the fields that `Trial` inherits, for who reads its types
from lts.measure.record import checked

SCHEMA = 1

TrialState = Literal["waiting", "running", "complete", "failed"]
"""waiting: handed out by the search, not started. running: being evaluated, or cut off while it was.
complete: has a value for every column. failed: could not be evaluated, for the reason in `error`."""

CORRECT = "correct"
COMPILED = "compiled, not run"


@dataclass(frozen=True, repr=False)
class Trial(Outcome):
    """An architecture with what is known of it, and where that comes from.

    Parameters
    ----------
    id
        Its number in the study, in the order in which trials were handed out.
    state
        See `TrialState`.
    architecture
        What is evaluated.
    predicted
        By column what was predicted before it was measured, with the ends of the interval.
    rounds
        By column what every process measured, in the order of time, where there were several: see `lts.study.spread`.
    feasible
        Whether it satisfies the constraints; None until it is complete.
    deployed
        `CORRECT` when it was compiled for the target and every model was run and right, `COMPILED` when nothing could
        run them, else the reason why not; None when it was not compiled.
    origin
        The part of the sampler that proposed it, such as "design" or "algorithm".
    """

    id: int
    state: TrialState
    architecture: Architecture
    predicted: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    rounds: dict[str, list[float]] = field(default_factory=dict)
    feasible: bool | None = None
    deployed: str | None = None
    origin: str = ""
    target: str = ""
    backend: str = ""
    seed: int = 0
    time: str = ""
    lts_version: str = ""

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.6g}" for name, value in self.values.items())
        about = values if self.error is None else f"error={self.error!r}"
        return f"Trial(id={self.id}, state={self.state!r}, {about})"

    def _repr_html_(self) -> str:
        infeasible = ", violates a constraint" if self.feasible is False else ""
        return outcome_html(f"Trial {self.id}, {self.state}{infeasible}", self, self.architecture)

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
            "rounds": self.rounds,
            "samples_ns": self.samples_ns,
            "feasible": self.feasible,
            "error": self.error,
            "warnings": self.warnings,
            "disturbed": self.disturbed,
            "deployed": self.deployed,
            "origin": self.origin,
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
        """The inverse of `record`. Raises `KeyError`, `TypeError` or `ValueError` when it is not a record.

        Every field is checked for its type, size and range: nothing else of a file that may come from anywhere is.
        """
        if not isinstance(record, dict):
            raise TypeError(f"a record is an object, not {type(record).__name__}")
        if record.get("schema") != SCHEMA:
            raise ValueError(f"record schema is {record.get('schema')!r}; this version reads schema {SCHEMA}")
        checked(record)
        fields = {key: value for key, value in record.items() if key not in ("schema", "trial")}
        fields["architecture"] = Architecture.from_dict(fields["architecture"])
        fields["interval"] = {name: (low, high) for name, (low, high) in fields["interval"].items()}
        fields["predicted"] = {name: (v, low, high) for name, (v, low, high) in fields.get("predicted", {}).items()}
        return Trial(id=record["trial"], **fields)
