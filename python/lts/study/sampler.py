"""What decides which architecture is evaluated next: the interface of all samplers, and those of other packages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Literal

from lts._core import Architecture
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.problem import Problem

GROUP = "lts.samplers"


@dataclass(frozen=True)
class Proposal:
    """An architecture to evaluate.

    Parameters
    ----------
    architecture
        A member of the space that was not proposed before.
    predicted
        By column what is predicted for it: value, low and high end of the interval.
    origin
        The part of the sampler that it comes from, kept with the trial.
    """

    architecture: Architecture
    predicted: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    origin: str = ""


Answer = Proposal | Literal["wait", "done"]
"""The next proposal; "wait" until one of the running trials has ended; "done" when there is nothing left to propose."""


class Sampler(ABC):
    """Decides what a study evaluates next.

    A subclass needs `ask`. One that learns by itself overrides `tell`, and one with a state of its own `save` and
    `restore`; without them, a resumed study tells a new sampler all finished trials again.
    """

    name: str = ""
    """Its name in a stored study: a study resumes only with the same."""

    work: str = "choosing candidates"
    """What `ask` does, for whoever waits for it."""

    settled: bool = False
    """Whether further trials are not expected to change the front; then `ask` gives "done"."""

    hopeless: str = ""
    """Why nothing that it has found may be run, in a phrase; empty where something may."""

    predicts: tuple[str, ...] = ()
    """The columns that it predicts; none when candidates are chosen without predictions."""

    @abstractmethod
    def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
        """What to evaluate next.

        Parameters
        ----------
        trials
            All trials so far by id, those that are running among them.
        running
            Ids of the trials that are being evaluated.
        budget
            Number of finished trials that the study is run for; None when only time ends it.
        """

    def tell(self, trial: Trial) -> None:
        """Take the result of a trial, which is complete or failed."""

    def start(self, budget: int | None, timeout: float | None) -> None:
        """Prepare for a run with that number of trials and seconds; None is no bound."""

    def save(self) -> Any:
        """The state as JSON, for `restore`; None when it follows from the trials alone."""
        return None

    def restore(self, state: Any) -> None:
        """Go on from what `save` gave; None when nothing was saved. Raises `ValueError` for a state that is none."""

    def repeat(self, trial: Trial) -> None:
        """Hand out a trial of an earlier run again, which was proposed after the state was saved."""

    def outliers(self, trials: Sequence[Trial]) -> Collection[int]:
        """Ids of complete trials that are so far from what it predicts that they are measured again."""
        return ()

    @property
    def notes(self) -> list[str]:
        """What it has found out, in sentences for people."""
        return []

    @property
    def models(self) -> Mapping[str, Any]:
        """The models of the costs by column, as they were last fitted."""
        return {}


def sampler_names() -> list[str]:
    """Names of the samplers that installed packages offer in the entry point group ``lts.samplers``."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


def load_sampler(name: str, problem: Problem, options: Mapping[str, Any] | None = None) -> Sampler:
    """The sampler of that name: what its entry point makes of the problem and the options.

    Raises
    ------
    UsageError
        For an unknown name, options that it does not have, or what is no `Sampler`.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none is installed"
        raise UsageError(f"unknown sampler '{name}'; expected one of the entry point group {GROUP}: {known}")
    try:
        sampler = found[name].load()(problem, **(options or {}))
    except (TypeError, ValueError) as error:
        raise UsageError(f"sampler '{name}': {error}") from None
    if not isinstance(sampler, Sampler):
        raise UsageError(f"sampler '{name}' gives {type(sampler).__name__}; expected a subclass of lts.study.Sampler")
    sampler.name = sampler.name or name
    return sampler
