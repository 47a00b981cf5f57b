"""Training-free scores, and how well they rank architectures whose quality is known."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture, analytic, geometric, hypervolume, kendall, nondominated, spearman, zerolm
from lts.errors import UsageError
from lts.system.progress import Observer, Work, unobserved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lts.proxies.zero_cost import Batch

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Proxy:
    """A training-free score: more is better, and only the order counts."""

    name: str
    what: str
    source: str
    needs: str = ""  # an extra that must be installed


PROXIES = (
    Proxy("decoder_params", "parameters of all layers and the final norm", "LiteTransformerSearch, arXiv 2203.02094"),
    Proxy("total_params", "all parameters", "the usual measure of size"),
    Proxy("attention_params", "parameters of the attention's projections", "a part of decoder_params"),
    Proxy("ffn_params", "parameters of the feed-forward networks", "a part of decoder_params"),
    Proxy("geometric", "geometric mean of attention_params and ffn_params, as a logarithm", "lts-engine"),
    Proxy("zerolm", "capacity of the matrices at initialization, in closed form", "ZeroLM, arXiv 2503.18646"),
    Proxy(
        "depth_weighted", "experimental, for sub-networks of a super-network: deeper layers counted more", "lts-engine"
    ),
    *(
        Proxy(name, what, source, needs="torch")
        for name, what, source in (
            ("snip", "sum of |weight x gradient|", "Lee et al., arXiv 1810.02340"),
            ("grasp", "minus the sum of weight x (Hessian x gradient)", "Wang et al., arXiv 2002.07376"),
            ("fisher", "half the squared sum of activation x gradient, per channel", "Turner et al., arXiv 1906.04113"),
            ("grad_norm", "sum of the norms of the gradients", "Abdelfattah et al., arXiv 2101.08134"),
            ("synflow", "flow of ones through absolute weights, as a logarithm", "Tanaka et al., arXiv 2006.05467"),
            ("jacobian_covariance", "how unlike the Jacobians of sequences are", "Mellor et al., arXiv 2006.04647"),
            (
                "synaptic_diversity",
                "nuclear norms of attention: weights and gradients",
                "Zhou et al., arXiv 2203.12217",
            ),
            ("synaptic_saliency", "snip of the feed-forward networks alone", "Zhou et al., arXiv 2203.12217"),
            ("attention_confidence", "mean of what heads give at most", "Serianni and Kalita, arXiv 2306.00288"),
            ("softmax_confidence", "mean of the largest attention weight", "Serianni and Kalita, arXiv 2306.00288"),
            ("head_importance", "sum of |head output x gradient| over heads", "Michel et al., arXiv 1905.10650"),
        )
    ),
)
_WEIGHTED = {"geometric": geometric, "zerolm": zerolm}
CLOSED_FORMS = tuple(proxy.name for proxy in PROXIES if not proxy.needs)

SHARES = (1.0, 0.5, 0.2, 0.1)
_LEAST = 4
# Values drawn for the intervals of a correlation, at most: where percentiles would need more, standard errors do.
_DRAWS = 200_000
_LEAST_RESAMPLES = 50


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of a proxy with quality over the best share of the architectures.

    `spearman` and `kendall` (tau-b) are NaN where score or quality is constant; the intervals are 95 % intervals from
    bootstrap resampling (Efron 1979): percentiles, and for many architectures the standard error on Fisher's z scale.
    """

    share: float
    n: int
    spearman: float
    kendall: float
    spearman_interval: tuple[float, float]
    kendall_interval: tuple[float, float]


@dataclass(frozen=True)
class Ranking:
    """Result of `rank` for one proxy.

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


@dataclass(frozen=True)
class Scored:
    """The scores of one proxy, in the order of the architectures, and the seconds that each took."""

    values: list[float]
    seconds: float


def score(
    architectures: Sequence[Architecture],
    proxies: Iterable[str],
    *,
    alpha: float = 0.5,
    batch: Batch | None = None,
    observe: Observer = unobserved,
) -> dict[str, Scored]:
    """Scores by proxy.

    Parameters
    ----------
    architectures
        What to score.
    proxies
        Names from `PROXIES`.
    alpha
        Weight of attention in ``geometric`` and ``zerolm``.
    batch
        Tokens and device for proxies that need PyTorch; by default 8 sequences of 32 random tokens on the processor.
    observe
        Told how many architectures are done.

    Raises
    ------
    UsageError
        For an unknown proxy, tokens that do not fit, or when PyTorch is needed and not installed.
    """
    names = list(dict.fromkeys(proxies))
    for name in names:
        if name not in [each.name for each in PROXIES]:
            raise UsageError(f"unknown proxy '{name}'; expected one of {', '.join(each.name for each in PROXIES)}")
    scored = {}
    for done, name in enumerate(names):
        if name in CLOSED_FORMS:
            observe(Work("scoring", done, len(names), name))
            start = time.perf_counter()
            weighted = _WEIGHTED.get(name)
            if weighted is None:
                values = [analytic(name, architecture) for architecture in architectures]
            else:
                values = [weighted(architecture, alpha=alpha) for architecture in architectures]
            scored[name] = Scored(values, (time.perf_counter() - start) / max(1, len(values)))
    if slow := [name for name in names if name not in scored]:
        try:
            from lts.proxies.zero_cost import zero_cost
        except ImportError:
            raise UsageError(f"the proxy '{slow[0]}' needs PyTorch: pip install 'lts-engine[torch]'") from None
        found = []
        for done, architecture in enumerate(architectures):
            observe(Work(f"scoring by {', '.join(slow)}", done, len(architectures)))
            found.append(zero_cost(architecture, slow, batch))
        for name in slow:
            seconds = sum(each[name][1] for each in found) / max(1, len(found))
            scored[name] = Scored([each[name][0] for each in found], seconds)
    return {name: scored[name] for name in names}


def rank(
    architectures: Sequence[Architecture],
    quality: Sequence[float],
    proxy: str,
    *,
    cost: Sequence[float] | None = None,
    scored: Scored | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    observe: Observer = unobserved,
) -> Ranking:
    """Compare a proxy with known quality.

    Parameters
    ----------
    architectures
        The architectures that were trained.
    quality
        Quality of each; more is better; finite.
    proxy
        Name of one of `PROXIES`.
    cost
        Cost of each, for `Ranking.front_ratio`; less is better.
    scored
        Result of `score` for the proxy, if it was called before.
    bootstrap, seed
        Number of resamples for the intervals, and their seed.
    observe
        Told how many resamples are done.

    Raises
    ------
    UsageError
        As `score`; for fewer than four architectures, a quality that is the same everywhere, or a score that is not
        finite.
    """
    check_quality(quality)
    truth = np.asarray(quality, dtype=np.float64)
    if scored is None:
        scored = score(architectures, [proxy])[proxy]
    scores = np.array(scored.values)
    if not np.isfinite(scores).all():
        which = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise UsageError(f"{proxy} gives {scores[which]} for architecture {which}: {architectures[which]}")
    random = np.random.default_rng(seed)
    best_first = np.argsort(-truth, kind="stable")
    agreements = []
    for share in SHARES:
        chosen = best_first[: max(2, math.ceil(share * len(truth)))]
        if share == 1.0 or len(chosen) >= _LEAST:
            what = f"best {share:.0%}"
            agreements.append(_agreement(share, scores[chosen], truth[chosen], bootstrap, random, what, observe))
    _, counts = np.unique(scores, return_counts=True)
    return Ranking(
        proxy=proxy,
        scores=scores.tolist(),
        agreements=agreements,
        ties=int(counts[counts > 1].sum()),
        seconds=scored.seconds,
        front_ratio=None if cost is None else _front_ratio(scores, truth, np.asarray(cost, dtype=np.float64)),
    )


def check_quality(quality: Sequence[float]) -> None:
    """Raise `UsageError` for what `rank` cannot compare with: too few, not finite, or all the same."""
    truth = np.asarray(quality, dtype=np.float64)
    if len(truth) < _LEAST:
        raise UsageError(f"{len(truth)} architectures with a quality; a comparison needs {_LEAST} or more")
    if not np.isfinite(truth).all() or np.ptp(truth) == 0:
        raise UsageError("the quality must be finite, and not the same for all architectures")


def _agreement(
    share: float,
    scores: Array,
    truth: Array,
    bootstrap: int,
    random: np.random.Generator,
    what: str,
    observe: Observer,
) -> Agreement:
    rho, tau = _correlations(scores, truth)
    n = len(truth)
    enough = max(_LEAST_RESAMPLES, _DRAWS // n)
    resamples = random.integers(n, size=(min(bootstrap, enough), n))
    found = []
    for done, chosen in enumerate(resamples):
        observe(Work(what, done, len(resamples)))
        found.append(_correlations(scores[chosen], truth[chosen]))
    samples = np.array(found).reshape(-1, 2)
    bounds = []
    for value, column in zip((rho, tau), samples.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known) == 0:
            bounds.append((math.nan, math.nan))
        elif bootstrap <= enough:
            low, high = np.percentile(known, [2.5, 97.5])
            bounds.append((float(low), float(high)))
        else:
            bounds.append(_normal_interval(value, known))
    return Agreement(share, n, rho, tau, bounds[0], bounds[1])


def _normal_interval(value: float, resampled: Array) -> tuple[float, float]:
    """95 % from the bootstrap standard error on Fisher's z scale, for which few resamples will do (Efron 1979)."""
    z = np.arctanh(np.clip(np.append(resampled, value), -1 + 1e-12, 1 - 1e-12))
    half = 1.96 * float(np.std(z[:-1], ddof=1))
    return float(np.tanh(z[-1] - half)), float(np.tanh(z[-1] + half))


def _correlations(scores: Array, truth: Array) -> tuple[float, float]:
    if np.ptp(scores) == 0 or np.ptp(truth) == 0:
        return math.nan, math.nan
    return spearman(scores, truth), kendall(scores, truth)


def _front_ratio(scores: Array, truth: Array, cost: Array) -> float:
    """`Ranking.front_ratio`; the reference point is the worst quality and cost."""
    points = np.column_stack([-truth, cost])
    reference = points.max(axis=0)
    chosen = nondominated(np.column_stack([-scores, cost]))
    whole = hypervolume(points, reference)
    return hypervolume(points[chosen], reference) / whole if whole > 0 else math.nan
