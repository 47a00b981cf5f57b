"""A sub-network in the shape of the whole model: what it has lost is zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lts._core import Architecture, Weight, weights
from lts.compress.blocks import OUTPUT
from lts.errors import UsageError
from lts.export.encodings import Array

_LAST = frozenset(OUTPUT.values())
_OF_HEADS = {"query": "heads", "key": "kv_heads", "value": "kv_heads", OUTPUT["attention"]: "heads"}


class Zeroed(Mapping[str, Array]):
    """Weights of the whole model by the names of `lts.weights`, zero but for those of a sub-network.

    It computes what the sub-network does, in the time and memory of the whole model.

    Parameters
    ----------
    original
        The architecture of the whole model.
    part
        The weights of the sub-network, by the names of `lts.weights`.
    kept
        By layer the indices of the ``heads``, ``kv_heads`` and ``channels`` that it has.

    Raises
    ------
    UsageError
        When the sub-network has weights that the whole model has no place for.
    """

    def __init__(
        self, original: Architecture, part: Mapping[str, Array], kept: Sequence[Mapping[str, Sequence[int]]]
    ) -> None:
        self._inventory = {weight.name: weight for weight in weights(original)}
        self._widths, self._part, self._kept = original.head_dims, part, kept
        if more := [name for name in part if name not in self._inventory]:
            raise UsageError(
                f"the whole model has no place for {more[0]}, which the method of this study adds; export the "
                "sub-network as hf"
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self._inventory)

    def __len__(self) -> int:
        return len(self._inventory)

    def __getitem__(self, name: str) -> Array:
        weight = self._inventory[name]
        there = self._part.get(name)
        if there is not None and there.shape == tuple(weight.shape):
            return there
        whole = np.zeros(weight.shape, np.float32)
        if there is not None:
            places = self._places(weight)
            rows = weight.kind == "matrix" and weight.role in _LAST
            whole[places if rows else (..., places)] = there
        return whole

    def _places(self, weight: Weight) -> list[int]:
        """Where in the whole model the rows or columns of the sub-network's weight are."""
        assert weight.layer is not None
        kept, width = self._kept[weight.layer], self._widths[weight.layer]
        if name := _OF_HEADS.get(weight.role):
            return [head * width + i for head in kept[name] for i in range(width)]
        return [*kept["channels"]]
