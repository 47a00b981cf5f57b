"""Reads the weights of a trained model back from `model.safetensors`, by the names of the inventory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.huggingface import tensors
from lts.export.weights import Tensor

_MAX_HEADER = 100_000_000  # bytes, the limit of the format
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_checkpoint(architecture: Architecture, path: Path) -> dict[str, Array]:
    """The weights in a file of the safetensors format that `export` or `transformers` wrote for the architecture.

    Raises
    ------
    UsageError
        When the file cannot be read, is not a safetensors file, or holds other tensors than the architecture has.
    """
    try:
        content = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    header, begin = _header(content, path)
    arrays: dict[str, Array] = {}
    for tensor in tensors(architecture):
        entry = _entry(header, tensor, path)
        _split(tensor, _values(content[begin:], entry, tensor, path), arrays)
    return arrays


def _header(content: Any, path: Path) -> tuple[dict[str, Any], int]:
    size = int.from_bytes(content[:8].tobytes(), "little")
    try:
        if not 2 <= size <= min(_MAX_HEADER, len(content) - 8):
            raise ValueError("its header is cut off")
        header = json.loads(content[8 : 8 + size].tobytes())
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
    except ValueError as error:
        raise UsageError(f"{path} is no safetensors file: {error}") from None
    return header, 8 + size


def _entry(header: dict[str, Any], tensor: Tensor, path: Path) -> dict[str, Any]:
    # In files of a model without its output layer the names lack their first part.
    for name in (tensor.name, tensor.name.removeprefix("transformer."), tensor.name.removeprefix("model.")):
        if isinstance(entry := header.get(name), dict):
            return entry
    raise UsageError(f"{path} lacks the tensor '{tensor.name}', which this architecture has")


def _values(data: Any, entry: dict[str, Any], tensor: Tensor, path: Path) -> Array:
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if dtype not in _DTYPES:
        raise UsageError(f"{path}: '{tensor.name}' has type {dtype}; expected one of {', '.join(_DTYPES)}")
    if shape != list(tensor.shape):
        raise UsageError(f"{path}: '{tensor.name}' has shape {shape}; this architecture has {list(tensor.shape)}")
    kind = np.dtype(_DTYPES[dtype])
    if not (
        isinstance(offsets, list)
        and len(offsets) == 2
        and all(isinstance(offset, int) for offset in offsets)
        and 0 <= offsets[0] <= offsets[1] <= len(data)
        and offsets[1] - offsets[0] == tensor.size * kind.itemsize
    ):
        raise UsageError(f"{path}: '{tensor.name}' is cut off")
    values = np.frombuffer(data[offsets[0] : offsets[1]].tobytes(), kind)
    if dtype == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32).reshape(tensor.shape)


def _split(tensor: Tensor, array: Array, arrays: dict[str, Array]) -> None:
    """The inverse of `ArrayWeights.assemble` for tensors of whole weights."""
    begin = 0
    for piece in tensor.pieces:
        end = begin + piece.shape[tensor.axis]
        part = array[(slice(None),) * tensor.axis + (slice(begin, end),)]
        arrays[piece.weight.name] = part.T if piece.transposed else part
        begin = end
