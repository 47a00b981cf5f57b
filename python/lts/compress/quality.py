"""What each level of each part of a model loses, which add up; and which heads and channels a level keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lts._core import Architecture, LossTable
from lts.compress.blocks import Part
from lts.compress.order import ChannelOrder, HeadOrder, Heads
from lts.compress.slicing import Kept

Anchor = tuple[int, Part, Heads | int]
"""A layer, a part, and a level of it."""

# How far a part's loss beside others is from its loss alone, as a share of it (a standard deviation), and the loss in
# nats whose variance is twice that: parts that lose much err by a larger share. By sub-networks of SmolLM2-135M; once
# some are measured, only the shares of the parts in the variance count.
_APART = 0.4
_MUCH = 0.1


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
        """Their sums, with variances as of parts that err independently of one another."""

        def variance(loss: float) -> float:
            return (_APART * loss) ** 2 * (1 + loss / _MUCH)

        return LossTable(
            [(i, *heads, x, variance(x)) for i, levels in enumerate(self.attention) for heads, x in levels.items()],
            [(i, width, x, variance(x)) for i, levels in enumerate(self.feed_forward) for width, x in levels.items()],
        )

    def anchors(self) -> dict[str, Anchor]:
        """By a name the levels that are worth measuring, of parts that have them: of attention the fewest heads and
        none, of a feed-forward network half of it.

        Far from the whole is where second order errs, with few channels less than with few heads.
        """
        found: dict[str, Anchor] = {}
        for layer, (heads, widths) in enumerate(zip(self.attention, self.feed_forward, strict=True)):
            below = sorted(heads)[:-1]  # without the whole
            none, some = [each for each in below if not each[0]], [each for each in below if each[0]]
            found |= {f"{layer}.attention.{n}x{kv}": (layer, "attention", (n, kv)) for n, kv in none + some[:1]}
            *narrower, whole = sorted(widths)
            if narrower:
                half = min(narrower, key=lambda width: abs(width - whole / 2))
                found[f"{layer}.feed_forward.{half}"] = layer, "feed_forward", half
        return found

    def scaled(self, measured: Mapping[str, float]) -> Losses:
        """The same curves, scaled so that the levels of `anchors` have their measured losses.

        Between two of a part the scale is linear in the logarithm of the curve; beyond, that of the nearest.
        """
        known: dict[tuple[int, Part], list[tuple[float, float]]] = {}
        for name, (layer, part, level) in self.anchors().items():
            curve: Mapping[Any, float] = (self.attention if part == "attention" else self.feed_forward)[layer]
            if curve[level] > 0:
                point = math.log(curve[level]), max(measured[name], 0.0) / curve[level]
                known.setdefault((layer, part), []).append(point)

        def curves(part: Part, given: Sequence[Mapping[Any, float]]) -> list[dict[Any, float]]:
            found = []
            for layer, curve in enumerate(given):
                at, scales = zip(*sorted(known.get((layer, part), [(0.0, 1.0)])), strict=True)
                found.append(
                    {level: loss * float(np.interp(math.log(loss), at, scales)) if loss > 0 else loss
                     for level, loss in curve.items()}
                )  # fmt: skip
            return found

        return Losses(curves("attention", self.attention), curves("feed_forward", self.feed_forward))


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
