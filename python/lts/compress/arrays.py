"""Arrays and other content in files that appear whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from lts.errors import UsageError
from lts.system.files import replace_file


def save(file: Path, content: bytes | memoryview | str) -> None:
    """Write a file. Raises `UsageError`, which names it, when it cannot be written: for example on a full disk."""
    try:
        replace_file(file, content)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror or error}") from None


def save_array(file: Path, array: Any) -> None:
    """Write an array as `numpy.save` does. Raises `UsageError` when it cannot be written."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    save(file, content.getbuffer())


def save_arrays(file: Path, arrays: dict[str, Any]) -> None:
    """Write arrays by name as `numpy.savez` does. Raises `UsageError` when they cannot be written."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    save(file, content.getbuffer())
