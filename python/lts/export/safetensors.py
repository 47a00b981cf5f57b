"""Reads tensors from files of the safetensors format: one file, or several that an index names."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.manifest import WEIGHTS_FILE
from lts.system.outside import parse_json, printable, read_bytes

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_MAX_HEADER = 100_000_000  # bytes, the limit of the format
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# Files that other programs unpickle, which would run what is in them.
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_CHUNK = 1 << 22  # elements that are looked at in one go


class _Opened:
    """A file that stays open as long as somebody reads it, so that one that is replaced is still the one it was."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor)
        self.size = os.fstat(self.descriptor).st_size

    def read(self, begin: int, end: int) -> bytes:
        """The bytes of a range, fewer where the file ends."""
        return os.pread(self.descriptor, max(end - begin, 0), begin)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: what its bytes are, which are checked to be there where it has a type that is read.

    Values are read a few megabytes at a time and only when asked for: nothing of a file stays in memory.
    """

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    file: _Opened = field(repr=False)

    def array(self) -> Array:
        """The values in float32.

        Raises
        ------
        UsageError
            When it is of a type that is not read, or the file has become shorter.
        """
        values = np.empty(math.prod(self.shape), np.float32)
        begin = 0
        for chunk in self._chunks():
            values[begin : begin + chunk.size] = chunk
            begin += chunk.size
        return values.reshape(self.shape)

    def check(self) -> None:
        """Look at every value.

        Raises
        ------
        UsageError
            When it is of a type that is not read, or a value is no finite number in float32.
        """
        if not all(np.isfinite(chunk).all() for chunk in self._chunks()):
            raise UsageError(f"{self.path}: '{printable(self.name)}' has values that are no finite numbers")

    def equals(self, other: StoredTensor) -> bool:
        """Whether both have the same shape and the same values."""
        pairs = zip(self._chunks(), other._chunks(), strict=True)
        return self.shape == other.shape and all(np.array_equal(ours, theirs) for ours, theirs in pairs)

    def _chunks(self) -> Iterator[Array]:
        """The values in float32, one after another."""
        where = f"{self.path}: '{printable(self.name)}'"
        if self.dtype not in _DTYPES:
            raise UsageError(f"{where} has type {printable(self.dtype)}; expected one of {', '.join(_DTYPES)}")
        left, position, item = math.prod(self.shape), self.begin, np.dtype(_DTYPES[self.dtype]).itemsize
        while left:
            count = min(left, _CHUNK)
            content = self.file.read(position, position + count * item)
            if len(content) < count * item:
                raise UsageError(f"{where} is cut off")
            yield _float32(np.frombuffer(content, _DTYPES[self.dtype]), self.dtype)
            left, position = left - count, position + count * item


def _float32(values: npt.NDArray[Any], dtype: str) -> Array:
    if dtype == "BF16":  # the upper half of a float32
        widened: Array = np.left_shift(values, 16, dtype=np.uint32).view(np.float32)
        return widened
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def read_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a file, or of a folder with `model.safetensors` or the index of its parts; no value is read yet.

    Raises
    ------
    UsageError
        When a file is missing, cannot be read, or is not of the format; for pickled weights, with how to convert them.
    """
    if path.is_dir():
        if (path / WHOLE).exists():
            return _read_file(path / WHOLE)
        if (path / INDEX).exists():
            return _read_parts(path / INDEX)
        if pickled := sorted(
            file.name for file in path.iterdir() if file.suffix in _PICKLES and file.name != WEIGHTS_FILE
        ):
            raise UsageError(f"{path} has no {WHOLE}, only {printable(pickled[0])}: {_CONVERT}")
        raise UsageError(f"{path} has neither {WHOLE} nor {INDEX}; expected the folder of a trained model")
    if path.suffix in _PICKLES:
        raise UsageError(f"{path} is pickled: {_CONVERT}")
    return _read_parts(path) if path.suffix == ".json" else _read_file(path)


_CONVERT = (
    "reading it would run what is in it; load it where you trust it, and write it with save_pretrained or "
    "safetensors.torch.save_file"
)


def _read_parts(index: Path) -> dict[str, StoredTensor]:
    """The tensors of several files, of which an index says where each tensor is."""
    try:
        said = parse_json(read_bytes(index, _MAX_HEADER))
        places = said["weight_map"]
        if not places or not all(isinstance(name, str) and _plain(name) for name in places.values()):
            raise ValueError
    except OSError as error:
        raise UsageError(f"cannot read {index}: {error.strerror}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UsageError(f'{index} is no index of tensors; expected {{"weight_map": {{tensor: file}}}}') from None
    parts = {}
    for name in sorted(set(places.values())):
        part = index.parent / name
        if not part.is_file():
            raise UsageError(f"{part} is missing, which {index} names; the checkpoint is incomplete")
        parts[name] = _read_file(part)
    for tensor, name in places.items():
        if tensor not in parts[name]:
            raise UsageError(f"{index.parent / name} lacks '{printable(tensor)}', which {index} says is there")
    return {tensor: parts[name][tensor] for tensor, name in places.items()}


def _plain(name: str) -> bool:
    """Whether a name is that of a file in the same folder."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _read_file(path: Path) -> dict[str, StoredTensor]:
    try:
        file = _Opened(path)
        size = int.from_bytes(file.read(0, 8), "little")
        if not 2 <= size <= min(_MAX_HEADER, file.size - 8):
            raise ValueError("its header is cut off")
        header = parse_json(file.read(8, 8 + size))
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is no safetensors file: {error}") from None
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    return {name: _tensor(path, name, entry, 8 + size, file) for name, entry in tensors.items()}


def _tensor(path: Path, name: str, entry: Any, start: int, file: _Opened) -> StoredTensor:
    said: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = said.get("dtype"), _sizes(said.get("shape")), _sizes(said.get("data_offsets"))
    where = f"{path}: '{printable(name)}'"
    if not isinstance(dtype, str) or shape is None or offsets is None or len(offsets) != 2:
        raise UsageError(f"{where} says no type, shape or place; the file is damaged")
    begin, end = offsets
    fits = dtype not in _DTYPES or end - begin == math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
    if not (begin <= end <= file.size - start and fits):
        raise UsageError(f"{where} is cut off")
    return StoredTensor(path, name, dtype, shape, start + begin, file)


def _sizes(value: Any) -> tuple[int, ...] | None:
    good = isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)
    return tuple(value) if good else None
