"""Perplexity of sub-networks predicted from the losses of their parts, and fitted to what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture
from lts.measure.columns import QUALITY
from lts.measure.statistics import student_quantile
from lts.study.cost_model import Additive, CostModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Losses = Callable[[Sequence[Architecture]], "Array"]
"""Predicted losses of sub-networks over the original's, in nats per token, (n,)."""

_LEVEL = 0.9
# Before anything is measured, a loss may be this far from its prediction: a standard deviation, as a logarithm.
_UNKNOWN = 0.5
# The exponent is 1 unless so many measurements say otherwise; that counts as much as a measurement at its distance.
_LEAST_FOR_EXPONENT = 4
_SMALLEST = 1e-6  # nats


@dataclass(frozen=True)
class QualityModel:
    """``log perplexity = log original + exp(scale) * loss ** exponent``, with an error that is relative to the loss.

    Attributes
    ----------
    losses
        Predicts the losses of sub-networks.
    whole
        The perplexity of the original.
    scale, exponent
        Fitted.
    deviation
        Standard deviation of the logarithm of what a sub-network loses, about the fit.
    n
        Number of measurements.
    error
        Mean relative error of the measured perplexities.
    """

    losses: Losses
    whole: float
    scale: float = 0.0
    exponent: float = 1.0
    deviation: float = _UNKNOWN
    n: int = 0
    error: float = 0.0

    @staticmethod
    def fit(losses: Losses, whole: float, architectures: Sequence[Architecture], values: Array) -> QualityModel:
        """Least squares of logarithms of what was lost; what lost nothing, such as the original, has no say."""
        predicted = losses(architectures)
        lost = np.log(values / whole)
        told = (predicted > _SMALLEST) & (lost > _SMALLEST)
        x, y = np.log(predicted[told]), np.log(lost[told])
        n = len(x)
        if n == 0:
            return QualityModel(losses, whole)
        exponent, freedom = 1.0, n - 1
        around = x - x.mean()
        if n >= _LEAST_FOR_EXPONENT:
            square = float(around @ around)
            exponent = float((around @ y + 1.0) / (square + 1.0))  # towards 1
            freedom = n - 2
        scale = float((y - exponent * x).mean())
        rest = y - scale - exponent * x
        # A few measurements say little of how far others are off: what was known before counts as one.
        deviation = math.sqrt((float(rest @ rest) + _UNKNOWN**2) / (max(freedom, 0) + 1))
        fitted = QualityModel(losses, whole, scale, exponent, deviation, n)
        error = float(np.abs(fitted.predict(architectures) / values - 1).mean())
        return QualityModel(losses, whole, scale, exponent, deviation, n, error)

    def predict(self, architectures: Sequence[Architecture]) -> Array:
        """Perplexities, (n,)."""
        return self.whole * np.exp(self._lost(architectures))

    def interval(self, architectures: Sequence[Architecture]) -> Array:
        """Low and high ends of their 90 % intervals, (n, 2)."""
        half = student_quantile(_LEVEL, max(1, self.n - 1)) if self.n > 1 else 2.0
        half *= self.deviation * math.sqrt(1 + 1 / max(1, self.n))
        lost = self._lost(architectures)
        return self.whole * np.exp(np.column_stack([lost * math.exp(-half), lost * math.exp(half)]))

    def _lost(self, architectures: Sequence[Architecture]) -> Array:
        losses = np.maximum(self.losses(architectures), 0.0)
        found: Array = math.exp(self.scale) * losses**self.exponent
        return np.minimum(found, 20.0)  # beyond it, nothing is left of a model


class SubnetworkSurrogate:
    """Predicts perplexities by `QualityModel`, and costs as sums of terms (`lts.study.cost_model.Additive`).

    Parameters
    ----------
    losses
        Predicts the losses of sub-networks.
    whole
        The perplexity of the original by column.
    priors
        Coefficients of costs, as of `Additive`.
    """

    name = "losses"

    def __init__(
        self,
        losses: Callable[[Architecture], float],
        whole: Callable[[str], float],
        priors: Mapping[str, Mapping[str, float]],
    ) -> None:
        self._one = losses
        self._whole = whole
        self._known: dict[Architecture, float] = {}
        self._costs = Additive(priors)
        self.priors = priors

    def fit(
        self, column: str, architectures: Sequence[Architecture], values: Array, noise: Array
    ) -> tuple[CostModel | None, list[str]]:
        """See `lts.study.cost_model.SurrogateLike.fit`."""
        if column in QUALITY:
            return QualityModel.fit(self.losses, self._whole(column), architectures, values), []
        return self._costs.fit(column, architectures, values, noise)

    def losses(self, architectures: Sequence[Architecture]) -> Array:
        """Predicted losses, (n,); each is computed once."""
        for each in architectures:
            if each not in self._known:
                self._known[each] = self._one(each)
        return np.array([self._known[each] for each in architectures], dtype=np.float64)
