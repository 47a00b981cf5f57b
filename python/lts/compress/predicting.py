"""Perplexity of sub-networks predicted from the losses of their parts, and fitted to what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture, LossTable
from lts.measure.columns import QUALITY
from lts.study.cost_model import Additive, CostModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_LEVEL = 0.9
_LEAST_FIT = 3  # sub-networks that lose something
_CLEAR, _SMALLEST = 3.0, 1e-3  # standard errors, and nats, that a loss must be to be one
# Nats per token: beyond it nothing is left of a model, and its exponential says nothing.
_MOST = 20.0


@dataclass(frozen=True)
class QualityModel:
    """The perplexity of the original times the exponential of what a sub-network loses by a table.

    Attributes
    ----------
    table
        Losses by layer, part and level, fitted where enough was measured.
    whole
        The perplexity of the original.
    error
        Mean relative error of the perplexities that were measured.
    """

    table: LossTable
    whole: float
    error: float = 0.0

    @staticmethod
    def fit(
        table: LossTable, whole: float, architectures: Sequence[Architecture], values: Array, noise: Array
    ) -> QualityModel:
        """The table fitted to measured perplexities, (n,), of these relative standard errors; see `LossTable.refit`.

        What loses less than can be measured has no say: errors are relative. Where too few are left, or these say
        nothing, the table stays as it is.
        """
        predicted, lost = table.predict(architectures), np.log(values / whole)
        told = np.flatnonzero(predicted > np.maximum(_CLEAR * noise, _SMALLEST)).tolist()
        if len(told) >= _LEAST_FIT:
            with suppress(ValueError):
                table = table.refit([architectures[i] for i in told], lost[told], level=_LEVEL)
        error = float(np.abs(QualityModel(table, whole).predict(architectures) / values - 1).mean())
        return QualityModel(table, whole, error)

    def predict(self, architectures: Sequence[Architecture]) -> Array:
        """Perplexities, (n,)."""
        return self._of(self.table.predict(architectures))

    def interval(self, architectures: Sequence[Architecture]) -> Array:
        """Low and high ends of their 90 % intervals, (n, 2)."""
        return self._of(self.table.interval(architectures))

    def _of(self, losses: Array) -> Array:
        found: Array = self.whole * np.exp(np.minimum(losses, _MOST))
        return found


class SubnetworkSurrogate:
    """Predicts perplexities by `QualityModel`, and costs as sums of terms (`lts.study.cost_model.Additive`).

    Parameters
    ----------
    table
        Losses of the parts of the model.
    whole
        The perplexity of the original by column.
    priors
        Coefficients of costs, as of `Additive`.
    """

    name = "losses"

    def __init__(
        self, table: LossTable, whole: Callable[[str], float], priors: Mapping[str, Mapping[str, float]]
    ) -> None:
        self._table = table
        self._whole = whole
        self._costs = Additive(priors)
        self.priors = priors

    def fit(
        self, column: str, architectures: Sequence[Architecture], values: Array, noise: Array
    ) -> tuple[CostModel | None, list[str]]:
        """See `lts.study.cost_model.SurrogateLike.fit`."""
        if column in QUALITY:
            return QualityModel.fit(
                self._table, self._whole(column), architectures, np.asarray(values), np.asarray(noise)
            ), []
        return self._costs.fit(column, architectures, values, noise)
