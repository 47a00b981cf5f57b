"""The files of an experiment: its plan, the models that were trained, a table of them, and checkpoints."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import math
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lts._core import Architecture, decoder_params
from lts.errors import UsageError
from lts.system.files import remove_abandoned, replace_file
from lts.system.outside import parse_json, read_bytes, sentence

_MOST_BYTES = 64 << 20  # of a file; a model has some 20 KiB
_MOST_STEPS = 10**12
_TABLE = ("architecture", "valid_loss", "train_loss", "decoder_params", "seconds")
# What else `json`, and the core, raise for a value that is none of ours.
_WRONG = (ValueError, KeyError, TypeError, OverflowError, AttributeError)


class ExperimentFiles:
    """A directory with ``plan.json``, ``models.jsonl``, ``table.csv`` and checkpoints; nobody else uses it meanwhile.

    Parameters
    ----------
    directory
        Where it is; created if absent.

    Raises
    ------
    UsageError
        When it cannot be written or is in use.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        path = directory / "models.jsonl"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise UsageError(f"cannot write in {directory}: {error.strerror}") from None
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise UsageError(f"{path} is no regular file; give another directory")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise UsageError(f"{directory} is in use by another process; wait for it, or give another one") from None
        except BaseException:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Let others use it."""
        os.close(self._file)

    def plan(self, asked: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any] | None:
        """The plan of an earlier run, checked; None when there is none.

        Parameters
        ----------
        asked
            What an experiment is asked for, by name.
        recipe
            That of its models; the steps are the plan's.

        Raises
        ------
        UsageError
            When it is damaged, or of an experiment that was asked for something else.
        """
        path = self.directory / "plan.json"
        if not path.exists():
            if os.fstat(self._file).st_size:
                raise UsageError(f"{self.directory} has models.jsonl but no plan.json; give another directory")
            return None
        if not path.is_file():
            raise UsageError(f"{path} is no regular file; give another directory")
        try:
            plan = parse_json(read_bytes(path, _MOST_BYTES))
            differing = [name for name, value in asked.items() if plan[name] != value]
            if not differing:
                _check_plan(plan, recipe, asked["models"])
        except _WRONG as error:
            raise UsageError(
                f"{path} is damaged or of another version ({sentence(error)}); give another directory"
            ) from None
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        if differing:
            known = {"space": "space", "text": "text"}
            names = ", ".join(known.get(name, "--" + name.replace("_", "-")) for name in differing)
            raise UsageError(
                f"{self.directory} has an experiment with another {names}; give another directory with --output-dir"
            )
        found: dict[str, Any] = plan
        return found

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write it, for the runs to come. Raises `UsageError` when that is not possible."""
        try:
            replace_file(self.directory / "plan.json", json.dumps(plan, indent=1))
        except OSError as error:
            raise self.failed(error) from None

    def records(self, architectures: Sequence[Architecture]) -> dict[int, dict[str, Any]]:
        """What is known of the models of the plan, by number, checked: what is damaged or of others is left out.

        Removes what a killed run left of them. Raises `UsageError` when there is more than can be of them.
        """
        path = self.directory / "models.jsonl"
        try:
            content = read_bytes(path, _MOST_BYTES)
            whole = content.rfind(b"\n") + 1
            os.ftruncate(self._file, whole)  # a kill may have cut the last line off
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from None
        found: dict[int, dict[str, Any]] = {}
        for line in content[:whole].splitlines():
            with suppress(*_WRONG):  # damaged: the model is trained again
                record = parse_json(line)
                if _is_record(record, architectures):
                    found.setdefault(record["model"], record)
        for i in found:
            self._remove_checkpoint(i)
        return found

    def append(self, record: Mapping[str, Any]) -> None:
        """Add what is known of a model, whole or not at all, and remove its checkpoint. Raises `UsageError`."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        before = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) != len(line):
                raise OSError(28, "No space left on device")
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):  # the next line is not to continue a half one
                os.ftruncate(self._file, before)
            raise self.failed(error) from None
        self._remove_checkpoint(record["model"])

    def write_table(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write the table of models. Raises `UsageError` when that is not possible."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_TABLE)
        for record in records:
            writer.writerow([json.dumps(record["architecture"]), *(record[name] for name in _TABLE[1:])])
        try:
            replace_file(self.directory / "table.csv", out.getvalue())
        except OSError as error:
            raise self.failed(error) from None

    def checkpoint(self, i: int) -> Path:
        """Where that of a model is."""
        return self.directory / f"checkpoint-{i}.pt"

    def _remove_checkpoint(self, i: int) -> None:
        with suppress(OSError):
            self.checkpoint(i).unlink(missing_ok=True)
        remove_abandoned(self.checkpoint(i))

    def failed(self, error: OSError) -> UsageError:
        """What to raise when something could not be written here."""
        return UsageError(
            f"cannot write in {self.directory}: {error.strerror or error}; what is finished is kept: mend that, then "
            "run the same command again"
        )


def _check_plan(plan: Mapping[str, Any], recipe: Mapping[str, Any], models: int) -> None:
    """Raise `ValueError`, `KeyError` or `TypeError` when it is no plan of such models."""
    steps = plan["recipe"]["steps"]
    if type(steps) is not int or not 1 <= steps <= _MOST_STEPS:
        raise ValueError(f"its steps are {sentence(repr(steps), 60)}")
    if plan["recipe"] != {**recipe, "steps": steps}:
        raise ValueError("its recipe is not the one of its arguments")
    records, times = plan["architectures"], plan["step_seconds"]
    if not isinstance(records, list) or not 1 <= len(records) <= models:
        raise ValueError(f"its architectures are no list of at most {models}")
    for record in records:
        found = Architecture.from_dict(record)
        if (found.vocab_size, found.n_positions) != (256, recipe["length"]):
            raise ValueError("an architecture does not read bytes")
    if not isinstance(times, list) or len(times) != len(records) or not all(_is_positive(time) for time in times):
        raise ValueError("its times of a step are no positive numbers, one for each architecture")


def _is_record(record: Any, architectures: Sequence[Architecture]) -> bool:
    """Whether it is what `ExperimentFiles.append` has written of one of these models."""
    i = record["model"]
    if type(i) is not int or not 0 <= i < len(architectures) or record["architecture"] != architectures[i].to_dict():
        return False
    if record["decoder_params"] != decoder_params(architectures[i]) or not _is_positive(record["seconds"]):
        return False
    if record["state"] == "failed":
        return isinstance(record["error"], str)
    return record["state"] == "complete" and all(_is_number(record[name]) for name in ("valid_loss", "train_loss"))


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0  # type: ignore[operator]
