"""Costs predicted from a few measurements: what a study asks of a model, and the additive one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from lts._core import Architecture, Surrogate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Additive models with larger errors are compared with a richer one; it has to be better by this factor.
_RICHER_ABOVE = 0.03
_RICHER_GAIN = 0.75
# A model that ranks left-out measurements worse than this is of no use.
_USELESS_RANKS = 0.5
_LEAST_FOR_RANKS = 10
# A change of speed: by this much at least, and this many standard errors, with so many measurements on both sides.
_DRIFT = 0.05
_DRIFT_ERRORS = 6.0
_DRIFT_SIDE = 5
_DRIFT_ROUNDS = 5


class CostModel(Protocol):
    """A fitted model of one cost."""

    @property
    def error(self) -> float:
        """Mean relative error on measurements that the fit has not seen."""

    def predict(self, architectures: Sequence[Architecture], /) -> Array:
        """Costs, (n,)."""

    def interval(self, architectures: Sequence[Architecture], /) -> Array:
        """Low and high ends of their 90 % intervals, (n, 2)."""


@runtime_checkable
class SurrogateLike(Protocol):
    """What predicts costs for a study. `name` tells studies with different ones apart."""

    name: str

    def fit(
        self, column: str, architectures: Sequence[Architecture], values: Array, noise: Array
    ) -> tuple[CostModel | None, list[str]]:
        """A model from measurements in the order in which they were made, and sentences for the user.

        `values` are above 0, `noise` their relative standard errors. None says that measuring is better than this.
        """


@dataclass(frozen=True)
class Additive:
    """Sums of analytic terms per layer (`lts.Surrogate`), with products of two where the device asks for them.

    Parameters
    ----------
    priors
        Coefficients by column, of another device of the same kind or an earlier calibration.
    trust_priors
        Whether they are of several devices; see `Surrogate.fit`.
    """

    priors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    trust_priors: bool = False
    name = "additive"

    def fit(
        self, column: str, architectures: Sequence[Architecture], values: Array, noise: Array
    ) -> tuple[CostModel | None, list[str]]:
        """See `SurrogateLike.fit`."""
        notes: list[str] = []
        prior = self.priors.get(column)
        values = np.asarray(values, dtype=np.float64)
        options: dict[str, Any] = {"noise": noise, "prior": prior, "trust_prior": self.trust_priors}
        model = Surrogate.fit(architectures, values, **options)
        if (at := change_of_speed(values, model)) is not None:
            before = values
            for _ in range(_DRIFT_ROUNDS):  # a fit to both speeds hides some of the difference
                values = np.concatenate([values[:at] * np.exp(_change(values, model, at)), values[at:]])
                model = Surrogate.fit(architectures, values, **options)
            notes.append(
                f"{column}: the device changed speed after {at} measurements, by {values[0] / before[0] - 1:+.0%}; the "
                "earlier ones are scaled for predictions. Compare architectures again once it is steady"
            )
        if prior is None and model.error > _RICHER_ABOVE and len(values) > 2 * len(model.coefficients):
            richer = Surrogate.fit(architectures, values, noise=noise, pairwise=True)
            if richer.error < _RICHER_GAIN * model.error:
                notes.append(
                    f"{column}: costs of layers do not just add on this device (error {model.error:.1%}); products of "
                    f"terms predict it with {richer.error:.1%}"
                )
                model = richer
        if useless(values, model):
            notes.append(
                f"{column}: predictions do not rank the measurements (error {model.error:.0%}); every candidate is "
                "chosen by measuring alone"
            )
            return None, notes
        return model, notes


def outliers_of(model: CostModel) -> list[int]:
    """Places of the measurements that a fit leaves out."""
    return np.flatnonzero(model.outlier).tolist() if isinstance(model, Surrogate) else []


def outlier_notes(column: str, model: CostModel, ids: Sequence[int], values: Array) -> list[str]:
    """A sentence for every measurement that a fit leaves out; `ids` are the numbers of the trials."""
    if not isinstance(model, Surrogate):
        return []
    return [
        f"{column}: trial {ids[i]} took {values[i] / model.left_out[i]:.2g} times what the others predict; predictions "
        "leave it out"
        for i in outliers_of(model)
    ]


def change_of_speed(values: Array, model: Surrogate) -> int | None:
    """After how many measurements the device became slower or faster; None when it did not.

    The split of the measurements in two with the largest difference of the mean logarithmic error of left-out
    predictions, in its standard errors (a two-sample t statistic).
    """
    errors, kept = _errors(values, model)
    best: tuple[float, int] | None = None
    for at in range(_DRIFT_SIDE, len(values) - _DRIFT_SIDE + 1):
        before, after = errors[:at][kept[:at]], errors[at:][kept[at:]]
        if min(len(before), len(after)) < _DRIFT_SIDE:
            continue
        spread = np.sqrt(before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after))
        change = float(after.mean() - before.mean())
        if abs(change) > np.log1p(_DRIFT) and abs(change) > _DRIFT_ERRORS * spread:
            t = abs(change) / max(float(spread), 1e-12)
            if best is None or t > best[0]:
                best = t, at
    return None if best is None else best[1]


def _errors(values: Array, model: Surrogate) -> tuple[Array, NDArray[np.bool_]]:
    """Logarithmic errors of left-out predictions, and which of them count."""
    left_out = np.asarray(model.left_out)
    kept = ~np.asarray(model.outlier) & (left_out > 0)
    return np.log(values / np.where(left_out > 0, left_out, 1.0)), kept


def _change(values: Array, model: Surrogate, at: int) -> float:
    errors, kept = _errors(values, model)
    return float(np.median(errors[at:][kept[at:]]) - np.median(errors[:at][kept[:at]]))


def useless(values: Array, model: Surrogate) -> bool:
    """Whether predictions of left-out measurements say nothing of their order, although these differ."""
    kept = ~np.asarray(model.outlier)
    return model.error >= _RICHER_ABOVE and ranks_nothing(values[kept], np.asarray(model.left_out)[kept])


def ranks_nothing(seen: Array, predicted: Array) -> bool:
    """Whether predictions, (n,), say nothing of the order of enough values that differ."""
    if len(seen) < _LEAST_FOR_RANKS or np.ptp(seen) <= 1e-9 * np.abs(seen).max():
        return False
    ranks = np.array([np.argsort(np.argsort(each)) for each in (seen, predicted)], dtype=np.float64)
    return float(np.asarray(np.corrcoef(ranks))[0, 1]) < _USELESS_RANKS
