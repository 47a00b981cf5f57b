"""Quality predicted from a few evaluations, beside costs: which columns are qualities, and their model by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture, LayerQuality
from lts.study.cost_model import Additive, CostModel, ranks_nothing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Words of names of columns that say how good a model is rather than what it costs.
_QUALITIES = frozenset(
    ["quality", "perplexity", "ppl", "loss", "nll", "accuracy", "acc", "f1", "bleu", "glue", "score"]
)
# The fewest evaluations that a model by layer is fitted to.
_LEAST = 4


def is_quality(column: str) -> bool:
    """Whether a column says by its name how good a model is: a word of it is, for example, perplexity or accuracy."""
    return not _QUALITIES.isdisjoint(column.lower().replace(".", "_").split("_"))


@dataclass(frozen=True)
class Layered:
    """Costs as `Additive` has them, and qualities of sub-networks of one super-network by layer (`lts.LayerQuality`).

    Parameters
    ----------
    priors
        Coefficients of costs by column, see `Additive`.
    """

    priors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    name = "layers"

    def fit(
        self, column: str, architectures: Sequence[Architecture], values: Array, noise: Array
    ) -> tuple[CostModel | None, list[str]]:
        """See `lts.study.cost_model.SurrogateLike.fit`."""
        if not is_quality(column):
            return Additive(self.priors).fit(column, architectures, values, noise)
        if len(values) < _LEAST:
            return None, [f"{column}: {_LEAST} evaluations are the fewest that quality is predicted from"]
        model = LayerQuality.fit(architectures, values)
        if ranks_nothing(values, np.asarray(model.left_out)):
            return None, [
                f"{column}: predictions by layer do not rank what was evaluated (error {model.error:.1%}); every "
                "candidate is chosen by evaluating alone"
            ]
        return model, []
