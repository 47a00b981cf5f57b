"""What a history says of one metric of one name under the same conditions, by time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby

from lts.errors import UsageError
from lts.measure.change_points import MOST, ChangePoint, change_points
from lts.measure.compare import Metric
from lts.measure.history import History, instant
from lts.measure.result import Result, differences
from lts.measure.statistics import Summary, summary
from lts.system.outside import sentence
from lts.system.text import listed


@dataclass(frozen=True)
class Series:
    """Entries of a history that may be compared with one another, the oldest first; at least one.

    Parameters
    ----------
    name
        What they are saved under.
    metric
        What each of them has a value of.
    entries
        The results.
    """

    name: str
    metric: Metric
    entries: tuple[Result, ...]

    @cached_property
    def points(self) -> list[Summary]:
        """Of each entry the median of its processes with its interval, in the unit of the metric."""
        name = self.metric.name
        return [summary(entry.rounds.get(name) or [entry.values[name]]) for entry in self.entries]

    @cached_property
    def times(self) -> list[datetime]:
        """When each entry was measured, in UTC."""
        return [instant(entry) for entry in self.entries]

    @cached_property
    def changes(self) -> list[ChangePoint]:
        """Where its level changed, see `lts.measure.change_points`."""
        return change_points([point.median for point in self.points], self.metric)

    @property
    def n_unsearched(self) -> int:
        """So many of the oldest entries are not searched for changes."""
        return max(0, len(self.entries) - MOST)

    @cached_property
    def level(self) -> Summary:
        """The medians of the entries since the last change point; of all that are searched, where there is none."""
        begin = self.changes[-1].index if self.changes else self.n_unsearched
        return summary([point.median for point in self.points[begin:]])

    @property
    def to_before(self) -> float | None:
        """By how much the last entry differs from the one before, relative to that; None where there is none."""
        return _relative(self.points[-2].median, self.points[-1].median) if len(self.points) > 1 else None

    @property
    def to_level(self) -> float | None:
        """By how much the last entry differs from the level since the last change point, relative to that; None where
        that is the last entry alone."""
        return _relative(self.level.median, self.points[-1].median) if self.level.n > 1 else None

    @property
    def provenance(self) -> str:
        """Where the values come from, such as "measured"."""
        known = [entry.provenance.get(self.metric.name, "given") for entry in self.entries]
        return ", ".join(dict.fromkeys(known))

    @property
    def latest(self) -> Result:
        """The newest entry, whose conditions are those of all."""
        return self.entries[-1]

    @property
    def conditions(self) -> str:
        """The device, the backend, the hash of the environment, and the workload, in words."""
        last = self.latest
        where = [last.device, last.backend, last.target, last.environment]
        what = "" if last.workload is None else f": {last.workload}"
        return ", ".join(part for part in where if part) + what


def series_of(history: History, names: Iterable[str] = (), metrics: Iterable[str] = ()) -> list[Series]:
    """The series of a history, by name, then metric, then conditions, each in the order of their first entries.

    Parameters
    ----------
    history
        What was measured.
    names, metrics
        Those that are wanted; by default all.

    Raises
    ------
    UsageError
        For an unknown name or metric, with the known ones.
    """
    chosen = list(dict.fromkeys(names)) or history.names
    wanted = list(dict.fromkeys(metrics))
    found = []
    known: dict[str, None] = {}
    for name in chosen:
        groups = _groups(history.named(name))
        columns = dict.fromkeys(column for group in groups for entry in group for column in entry.values)
        known |= columns
        for column in columns if not wanted else [metric for metric in wanted if metric in columns]:
            for group in groups:
                entries = tuple(entry for entry in group if column in entry.values)
                if entries:
                    found.append(Series(name, Metric.named(column), entries))
    if unknown := [metric for metric in wanted if metric not in known]:
        raise UsageError(f"unknown metric '{unknown[0]}' in {history.source}; expected one of {listed(known)}")
    return found


def apart(found: Iterable[Series]) -> list[str]:
    """Of every name that is in several series by its conditions, one sentence that says what these differ in."""
    sentences = []
    for name, series in groupby(found, key=lambda each: each.name):
        firsts = [group[0] for group in _groups(each.latest for each in series)]
        for other in firsts[1:]:
            differ = listed(map(sentence, differences(firsts[0], other)), 6)
            sentences.append(
                f"{name}: results of different conditions are different series, which are not compared: {differ} "
                f"({sentence(firsts[0].environment)} and {sentence(other.environment)})"
            )
    return sentences


def _groups(entries: Iterable[Result]) -> list[list[Result]]:
    """Results of the same conditions together."""
    groups: list[list[Result]] = []
    for entry in entries:
        group = next((group for group in groups if not differences(group[0], entry)), None)
        if group is None:
            groups.append([entry])
        else:
            group.append(entry)
    return groups


def _relative(before: float, after: float) -> float | None:
    return after / before - 1 if before > 0 else None
