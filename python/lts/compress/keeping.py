"""Which heads and channels sub-networks keep, in files beside a study, for whoever shows them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.system.files import make_directory, replace_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Marks = NDArray[np.int8]

_FOLDER = "kept"
_MOST_LAYERS, _MOST = 4096, 1 << 20


@dataclass(frozen=True)
class KeptParts:
    """What a sub-network keeps: 1 for what stays, 0 for what goes, -1 where a layer of the model had less.

    Attributes
    ----------
    heads
        (n_layer, n_head of the model).
    channels
        (n_layer, d_ff of the model).
    """

    heads: Marks
    channels: Marks


def keep(folder: Path, original: Architecture, architecture: Architecture, kept: Sequence[Mapping[str, Any]]) -> None:
    """Write what a sub-network keeps, by layer its ``heads`` and ``channels``.

    Raises
    ------
    UsageError
        When it cannot be written.
    """
    parts = {
        name: _marks(sizes, [layer[name] for layer in kept])
        for name, sizes in (("heads", original.n_head), ("channels", original.d_ff))
    }
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **parts)
    file = _file(folder, architecture)
    make_directory(file.parent)
    try:
        replace_file(file, content.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror or error}") from None


def read_kept(folder: Path, architecture: Architecture) -> KeptParts | None:
    """What `keep` has written; None where there is nothing of use."""
    try:
        with np.load(_file(folder, architecture), allow_pickle=False) as found:
            parts = KeptParts(found["heads"], found["channels"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    for each in (parts.heads, parts.channels):
        if each.dtype != np.int8 or each.ndim != 2 or len(each) != len(parts.heads) or len(each) > _MOST_LAYERS:
            return None
        if each.size > _MOST * 64 or not ((each >= -1) & (each <= 1)).all():
            return None
    return parts


def _marks(sizes: Sequence[int], kept: Sequence[Sequence[int]]) -> Marks:
    marks = np.full((len(sizes), max(sizes, default=0)), -1, np.int8)
    for row, size, indices in zip(marks, sizes, kept, strict=True):
        row[:size] = 0
        row[np.asarray(indices, dtype=np.int64)] = 1
    return marks


def _file(folder: Path, architecture: Architecture) -> Path:
    return folder / _FOLDER / f"{hashlib.sha256(architecture.to_json().encode()).hexdigest()[:24]}.npz"
