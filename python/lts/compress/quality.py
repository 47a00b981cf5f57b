"""What each level of each part of a model loses, which add up; and which heads and channels a level keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lts._core import Architecture, LossTable
from lts.compress.blocks import Part
from lts.compress.order import ChannelOrder, HeadOrder, Heads
from lts.compress.slicing import Kept

Middle = tuple[int, Part, Heads | int]
"""A layer, a part, and a level of it."""


@dataclass(frozen=True)
class Losses:
    """Losses in nats per token.

    Attributes
    ----------
    attention, feed_forward
        By layer the loss of every level: (n_head, n_kv_head), and d_ff.
    """

    attention: Sequence[Mapping[Heads, float]]
    feed_forward: Sequence[Mapping[int, float]]

    @property
    def table(self) -> LossTable:
        """Their sums."""
        return LossTable(
            [(layer, *heads, loss) for layer, levels in enumerate(self.attention) for heads, loss in levels.items()],
            [(layer, width, loss) for layer, levels in enumerate(self.feed_forward) for width, loss in levels.items()],
        )

    def middle(self) -> dict[str, Middle]:
        """By a name the level of each part that is nearest to half of it; parts with one level have none."""
        found: dict[str, Middle] = {}
        for layer, (heads, widths) in enumerate(zip(self.attention, self.feed_forward, strict=True)):
            if whole_heads := max(heads, default=None):
                kv = [each for each in heads if each[0] * whole_heads[1] == each[1] * whole_heads[0]]  # whole groups
                if len(kv) > 1:
                    found[f"{layer}.attention"] = (
                        layer,
                        "attention",
                        _nearest(kv, whole_heads[0], lambda each: each[0]),
                    )
            if (whole := max(widths, default=0)) and len(widths) > 1:
                found[f"{layer}.feed_forward"] = (layer, "feed_forward", _nearest([*widths], whole, lambda each: each))
        return found

    def scaled(self, measured: Mapping[str, float]) -> Losses:
        """The same curves, each scaled so that the level of `middle` has its measured loss."""
        middle = self.middle()
        attention, feed_forward = [dict(each) for each in self.attention], [dict(each) for each in self.feed_forward]
        for name, loss in measured.items():
            layer, part, level = middle[name]
            curve: dict[Any, float] = attention[layer] if part == "attention" else feed_forward[layer]
            factor = max(loss, 0.0) / curve[level] if curve[level] > 0 else 1.0
            for each in curve:
                curve[each] *= factor
        return Losses(attention, feed_forward)


@dataclass(frozen=True)
class Orders:
    """By layer in which order heads and channels go."""

    heads: Sequence[HeadOrder]
    channels: Sequence[ChannelOrder]

    @property
    def losses(self) -> Losses:
        """What the orders say of every level."""
        return Losses([each.errors for each in self.heads], [each.errors for each in self.channels])

    def kept(self, architecture: Architecture, layer: int) -> Kept:
        """What a sub-network of that architecture keeps of a layer."""
        heads, kv_heads = self.heads[layer].kept((architecture.n_head[layer], architecture.n_kv_head[layer]))
        return Kept(heads, kv_heads, self.channels[layer].kept(architecture.d_ff[layer]))


def _nearest(levels: list[Any], whole: int, size: Any) -> Any:
    return min((each for each in levels if size(each) < whole), key=lambda each: abs(size(each) - whole / 2))
