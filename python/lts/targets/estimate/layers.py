"""Estimates as sums over layers, which the core computes itself; a search without a device evolves on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from lts._core import Architecture, LayerCosts, SearchSpace
from lts.targets.estimate.costs import PLUS, column_of, costs_outside, model_for
from lts.targets.target import Target
from lts.targets.workload import Workload


def layer_costs(
    space: SearchSpace, target: Target, workload: Workload, columns: Iterable[str]
) -> dict[str, LayerCosts]:
    """Cost models by column that give the same as `estimate`, for every architecture of a space.

    The space must have one head_dim. O(choices of d_model times those of heads and of feed-forward widths).

    Raises
    ------
    UsageError
        As `lts.targets.estimate.costs.check`.
    """
    options = space.options
    family = options["family"]
    attention, feed_forward, rest = {}, {}, {}
    for d_model in options["d_model"]:
        model = model_for(target, workload, family, d_model)
        for n_head, n_kv_head in space.head_choices:
            if n_head == 0 or n_head % n_kv_head != 0:  # without attention, or left out by the space
                continue
            if head_dim := options["head_dim"] or d_model // n_head:
                attention[d_model, n_head, n_kv_head] = model.attention(n_head, n_kv_head, head_dim)
        for d_ff in filter(None, space.d_ff_choices(d_model)):
            feed_forward[d_model, d_ff] = model.feed_forward(d_ff)
    for architecture in _shallow(space):
        own_width = architecture.embedding_width == architecture.d_model
        key = (architecture.d_model, -1 if own_width else architecture.d_embed, architecture.div_val)
        rest[key] = costs_outside(architecture, target, workload)
    return {
        column: LayerCosts(
            {key: column_of(cost, column, target, workload) for key, cost in attention.items()},
            {key: column_of(cost, column, target, workload) for key, cost in feed_forward.items()},
            {key: column_of(cost, column, target, workload) for key, cost in rest.items()},
            plus=PLUS.get(column),
        )
        for column in columns
    }


def _shallow(space: SearchSpace) -> Iterator[Architecture]:
    """One architecture of a layer for every width and embedding of the space."""
    options = space.options
    for d_model, d_embed, div_val, n_head in product(
        options["d_model"], options["d_embed"], options["div_val"], sorted({n for n, _ in space.head_choices if n})
    ):
        try:
            yield Architecture(
                options["family"],
                vocab_size=options["vocab_size"],
                n_positions=options["n_positions"],
                d_model=d_model,
                head_dim=options["head_dim"],
                n_head=[n_head],
                d_ff=[space.d_ff_choices(d_model)[-1]],
                d_embed=d_embed,
                div_val=div_val,
                cutoffs=options["cutoffs"],
                tie_projs=options["tie_projs"],
            )
        except ValueError:  # heads that do not go with the width
            continue
