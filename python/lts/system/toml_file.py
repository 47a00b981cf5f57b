"""Strict reading of TOML: the file and line of a syntax error, the path of an unknown key and the allowed ones."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.system.outside import read_bytes, sentence

_MOST_BYTES = 4 << 20


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises `UsageError` when it cannot be read, or is not TOML (with line and column)."""
    try:
        text = read_bytes(path, _MOST_BYTES).decode("utf-8")
        return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except UsageError:
        raise
    except tomllib.TOMLDecodeError as error:
        message = str(error).replace("at end of document", f"at the end, line {max(1, len(text.splitlines()))}")
        raise UsageError(f"{path} is not valid TOML: {message}") from None
    except RecursionError:
        raise UsageError(f"{path} is not valid TOML: it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except ValueError as error:  # a number of thousands of digits
        raise UsageError(f"{path} is not valid TOML: {sentence(error)}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def check_keys(table: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    """Raise `UsageError` for the first key of `table` that is not allowed; `where` names the file and the table."""
    allowed = list(allowed)
    for key in table:
        if key not in allowed:
            raise UsageError(f"{where}: unknown key '{key}'; allowed: {', '.join(allowed)}")


def table_at(table: Mapping[str, Any], key: str, where: str, path: str | None = None) -> Mapping[str, Any]:
    """The sub-table of that key, empty when absent. Raises `UsageError`, naming `path`, when it is something else."""
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"{where}: '{key}' must be a table, [{path or key}]")
    return value


def integer(value: Any, where: str) -> int:
    """`value` when it is an integer (bool is not). Raises `UsageError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{where}: expected an integer, got {value!r}")
    return value


def number(
    value: Any, where: str, *, above: float | None = None, most: float | None = None, below: float | None = None
) -> float:
    """`value` when it is a finite number from 0 (or above `above`) to `most`, or below `below`.

    Raises `UsageError` otherwise.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{where}: expected a number, got {value!r}")
    range_ = [f"above {above}" if above is not None else "at least 0"]
    range_ += [f"at most {most}"] if most is not None else []
    range_ += [f"below {below}"] if below is not None else []
    too_small = value < 0 or (above is not None and value <= above)
    if too_small or (most is not None and value > most) or (below is not None and value >= below):
        raise UsageError(f"{where} is {value}; it must be {' and '.join(range_)}")
    return value
