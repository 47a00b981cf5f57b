"""The algorithms of the core as samplers: every candidate that they hand out is evaluated."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lts._core import Search
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.arguments import population_for
from lts.study.sampler import Answer, Proposal, Sampler

ALGORITHM = "algorithm"
"""Origin of what the algorithm itself has proposed."""


class CoreSampler(Sampler):
    """An algorithm of the core.

    The candidates of `search` are the trials of the study: they have the same ids.

    Parameters
    ----------
    search
        A new search.
    options
        Options of the algorithm that were chosen. Without any, populations are smaller than published in a study that
        is first run for fewer than 300 trials: a budget that the first, random population used up would be no search.
    """

    name = "none"  # what stored studies have as their surrogate

    def __init__(self, search: Search, options: Mapping[str, Any] | None = None) -> None:
        self.search = search
        self._options = dict(options or {})
        self._last: Proposal | None = None

    def start(self, budget: int | None, timeout: float | None) -> None:
        if self.search.n_asked == 0 and not self._options:
            new = self.search
            sizes = population_for(new.algorithm, budget)
            self.search = Search(new.space, new.objectives, new.constraints, new.algorithm, new.seed, **sizes)

    def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
        if (lost := self.lost(trials)) is not None:
            return lost
        self._last = None
        candidates = self.search.ask(1)
        if not candidates:
            return "done"
        self._last = Proposal(candidates[0].architecture, origin=ALGORITHM)
        return self._last

    def lost(self, trials: Sequence[Trial]) -> Proposal | None:
        """A candidate that was handed out and did not become a trial, because something interrupted the study."""
        if self.search.n_asked == len(trials):
            return None
        found = [c.architecture for c in self.search.pending() if c.id == len(trials)]
        if not found or (self._last is not None and self._last.architecture == found[0]):
            return self._last if found else None
        return Proposal(found[0], origin=ALGORITHM)

    def add(self, proposal: Proposal) -> bool:
        """Make somebody else's choice a candidate of the search; false when it was one before."""
        self._last = proposal
        return self.search.add(proposal.architecture) is not None

    def tell(self, trial: Trial) -> None:
        if trial.state == "complete":
            self.search.tell(trial.id, {name: trial.values[name] for name in self.search.columns})
        else:
            self.search.tell_failed(trial.id)

    def save(self) -> str:
        return self.search.save()

    def restore(self, state: Any) -> None:
        if state is not None:
            self.search = Search.load(str(state))

    def repeat(self, trial: Trial) -> None:
        if trial.origin != ALGORITHM:
            self.search.add(trial.architecture)
            return
        candidates = self.search.ask(1)
        if not candidates or candidates[0].architecture != trial.architecture:
            raise UsageError(
                f"trial {trial.id} does not follow from the state of the search, which lts-engine "
                f"{trial.lts_version} has stored: resume it with that version, or use another --store"
            )
