"""Sub-networks that lose least for their size: what a study of them begins with, and what it is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lts._core import (
    Architecture,
    KnapsackFront,
    LayerCosts,
    LossTable,
    SearchSpace,
    cost_term_names,
    cost_terms,
    decoder_params,
    knapsack_front,
)
from lts.compress.slicing import with_levels

Kept = Callable[[Iterable[Architecture]], list[Architecture]]
"""Leaves out what need not be run."""

# Of an exact front, so many members are looked at; sums of parameters are told apart to this share of the model's.
_MEMBERS = 512
_RESOLUTION = 50_000
# How many times as much as an element of a feed-forward network one of attention may cost: scores, caches and launches
# come on top of its products. SmolLM2-135M in int8 on an x86 processor: twice.
_DEAR = 4.0
_RANDOM, _DEARER = 5, 3  # of how many that a study begins with, one is random, and one chosen by such costs
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
        self.members = _members(knapsack_front(space, table, "decoder_params", unit=unit))
        """From the largest, which is the original, to the smallest."""
        costs = _dear_attention(space, original)
        self._dear = _members(knapsack_front(space, table, costs, unit=_DEAR * unit))
        self._random = _random(space, self.whole)

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

        Some lose least where attention costs more than its parameters say: so what the two kinds of parts cost, and
        lose together, can be told apart. A fifth are random: how far predictions are off is known from what was not
        chosen by them. Of those with a large loss there are some only where the others are fewer.
        """
        by_size, dear, random = (self._spread(kept(each), n) for each in (self.members, self._dear, self._random))
        found = spread_over(by_size, n - n // _RANDOM - n // _DEARER)
        for others, most in ((random, n // _RANDOM), (dear, n), (by_size, n)):
            new = [each for each in others if each not in found]
            found += spread_over(new, min(most, n - len(found)))
        return sorted(found, key=decoder_params, reverse=True)

    def _spread(self, members: list[Architecture], n: int) -> list[Architecture]:
        losses = self.table.predict(members) if members else np.empty(0)
        good = [each for each, loss in zip(members, losses, strict=True) if loss <= math.log(WORST)]
        return spread_over(good if len(good) >= min(n, len(members)) else members[: max(n, len(good))], n)


def _members(front: KnapsackFront) -> list[Architecture]:
    """Members of a front, evenly over it, from the most expensive."""
    n = len(front)
    places = np.unique(np.linspace(0, n - 1, min(n, _MEMBERS)).round().astype(int))
    return [front.at(int(i)) for i in reversed(places)]


def _random(space: SearchSpace, whole: Architecture) -> list[Architecture]:
    """Sub-networks with more and more parts of random levels, the others whole."""
    random = np.random.default_rng(0)
    found = []
    for share, a in zip(np.linspace(0, 1, _MEMBERS), space.sample(_MEMBERS, seed=0), strict=True):
        parts = random.random((2, a.n_layer)) < share
        heads = zip(a.n_head, a.n_kv_head, strict=True), zip(whole.n_head, whole.n_kv_head, strict=True)
        mixed = [pair if new else old for new, pair, old in zip(parts[0], *heads, strict=True)]
        widths = [width if new else old for new, width, old in zip(parts[1], a.d_ff, whole.d_ff, strict=True)]
        if any(pair[0] for pair in mixed) or any(widths):
            found.append(with_levels(whole, mixed, widths))
    return found


def _dear_attention(space: SearchSpace, original: Architecture) -> LayerCosts:
    """Elements of the parts of a layer, with those of attention times `_DEAR`."""
    a, options = original, space.options
    whole = (max(a.n_head), max(a.n_kv_head))

    def elements(term: str, heads: tuple[int, int], width: int) -> float:
        equal = with_levels(a, [heads] * a.n_layer, [width] * a.n_layer)
        return float(cost_terms([equal])[0, cost_term_names().index(term)]) / a.n_layer

    return LayerCosts(
        {(a.d_model, *pair): _DEAR * elements("attention", pair, max(a.d_ff)) for pair in options["heads"] if pair[0]},
        {(a.d_model, width): elements("feed_forward", whole, width) for width in options["d_ff"] if width},
        {(a.d_model, -1, 1): 0.0},
    )


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
