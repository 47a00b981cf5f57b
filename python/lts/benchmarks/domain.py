"""What a benchmark varies: the same choices as a search space of the core, and as integers for libraries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import Architecture, SearchSpace
from lts.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.int16]

ABSENT = -1
"""The position of a choice of a layer that an architecture does not have."""


@dataclass(frozen=True)
class Domain:
    """Choices of depth, width, heads and feed-forward width, the last two for every layer.

    Parameters
    ----------
    name
        What the space is called.
    n_layer, d_model
        Ascending choices.
    heads
        Ascending choices of (heads, key-value heads).
    d_ff
        Ascending choices of the feed-forward width; of its ratio to d_model where `is_ratio`.
    is_ratio
        Whether feed-forward widths are multiples of d_model.
    fixed
        What all architectures share: keywords of `SearchSpace`.
    """

    name: str
    n_layer: tuple[int, ...]
    d_model: tuple[int, ...]
    heads: tuple[tuple[int, int], ...]
    d_ff: tuple[int, ...]
    is_ratio: bool
    fixed: dict[str, Any]

    @cached_property
    def space(self) -> SearchSpace:
        """The search space of the core. Its widths are products, bounded by the ratios: where widths of one d_model are
        not those of another, as in all published spaces, it has the same members as the choices."""
        widths = self.d_ff
        ratios: dict[str, Any] = {}
        if self.is_ratio:
            widths = tuple(sorted({ratio * d for ratio in self.d_ff for d in self.d_model}))
            ratios = {"min_ff_ratio": min(self.d_ff), "max_ff_ratio": max(self.d_ff)}
        try:
            return SearchSpace(
                name=self.name,
                n_layer=self.n_layer,
                d_model=self.d_model,
                heads=self.heads,
                d_ff=widths,
                **ratios,
                **self.fixed,
            )
        except ValueError as error:
            raise UsageError(f"the architectures of {self.name} make no search space: {error}") from None

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many choices each variable has: depth, width, then heads and feed-forward width of each layer."""
        most = max(self.n_layer)
        return (len(self.n_layer), len(self.d_model), *[len(self.heads)] * most, *[len(self.d_ff)] * most)

    def architecture(self, x: Sequence[int]) -> Architecture:
        """The architecture at these positions, one for each variable; those beyond the depth do not matter."""
        most = max(self.n_layer)
        depth, d_model = self.n_layer[x[0]], self.d_model[x[1]]
        heads = [self.heads[i] for i in x[2 : 2 + depth]]
        widths = [self.d_ff[i] * (d_model if self.is_ratio else 1) for i in x[2 + most : 2 + most + depth]]
        given = {name: value for name, value in self.fixed.items() if name != "family"}
        return Architecture(
            self.fixed["family"],
            d_model=d_model,
            n_head=[n_head for n_head, _ in heads],
            n_kv_head=[n_kv_head for _, n_kv_head in heads],
            d_ff=widths,
            **given,
        )

    def positions(self, architectures: Sequence[Architecture]) -> Positions:
        """The nearest positions of architectures, (n, n_variables); `ABSENT` beyond their depth."""
        most = max(self.n_layer)
        found = np.full((len(architectures), len(self.sizes)), ABSENT, dtype=np.int16)
        head_at = {heads: i for i, heads in enumerate(self.heads)}
        depth_at = {n: i for i, n in enumerate(self.n_layer)}
        width_at = {d: i for i, d in enumerate(self.d_model)}
        ff_at = {f: i for i, f in enumerate(self.d_ff)}
        for row, a in zip(found, architectures, strict=True):
            n, d = a.n_layer, a.d_model
            row[0], row[1] = depth_at[n], width_at[d]
            row[2 : 2 + n] = [head_at[pair] for pair in _heads(a)]
            by = d if self.is_ratio else 1
            for i, f in enumerate(per_layer(a.d_ff, n)):
                at = ff_at.get(f // by)
                row[2 + most + i] = at if at is not None else int(np.argmin([abs(f / by - c) for c in self.d_ff]))
        return found


def per_layer(value: int | Sequence[int], n: int) -> list[int]:
    """One value for each of `n` layers."""
    return [value] * n if isinstance(value, int) else list(value)


def _heads(a: Architecture) -> Iterable[tuple[int, int]]:
    return zip(per_layer(a.n_head, a.n_layer), per_layer(a.n_kv_head, a.n_layer), strict=True)


_SAME = ("vocab_size", "n_positions", "head_dim", "tie_embedding")


def domain_of(architectures: Sequence[Architecture], name: str) -> Domain:
    """The choices that architectures of a table are made of; what these do not say, such as biases, is as in most.

    Raises
    ------
    UsageError
        When two architectures differ in something that is no such choice.
    """
    families = [a.family for a in architectures]
    first = architectures[0]
    for other in architectures:
        for field in _SAME:
            if getattr(other, field) != getattr(first, field):
                raise UsageError(f"{name}: {field} differs between architectures; a benchmark needs one for all")
    depths, widths = set[int](), set[int]()
    heads, d_ffs = set[tuple[int, int]](), set[tuple[int, int]]()
    for a in architectures:
        depths.add(a.n_layer)
        widths.add(a.d_model)
        heads.update(_heads(a))
        d_ffs.update((f, a.d_model) for f in per_layer(a.d_ff, a.n_layer))
    # Whichever takes fewer choices: published spaces give multiples of d_model, or widths.
    width_choices, ratios = {f for f, _ in d_ffs}, {f // d for f, d in d_ffs}
    is_ratio = all(f % d == 0 for f, d in d_ffs) and len(ratios) < len(width_choices)
    return Domain(
        name,
        tuple(sorted(depths)),
        tuple(sorted(widths)),
        tuple(sorted(heads)),
        tuple(sorted(ratios if is_ratio else width_choices)),
        is_ratio,
        {"family": max(sorted(set(families)), key=families.count), **{f: getattr(first, f) for f in _SAME}},
    )
