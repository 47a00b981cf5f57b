"""The first design of a study: architectures to measure before anything can be predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lts._core import Architecture, Search, SearchSpace, analytic, cost_terms
from lts.study.limits import Limits

# What the design is chosen from, and how many of these are compared.
_SAMPLED = 2000
_COMPARED = 500
# Where bounds leave little of a space: samples, and candidates of a search, before there is taken to be nothing.
_SAMPLES, _SEARCHED = 8, 20_000
# The share of the budget that the first design has, and its bounds; fewer where costs are known from another device.
_SHARE, _LEAST, _MOST, _WARM = 0.3, 6, 16, 4


def design_size(budget: int, *, warm: bool) -> int:
    """Number of measurements of the first design, of a study with that many trials."""
    return _WARM if warm else max(_LEAST, min(_MOST, round(_SHARE * budget)))


def first_design(
    space: SearchSpace,
    n: int,
    seed: int,
    pool: Sequence[Architecture] | None = None,
    limits: Limits | None = None,
) -> list[Architecture]:
    """The smallest and the largest architecture, then always the one that is farthest from those chosen.

    Maximin distance (Johnson, Moore and Ylvisaker 1990) in the logarithms of the terms of the surrogate. In random
    order, so that drift of the device is not taken for an effect of size.

    Parameters
    ----------
    space
        Where the architectures come from.
    n
        How many; fewer come where fewer differ.
    seed
        Seed of everything random.
    pool
        The only architectures to choose from; None for the whole space.
    limits
        What is not run: nothing of it is chosen.
    """
    bounds = limits or Limits()
    every = bounds.kept(pool if pool is not None else _sampled(space, seed))
    if pool is None and len(every) < n:
        every = _within(space, n, seed, bounds, every)
    if not every:
        return []
    sizes = [analytic("total_params", a) for a in every]
    some = np.random.default_rng([seed, n]).permutation(len(every))[:_COMPARED]
    near = [every[i] for i in dict.fromkeys([int(np.argmin(sizes)), int(np.argmax(sizes)), *some.tolist()])]
    terms = np.log(cost_terms(near) + 1.0)
    spread = terms.std(axis=0)
    scaled = (terms - terms.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    chosen = list(range(min(2, len(near))))
    distance = np.min([((scaled - scaled[i]) ** 2).sum(axis=1) for i in chosen], axis=0)
    while len(chosen) < min(n, len(near)):
        farthest = int(np.argmax(distance))
        if distance[farthest] <= 0:
            break
        chosen.append(farthest)
        distance = np.minimum(distance, ((scaled - scaled[farthest]) ** 2).sum(axis=1))
    order = np.random.default_rng(seed).permutation(len(chosen))
    return [near[chosen[i]] for i in order]


def _within(space: SearchSpace, n: int, seed: int, limits: Limits, known: list[Architecture]) -> list[Architecture]:
    """Architectures inside narrow limits: what more samples give, and a search of the core for both ends."""
    found = {a.to_json(): a for a in known}
    for i in range(1, _SAMPLES):
        if len(found) >= n:
            return list(found.values())
        found |= {a.to_json(): a for a in limits.kept(space.sample(_SAMPLED, (seed + i) % 2**64, method="choices"))}
    for goals in (["total_params:max", "flops_prefill:min"], ["total_params:min", "decoder_params:max"]):
        search = Search(space, goals, limits.bounds, "nsga2", seed)
        search.run(_SEARCHED, **limits.workload)
        found |= {m.architecture.to_json(): m.architecture for m in search.front()}
    return limits.kept(found.values())


def _sampled(space: SearchSpace, seed: int) -> list[Architecture]:
    """Architectures of all depths and widths; half of them with all layers equal, which differ more in sum."""
    pool = space.sample(_SAMPLED, seed, method="choices")
    for architecture in pool[::2]:
        record = architecture.to_dict()
        for key in ("n_head", "n_kv_head", "d_ff"):
            if isinstance(record.get(key), list):
                record[key] = record[key][:1] * architecture.n_layer
        equal = Architecture.from_dict(record)
        if space.contains(equal):
            pool.append(equal)
    return list({a.to_json(): a for a in pool}.values())
