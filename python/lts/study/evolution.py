"""Candidates that evolve on predicted or estimated costs: the core's search without evaluating anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lts._core import Architecture, FrontMember, Search, SearchSpace
from lts.measure.evaluator import CoreModel
from lts.study.predictions import Predictions

# Candidates of one evolution in the core, and of how many there is one for models of your own, called from Python.
EVOLVED, _IN_PYTHON = 200_000, 40
_AT_ONCE = 100


class Evolution:
    """One search of the core whose candidates cost next to nothing.

    Parameters
    ----------
    space, objectives, constraints, algorithm, options, seed
        As of `Search`. Of an algorithm that enumerates, the first candidates of a large space are no sample of it:
        then the published evolution takes its place.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[str],
        constraints: Sequence[str],
        algorithm: str,
        options: Mapping[str, Any],
        seed: int,
    ) -> None:
        enumerable = algorithm != "exhaustive" or space.size <= EVOLVED
        self.search = Search(space, objectives, constraints, algorithm if enumerable else "lts", seed, **options)

    def add(self, architecture: Architecture, values: Mapping[str, float] | None) -> None:
        """An architecture with values of the columns that are known, or None for one that must not be on the front."""
        if (key := self.search.add(architecture)) is not None:
            known = None if values is None else {name: values[name] for name in self.search.columns}
            self.search.tell(key, known)

    def run(self, predictions: Predictions, n: int = EVOLVED) -> None:
        """Evolve `n` candidates on the models of predictions, in the core where it knows them all; else a fortieth of
        them, which are called from Python."""
        compiled = {name: m for name, m in predictions.models.items() if isinstance(m, CoreModel)}
        if len(compiled) == len(predictions.models):
            self.run_in_core(n, predictions.workload, compiled)
            return
        for _ in range(max(1, n // _IN_PYTHON // _AT_ONCE)):
            candidates = self.search.ask(_AT_ONCE)
            if not candidates:
                return
            found = predictions.values([c.architecture for c in candidates], self.search.columns)
            for i, candidate in enumerate(candidates):
                self.search.tell(candidate.id, {name: float(value[i]) for name, value in found.items()})

    def run_in_core(self, n: int, workload: Mapping[str, Any], models: Mapping[str, CoreModel]) -> int:
        """Evolve `n` candidates without Python; how many there were, fewer where the space is used up."""
        return self.search.run(n, **workload, cost_models=dict(models))

    def members(self) -> list[FrontMember]:
        """The feasible, non-dominated candidates with their values."""
        return self.search.front()

    def front(self) -> list[Architecture]:
        """Their architectures."""
        return [member.architecture for member in self.members()]
