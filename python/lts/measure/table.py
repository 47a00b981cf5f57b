"""Candidates whose values a table has: published or earlier measurements. Nothing is run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from lts._core import Architecture
from lts.errors import UsageError
from lts.measure.counted import ALWAYS, counted
from lts.measure.evaluator import TargetEvaluator
from lts.measure.outcome import Outcome, Provenance
from lts.system.outside import parse_json, read_bytes, unpacked
from lts.targets.target import Target
from lts.targets.workload import Workload


class TableEvaluator(TargetEvaluator):
    """Replays a file of JSON Lines, each with an ``architecture`` and its ``values`` by column.

    That is what `lts-engine front DIR -o jsonl` prints, and what `docs/formats.md` describes; an ``interval`` and
    ``provenance`` are replayed as well. Of lines with the same architecture the first counts.

    Parameters
    ----------
    target
        What the table was measured on: its precision is that of counted values.
    path
        The file, which may be compressed with gzip.
    workload
        What was measured.

    Attributes
    ----------
    architectures
        All that can be evaluated, in the order of the file.
    digest
        Hash of the content of the file.

    Raises
    ------
    UsageError
        When the file cannot be read, naming the line that is wrong and how.
    """

    surrogate = "additive"

    def __init__(self, target: Target, path: Path, *, workload: Workload | None = None) -> None:
        super().__init__(target, f"table:{path}", "table", workload)
        self.path = path
        try:
            content = unpacked(read_bytes(path), path)
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
        self.priors = self._calibrated()

    @property
    def no_energy(self) -> str:
        return f"not every line of {self.path} has it"

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "table": self.digest}

    def environment(self) -> dict[str, Any]:
        """What the values come from: the file."""
        return {"table": self.path.name, "sha256": self.digest, "threads": self.target.threads}

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        record = self._records.get(architecture.to_json())
        if record is None:
            return Outcome(error=f"the table {self.path} does not have this architecture")
        return counted(architecture, (*columns, *ALWAYS), **self.workload.counted) | Outcome(
            values=record["values"],
            provenance={**dict.fromkeys(record["values"], "measured"), **record["provenance"]},
            interval={name: (low, high) for name, (low, high) in record["interval"].items()},
        )

    def _add(self, line: bytes, where: str) -> None:
        try:
            record = parse_json(line)
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
