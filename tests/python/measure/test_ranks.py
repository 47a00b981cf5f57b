"""The exact Mann-Whitney test and its interval, against scipy, against enumeration, and by simulation."""

from __future__ import annotations

import math
from itertools import combinations
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts.measure.ranks import rank_test, shift

few = st.lists(st.integers(1, 6), min_size=1, max_size=6)
distinct = st.lists(st.integers(1, 10**6), min_size=2, max_size=14, unique=True)


@settings(deadline=None)
@given(distinct, st.data())
def test_as_scipy_without_ties(values: list[int], data: st.DataObject) -> None:
    stats = pytest.importorskip("scipy.stats")
    n = data.draw(st.integers(1, len(values) - 1))
    found = stats.mannwhitneyu(values[:n], values[n:], method="exact", alternative="two-sided")
    assert rank_test(values[:n], values[n:]) == pytest.approx(found.pvalue, rel=1e-12)


@settings(deadline=None)
@given(few, few)
def test_as_enumeration_with_ties(one: list[int], other: list[int]) -> None:
    together = [*one, *other]

    def u(chosen: tuple[int, ...]) -> float:
        rest = [together[i] for i in range(len(together)) if i not in chosen]
        return sum((x < y) + (x == y) / 2 for x in rest for y in (together[i] for i in chosen))

    found = [u(chosen) for chosen in combinations(range(len(together)), len(one))]
    seen = u(tuple(range(len(one))))
    tail = min(sum(x <= seen for x in found), sum(x >= seen for x in found))
    assert rank_test(one, other) == pytest.approx(min(1.0, 2 * tail / len(found)), rel=1e-12)


def test_with_ties_as_the_permutation_test_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    one, other = [1.0, 2.0, 2.0, 3.0, 3.0], [2.0, 3.0, 4.0, 4.0]

    def ranks(x: np.ndarray, y: np.ndarray) -> float:
        return float(stats.rankdata(np.concatenate([x, y]))[: len(x)].sum())

    found = stats.permutation_test((one, other), ranks, permutation_type="independent", n_resamples=np.inf)
    assert rank_test(one, other) == pytest.approx(found.pvalue, rel=1e-12)


@settings(deadline=None)
@given(distinct, st.data())
def test_the_interval_holds_what_the_test_does_not_refuse(values: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(values) - 1))
    one, other = values[:n], values[n:]
    center, low, high = shift(one, other)
    assert center == median(y - x for x in one for y in other)
    assert low <= center <= high

    def refused(by: float) -> bool:
        return rank_test([x + by for x in one], other) <= 0.05

    for end, out in ((low, -1), (high, 1)):
        if math.isfinite(end):  # halves: no difference of whole numbers is one, so that there are no ties
            assert refused(end + out / 2)
            assert not refused(end - out / 2) or low == high
        else:
            assert not refused(out * 1e7)


def test_four_on_each_side_are_the_least() -> None:
    assert shift([1, 2, 3], [11, 12, 13, 14])[1:] == (-math.inf, math.inf)
    assert shift([1, 2, 3, 4], [11, 12, 13, 14])[1:] == (7, 13)
    assert rank_test([1, 2, 3, 4], [11, 12, 13, 14]) == pytest.approx(2 / 70)


def test_what_is_wrong_is_refused() -> None:
    for function in (rank_test, shift):
        with pytest.raises(ValueError, match="no values on one side"):
            function([], [1.0])
    with pytest.raises(ValueError, match=r"confidence is 1\.0; it must be between 0 and 1"):
        shift([1.0], [2.0], 1.0)


def _power(n: int, disturbed: float, tests: int = 400) -> tuple[float, float]:
    """How often the test of ranks and the permutation test of means find a change of 8 % in noise of 3 %."""
    random = np.random.default_rng(1)
    dealt = np.array(list(combinations(range(2 * n), n)))
    by_rank = by_mean = 0
    for _ in range(tests):
        values = random.normal(0, 0.03, 2 * n) + (random.random(2 * n) < disturbed) * random.exponential(0.3, 2 * n)
        values[n:] += 0.08
        by_rank += rank_test(values[:n].tolist(), values[n:].tolist()) <= 0.05
        sums = values[dealt].sum(axis=1)
        seen = values[:n].sum()
        by_mean += 2 * min((sums <= seen + 1e-12).mean(), (sums >= seen - 1e-12).mean()) <= 0.05
    return by_rank / tests, by_mean / tests


def test_power_beside_the_permutation_test_of_means() -> None:
    ranks, means = _power(4, 0.0)
    assert ranks == means
    ranks, means = _power(6, 0.0)
    assert ranks > 0.95
    assert ranks > means - 0.03
    ranks, means = _power(8, 0.1)
    assert ranks > means + 0.1


def test_false_alarms_are_as_rare_as_promised() -> None:
    random = np.random.default_rng(2)
    for n in (4, 5, 6):
        alarms = sum(rank_test(*random.normal(0, 1, (2, n)).tolist()) <= 0.05 for _ in range(1000))
        assert alarms <= 1000 * 0.05 + 3 * math.sqrt(1000 * 0.05 * 0.95)
