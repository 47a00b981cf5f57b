"""Random weights in one file that all candidates share: a candidate's model then takes milliseconds to write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.weights import ALIGNMENT, INLINE_BYTES, Tensor, external, inline, offsets

_MAGIC = b"lts-engine weight pool 1: float32 numbers from N(0, 0.02^2)\n".ljust(ALIGNMENT, b"\0")
_CHUNK = 1 << 22  # bytes drawn from one seed
_DRAWN = 16  # number of chunks that are drawn; later ones repeat all but the first, which begins with the magic
_STD = np.float32(0.02)


class PooledWeights:
    """Weights for measuring: matrices and tables lie in one shared file of numbers from N(0, 0.02^2).

    Models refer to disjoint ranges of the file as external data, aligned to pages, which ONNX Runtime maps into memory.
    Scales are one and biases zero, inside the model file, and so is everything below 1 KB. The file grows when a bigger
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
        self._size = 0  # bytes known to be there

    def initializers(self, architecture: Architecture, tensors: Sequence[Tensor]) -> list[Any]:
        """The initializers, after making the file as large as they need.

        Raises
        ------
        UsageError
            When the file cannot be written, or is not a pool.
        """
        pooled = [t for t in tensors if len(t.shape) > 1 and t.n_bytes >= INLINE_BYTES]
        places, end = offsets(pooled, ALIGNMENT)
        self.reserve(end)
        place_of = {tensor.name: place for tensor, place in zip(pooled, places, strict=True)}
        return [
            external(t, self.path.name, place_of[t.name]) if t.name in place_of else inline(t, _small(t))
            for t in tensors
        ]

    def reserve(self, size: int) -> None:
        """Make the file at least `size` bytes long.

        Raises
        ------
        UsageError
            When the file cannot be written, or is not a pool.
        """
        if size <= self._size:
            return
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                present = os.fstat(file).st_size
                head = os.pread(file, len(_MAGIC), 0)
                if head != _MAGIC[: len(head)]:
                    raise UsageError(f"{self.path} is not a pool of weights; remove it or choose another path")
                # Start after the last whole chunk: a process that wrote a part of the next one may have been killed.
                for chunk in range(present // _CHUNK, -(-size // _CHUNK)):
                    _write(file, _content(file, chunk), chunk * _CHUNK)
                self._size = max(present, -(-size // _CHUNK) * _CHUNK)
            finally:
                os.close(file)
        except OSError as error:
            raise UsageError(f"cannot write the pool of weights {self.path}: {error.strerror}") from None


def _content(file: int, chunk: int) -> bytes:
    if chunk >= _DRAWN:
        return os.pread(file, _CHUNK, (1 + (chunk - 1) % (_DRAWN - 1)) * _CHUNK)
    values = np.random.default_rng([2203, 2094, chunk]).standard_normal(_CHUNK // 4, dtype=np.float32)
    values *= _STD
    data = values.astype("<f4", copy=False).tobytes()
    return _MAGIC + data[len(_MAGIC) :] if chunk == 0 else data


def _write(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view = view[written:]
        offset += written


def _small(tensor: Tensor) -> Any:
    kind = tensor.pieces[0].weight.kind
    if kind == "scale":
        return np.ones(tensor.shape, np.float32)
    if kind == "bias":
        return np.zeros(tensor.shape, np.float32)
    return np.random.default_rng(tensor.size).standard_normal(tensor.shape, dtype=np.float32) * _STD
