"""Inputs for a model, made from the names, shapes and types of its inputs alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lts.errors import MeasurementError

_SEED = 2203
# Standard deviation of cached keys and values, as large as in a network; the time does not depend on it.
_STD = 0.02


def make_inputs(
    specifications: Iterable[tuple[str, Sequence[int | str | None], np.dtype[Any]]],
    dims: Mapping[str, int],
    vocab_size: int,
) -> dict[str, np.ndarray[Any, Any]]:
    """One array for every (name, shape, type), the same in every process.

    Masks are one: nothing is hidden. Positions count on from the past. Other integers are token ids, uniform below
    `vocab_size`, and floating-point numbers, such as past keys and values, are normal.

    Parameters
    ----------
    specifications
        Names, shapes with symbolic dimensions as strings, and types.
    dims
        Size of every symbolic dimension by its name, of one without a name by ``INPUT.AXIS``.
    vocab_size
        Tokens in the vocabulary.

    Raises
    ------
    MeasurementError
        For a dimension that `dims` does not have.
    """
    random = np.random.default_rng(_SEED)
    inputs = {}
    for name, shape, dtype in specifications:
        sizes = [size_of(name, axis, dim, dims) for axis, dim in enumerate(shape)]
        if "mask" in name:
            array = np.ones(sizes, dtype)
        elif "position" in name:
            length = sizes[-1] if sizes else 1
            array = np.broadcast_to(np.arange(dims.get("total", length))[-length:], sizes).astype(dtype)
        elif dtype.kind in "iu":
            array = random.integers(0, vocab_size, sizes).astype(dtype)
        elif dtype.kind == "b":
            array = np.ones(sizes, dtype)
        else:
            array = (random.standard_normal(sizes, dtype=np.float32) * np.float32(_STD)).astype(dtype)
        inputs[name] = array
    return inputs


def size_of(name: str, axis: int, dim: int | str | None, dims: Mapping[str, int]) -> int:
    """The size of a dimension of the input `name`. Raises `MeasurementError` when `dims` does not have it."""
    if isinstance(dim, int):
        return dim
    for key in (dim, f"{name}.{axis}"):
        if key is not None and key in dims:
            return dims[key]
    raise MeasurementError(f"input '{name}' has the dimension {dim!r}, which is not one of {', '.join(dims)}")
