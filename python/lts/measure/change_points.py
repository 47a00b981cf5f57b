"""Where the level of a series of measurements changed.

Binary segmentation (Scott and Knott 1974; Vostrikova 1981) with the exact rank test of Mann and Whitney. A series is
searched for the most significant of two kinds of change: one step, or another level for a while, as of a regression
that was fixed, which a search for steps alone overlooks (Levin and Kline 1985; Olshen et al. 2004). What lies between
the changes is searched in the same way.

Half of the allowed rate of false alarms goes to each kind, divided by how many there are of it (Bonferroni): a series
without change, whose values could as well be in any other order, has a change point with a probability of at most
`FALSE_ALARMS`, whatever their distribution. Ranks make that independent of units and outliers. Drift, and noise that
lasts for several entries, are not of that kind: they are found as changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from lts.errors import UsageError
from lts.measure.compare import Metric
from lts.measure.outcome import finite, shown
from lts.measure.statistics import Summary, summary

FALSE_ALARMS = 0.02
"""In so many series without change, at most, change points are found."""
MOST = 200
"""Values that are searched: the newest ones of a series."""

# A change must also show between the two levels beside it, where a single value, for example, is none.
_BESIDE = 0.05
# What floating point may make of a change that is just the bound.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ChangePoint:
    """A change of the level of a series.

    Parameters
    ----------
    index
        Of the first value with the new level, from 0.
    before, after
        The medians of the values from the change before and to the next one, with their intervals, in their unit.
    change
        Relative to the level before: 0.1 is 10 % more. None where that is not above 0.
    p_value
        The probability of a change as clear in a series without any, corrected for all places it could have been at;
        None for exact metrics, where there is no chance.
    """

    index: int
    before: Summary
    after: Summary
    change: float | None
    p_value: float | None


def change_points(
    values: Sequence[float], metric: Metric, *, least: float | None = None, false_alarms: float = FALSE_ALARMS
) -> list[ChangePoint]:
    """The changes of the level of a series, the first one first.

    Parameters
    ----------
    values
        In the order of time, each of them the median of the processes of one entry. Of more than `MOST` only the newest
        ones are searched.
    metric
        What they are. Of an exact one every other value is a change; others change as the module says.
    least
        Smaller changes are left out: 0.05 is 5 %, upwards or, on a logarithmic scale, as far downwards. By default the
        bound of the metric.
    false_alarms
        See `FALSE_ALARMS`.

    Complexity: O(n^4) additions for n values, in compiled loops: a second for 200; less without changes.

    Raises
    ------
    UsageError
        For a value that is not finite, a `least` that is not finite or below 0, or a rate not between 0 and 1.
    """
    bound = metric.bound if least is None else least
    if not finite(bound) or bound < 0:
        raise UsageError(f"the least change is {shown(bound)}; it must be a number of at least 0, as in 0.05 for 5 %")
    if not 0 < false_alarms < 1:
        raise UsageError(f"the rate of false alarms is {shown(false_alarms)}; it must be between 0 and 1")
    for value in values:
        if not finite(value):
            raise UsageError(f"a value of {metric.name} is {shown(value)}; it must be finite")
    if not values:
        return []
    first = max(0, len(values) - MOST)
    recent = list(map(float, values[first:]))
    if metric.exact:
        found: dict[int, float | None] = {i: None for i, (x, y) in enumerate(pairwise(recent), 1) if x != y}
    else:
        found = dict(_searched(recent, 0, false_alarms))
    places = _pruned(recent, sorted(found), bound, metric.exact)
    return [
        ChangePoint(first + place, before, after, _change(before.median, after.median), found[place])
        for place, (before, after) in zip(places, pairwise(map(summary, _levels(recent, places))), strict=True)
    ]


def _searched(values: Sequence[float], first: int, rate: float) -> Iterable[tuple[int, float]]:
    """Where a part of a series that begins at `first` changes, with the corrected p value."""
    p_value, places = _clearest(_doubled_ranks(values))
    if p_value > rate:
        return
    yield from ((first + place, p_value) for place in places)
    for begin, end in pairwise((0, *places, len(values))):
        yield from _searched(values[begin:end], first + begin, rate)


def _clearest(ranks: Sequence[int]) -> tuple[float, tuple[int, ...]]:
    """The corrected p value of the most significant change, and where it is: one place, or where it begins and ends."""
    n = len(ranks)
    sums = [0, *accumulate(ranks)]
    steps = [(0, end) for end in range(1, n)]
    spells = [(begin, end) for begin in range(1, n) for end in range(begin + 1, n)]
    best: tuple[float, tuple[int, ...]] = (1.0, ())
    for kind in (steps, spells):
        # Of one length the clearest ones have the smallest and the largest sum of ranks.
        extremes: dict[int, tuple[tuple[int, tuple[int, int]], tuple[int, tuple[int, int]]]] = {}
        for part in kind:
            begin, end = part
            here = (sums[end] - sums[begin], part)
            low, high = extremes.get(end - begin, (here, here))
            extremes[end - begin] = (min(low, here), max(high, here, key=lambda each: each[0]))
        for length, (low, high) in extremes.items():
            for total, part in (low, high):
                corrected = 2 * len(kind) * _p_value(ranks, length, total)
                if corrected < best[0]:
                    best = corrected, tuple(place for place in part if place)
    return best


def _p_value(ranks: Sequence[int], n: int, total: int) -> float:
    """The two-sided p value of `lts.measure.ranks.rank_test` for `n` of these values, whose ranks have that sum."""
    if 2 * n > len(ranks):  # the others say the same
        n, total = len(ranks) - n, sum(ranks) - total
    chances = _chances(tuple(sorted(ranks)))[n]
    return min(1.0, 2 * float(min(chances[: total + 1].sum(), chances[total:].sum())))


@lru_cache(maxsize=4)
def _chances(ranks: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """By number of values, up to half of them, and sum of their ranks: the probability of that sum."""
    half = len(ranks) // 2
    ways = np.zeros((half + 1, sum(ranks[-half:]) + 1 if half else 1))
    ways[0, 0] = 1
    end = 1  # no sum of the ranks so far is as large
    for n, rank in enumerate(ranks):
        end = min(end + rank, ways.shape[1])
        rows = min(n + 1, half)
        ways[1 : rows + 1, rank:end] += ways[:rows, : end - rank].copy()
    return ways / np.array([[math.comb(len(ranks), n)] for n in range(half + 1)], dtype=np.float64)


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Ranks from 0, doubled where equal ones share the mean of theirs."""
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    last = {value: place for place, value in enumerate(ordered)}
    if len(first) == len(ordered):
        return [first[value] for value in values]
    return [first[value] + last[value] for value in values]


def _pruned(values: Sequence[float], places: Sequence[int], bound: float, exact: bool) -> list[int]:
    """The places without those where the levels beside them differ too little, the least clear ones first."""
    kept = list(places)
    if exact and not bound:
        return kept
    while not exact and kept and (worst := max(_tests(values, kept)))[0] > _BESIDE:
        kept.remove(worst[1])
    while kept and (smallest := min(_sizes(values, kept)))[0] <= math.log1p(bound) + _ROUNDING:
        kept.remove(smallest[1])
    return kept


def _tests(values: Sequence[float], places: Sequence[int]) -> list[tuple[float, int]]:
    """The p values of the rank test of what lies on both sides of every place."""
    found = []
    for place, (one, other) in zip(places, pairwise(_levels(values, places)), strict=True):
        ranks = _doubled_ranks([*one, *other])
        found.append((_p_value(ranks, len(one), sum(ranks[: len(one)])), place))
    return found


def _sizes(values: Sequence[float], places: Sequence[int]) -> list[tuple[float, int]]:
    """How far the medians beside every place are from each other, as the logarithm of their ratio."""
    medians = [summary(level).median for level in _levels(values, places)]
    return [
        (abs(math.log(after / before)) if before > 0 and after > 0 else math.inf, place)
        for place, (before, after) in zip(places, pairwise(medians), strict=True)
    ]


def _levels(values: Sequence[float], places: Sequence[int]) -> list[Sequence[float]]:
    """What lies between the places."""
    return [values[begin:end] for begin, end in pairwise((0, *places, len(values)))]


def _change(before: float, after: float) -> float | None:
    return after / before - 1 if before > 0 else None
