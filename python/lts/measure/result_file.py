"""Files of results: JSON Lines as `lts-engine bench -o jsonl` prints them, or one JSON array."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.measure.result import Result
from lts.system.outside import parse_json, read_bytes, sentence

_SUFFIXES = (".jsonl", ".ndjson")
_MOST = 1 << 30
_LONG = 200


def is_result_file(path: Path) -> bool:
    """Whether it is to be read as results: by its name, or because it begins like such JSON."""
    if path.suffix in _SUFFIXES:
        return True
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(_LONG).decode("utf-8-sig", errors="replace").lstrip()
    except OSError:
        return False
    return begin.startswith("[") or '"schema"' in begin.split(",", 1)[0]


def read_results(path: Path) -> list[Result]:
    """The results in a file, of which there is at least one.

    Raises
    ------
    UsageError
        When it cannot be read, is empty, or has something else in it, saying where.
    """
    try:
        text = read_bytes(path, _MOST).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; expected a file of results") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; expected a file of results") from None
    entries: list[tuple[str, Any]]
    if text.lstrip().startswith("["):
        entries = [(f"{path}, entry {i}", each) for i, each in enumerate(_array(path, text), start=1)]
    elif (alone := _object(text)) is not None:
        entries = [(str(path), alone)]
    else:  # at the ends of lines alone: what else Python takes for one may stand in a text
        entries = [(f"{path}, line {i}", line) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not entries:
        raise UsageError(f"{path} is empty; expected results, as lts-engine bench -o jsonl prints them")
    return [read_result(each, where) for where, each in entries]


def read_result(entry: Any, where: str) -> Result:
    """The result in a line, or in a value of JSON. Raises `UsageError` saying where it is wrong."""
    try:
        return Result.from_record(parse_json(entry) if isinstance(entry, str) else entry)
    except KeyError as error:
        raise UsageError(f"{where}: a result without the field {error}; it is damaged, or of something else") from None
    except json.JSONDecodeError:
        raise UsageError(f"{where}: it is not JSON; expected a result") from None
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {sentence(error, _LONG)}; expected a result, as of lts-engine bench") from None


def _array(path: Path, text: str) -> list[Any]:
    try:
        return list(parse_json(text))
    except ValueError:
        raise UsageError(f"{path} is not JSON; expected results, as lts-engine bench -o json prints them") from None


def _object(text: str) -> dict[str, Any] | None:
    """The one object that a text is, on as many lines as it likes; None where it is something else."""
    try:
        found = parse_json(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
