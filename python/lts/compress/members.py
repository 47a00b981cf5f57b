"""Sub-networks that lose least for their size: what a study of them begins with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lts._core import Architecture, decoder_params
from lts.compress.subnetworks import Subnetworks

_PARTS = ("attention", "feed_forward")
_Level = tuple[int, ...]


def hull(subnetworks: Subnetworks, original: Architecture) -> list[Architecture]:
    """The convex part of the front of predicted loss and decoder parameters, from the original to the smallest.

    Losses and parameters add up over the parts of layers, so that the next member always has the part changed that
    loses least per parameter (Fox 1966, Discrete optimization via marginal analysis). O(levels log levels).
    """
    # Fields that are alike in all of them: of a method that needs biases, these are not the original's.
    alike = subnetworks.space.at(0).to_dict()
    parts = _parts(subnetworks.table, original, alike)
    steps = []
    for place, levels in parts.items():
        corners = _corners(levels)
        for (_, loss, n), (level, next_loss, next_n) in itertools.pairwise(corners):
            steps.append(((next_loss - loss) / (n - next_n), place, level))
    chosen = {place: _corners(levels)[0][0] for place, levels in parts.items()}
    found = [_architecture(alike, chosen)]
    for _, place, level in sorted(steps, key=lambda step: step[0]):
        chosen[place] = level
        found.append(_architecture(alike, chosen))
    return [architecture for architecture in found if subnetworks.space.contains(architecture)]


def spread_over(members: Sequence[Architecture], n: int) -> list[Architecture]:
    """At most `n` of them, evenly over their parameters, both ends among them."""
    if not members or n < 1:
        return []
    sizes = np.array([decoder_params(each) for each in members], dtype=np.float64)
    wanted = np.linspace(sizes.max(), sizes.min(), n)
    places = dict.fromkeys(int(np.argmin(np.abs(sizes - size))) for size in wanted)
    return [members[i] for i in places]


def _parts(
    table: Mapping[str, Any], original: Architecture, alike: Mapping[str, Any]
) -> dict[tuple[str, int], list[tuple[_Level, float, int]]]:
    """By part and layer its levels, each with its loss and the decoder parameters that there are with it."""
    whole: dict[tuple[str, int], _Level] = {}
    for layer in range(original.n_layer):
        whole["attention", layer] = (original.n_head[layer], original.n_kv_head[layer])
        whole["feed_forward", layer] = (original.d_ff[layer],)
    found: dict[tuple[str, int], list[tuple[_Level, float, int]]] = {}
    for part in _PARTS:
        for row in table[part]:
            level = (row["n_head"], row["n_kv_head"]) if part == "attention" else (row["d_ff"],)
            place = part, int(row["layer"])
            n = decoder_params(_architecture(alike, {**whole, place: level}))
            found.setdefault(place, []).append((level, float(row["loss"]), n))
    return found


def _corners(levels: Sequence[tuple[_Level, float, int]]) -> list[tuple[_Level, float, int]]:
    """The levels on the lower convex hull of loss over parameters, from the most parameters on."""
    kept: list[tuple[_Level, float, int]] = []
    for level in sorted(levels, key=lambda each: (-each[2], each[1])):
        if kept and level[2] == kept[-1][2]:
            continue
        while len(kept) > 1 and _slope(kept[-2], kept[-1]) >= _slope(kept[-1], level):
            kept.pop()
        kept.append(level)
    return kept


def _slope(one: tuple[_Level, float, int], other: tuple[_Level, float, int]) -> float:
    return (other[1] - one[1]) / (one[2] - other[2])


def _architecture(alike: Mapping[str, Any], chosen: Mapping[tuple[str, int], _Level]) -> Architecture:
    n = sum(part == "attention" for part, _ in chosen)
    heads = [chosen["attention", layer] for layer in range(n)]
    return Architecture.from_dict(
        {
            **alike,
            "n_head": [each[0] for each in heads],
            "n_kv_head": [each[1] for each in heads],
            "d_ff": [chosen["feed_forward", layer][0] for layer in range(n)],
        }
    )
