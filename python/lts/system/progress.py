"""How far a long piece of work is, told to whoever waits for it: nothing below the command line prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """What is being done, and how much of it has ended.

    Parameters
    ----------
    what
        The work in a few words, for people: "compiling the front".
    done, total
        How many of its pieces have ended, and how many there are; None where that is not known.
    now
        What is running, for people; empty where there is nothing to tell the pieces apart by.
    left
        Seconds until the end, where the work knows better than its present rate.
    """

    what: str
    done: int = 0
    total: int | None = None
    now: str = ""
    left: float | None = None


Observer = Callable[[Work], None]
"""Gets told whenever a piece of work begins or ends: at once, from the thread that does it, and one at a time."""


def unobserved(work: Work) -> None:
    """Take no notice."""
