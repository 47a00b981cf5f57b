"""GGUF files with random weights for measuring: nothing is drawn or quantized for a candidate."""

from __future__ import annotations

from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lts._core import Architecture
from lts.export.encodings import BLOCK, STD, Array
from lts.export.gguf import stored_array, write_gguf
from lts.export.gguf_tensors import GgufTensor

_NUMBERS = 1 << 20  # drawn once; a tensor has them again and again


def write_random_gguf(path: Path, architecture: Architecture, precision: str) -> None:
    """Write an architecture whose matrices hold numbers from N(0, 0.02^2), its norm scales one and its biases zero.

    Raises
    ------
    UsageError
        When llama.cpp does not run it, or the package gguf is not installed.
    OSError
        When it cannot be written.
    """
    with path.open("wb") as file:
        write_gguf(file, architecture, precision, _content)


def _content(each: GgufTensor) -> npt.NDArray[Any]:
    if each.constant is not None:
        return stored_array(each.constant, each.type)
    shape, kind = each.shape, each.tensor.pieces[0].weight.kind
    if kind in ("scale", "bias"):
        return np.full(shape, float(kind == "scale"), np.float32)
    drawn = _drawn(each.type)
    whole = drawn.nbytes * prod(shape) // _NUMBERS
    return np.resize(drawn.reshape(-1).view(np.uint8), whole).view(drawn.dtype)


@cache
def _drawn(kind: str) -> npt.NDArray[Any]:
    """Numbers in a form of llama.cpp."""
    numbers: Array = np.random.default_rng(2203).standard_normal((_NUMBERS // BLOCK, BLOCK), dtype=np.float32) * STD
    return stored_array(numbers, kind)
