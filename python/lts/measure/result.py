"""What was measured of a model in several processes, in memory and as the record that files of results have.

The record has the schema of a trial's (see `lts.measure.trial`), with what a model has in place of a place in a study.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import median
from typing import Any, Literal

from lts._core import Architecture, __version__
from lts.measure.evaluator import ENERGY_COLUMNS
from lts.measure.models.model import Model
from lts.measure.outcome import Outcome, Provenance, finite, shown
from lts.measure.record import checked
from lts.measure.statistics import median_ranks
from lts.measure.trial import SCHEMA
from lts.system.environment import METER, environment_hash
from lts.system.outside import printable
from lts.system.text import plural
from lts.targets.workload import Workload

# Fields whose texts people see; a name under which something is saved has rules of its own, see `lts.measure.history`.
_SHOWN = (
    *("model", "kind", "target", "device", "backend", "environment", "fingerprint", "inputs"),
    *("error", "warnings", "revision", "time", "lts_version"),
)


@dataclass(frozen=True, repr=False)
class Result(Outcome):
    """A model with what was measured of it, on what, and with what.

    Values are medians over the processes, with the bounds of `lts.measure.statistics.median_ranks` as their interval:
    they hold with `coverage`, which is less than 95 % for fewer than six processes.

    Parameters
    ----------
    model, kind
        What the user calls it, and what it is, such as "onnx".
    architecture
        Where it is known.
    workload
        What was run; None for a model with inputs of its own, and where a file does not say.
    inputs
        Shapes of the inputs by name, of a model with inputs of its own.
    rounds
        By column what every process measured, in the order of time.
    n_samples
        By name of `samples_ns`, which has those of all processes one after the other, how many each process gave.
    fingerprint
        The machine and software, whose hash is `environment`.
    saved
        The name under which it is in a history; empty in other files.
    revision
        The commit that was measured, where that is known.
    """

    model: str
    kind: str = ""
    architecture: Architecture | None = None
    workload: Workload | None = None
    inputs: dict[str, list[int]] = field(default_factory=dict)
    rounds: dict[str, list[float]] = field(default_factory=dict)
    n_samples: dict[str, list[int]] = field(default_factory=dict)
    target: str = ""
    backend: str = ""
    fingerprint: dict[str, Any] = field(default_factory=dict, repr=False)
    saved: str = ""
    revision: str = ""
    time: str = ""
    lts_version: str = ""

    @property
    def state(self) -> Literal["complete", "failed"]:
        """Whether it could be measured."""
        return "complete" if self.error is None else "failed"

    @property
    def coverage(self) -> float:
        """The probability with which its intervals hold, of the column with the fewest processes."""
        return min((median_ranks(len(each))[2] for each in self.rounds.values()), default=0.0)

    @property
    def threads(self) -> int | None:
        """Threads that it was run with, where that is known."""
        known = self.fingerprint.get("threads") if self.workload is None else self.workload.threads
        return known if type(known) is int else None

    @property
    def run(self) -> str:
        """What it was run with, for people."""
        if self.workload is not None:
            return str(self.workload)
        shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in self.inputs.items())
        threads = "" if self.threads is None else f", {plural(self.threads, 'thread')}"
        return f"{shapes or 'its own inputs'}{threads}"

    def record(self) -> dict[str, Any]:
        """It as one JSON object (schema 1)."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            "schema": SCHEMA,
            **own,
            "state": self.state,
            "architecture": None if self.architecture is None else self.architecture.to_dict(),
            "workload": None if self.workload is None else self.workload.describe(),
            "interval": {name: list(bounds) for name, bounds in self.interval.items()},
        }

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.record(), allow_nan=False)

    @staticmethod
    def from_record(record: dict[str, Any]) -> Result:
        """The inverse of `record`; also of a trial's record, which becomes "trial N".

        Every field is checked for its type, size and range, and what cannot be printed is replaced in texts. Raises
        `KeyError`, `TypeError` or `ValueError` when it is no record.
        """
        if not isinstance(record, dict):
            raise TypeError(f"a record is an object, not {type(record).__name__}")
        if record.get("schema") != SCHEMA:
            raise ValueError(f"record schema is {record.get('schema')!r}; this version reads schema {SCHEMA}")
        checked(record, result=True)
        if "model" not in record and "trial" not in record:
            raise ValueError("it has neither the field 'model' nor 'trial'")
        known = {each.name for each in fields(Result)}
        found = {key: value for key, value in record.items() if key in known}
        found |= {key: _printable(found[key]) for key in _SHOWN if key in found}
        found.setdefault("model", f"trial {record.get('trial')}")
        if found.get("architecture") is not None:
            found["architecture"] = Architecture.from_dict(found["architecture"])
        if found.get("workload") is not None:
            found["workload"] = _workload(found["workload"])
        found["interval"] = {name: (low, high) for name, (low, high) in found.get("interval", {}).items()}
        if "trial" in record:  # of whose first process alone there are samples, and no rounds where it was the only one
            values = {name: [value] for name, value in found["values"].items()}
            found["rounds"] = {**values, **found.get("rounds", {})}
        made = Result(**found)
        if record.get("state", made.state) != made.state:
            raise ValueError(f"its state is {record.get('state')!r}, with {shown(made.error)} as its error")
        for name in (*made.values, *made.rounds):
            if not name.isprintable():
                raise ValueError(f"a metric is called {shown(name)}; expected a name that can be printed")
            if name not in made.provenance:
                raise ValueError(f"it does not say where {shown(name)} is from")
        for name, counts in made.n_samples.items():
            if sum(counts) != len(made.samples_ns.get(name, ())):
                raise ValueError(f"it has not as many samples of {shown(name)} as it says")
        return made


def _printable(value: Any) -> Any:
    """A field whose texts can be printed."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(name): _printable(each) for name, each in value.items()}
    if isinstance(value, list) and str in set(map(type, value)):
        return [_printable(each) for each in value]
    return value


def _workload(description: Mapping[str, Any]) -> Workload:
    """That of a record. Raises `TypeError` or `ValueError` for values that no workload has."""
    for name, value in description.items():
        kind = type(Workload.__dataclass_fields__[name].default) if name in Workload.__dataclass_fields__ else None
        if type(value) is not kind:
            raise TypeError(f"the value of {shown(name)} in 'workload' is {shown(value)}, which it cannot be")
    return Workload.of(description)


def result_of(model: Model, costs: Sequence[str], processes: Sequence[Outcome]) -> Result:
    """What processes that count say of a model together; with the last one's error where that failed."""
    rounds = {name: [each.values[name] for each in processes if name in each.values] for name in costs}
    rounds = {name: values for name, values in rounds.items() if values}
    joined = Outcome()
    for each in processes:
        joined |= each
    samples: dict[str, list[int]] = {}
    n_samples: dict[str, list[int]] = {}
    for each in processes:
        for name, values in each.samples_ns.items():
            samples.setdefault(name, []).extend(values)
            n_samples.setdefault(name, []).append(len(values))
    description, fingerprint = model.describe(), model.environment()
    return Result(
        **{
            **joined.outcome(),
            "values": {name: _median(values) for name, values in rounds.items()},
            "interval": {name: _bounds(values) for name, values in rounds.items()},
            "provenance": {name: _provenance(processes, name) for name in rounds},
            "samples_ns": samples,
            "mad": {},
            "warnings": list(map(printable, dict.fromkeys(joined.warnings))),
            "error": None if joined.error is None else printable(joined.error),
            "environment": environment_hash(fingerprint),
            "device": description["device"],
        },
        model=printable(model.name),
        kind=model.kind,
        architecture=model.architecture,
        workload=Workload.of(description) if "n_prompt" in description else None,
        inputs=description.get("inputs", {}),
        rounds=rounds,
        n_samples=n_samples,
        target=description["target"],
        backend=description["backend"],
        fingerprint=fingerprint,
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        lts_version=__version__,
    )


def _median(values: Sequence[float]) -> float:
    """The median; of counts, such as bytes, the integer that it is."""
    found = float(median(values))
    return int(found) if found.is_integer() and all(isinstance(value, int) for value in values) else found


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    low, high, _ = median_ranks(len(ordered))
    return ordered[low], ordered[high]


def _provenance(processes: Sequence[Outcome], name: str) -> Provenance:
    return next(each.provenance[name] for each in processes if name in each.provenance)


def differences(one: Result, other: Result) -> list[str]:
    """What differs between the conditions of two results, one phrase each; none when they may be compared."""
    pairs: list[tuple[str, Any, Any]] = [
        (name, getattr(one, name), getattr(other, name)) for name in ("target", "device", "backend")
    ]
    pairs += _pairs(one.inputs, other.inputs)
    pairs += _pairs(
        {} if one.workload is None else one.workload.describe(),
        {} if other.workload is None else other.workload.describe(),
    )
    if one.environment != other.environment:
        inside = _pairs(one.fingerprint, other.fingerprint)
        known = [pair for pair in inside if pair[1] != pair[2]]
        pairs += known or [("environment", one.environment, other.environment)]
    elif set(ENERGY_COLUMNS) & (one.rounds.keys() | other.rounds.keys()):  # the hash leaves the meter out
        pairs.append((METER, one.fingerprint.get(METER), other.fingerprint.get(METER)))
    return [f"{name} {_said(first)} and {_said(second)}" for name, first, second in pairs if first != second]


def _pairs(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(name, one.get(name), other.get(name)) for name in dict.fromkeys((*one, *other))]


def _said(value: object) -> str:
    if value is None or value == "":
        return "unknown"
    return f"{value:g}" if finite(value) else str(value)
