"""The sub-network with the least loss of those of a size: levels of all parts at once, by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lts._core import Architecture, decoder_params
from lts.compress.order import Heads
from lts.compress.quality import Losses
from lts.errors import InfeasibleError


def with_levels(
    architecture: Architecture, heads: Sequence[Heads], widths: Sequence[int], **changed: bool
) -> Architecture:
    """An architecture with other heads, (n_head, n_kv_head), and other feed-forward widths of every layer."""
    values = architecture.to_dict() | {
        "head_dim": max(architecture.head_dims),
        "n_head": [n_head for n_head, _ in heads],
        "n_kv_head": [n_kv_head for _, n_kv_head in heads],
        "d_ff": [*widths],
    }
    return Architecture.from_dict(values)


def allocate(original: Architecture, losses: Losses, max_decoder_params: int) -> Architecture:
    """The architecture with the least sum of losses that has at most so many parameters in its decoder.

    The multiple-choice knapsack problem (Kellerer, Pferschy and Pisinger 2004, section 11.5), exact.

    Raises
    ------
    InfeasibleError
        When even the smallest sub-network has more.
    """
    heads, widths = [*zip(original.n_head, original.n_kv_head, strict=True)], original.d_ff
    everything = decoder_params(original)

    def size(layer: int, level: Heads | None = None, width: int | None = None) -> int:
        """Parameters of the model with another level of one part, less those of the model."""
        some, others = [*heads], [*widths]
        some[layer], others[layer] = level or heads[layer], widths[layer] if width is None else width
        return decoder_params(with_levels(original, some, others)) - everything

    losses_of, sizes_of = [], []
    for layer, (curve, other) in enumerate(zip(losses.attention, losses.feed_forward, strict=True)):
        losses_of += [np.array([*curve.values()]), np.array([*other.values()])]
        sizes_of += [np.array([size(layer, level=each) for each in curve])]
        sizes_of += [np.array([size(layer, width=each) for each in other])]
    least = everything + int(sum(each.min() for each in sizes_of))
    if max_decoder_params < least:
        raise InfeasibleError(
            f"the smallest sub-network has {least} decoder parameters; at most {max_decoder_params} were asked for"
        )
    chosen = _knapsack(losses_of, sizes_of, max_decoder_params - everything)
    return with_levels(
        original,
        [[*curve][i] for curve, i in zip(losses.attention, chosen[::2], strict=True)],
        [[*curve][i] for curve, i in zip(losses.feed_forward, chosen[1::2], strict=True)],
    )


def _knapsack(losses: list[NDArray[np.float64]], costs: list[NDArray[np.int64]], most: int) -> list[int]:
    """By part the choice with the least sum of losses whose costs sum up to at most `most`."""
    above = [each - each.min() for each in costs]
    unit = int(np.gcd.reduce(np.concatenate(above))) or 1
    room = (most - int(sum(each.min() for each in costs))) // unit
    best, chosen = np.zeros(room + 1), []
    for loss, cost in zip(losses, above, strict=True):
        reached = np.full((len(loss), room + 1), np.inf)
        for i, step in enumerate(cost // unit):
            if step <= room:
                reached[i, step:] = best[: room + 1 - step] + loss[i]
        chosen.append(reached.argmin(0))
        best = reached.min(0)
    found: list[int] = []
    for choice, cost in zip(reversed(chosen), reversed(above), strict=True):
        found.append(int(choice[room]))
        room -= int(cost[found[-1]]) // unit
    return found[::-1]
