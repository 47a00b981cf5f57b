"""ZeroLM (arXiv 2503.18646) by its definition, on real weights, and the choice of alpha, its weight of attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture, spearman, weights, zerolm
from lts.errors import UsageError
from lts.export.weights import Weights, array_source
from lts.proxies.ranking import check_quality
from lts.system.progress import Observer, Work, unobserved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# The values tried by the published search, which takes the mean of the two best.
ALPHAS = tuple(round(-1.5 + 0.1 * i, 1) for i in range(31))
_BEST = 2


@dataclass(frozen=True)
class Capacity:
    """Sums over matrices of their mean squared singular value, separately for attention and feed-forward networks."""

    attention: float
    feed_forward: float

    def score(self, alpha: float = 0.5) -> float:
        """``alpha attention + (1 - alpha) feed_forward``."""
        return alpha * self.attention + (1 - alpha) * self.feed_forward


def capacity_of(architecture: Architecture, source: Weights = None, observe: Observer = unobserved) -> Capacity:
    """Capacity of weights, by a singular value decomposition of every matrix of the layers.

    `lts.zerolm` is its expectation at initialization.

    Parameters
    ----------
    architecture
        The architecture that the weights belong to.
    source
        Where the weights come from, as for `lts.export.onnx_model`; by default ``RandomWeights(0)``, from N(0, 0.02^2).
    observe
        Told of every matrix.

    Raises
    ------
    UsageError
        For weights that do not fit the architecture, or are not finite.
    """
    arrays = array_source(architecture, source)
    sums = {"attention": 0.0, "feed_forward": 0.0}
    matrices = [each for each in weights(architecture) if each.kind == "matrix" and each.sublayer is not None]
    for done, weight in enumerate(matrices):
        observe(Work("decomposing matrices", done, len(matrices), weight.name))
        array = arrays.array(weight).astype(np.float64)
        if not np.isfinite(array).all():
            raise UsageError(f"the weight '{weight.name}' is not finite")
        sums[str(weight.sublayer)] += float(np.mean(np.linalg.svd(array, compute_uv=False) ** 2))
    return Capacity(**sums)


@dataclass(frozen=True)
class AlphaChoice:
    """The weight of attention that was chosen, and the agreement reached with each of `ALPHAS`.

    The agreement is the Spearman correlation with the quality; without labels, the lower of the correlations with the
    two parts of the score.
    """

    alpha: float
    agreement: tuple[float, ...]


def choose_alpha(architectures: Sequence[Architecture], quality: Sequence[float] | None = None) -> AlphaChoice:
    """The weight of attention in `lts.zerolm` for a search space, from a sample of it.

    With the quality of the sample, the values in `ALPHAS` are compared by the Spearman correlation of the score with
    it. Without (our own rule), by how well the score agrees with both of its parts: the lower of its correlations with
    the capacity of attention and with that of the feed-forward networks, so that neither part dominates.

    Parameters
    ----------
    architectures
        The sample; 4 or more.
    quality
        Quality of each; more is better; finite, and not all the same.

    Raises
    ------
    UsageError
        For a sample that is too small, or one in which nothing differs.
    """
    if len(architectures) < 4:
        raise UsageError(f"{len(architectures)} architectures; choosing alpha needs 4 or more")
    attention = np.array([zerolm(a, alpha=1.0) for a in architectures])
    feed_forward = np.array([zerolm(a, alpha=0.0) for a in architectures])
    if quality is not None:
        truth = np.asarray(quality, dtype=np.float64)
        if len(truth) != len(architectures):
            raise UsageError(f"{len(architectures)} architectures, but a quality for {len(truth)}")
        check_quality(quality)
        references = [truth]
    else:
        references = [part for part in (attention, feed_forward) if np.ptp(part) > 0]
    agreement = []
    for alpha in ALPHAS:
        scores = alpha * attention + (1 - alpha) * feed_forward
        known = np.ptp(scores) > 0 and references
        agreement.append(min(spearman(scores, each) for each in references) if known else -1.0)
    if max(agreement) == -1.0:
        raise UsageError("all architectures of the sample have the same capacity; nothing tells an alpha from another")
    best = np.argsort(-np.array(agreement), kind="stable")[:_BEST]
    return AlphaChoice(round(float(np.mean([ALPHAS[i] for i in best])), 2), tuple(agreement))
