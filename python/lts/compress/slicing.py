"""The weights of a sub-network: those of the original's heads and channels that it keeps, and least squares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lts._core import Architecture, Weight, weights
from lts.compress.blocks import OUTPUT, Part
from lts.compress.order import RIDGE, Heads, Indices, Matrix, with_ridge
from lts.compress.statistics import Moments
from lts.export.encodings import Array

_PART_OF = {output: part for part, output in OUTPUT.items()}


@dataclass(frozen=True)
class Kept:
    """What a sub-network keeps of a layer: heads of queries, key-value heads and channels, ascending."""

    heads: Indices
    kv_heads: Indices
    channels: Indices

    def to_dict(self) -> dict[str, list[int]]:
        return {"heads": self.heads.tolist(), "kv_heads": self.kv_heads.tolist(), "channels": self.channels.tolist()}


def everything(architecture: Architecture, layer: int) -> Kept:
    """All of a layer."""
    a = architecture
    return Kept(np.arange(a.n_head[layer]), np.arange(a.n_kv_head[layer]), np.arange(a.d_ff[layer]))


def with_levels(architecture: Architecture, heads: Sequence[Heads], widths: Sequence[int]) -> Architecture:
    """An architecture with other heads, (n_head, n_kv_head), and other feed-forward widths of every layer."""
    values = architecture.to_dict() | {
        "head_dim": max(architecture.head_dims),
        "n_head": [n_head for n_head, _ in heads],
        "n_kv_head": [n_kv_head for _, n_kv_head in heads],
        "d_ff": [*widths],
    }
    return Architecture.from_dict(values)


def least_squares(weight: Matrix, gram: Matrix, kept: Indices, ridge: float = RIDGE) -> NDArray[np.float64]:
    """The rows that come closest to all of a projection x W, when only some x are read.

    Parameters
    ----------
    weight
        W, (n, d).
    gram
        Second moments of x, (n, n).
    kept
        Which x are read, m of them.
    ridge
        Added to the diagonal, as a share of it: holds the new rows near the old ones.

    Returns
    -------
    V, (m, d), that minimizes the mean of |x W - x_kept V|^2 plus the ridge times the squared changes of rows, with 0
    where V has no row, each times the mean square of its x.
    """
    whole = with_ridge(gram, ridge)
    wanted = whole[kept] @ np.asarray(weight, np.float64)
    return np.asarray(np.linalg.solve(whole[np.ix_(kept, kept)], wanted), np.float64)


class Sliced(Mapping[str, Array]):
    """Weights of a sub-network by the names of `lts.weights`, each computed when it is asked for.

    Parameters
    ----------
    original, source
        The model, and its weights by the names of `lts.weights`.
    architecture
        The sub-network's, with as many layers; a layer may have no heads or no channels, and more biases.
    kept
        By layer what it keeps.
    moments
        By layer and part what least squares and biases are computed from.
    least_squares
        Whether what stays makes up for what goes.
    bias
        Whether the mean of what goes is added to the bias.
    """

    def __init__(
        self,
        original: Architecture,
        source: Mapping[str, Any],
        architecture: Architecture,
        kept: list[Kept],
        moments: Callable[[int, Part], Moments],
        *,
        least_squares: bool = True,
        bias: bool = False,
    ) -> None:
        self._widths, self._source, self._kept, self._moments = original.head_dims, source, kept, moments
        self._least_squares, self._bias = least_squares, bias
        self._there = {weight.name for weight in weights(original)}
        self._inventory = {weight.name: weight for weight in weights(architecture)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._inventory)

    def __len__(self) -> int:
        return len(self._inventory)

    def __getitem__(self, name: str) -> Array:
        weight = self._inventory[name]
        whole: Array = self._source[name] if name in self._there else np.zeros(weight.shape, np.float32)
        if weight.layer is None:
            return whole
        if part := _PART_OF.get(weight.role):
            return self._last(whole, weight.layer, part) if weight.kind == "matrix" else self._last_bias(weight, whole)
        columns = self._columns(weight.layer).get(weight.role)
        if columns is None or name not in self._there or len(columns) == whole.shape[-1]:
            return whole
        return np.ascontiguousarray(whole[..., columns])

    def _columns(self, layer: int) -> dict[str, Indices]:
        """By role which outputs of a projection stay."""
        kept, width = self._kept[layer], self._widths[layer]
        heads, kv_heads = _elements(kept.heads, width), _elements(kept.kv_heads, width)
        return {"query": heads, "key": kv_heads, "value": kv_heads, "gate": kept.channels, "up": kept.channels}

    def _rows(self, layer: int, part: Part) -> Indices:
        """Which inputs of the last projection stay."""
        return self._columns(layer)["query" if part == "attention" else "up"]

    def _last(self, whole: Array, layer: int, part: Part) -> Array:
        rows = self._rows(layer, part)
        if len(rows) == len(whole):
            return whole
        if not self._least_squares:
            return np.ascontiguousarray(whole[rows])
        return least_squares(whole, self._moments(layer, part).gram, rows).astype(np.float32)

    def _last_bias(self, weight: Weight, whole: Array) -> Array:
        assert weight.layer is not None
        if not self._bias:
            return whole
        part = _PART_OF[weight.role]
        mean = self._moments(weight.layer, part).mean.copy()
        mean[self._rows(weight.layer, part)] = 0.0
        return np.asarray(whole + mean @ self._source[f"{weight.name.removesuffix('.bias')}.weight"], np.float32)


def _elements(heads: Indices, width: int) -> Indices:
    """The elements of heads of a width."""
    return (heads[:, None] * width + np.arange(width)).ravel()
