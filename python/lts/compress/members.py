"""Sub-networks that lose least for their size: what a study of them begins with, and what it is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lts._core import Architecture, LossTable, SearchSpace, decoder_params, knapsack_front

Kept = Callable[[Iterable[Architecture]], list[Architecture]]
"""Leaves out what need not be run."""

# Of the exact front, so many members are looked at; sums of parameters are told apart to this share of the model's.
_MEMBERS = 512
_RESOLUTION = 50_000
WORST = 3.0
"""Of how many times the original's perplexity sub-networks are looked for, where nobody sets a bound."""


class LikelyMembers:
    """The front of predicted loss and decoder parameters, exact by dynamic programming.

    Parameters
    ----------
    space, table
        The sub-networks, and what their parts lose.
    original
        The architecture of the whole model.
    """

    def __init__(self, space: SearchSpace, table: LossTable, original: Architecture) -> None:
        self.table = table
        unit = max(1.0, decoder_params(original) / _RESOLUTION)
        front = knapsack_front(space, table, "decoder_params", unit=unit)
        n = len(front)
        places = np.unique(np.linspace(0, n - 1, min(n, _MEMBERS)).round().astype(int))
        self.members = [front.at(int(i)) for i in reversed(places)]
        """From the largest, which is the original, to the smallest."""

    @property
    def whole(self) -> Architecture:
        """The original, as a member of the space."""
        return self.members[0]

    @property
    def smallest(self) -> Architecture:
        """The sub-network with the fewest parameters."""
        return self.members[-1]

    def first(self, n: int, kept: Kept) -> list[Architecture]:
        """At most `n` of those that are kept, evenly over their parameters, both ends among them.

        Of those with a large loss there are some only where the others are fewer.
        """
        members = kept(self.members)
        losses = self.table.predict(members) if members else np.empty(0)
        good = [each for each, loss in zip(members, losses, strict=True) if loss <= math.log(WORST)]
        return spread_over(good if len(good) >= min(n, len(members)) else members[: max(n, len(good))], n)


def spread_over(members: Sequence[Architecture], n: int) -> list[Architecture]:
    """At most `n` of them, evenly over their parameters, both ends among them."""
    if not members or n < 1:
        return []
    sizes = np.array([decoder_params(each) for each in members], dtype=np.float64)
    wanted = np.linspace(sizes.max(), sizes.min(), n)
    places = dict.fromkeys(int(np.argmin(np.abs(sizes - size))) for size in wanted)
    return [members[i] for i in places]


def uniform(space: SearchSpace, whole: Architecture, share: float) -> Architecture:
    """The sub-network all of whose layers keep the same part of their heads and channels, with about that share of the
    decoder parameters.

    Raises
    ------
    ValueError
        For a share that is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share is {share}; it must be above 0 and at most 1")
    options = space.options
    found = []
    pairs, widths = np.array(options["heads"]), np.array(options["d_ff"])
    for part in np.linspace(0.05, 1.0, 96):
        heads = [pairs[np.abs(pairs[:, 0] - part * n).argmin()] for n in whole.n_head]
        changed = {
            "n_head": [int(each[0]) for each in heads],
            "n_kv_head": [int(each[1]) for each in heads],
            "d_ff": [int(widths[np.abs(widths - part * n).argmin()]) for n in whole.d_ff],
        }
        if not any([*changed["n_head"], *changed["d_ff"]]):  # nothing would be left
            continue
        architecture = Architecture.from_dict({**whole.to_dict(), **changed})
        if space.contains(architecture):
            found.append(architecture)
    goal = share * decoder_params(whole)
    return min(found, key=lambda each: abs(decoder_params(each) - goal))
