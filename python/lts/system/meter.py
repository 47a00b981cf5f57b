"""What a meter of energy is, and numbers from the files of sensors, checked where they enter."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_WATTS = 10_000.0
"""No package or board takes more: the largest servers with eight processors take a third of it."""

# A meter is read no sooner again than after so many seconds, and so many of its periods; where these would take
# longer than anybody waits, at least so few.
_LEAST_SECONDS = 0.1
_PERIODS, _FEWEST_PERIODS = 20, 3
_PATIENCE = 6.0
_MOST_BYTES = 64


class NoEnergyError(Exception):
    """Why there is no energy, in a phrase that says what was looked at."""


class Meter(ABC):
    """Reads the energy of a whole package or board, whatever takes it: idle power and other programs are included.

    Attributes
    ----------
    name : str
        What is read, such as ``rapl package-0``.
    period : float
        Seconds after which what is read is another number: what a reading may be late by.
    """

    name: str
    period: float

    @property
    def least_seconds(self) -> float:
        """Seconds between `start` and `stop` that make one period a small error.

        That is at most a twentieth; of meters that are read less than three times a second, at most a third.
        """
        return max(_LEAST_SECONDS, min(_PERIODS * self.period, _PATIENCE), _FEWEST_PERIODS * self.period)

    @abstractmethod
    def start(self) -> None:
        """Begin to count. Raises `NoEnergyError` when what is read is no number."""

    @abstractmethod
    def stop(self) -> float:
        """The energy since `start`, in mJ, above 0.

        Raises
        ------
        NoEnergyError
            When what is read is no number, stands still, or says what cannot be.
        """


@dataclass(frozen=True)
class Counter:
    """A file that counts energy in µJ, and the number after which it begins at 0 again; None where that is unknown."""

    file: Path
    largest: int | None = None

    def now(self) -> int:
        """What it says. Raises `NoEnergyError` when that is not from 0 to `largest`."""
        value = whole_number(self.file)
        if self.largest is not None and value > self.largest:
            raise NoEnergyError(f"{self.file} says {value}, more than its range of {self.largest}")
        return value

    def rise(self, before: int, after: int) -> int:
        """µJ between two readings, less than one range apart. Raises `NoEnergyError` when it did not rise."""
        if after == before:
            raise NoEnergyError(f"the counter {self.file} stood still")
        if after > before:
            return after - before
        if self.largest is None:
            raise NoEnergyError(f"the counter {self.file} went back from {before} to {after}")
        return after - before + self.largest


class CounterMeter(Meter):
    """The sum of counters that count different parts of the machine."""

    def __init__(self, name: str, counters: Sequence[Counter], period: float) -> None:
        self.name, self.period = name, period
        self._counters = tuple(counters)
        self._before: list[int] = []
        self._begun = 0.0
        self.start()

    def start(self) -> None:
        self._begun = time.perf_counter()
        self._before = [counter.now() for counter in self._counters]

    def stop(self) -> float:
        after = [counter.now() for counter in self._counters]
        seconds = time.perf_counter() - self._begun
        pairs = zip(self._counters, self._before, after, strict=True)
        return plausible(sum(counter.rise(*ends) for counter, *ends in pairs) / 1000, seconds, self.name)


def whole_number(file: Path) -> int:
    """The number in a sensor's file. Raises `NoEnergyError` for anything else, also one below 0."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES)
    except PermissionError:
        raise NoEnergyError(
            f"{file} can be read by root only; to allow it until the next start: sudo chmod a+r {file}"
        ) from None
    except OSError as error:
        raise NoEnergyError(f"{file} cannot be read: {error.strerror or error}") from None
    text = content.decode("ascii", "replace").strip()
    if re.fullmatch(r"\d{1,19}", text, re.ASCII) is None:
        shown = "".join(c if c.isprintable() else "?" for c in text)
        raise NoEnergyError(f"{file} says '{shown}', which is no amount")
    return int(text)


def plausible(mj: float, seconds: float, name: str) -> float:
    """The energy as it is. Raises `NoEnergyError` when nothing takes so much in that time, or nothing was taken."""
    if not mj > 0:
        raise NoEnergyError(f"{name} says that no energy was taken")
    if mj > 1000 * MOST_WATTS * seconds:
        raise NoEnergyError(f"{name} says {mj / 1000:.3g} J in {seconds:.3g} s, which no machine takes")
    return mj
