"""Weights read back from a GGUF file: the inverse of `lts.export.gguf`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.gguf import gguf_tensors
from lts.export.gguf_package import package
from lts.system.outside import printable, sentence


def read_gguf_weights(architecture: Architecture, path: Path) -> dict[str, Array]:
    """The weights of the architecture in a GGUF file, by the names of `lts.weights`, as its stored numbers stand for.

    Raises
    ------
    UsageError
        When the file cannot be read, there is no such form of the architecture, a tensor is missing, left over, of
        another shape, or has a value that is no finite number.
    """
    gguf = package()
    expected = gguf_tensors(architecture, "float32")
    try:
        found = {str(each.name): each for each in gguf.GGUFReader(path).tensors}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # whatever its reader raises for a damaged file
        raise UsageError(f"{path} is no GGUF file that can be read: {sentence(error)}") from None
    if left := sorted(found.keys() - {each.tensor.name for each in expected}):
        raise UsageError(f"{path} has the tensor '{printable(left[0])}', which this architecture does not have")
    arrays: dict[str, Array] = {}
    for each in expected:
        name, shape = each.tensor.name, each.tensor.shape
        if name not in found:
            raise UsageError(f"{path} lacks the tensor '{name}', which this architecture has")
        array = _values(gguf, found[name], path)
        if array.shape != shape:
            raise UsageError(f"{path}: '{name}' has shape {list(array.shape)}; this architecture has {list(shape)}")
        if not np.isfinite(array).all():
            raise UsageError(f"{path}: '{name}' has values that are no finite numbers")
        rows = neighbors_apart(array, each.heads) if each.heads else array
        begin = 0
        for piece in each.tensor.pieces:
            end = begin + piece.shape[0]
            arrays[piece.weight.name] = rows[begin:end].T if piece.transposed else rows[begin:end]
            begin = end
    return arrays


def neighbors_apart(rows: Array, heads: int) -> Array:
    """Rows of queries or keys, (heads x width, inputs), in our order; the inverse of `lts.export.gguf.interleaved`."""
    n, inputs = rows.shape
    return rows.reshape(heads, n // heads // 2, 2, inputs).swapaxes(1, 2).reshape(n, inputs)


def _values(gguf: Any, stored: Any, path: Path) -> Array:
    try:
        values: Array = np.asarray(gguf.quants.dequantize(stored.data, stored.tensor_type), np.float32)
    except Exception as error:  # an unknown type, or blocks that do not fit
        raise UsageError(f"{path}: '{printable(stored.name)}' cannot be read: {sentence(error)}") from None
    return values
