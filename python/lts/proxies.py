"""How well training-free scores rank architectures whose quality is known."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture, analytic, hypervolume, kendall, nondominated, spearman
from lts.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Proxy:
    """A training-free score: more is better, and only the order counts."""

    name: str
    what: str
    source: str


PROXIES = (
    Proxy("decoder_params", "parameters of all layers and the final norm", "LiteTransformerSearch, arXiv 2203.02094"),
    Proxy("total_params", "all parameters", "the usual measure of size"),
    Proxy("attention_params", "parameters of the attention's projections", "a part of decoder_params"),
    Proxy("ffn_params", "parameters of the feed-forward networks", "a part of decoder_params"),
    Proxy("geometric", "geometric mean of attention_params and ffn_params, as a logarithm", "lts-engine"),
    Proxy("zerolm", "capacity of the matrices at initialization, in closed form", "ZeroLM, arXiv 2503.18646"),
    Proxy("depth_weighted", "experimental: parameters of layers, deeper ones counted less", "lts-engine"),
)

SHARES = (1.0, 0.5, 0.2, 0.1)
_LEAST = 4


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of a proxy with quality over the best share of the architectures.

    `spearman` and `kendall` (tau-b) are NaN where one of the two is constant; the intervals have 95 %, from bootstrap
    resampling (percentiles; Efron 1979).
    """

    share: float
    n: int
    spearman: float
    kendall: float
    spearman_interval: tuple[float, float]
    kendall_interval: tuple[float, float]


@dataclass(frozen=True)
class Ranking:
    """What `rank` gives for one proxy.

    `ties` counts architectures that share their score with another one. `front_ratio` is the hypervolume that the front
    of score and cost has in quality and cost, over that of the true front; None without a cost. `seconds` is per
    architecture.
    """

    proxy: str
    scores: list[float]
    agreements: list[Agreement]
    ties: int
    seconds: float
    front_ratio: float | None


def rank(
    architectures: Sequence[Architecture],
    quality: Sequence[float],
    proxy: str,
    *,
    cost: Sequence[float] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Compare a proxy with known quality.

    Parameters
    ----------
    architectures
        What was trained.
    quality
        More is better; finite.
    proxy
        One of `PROXIES`.
    cost
        Less is better; for `Ranking.front_ratio`.
    bootstrap, seed
        Resamples for the intervals, and their seed.

    Raises
    ------
    UsageError
        For an unknown proxy, fewer than four architectures, or a quality that is the same everywhere.
    """
    if proxy not in [each.name for each in PROXIES]:
        raise UsageError(f"unknown proxy '{proxy}'; expected one of {', '.join(each.name for each in PROXIES)}")
    truth = np.asarray(quality, dtype=np.float64)
    if len(truth) < _LEAST:
        raise UsageError(f"{len(truth)} architectures with a quality; a comparison needs {_LEAST} or more")
    if not np.isfinite(truth).all() or np.ptp(truth) == 0:
        raise UsageError("the quality must be finite, and not the same for all architectures")
    start = time.perf_counter()
    scores = np.array([analytic(proxy, architecture) for architecture in architectures])
    seconds = (time.perf_counter() - start) / len(architectures)
    random = np.random.default_rng(seed)
    best_first = np.argsort(-truth, kind="stable")
    agreements = []
    for share in SHARES:
        chosen = best_first[: max(2, math.ceil(share * len(truth)))]
        if share == 1.0 or len(chosen) >= _LEAST:
            agreements.append(_agreement(share, scores[chosen], truth[chosen], bootstrap, random))
    _, counts = np.unique(scores, return_counts=True)
    return Ranking(
        proxy=proxy,
        scores=scores.tolist(),
        agreements=agreements,
        ties=int(counts[counts > 1].sum()),
        seconds=seconds,
        front_ratio=None if cost is None else _front_ratio(scores, truth, np.asarray(cost, dtype=np.float64)),
    )


def _agreement(share: float, scores: Array, truth: Array, bootstrap: int, random: np.random.Generator) -> Agreement:
    rho, tau = _correlations(scores, truth)
    samples = np.array(
        [_correlations(scores[i], truth[i]) for i in random.integers(len(truth), size=(bootstrap, len(truth)))]
    ).reshape(-1, 2)
    bounds = []
    for column in samples.T:
        known = column[np.isfinite(column)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (math.nan, math.nan)
        bounds.append((float(low), float(high)))
    return Agreement(share, len(truth), rho, tau, bounds[0], bounds[1])


def _correlations(scores: Array, truth: Array) -> tuple[float, float]:
    if np.ptp(scores) == 0 or np.ptp(truth) == 0:
        return math.nan, math.nan
    return spearman(scores, truth), kendall(scores, truth)


def _front_ratio(scores: Array, truth: Array, cost: Array) -> float:
    """Judged by quality and cost up to the worst of both."""
    points = np.column_stack([-truth, cost])
    reference = points.max(axis=0)
    chosen = nondominated(np.column_stack([-scores, cost]))
    whole = hypervolume(points, reference)
    return hypervolume(points[chosen], reference) / whole if whole > 0 else math.nan
