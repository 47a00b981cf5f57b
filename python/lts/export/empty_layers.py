"""Layers with neither attention nor a feed-forward network, which files leave out, as they compute nothing."""

from __future__ import annotations

from lts._core import Architecture, Weight, weights, without_empty_layers
from lts.export.encodings import Array
from lts.export.weights import ArrayWeights, RandomWeights


class _Renumbered(ArrayWeights):
    """The weights of a source, asked for by the names that they have when empty layers are not counted."""

    def __init__(self, source: ArrayWeights, whole: Architecture, left: Architecture) -> None:
        self._source = source
        # Empty layers have no weights, so both have as many, in the same order.
        pairs = zip(weights(left), weights(whole), strict=True)
        self._there: dict[str, Weight] = {weight.name: there for weight, there in pairs}

    def array(self, weight: Weight) -> Array:
        return self._source.array(self._there[weight.name])


def leave_out(architecture: Architecture, source: ArrayWeights) -> tuple[Architecture, ArrayWeights]:
    """An architecture without its empty layers, and a source of its weights.

    Random weights stay as they are: they are those of the seed and the new names.

    Parameters
    ----------
    source
        Weights of the architecture, as `lts.export.weights.array_source` has checked them.
    """
    left = without_empty_layers(architecture)
    if left.n_layer == architecture.n_layer or isinstance(source, RandomWeights):
        return left, source
    return left, _Renumbered(source, architecture, left)
