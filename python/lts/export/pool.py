"""Random weights in files that all candidates share: a candidate's model then takes milliseconds to write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import FLOAT32, Encoding
from lts.export.weights import ALIGNMENT, INLINE_BYTES, Tensor, external, inline, offsets

_CHUNK = 1 << 22  # bytes drawn from one seed
_DRAWN = 16  # number of chunks that are drawn; later ones have the numbers of all but the first, moved by
_MOVED = 64  # bytes more each time: runtimes keep weights that are equal only once


class PooledWeights:
    """Weights for measuring: matrices and tables lie in a shared file of numbers from N(0, 0.02^2).

    In other precisions they lie in files beside it, one for each encoding: ``weights.bin`` has ``weights.int8.bin`` and
    ``weights.int8.scales.bin``. These are random integers and scales as quantized weights have them, so that nothing is
    quantized for a candidate.

    Models refer to disjoint ranges of a file as external data, aligned to pages, which ONNX Runtime maps into memory.
    Norm scales are one and biases zero, inside the model file, and so is all below 1 KB. A file grows when a bigger
    model needs it. Its content depends on the position only, and nothing written ever changes, so that processes may
    share a file, grow it at the same time, or be killed while growing it.

    Parameters
    ----------
    path
        The file. A model has to be saved in the same directory; from version 1.20 on, ONNX Runtime also loads it from
        bytes, with that directory as ``session.model_external_initializers_file_folder_path`` of its options.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._sizes: dict[str, int] = {}  # bytes known to be there, by the name of the encoding

    def initializers(self, architecture: Architecture, tensors: Sequence[Tensor]) -> list[Any]:
        """The initializers, after making the files as large as they need.

        Raises
        ------
        UsageError
            When a file cannot be written, or is not a pool.
        """
        pooled: dict[str, list[Tensor]] = {}
        for tensor in tensors:
            if tensor.n_bytes >= INLINE_BYTES and (len(tensor.shape) > 1 or tensor.encoding.quantized):
                pooled.setdefault(tensor.encoding.name, []).append(tensor)
        place_of: dict[str, int] = {}
        for alike in pooled.values():
            places, end = offsets(alike, ALIGNMENT)
            self.reserve(end, alike[0].encoding)
            place_of |= {tensor.name: place for tensor, place in zip(alike, places, strict=True)}
        return [
            external(t, self.file(t.encoding).name, place_of[t.name]) if t.name in place_of else inline(t, _small(t))
            for t in tensors
        ]

    def file(self, encoding: Encoding) -> Path:
        """The file of numbers in an encoding."""
        if encoding.name == FLOAT32.name:
            return self.path
        return self.path.with_name(f"{self.path.stem}.{encoding.name}{self.path.suffix}")

    def reserve(self, size: int, encoding: Encoding = FLOAT32) -> None:
        """Make the file of an encoding at least `size` bytes long.

        Raises
        ------
        UsageError
            When the file cannot be written, or is not a pool.
        """
        if size <= self._sizes.get(encoding.name, 0):
            return
        path, magic = self.file(encoding), _magic(encoding)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                present = os.fstat(file).st_size
                head = os.pread(file, len(magic), 0)
                if head != magic[: len(head)]:
                    raise UsageError(f"{path} is not a pool of weights; remove it or choose another path")
                # Start after the last whole chunk: a process that wrote a part of the next one may have been killed.
                for chunk in range(present // _CHUNK, -(-size // _CHUNK)):
                    _write(file, _content(file, chunk, encoding), chunk * _CHUNK)
                self._sizes[encoding.name] = max(present, -(-size // _CHUNK) * _CHUNK)
            finally:
                os.close(file)
        except OSError as error:
            raise UsageError(f"cannot write the pool of weights {path}: {error.strerror}") from None


def _magic(encoding: Encoding) -> bytes:
    what = "float32 numbers" if encoding.name == FLOAT32.name else f"{encoding.name} of numbers"
    return f"lts-engine weight pool 2: {what} from N(0, 0.02^2)\n".encode().ljust(ALIGNMENT, b"\0")


def _content(file: int, chunk: int, encoding: Encoding) -> bytes:
    if chunk >= _DRAWN:
        times, drawn = divmod(chunk - 1, _DRAWN - 1)
        numbers = os.pread(file, _CHUNK, (1 + drawn) * _CHUNK)
        moved = times * _MOVED % _CHUNK
        return numbers[moved:] + numbers[:moved]
    data = encoding.draw(np.random.default_rng([2203, 2094, chunk]), _CHUNK // encoding.item_bytes).tobytes()
    magic = _magic(encoding)
    return magic + data[len(magic) :] if chunk == 0 else data


def _write(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view = view[written:]
        offset += written


def _small(tensor: Tensor) -> Any:
    encoding = tensor.encoding
    kind = tensor.pieces[0].weight.kind
    if kind == "scale":
        return np.ones(tensor.shape, encoding.dtype)
    if kind == "bias":
        return np.zeros(tensor.shape, encoding.dtype)
    return encoding.draw(np.random.default_rng(tensor.size), tensor.size)
