"""The algorithms of the core as samplers: every candidate that they hand out is evaluated."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lts._core import Candidate, Search
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.arguments import population_for
from lts.study.limits import Limits
from lts.study.sampler import Answer, Proposal, Sampler
from lts.system.text import plural
from lts.system.uninterrupted import without_interrupts

ALGORITHM = "algorithm"
"""Origin of what the algorithm itself has proposed."""
SEEDED = "seeded"
"""Origin of what was chosen for its first population, see `lts.study.seeded`."""

# Candidates in a row that may not be run before the search gives up; an enumeration costs next to nothing.
_MOST_ASKED, _MOST_ENUMERATED = 10_000, 200_000


class CoreSampler(Sampler):
    """An algorithm of the core.

    The candidates of `search` are the trials of the study, but for those that `limits` excludes: these are told to it
    as failed at once, so that the id of a trial is that of its candidate less the number of such before it.

    Parameters
    ----------
    search
        A new search.
    options
        Options of the algorithm that were chosen. Without any, populations are smaller than published in a study that
        is first run for fewer than 300 trials: a budget that the first, random population used up would be no search.
    limits
        What is not run.
    """

    name = "none"  # what stored studies have as their surrogate

    def __init__(self, search: Search, options: Mapping[str, Any] | None = None, limits: Limits | None = None) -> None:
        self.search = search
        self._options = dict(options or {})
        self._limits = limits or Limits()
        self._last: Proposal | None = None
        self._skipped: list[int] = []  # ids of candidates that were not run, ascending
        self._ended = False

    def start(self, budget: int | None, timeout: float | None) -> None:
        self._ended = False
        self.hopeless = ""
        if self.search.n_asked == 0 and not self._options:
            new = self.search
            sizes = population_for(new.algorithm, budget)
            self.search = Search(new.space, new.objectives, new.constraints, new.algorithm, new.seed, **sizes)

    def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
        if (lost := self.lost(trials)) is not None:
            return lost
        self._last = None
        # What has ended stays so for this run: what was asked in vain is replayed with the trial that follows it.
        candidate = None if self._ended else self._feasible()
        if candidate is None:
            self._ended = True
            return "done"
        self._last = Proposal(candidate.architecture, origin=ALGORITHM)
        return self._last

    def _feasible(self) -> Candidate | None:
        """The next candidate that may be run; none when the space is used up, or none is found in many."""
        most = _MOST_ENUMERATED if self.search.algorithm == "exhaustive" else _MOST_ASKED
        why, n = "", 0
        while n < most and (candidates := self.search.ask(1)):
            found = self._limits.exclude(candidates[0].architecture)
            if not found:
                return candidates[0]
            why, n = found, n + 1
            self._skip(candidates[0].id)
        if why:
            self.hopeless = f"of the last {plural(n, 'candidate')} none was run, the last one was {why}"
        return None

    def _skip(self, key: int) -> None:
        with without_interrupts():
            self._skipped.append(key)
            self.search.tell_failed(key)

    def lost(self, trials: Sequence[Trial]) -> Proposal | None:
        """A candidate that was handed out and did not become a trial, because something interrupted the study."""
        while True:
            if self.search.n_asked - len(self._skipped) == len(trials):
                return None
            key = self._key(len(trials))
            found = [c.architecture for c in self.search.pending() if c.id == key]
            if not found or not self._limits.exclude(found[0]):
                break
            self._skip(key)
        if not found or (self._last is not None and self._last.architecture == found[0]):
            return self._last if found else None
        return Proposal(found[0], origin=ALGORITHM)

    def add(self, proposal: Proposal) -> bool:
        """Make somebody else's choice a candidate of the search; false when it was one before."""
        added = self.search.add(proposal.architecture, initial=proposal.origin == SEEDED) is not None
        if added:
            self._last = proposal
        return added

    def _key(self, trial: int) -> int:
        """The id of the candidate that the trial is."""
        if not self._skipped:
            return trial
        # The candidates before the place `i` of a skipped one that were not skipped are `skipped[i] - i`.
        return trial + bisect_right(range(len(self._skipped)), trial, key=lambda i: self._skipped[i] - i)

    def tell(self, trial: Trial) -> None:
        key = self._key(trial.id)
        if trial.state == "complete":
            self.search.tell(key, {name: trial.values[name] for name in self.search.columns})
        else:
            self.search.tell_failed(key)

    def save(self) -> Any:
        return {"search": self.search.save(), "skipped": self._skipped} if self._skipped else self.search.save()

    def restore(self, state: Any) -> None:
        if isinstance(state, dict):
            self._skipped = [int(key) for key in state["skipped"]]
            state = state["search"]
        if state is not None:
            self.search = Search.load(str(state))

    @property
    def notes(self) -> list[str]:
        return self._limits.notes

    def repeat(self, trial: Trial) -> None:
        if trial.origin != ALGORITHM:
            self.search.add(trial.architecture, initial=trial.origin == SEEDED)
            return
        candidates = self.search.ask(1)
        while candidates and candidates[0].architecture != trial.architecture:
            if not self._limits.exclude(candidates[0].architecture):
                break
            self._skip(candidates[0].id)
            candidates = self.search.ask(1)
        if not candidates or candidates[0].architecture != trial.architecture:
            raise UsageError(
                f"trial {trial.id} does not follow from the state of the search, which lts-engine "
                f"{trial.lts_version} has stored: resume it with that version, or use another --store"
            )
