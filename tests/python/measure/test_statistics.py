"""Medians and their confidence, against brute force over binomial outcomes and over simulated samples."""

from __future__ import annotations

import itertools
import random
import statistics as standard
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts.measure.statistics import advice, median_ranks, shared_core, summary, waited


def binomial_tail(n: int, k: int) -> Fraction:
    """P(at most k of n coins show heads)."""
    return sum((Fraction(comb(n, i), 2**n) for i in range(k + 1)), Fraction(0))


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("n", [*range(1, 40), 100, 101, 257, 1000])
def test_ranks_are_the_narrowest_that_cover(n: int, confidence: float) -> None:
    low, high, coverage = median_ranks(n, confidence)
    assert 0 <= low <= high == n - 1 - low
    assert coverage == pytest.approx(float(1 - 2 * binomial_tail(n, low)), abs=1e-12)
    if low > 0:
        assert coverage >= confidence - 1e-12
    # One rank further in would not do.
    assert 1 - 2 * binomial_tail(n, low + 1) < confidence


@pytest.mark.parametrize("n", range(1, 9))
def test_coverage_by_counting_all_outcomes(n: int) -> None:
    """The median lies between ordered samples i and j when more than i and at most j of them are below it."""
    low, high, coverage = median_ranks(n, 0.8)
    hits = sum(low < sum(outcome) <= high for outcome in itertools.product((0, 1), repeat=n))
    assert coverage == pytest.approx(hits / 2**n)


def test_coverage_of_simulated_samples() -> None:
    generator = random.Random(1)
    median = 2**0.5  # of the Pareto distribution with exponent 2
    hits = 0
    for _ in range(4000):
        found = summary([generator.paretovariate(2) for _ in range(25)], 0.9)
        hits += found.low <= median <= found.high
    expected = median_ranks(25, 0.9)[2]
    assert hits / 4000 == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5)


def test_large_samples_are_fine() -> None:
    low, high, coverage = median_ranks(20_000)
    assert coverage == pytest.approx(0.95, abs=0.01)
    assert (high - low) / 2 == pytest.approx(1.96 * 20_000**0.5 / 2, rel=0.02)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=60))
def test_summary_is_what_the_standard_library_says(samples: list[int]) -> None:
    found = summary(samples)
    center = standard.median(samples)
    assert found.n == len(samples)
    assert found.median == center
    assert found.mad == standard.median(abs(x - center) for x in samples)
    assert (found.minimum, found.maximum) == (min(samples), max(samples))
    assert found.minimum <= found.low <= found.median <= found.high <= found.maximum
    assert summary(samples[::-1]) == found
    ordered = sorted(samples)
    low, high, coverage = median_ranks(len(samples))
    assert (found.low, found.high, found.coverage) == (ordered[low], ordered[high], coverage)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 2.0, float("nan")])
def test_wrong_confidence(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"confidence is .*; it must be between 0 and 1"):
        summary([1, 2, 3], confidence)


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        summary([])
    with pytest.raises(ValueError, match="n is 0"):
        median_ranks(0)
    assert advice([]) == []


def noisy(n: int, spread: float, seed: int = 0) -> list[float]:
    generator = random.Random(seed)
    return [1e6 * (1 + spread * generator.uniform(-1, 1)) for _ in range(n)]


def test_good_samples_need_no_advice() -> None:
    for seed in range(20):
        assert advice(noisy(50, 0.02, seed)) == []
    assert advice([1000] * 50) == []
    # Two outliers of fifty leave the median alone.
    assert advice([*noisy(48, 0.02), 9e6, 9e6]) == []
    # Too few to judge.
    assert advice([1, 100, 1, 100]) == []


def test_noise_gives_advice() -> None:
    (sentence,) = advice(noisy(20, 0.6, 3))
    assert "the median is known to ±" in sentence
    assert "close other programs" in sentence


def test_drift_gives_advice() -> None:
    rising = [1e6 + 1e4 * i for i in range(40)]
    assert any("times rose by" in sentence and "hot" in sentence for sentence in advice(rising))
    assert any("times fell by" in sentence and "warm-up" in sentence for sentence in advice(rising[::-1]))


def test_outliers_give_advice() -> None:
    samples = noisy(40, 0.01)
    samples[::8] = [5e6] * 5
    (sentence,) = advice(samples)
    assert sentence.startswith("5 of 40 samples are outliers, up to 5.0 times the median")


def test_a_clock_that_stands_still_gives_advice() -> None:
    assert advice([0] * 20) == ["the median time is not above 0: the clock is too coarse"]


def test_runs_that_waited_for_a_core() -> None:
    wall = [100.0] * 20
    assert waited([100, 99, 97], wall[:3]) == [False, False, True]
    assert shared_core(wall, wall) == []
    assert shared_core([99.0] * 20, wall) == [], "that is what always happens"
    assert shared_core([50.0, 50.0, *wall[2:]], wall) == [], "two of twenty leave the median alone"
    (sentence,) = shared_core([25.0] * 10 + [75.0] * 10, wall)
    assert sentence.startswith("other programs had the processor during 20 of 20 samples, 50% of the time")
    assert shared_core([], []) == []
