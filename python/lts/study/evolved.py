"""The sampler for costs that the core computes itself: candidates evolve there, and only their front becomes trials."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lts._core import Architecture, FrontMember, crowding_distance
from lts.measure.evaluator import CoreModel
from lts.measure.trial import Trial
from lts.study.evolution import EVOLVED, Evolution
from lts.study.front import minimized
from lts.study.problem import Problem
from lts.study.sampler import Answer, Proposal, Sampler
from lts.system.text import grouped

ORIGIN = "evolved"
# Members of the front that become trials, at most.
MOST_MEMBERS = 1000
# Candidates between two looks at the clock.
_AT_ONCE = 20_000


class EvolvedSampler(Sampler):
    """Evolves candidates on models of their costs and proposes the front, the trials of earlier runs among its parents.

    Parameters
    ----------
    problem
        What to solve.
    models
        Models of all measured columns, see `lts.measure.evaluator.Evaluator.cost_models`.
    algorithm, options
        Algorithm of the core with its options.
    """

    name = "none"
    work = "evolving candidates on estimates"

    def __init__(
        self,
        problem: Problem,
        models: Mapping[str, CoreModel],
        algorithm: str,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._problem = problem
        self._models = models
        self._algorithm = algorithm
        self._options = dict(options or {})
        self._wanted = EVOLVED
        self._end: float | None = None
        self._evolved = 0
        self._members: list[Architecture] | None = None
        self._front = 0

    def start(self, budget: int | None, timeout: float | None) -> None:
        self._wanted = budget or EVOLVED
        self._end = None if timeout is None else time.monotonic() + timeout
        self._members = None

    def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
        if self._members is None:
            self._members = self._evolve(trials) if self._evolved < self._wanted else []
        return Proposal(self._members.pop(0), origin=ORIGIN) if self._members else "done"

    def _evolve(self, trials: Sequence[Trial]) -> list[Architecture]:
        """New members of the front of the trials and of the candidates that this run is to evolve."""
        evolution = Evolution(
            self._problem.space,
            [str(o) for o in self._problem.objectives],
            [str(c) for c in self._problem.constraints],
            self._algorithm,
            self._options,
            (self._problem.seed + self._evolved) % 2**64,
        )
        for trial in trials:
            evolution.add(trial.architecture, trial.values if trial.state == "complete" else None)
        while (left := self._wanted - self._evolved) > 0:
            n = min(left, _AT_ONCE)
            done = evolution.run_in_core(n, self._problem.workload, self._models)
            self._evolved += done
            if done < n or (self._end is not None and time.monotonic() >= self._end):
                break
        members = evolution.members()
        self._front = len(members)
        seen = {trial.architecture.to_json() for trial in trials}
        return [a for a in self._thinned(members) if a.to_json() not in seen]

    def _thinned(self, members: list[FrontMember]) -> list[Architecture]:
        """At most `MOST_MEMBERS`: those in the most crowded places go first (Deb et al. 2002, section III.B)."""
        members = list(members)
        while (excess := len(members) - MOST_MEMBERS) > 0:
            crowding = crowding_distance(minimized(members, self._problem.objectives))
            out = set(crowding.argsort(kind="stable")[: max(1, excess // 4)].tolist())
            members = [member for i, member in enumerate(members) if i not in out]
        return [member.architecture for member in members]

    def save(self) -> Any:
        return {"candidates": self._evolved}

    def restore(self, state: Any) -> None:
        # A study of an earlier version has the state of a search here, and estimated its trials one by one.
        if isinstance(state, dict):
            self._evolved = int(state["candidates"])

    @property
    def notes(self) -> list[str]:
        if not self._evolved:
            return []
        kept = f"; {MOST_MEMBERS} of its {grouped(self._front)} members are kept" if self._front > MOST_MEMBERS else ""
        return [f"front of {grouped(self._evolved)} candidates that evolved on estimates{kept}"]
