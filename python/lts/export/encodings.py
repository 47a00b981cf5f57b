"""How the numbers of a tensor are stored: as they are, in half precision, or rounded to 8 or 4 bits with scales.

Quantization is symmetric, to the nearest: a number is an integer times the scale of its column (int8) or of its block
of `BLOCK` numbers in a row (int4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]
Shape: TypeAlias = tuple[int, ...]
BLOCK = 32  # numbers that share a scale in int4
STD = np.float32(0.02)  # of random weights, also of those that are drawn quantized
_INT8_SPREAD = 40.0  # standard deviation of random int8: the largest of some hundred numbers is then about 127
_INT4_SPREAD = 3.5  # the same of int4: the largest of 32 numbers is about 8


@dataclass(frozen=True)
class Encoding:
    """How a tensor is stored.

    Attributes
    ----------
    name
        ``float32``, ``float16``, ``int8`` or ``int4``; with ``.scales`` for the scales of the last two.
    dtype
        Of the elements that are stored.
    shape
        The stored shape of a tensor from its own.
    encode
        The stored form of an array, contiguous and little-endian.
    draw
        Random elements as weights from N(0, 0.02^2) would have them.
    rounded
        The numbers that the stored form of an array stands for; None for scales, which stand for none alone.
    """

    name: str
    dtype: str
    shape: Callable[[Shape], Shape]
    encode: Callable[[Array], npt.NDArray[Any]]
    draw: Callable[[np.random.Generator, int], npt.NDArray[Any]]
    rounded: Callable[[Array], Array] | None = None

    @property
    def quantized(self) -> bool:
        """Whether it is one of two tensors, integers and scales, that stand for a matrix."""
        return self.name.startswith("int")

    @property
    def item_bytes(self) -> int:
        return np.dtype(self.dtype).itemsize


def int8_scales(array: Array) -> Array:
    """Scales of the columns of a matrix [n, columns]."""
    scales = np.maximum(array.max(axis=0), -array.min(axis=0)) / np.float32(127)
    return _usable(scales)


def int8_values(array: Array) -> npt.NDArray[np.int8]:
    """A matrix [n, columns] in units of `int8_scales`, from -127 to 127."""
    units: Array = np.rint(array / int8_scales(array))
    return units.astype(np.int8, order="C")


def from_int8(values: npt.NDArray[np.int8], scales: Array) -> Array:
    """The matrix that `int8_values` and `int8_scales` stand for."""
    return values * scales


def int4_scales(array: Array) -> Array:
    """Scales of the blocks in the rows of a matrix [rows, n], [rows, blocks].

    The number of the largest magnitude in a block becomes -8, the end of the range that has no counterpart.
    """
    blocks = _blocks(array)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2, keepdims=True), axis=2)[:, :, 0]
    scales = largest / np.float32(-8)
    return _usable(scales)


def int4_values(array: Array) -> npt.NDArray[np.uint8]:
    """A matrix [rows, n] in units of `int4_scales` plus 8, two in a byte, low bits first: [rows, blocks, BLOCK / 2]."""
    units = np.rint(_blocks(array) / int4_scales(array)[:, :, None])
    return _pairs(np.clip(units + 8, 0, 15).astype(np.uint8))


def from_int4(values: npt.NDArray[np.uint8], scales: Array, n: int) -> Array:
    """The matrix [rows, n] that `int4_values` and `int4_scales` stand for."""
    pairs = np.stack([values & 15, values >> 4], axis=-1).astype(np.float32)
    blocks = (pairs.reshape(*values.shape[:2], BLOCK) - 8) * scales[:, :, None]
    return blocks.reshape(len(values), -1)[:, :n]


def int8_row_values(array: Array) -> npt.NDArray[np.int8]:
    """A matrix [rows, n] in units of the scales of its rows."""
    return np.ascontiguousarray(int8_values(array.T).T)


def _usable(scales: Array) -> Array:
    """The scales, one where all numbers are zero or too small to be divided by.

    Raises
    ------
    ValueError
        When they are not finite, because the numbers are not.
    """
    if not np.isfinite(scales).all():
        raise ValueError("it holds numbers that are not finite")
    scales[np.abs(scales) < np.finfo(np.float32).tiny] = 1
    return np.ascontiguousarray(scales, "<f4")


def _blocks(array: Array) -> Array:
    """[rows, n] as [rows, blocks, BLOCK], filled with zeros."""
    rows, n = array.shape
    if n % BLOCK:
        array = np.pad(array, ((0, 0), (0, -n % BLOCK)))
    return array.reshape(rows, -1, BLOCK)


def _pairs(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Neighbors along the last axis in one byte."""
    low, high = values[..., ::2], values[..., 1::2]
    return np.bitwise_or(low, np.left_shift(high, 4))


def _same(shape: Shape) -> Shape:
    return shape


def _half(array: Array) -> npt.NDArray[np.float16]:
    limit = np.finfo(np.float16).max
    return np.ascontiguousarray(np.clip(array, -limit, limit), "<f2")


def _round_int8(array: Array) -> Array:
    return from_int8(int8_values(array), int8_scales(array))


def _round_int4(array: Array) -> Array:
    return from_int4(int4_values(array), int4_scales(array), array.shape[1])


def _normal(generator: np.random.Generator, n: int) -> Array:
    values = generator.standard_normal(n, dtype=np.float32)
    values *= STD
    return values.astype("<f4", copy=False)


def _bytes(generator: np.random.Generator, n: int) -> npt.NDArray[np.int8]:
    units: Array = np.rint(generator.standard_normal(n, dtype=np.float32) * np.float32(_INT8_SPREAD))
    return np.clip(units, -127, 127).astype(np.int8)


def _nibbles(generator: np.random.Generator, n: int) -> npt.NDArray[np.uint8]:
    units = np.rint(generator.standard_normal((n, 2), dtype=np.float32) * np.float32(_INT4_SPREAD) + 8)
    return _pairs(np.clip(units, 0, 15).astype(np.uint8))[:, 0]


def _scales(spread: float) -> Callable[[np.random.Generator, int], Array]:
    """Random scales around the one with which integers of this spread have the standard deviation of weights."""
    middle = float(STD) / spread
    return lambda generator, n: generator.uniform(0.8 * middle, 1.2 * middle, n).astype("<f4")


FLOAT32 = Encoding(
    "float32", "<f4", _same, lambda array: np.ascontiguousarray(array, "<f4"), _normal, lambda array: array
)
FLOAT16 = Encoding(
    "float16",
    "<f2",
    _same,
    _half,
    lambda generator, n: _normal(generator, n).astype("<f2"),
    lambda array: _half(array).astype(np.float32),
)
INT8 = Encoding("int8", "<i1", _same, int8_values, _bytes, _round_int8)
INT8_ROWS = Encoding("int8", "<i1", _same, int8_row_values, _bytes, lambda array: _round_int8(array.T).T)
INT8_SCALES = Encoding("int8.scales", "<f4", lambda shape: shape[1:], int8_scales, _scales(_INT8_SPREAD))
INT4 = Encoding(
    "int4", "<u1", lambda shape: (shape[0], -(-shape[1] // BLOCK), BLOCK // 2), int4_values, _nibbles, _round_int4
)
INT4_SCALES = Encoding(
    "int4.scales", "<f4", lambda shape: (shape[0], -(-shape[1] // BLOCK)), int4_scales, _scales(_INT4_SPREAD)
)
