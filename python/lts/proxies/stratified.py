"""Small architectures of a space, equally many of every size."""

from __future__ import annotations

import numpy as np

from lts._core import Architecture, SearchSpace, decoder_params
from lts.errors import UsageError
from lts.system.text import grouped, plural

VOCABULARY = 256  # a token is a byte
LEAST_MODELS = 4
_PER_STRATUM = 3
_ENUMERATED = 2000  # strata up to this size are drawn from completely


def stratified(space: SearchSpace, models: int, max_params: int, length: int, seed: int = 0) -> list[Architecture]:
    """Distinct byte models of the space, equally many of every stratum of the logarithm of decoder parameters.

    Depths and widths are drawn uniformly within a stratum; when it has too few architectures, neighboring strata supply
    the rest. The result is shorter when there are no more architectures. It is sorted by decoder parameters.

    Raises
    ------
    UsageError
        When fewer than four architectures have at most `max_params` decoder parameters.
    """
    smallest, largest = _range(space, max_params)
    k = min(models, max(LEAST_MODELS, models // _PER_STRATUM))
    edges = np.geomspace(smallest, largest + 1, k + 1).round().astype(int).tolist()
    seen: set[str] = set()
    pools = []
    for i in range(k):
        number = int(np.random.default_rng([seed, i]).integers(2**31))
        found = []
        for architecture in _drawn(_within(space, edges[i], edges[i + 1] - 1), 20 * models, number):
            model = _byte_model(architecture, length)
            if model.to_json() not in seen:  # they differed in the embedding only
                seen.add(model.to_json())
                found.append(model)
        pools.append(found)
    chosen = []
    for i in range(k):
        for _ in range(models // k + (i < models % k)):
            pool = next((pools[j] for j in sorted(range(k), key=lambda j: abs(j - i)) if pools[j]), None)
            if pool is not None:
                chosen.append(pool.pop(0))
    if len(chosen) < LEAST_MODELS:
        raise UsageError(
            f"{space.name} has {plural(len(chosen), 'decoder')} of at most {grouped(max_params)} parameters; "
            f"a comparison needs {LEAST_MODELS} or more: allow more with --max-params"
        )
    return sorted(chosen, key=decoder_params)


def _range(space: SearchSpace, max_params: int) -> tuple[int, int]:
    """Decoder parameters of the smallest architecture and of the largest that is allowed, by bisection."""
    low, high = 0, 1024
    while _within(space, 0, high) is None:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _within(space, 0, middle) else (middle, high)
    smallest = high
    if smallest > max_params:
        raise UsageError(
            f"the smallest decoder of {space.name} has {grouped(smallest)} parameters, more than the "
            f"{grouped(max_params)} of --max-params; allow more, or give a space of smaller ones"
        )
    low, high = smallest, max_params + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _within(space, middle, max_params) else (low, middle)
    return smallest, low


def _within(space: SearchSpace, low: int, high: int) -> SearchSpace | None:
    options = space.options
    own_low, own_high = options["decoder_params"]
    bounds = (max(low, own_low or 0), high if own_high is None else min(high, own_high))
    if bounds[0] > bounds[1]:
        return None
    try:
        return SearchSpace(**{**options, "decoder_params": bounds})
    except ValueError as error:
        if "leave no architecture" not in str(error):
            raise UsageError(f"{space.name} cannot be cut by size: {error}") from None
        return None


def _drawn(stratum: SearchSpace | None, n: int, seed: int) -> list[Architecture]:
    if stratum is None:
        return []
    drawn = stratum.sample(n, seed, method="choices")
    if stratum.size <= _ENUMERATED:
        drawn += [stratum.at(int(i)) for i in np.random.default_rng(seed).permutation(int(stratum.size))]
    return drawn


def _byte_model(architecture: Architecture, length: int) -> Architecture:
    plain = {"vocab_size": VOCABULARY, "n_positions": length, "cutoffs": [], "tie_projs": [], "d_embed": -1}
    return Architecture.from_dict({**architecture.to_dict(), **plain, "div_val": 1})


def interleaved(n: int) -> list[int]:
    """0 to n - 1 in an order whose every beginning is spread over the range (van der Corput's)."""
    bits = max(1, (n - 1).bit_length())
    return sorted(range(n), key=lambda i: f"{i:0{bits}b}"[::-1])
