"""Arrays in files that appear whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from lts.system.files import replace_file


def save_array(file: Path, array: Any) -> None:
    """Write an array as `numpy.save` does. Raises `OSError` when it cannot be written."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    replace_file(file, content.getbuffer())


def save_arrays(file: Path, arrays: dict[str, Any]) -> None:
    """Write arrays by name as `numpy.savez` does. Raises `OSError` when they cannot be written."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    replace_file(file, content.getbuffer())
