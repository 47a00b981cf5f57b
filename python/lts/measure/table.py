"""Published or earlier measurements as a device: nothing is run, and only what the table has can be evaluated."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, get_args

from lts._core import Architecture
from lts.devices.device import Job, JobResult, RunnerJob, Runs
from lts.errors import MeasurementError, UsageError
from lts.measure.trial import Provenance
from lts.targets.target import Target


class TableDevice:
    """Replays a file of JSON Lines, each with an ``architecture`` and its ``values`` by column.

    That is what `lts-engine front DIR -o jsonl` prints, and what `docs/formats.md` describes; an ``interval`` and
    ``provenance`` are replayed as well. Of lines with the same architecture the first counts.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    architectures
        All that can be evaluated, in the order of the file.
    digest
        Of the content of the file.

    Raises
    ------
    UsageError
        When the file cannot be read, naming the line that is wrong and how.
    """

    runs: tuple[Runs, ...] = ()
    parallel = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read the table {path}: {error.strerror or error}") from None
        self.digest = hashlib.sha256(content).hexdigest()[:16]
        self._records: dict[str, dict[str, Any]] = {}
        self.architectures: list[Architecture] = []
        for number, line in enumerate(content.splitlines(), 1):
            if line.strip():
                self._add(line, f"{path}, line {number}")
        if not self.architectures:
            raise UsageError(f"the table {path} has no measurements; expected JSON Lines with architecture and values")
        self.costs = tuple(
            name
            for name in next(iter(self._records.values()))["values"]
            if all(name in record["values"] for record in self._records.values())
        )

    @classmethod
    def from_uri(cls, uri: str) -> TableDevice:
        """For `lts.devices.device.open_device`."""
        return cls(Path(uri.partition(":")[2]))

    def look_up(self, architecture: Architecture) -> dict[str, Any] | None:
        """The record of an architecture; None when the table has none."""
        return self._records.get(architecture.to_json())

    def check(self, target: Target) -> None:
        """The table belongs to whatever it was measured on."""

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        """Raise `MeasurementError`."""
        raise MeasurementError("a table runs nothing; for measurements attach a device, see docs/devices.md")

    def environment(self, threads: int) -> dict[str, Any]:
        """What the values come from: the file."""
        return {"table": self.path.name, "sha256": self.digest, "threads": threads}

    def close(self) -> None:
        """Nothing is held."""

    def _add(self, line: bytes, where: str) -> None:
        try:
            record = json.loads(line)
            architecture = Architecture.from_dict(record["architecture"])
            values = record["values"]
            if not values or any(isinstance(v, bool) or not math.isfinite(v) for v in values.values()):
                raise ValueError("values must be finite numbers by column")
            for low, high in record.setdefault("interval", {}).values():
                if not low <= high:
                    raise ValueError("an interval must have its low end first")
            if not set(record.setdefault("provenance", {}).values()) <= set(get_args(Provenance)):
                raise ValueError(f"a provenance must be one of {', '.join(get_args(Provenance))}")
        except KeyError as error:
            raise UsageError(f"{where}: {error} is missing; expected architecture and values") from None
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise UsageError(f"{where}: {' '.join(str(error).split())}") from None
        key = architecture.to_json()
        if key not in self._records:
            self._records[key] = record
            self.architectures.append(architecture)
