"""What disturbed the measurements of a search, told when it happens first, and counted at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from lts.cli.log import say
from lts.system.text import listed, plural

if TYPE_CHECKING:
    from lts.measure.trial import Trial

_OTHER = "something else"
_SHOWN = 8


class Disturbances:
    """Says on stderr that trials were disturbed: a sentence for the first one of every kind, and at the end how many.

    Use as a context manager.
    """

    def __init__(self) -> None:
        self._trials: dict[str, list[int]] = {}

    def note(self, trial: Trial) -> None:
        """Look at a trial that has ended."""
        for kind, warning in _disturbances(trial).items():
            trials = self._trials.setdefault(kind, [])
            if not trials:
                say(f"warning: trial {trial.id}: {warning}")
            if trial.id not in trials:  # which may be measured again
                trials.append(trial.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Say how many trials there were of every kind, where the first one was not the only one."""
        for kind, trials in self._trials.items():
            if len(trials) > 1:
                say(
                    f"warning: {kind} disturbed {plural(len(trials), 'trial')}, {listed(trials, _SHOWN)}; "
                    "their values may not show what the models take"
                )


def _disturbances(trial: Trial) -> Mapping[str, str]:
    """The first sentence of every kind."""
    from lts.system.disturbance import kind_of

    found: dict[str, str] = {}
    for warning in trial.warnings:
        if (kind := kind_of(warning.partition(": ")[2])) is not None:  # before it stands the phase
            found.setdefault(kind, warning)
    if trial.disturbed and not found:
        found[_OTHER] = trial.warnings[0] if trial.warnings else "the device says that it was disturbed"
    return found
