"""How heads and channels are chosen: ours, and the baselines that it is compared with.

They share levels, slicing and evaluation. Where a baseline has no way of its own to spread over layers, all layers
lose equal shares. Baselines add a loss for each row that goes, so that fronts of the sums are what they would choose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lts._core import Architecture, weights
from lts.compress.arrays import save
from lts.compress.blocks import PARTS, Part
from lts.compress.order import ChannelOrder, HeadOrder, Heads, channel_order, head_order
from lts.compress.quality import Orders
from lts.compress.statistics import Moments, Statistics
from lts.system.files import make_directory
from lts.system.progress import Observer, Work

if TYPE_CHECKING:
    from lts.compress.original import Original

Scores = NDArray[np.float64]
Levels = tuple[list[Heads], list[int]]
"""Of a layer: (n_head, n_kv_head), and widths; the largest first."""
_ORDER_FILE = "layer-{:04}.json"


@dataclass(frozen=True)
class Layer:
    """What a method may look at in a layer: the last projection of each part, (n, d_model), and its moments."""

    architecture: Architecture
    number: int
    rows: Mapping[Part, NDArray[np.floating]]
    moments: Mapping[Part, Moments]
    levels: Levels
    size: Mapping[Part, int]
    """Parameters of each part."""


@dataclass(frozen=True)
class Method:
    """A way to choose.

    Attributes
    ----------
    order
        The orders of a layer's heads and channels.
    measured
        Whether losses are scaled by measured divergences.
    least_squares
        Whether what stays makes up for what goes.
    bias
        Whether the mean of what goes becomes a bias.
    whole
        Whether parts stay whole or go.
    """

    order: Callable[[Layer], tuple[HeadOrder, ChannelOrder]]
    measured: bool = False
    least_squares: bool = False
    bias: bool = False
    whole: bool = False


def _ours(layer: Layer) -> tuple[HeadOrder, ChannelOrder]:
    a, moments = layer.architecture, layer.moments
    attention, feed_forward = moments["attention"], moments["feed_forward"]
    heads = head_order(
        layer.rows["attention"], attention.gram, attention.fisher, a.n_head[layer.number], a.n_kv_head[layer.number]
    )
    channels = channel_order(layer.rows["feed_forward"], feed_forward.gram, feed_forward.fisher, layer.levels[1])
    return heads, channels


def _wanda(layer: Layer) -> tuple[HeadOrder, ChannelOrder]:
    """Weights times the norms of what they multiply, summed over rows (Sun et al. 2024, for whole rows)."""
    scores = {
        part: np.sqrt(layer.moments[part].gram.diagonal()) * np.abs(layer.rows[part]).sum(1) for part in layer.rows
    }
    return _by_scores(layer, scores, _equal_shares)


def _magnitude(layer: Layer) -> tuple[HeadOrder, ChannelOrder]:
    """Norms of rows."""
    return _by_scores(layer, {part: np.linalg.norm(layer.rows[part], axis=1) for part in layer.rows}, _equal_shares)


def _flap(layer: Layer) -> tuple[HeadOrder, ChannelOrder]:
    """Variances of what is read times the norms of the weights, standardized over each part (An et al. 2024).

    Of attention the squares, as in its authors' program; a head has the mean of its elements. Its threshold for all
    parts is where losses that rise with the score sum up to the least for a size, whatever they are.
    """
    scores = {}
    for part, rows in layer.rows.items():
        moments = layer.moments[part]
        variance = np.maximum(moments.gram.diagonal() - moments.mean.astype(np.float64) ** 2, 0.0)
        found = (variance * np.square(rows).sum(1)) ** (2 if part == "attention" else 1)
        scores[part] = (found - found.mean()) / max(float(found.std()), 1e-30)
    return _by_scores(layer, scores, lambda each: np.asarray(np.logaddexp(0.0, each)))


def _layers(layer: Layer) -> tuple[HeadOrder, ChannelOrder]:
    """Whole layers, by how little they turn the residual stream (ShortGPT, Men et al. 2024)."""
    influence = max(1.0 - float(layer.moments["attention"].cosine), 0.0) / sum(layer.size.values())
    scores = {part: np.ones(len(rows)) for part, rows in layer.rows.items()}
    return _by_scores(layer, scores, lambda each: np.full(len(each), influence))


METHODS: dict[str, Method] = {
    "ours": Method(_ours, measured=True, least_squares=True),
    "flap": Method(_flap, bias=True),
    "wanda": Method(_wanda),
    "magnitude": Method(_magnitude),
    "layers": Method(_layers, whole=True),
}


def find_orders(
    method: str,
    original: Original,
    statistics: Statistics,
    levels: Callable[[int], Levels],
    folder: Path,
    observe: Observer,
) -> Orders:
    """The orders of all layers; those of each are kept in a file."""
    make_directory(folder)
    a = original.architecture
    found = []
    for number in range(a.n_layer):
        file = folder / _ORDER_FILE.format(number)
        if not file.is_file():
            observe(Work("orders of the layers", number, a.n_layer, f"layer {number}"))
            orders = METHODS[method].order(_layer(original, statistics, number, levels(number)))
            save(file, json.dumps(_to_json(*orders)))
        found.append(_from_json(json.loads(file.read_text(encoding="utf-8"))))
    return Orders([heads for heads, _ in found], [channels for _, channels in found])


def _layer(original: Original, statistics: Statistics, number: int, levels: Levels) -> Layer:
    a = original.architecture
    sizes = {part: sum(w.size for w in weights(a) if w.layer == number and w.sublayer == part) for part in PARTS}
    outputs = {"attention": "attention_output", "feed_forward": "down"}
    rows = {part: original.weights[f"layers.{number}.{outputs[part]}.weight"] for part in PARTS}
    return Layer(a, number, rows, {part: statistics.moments(number, part) for part in PARTS}, levels, sizes)


def _by_scores(
    layer: Layer, scores: Mapping[Part, Scores], spread: Callable[[Scores], Scores]
) -> tuple[HeadOrder, ChannelOrder]:
    """Orders by the scores of rows, the least first; heads by the means of theirs.

    `spread` makes the losses of units of equal size, in ascending order, from their scores.
    """
    a = layer.architecture
    n_head, n_kv_head, d_ff = (each[layer.number] for each in (a.n_head, a.n_kv_head, a.d_ff))
    heads = np.asarray(scores["attention"], np.float64).reshape(n_head, -1).mean(1)
    by_group = heads.reshape(n_kv_head, -1)
    groups = np.argsort(by_group.mean(1), kind="stable")
    queries = np.argsort(by_group, axis=1, kind="stable") + np.arange(0, n_head, by_group.shape[1])[:, None]
    losses = np.empty(n_head)
    losses[np.argsort(heads, kind="stable")] = spread(np.sort(heads)) * layer.size["attention"] / n_head
    found = HeadOrder(groups, queries, {})
    for level in layer.levels[0]:
        found.errors[level] = float(losses.sum() - losses[found.kept(level)[0]].sum())
    channels = np.asarray(scores["feed_forward"], np.float64)
    order = np.argsort(channels, kind="stable")
    lost = np.concatenate([[0.0], np.cumsum(spread(channels[order]) * layer.size["feed_forward"] / d_ff)])
    return found, ChannelOrder(order, {width: float(lost[d_ff - width]) for width in layer.levels[1]})


def _equal_shares(scores: Scores) -> Scores:
    """Losses that grow with the share that is gone, whatever the scores: all parts then lose equal shares."""
    n = len(scores)
    return (np.arange(n) + 1.0) / n


def _to_json(heads: HeadOrder, channels: ChannelOrder) -> dict[str, Any]:
    return {
        "groups": heads.groups.tolist(),
        "queries": heads.queries.tolist(),
        "heads": [[*level, error] for level, error in heads.errors.items()],
        "channels": channels.order.tolist(),
        "widths": [*channels.errors.items()],
    }


def _from_json(values: dict[str, Any]) -> tuple[HeadOrder, ChannelOrder]:
    errors = {(n_head, n_kv_head): error for n_head, n_kv_head, error in values["heads"]}
    heads = HeadOrder(np.array(values["groups"], np.int64), np.array(values["queries"], np.int64), errors)
    return heads, ChannelOrder(np.array(values["channels"], np.int64), dict(values["widths"]))
