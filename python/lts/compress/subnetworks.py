"""What is known of the sub-networks of a trained model: the interface between finding it out and using it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lts._core import Architecture, LossTable, SearchSpace
from lts.export.encodings import Array


class Subnetworks(Protocol):
    """The sub-networks of one model, by the architectures that they have: of each there is one, with the best parts."""

    def prepare(self) -> None:
        """Find out what is needed for all else. What an earlier run has found is not looked for again."""

    @property
    def space(self) -> SearchSpace:
        """Their architectures."""

    @property
    def table(self) -> LossTable:
        """Losses by layer, part and level."""

    def predicted_loss(self, architecture: Architecture, /) -> float:
        """By how much it is expected to say something else than the model, in nats per token."""

    def kept(self, architecture: Architecture, /) -> list[dict[str, Any]]:
        """By layer, the indices of the ``heads`` and ``channels`` that it keeps."""

    def weights(self, architecture: Architecture, /) -> Mapping[str, Array]:
        """Its weights, by the names of `lts.weights`."""
