"""Verdicts on two models: what they must not depend on, what they say of known differences, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts.errors import UsageError
from lts.measure.compare import Answer, Metric, Verdict, verdict, verdicts

TIME, SPEED, COUNT = map(Metric.named, ("request_ms", "tokens_per_second", "instructions"))
SWAPPED = {Answer.regression: Answer.improvement, Answer.improvement: Answer.regression}

metrics = st.sampled_from([TIME, SPEED, COUNT])
bounds = st.sampled_from([None, 0.0, 0.02, 0.05, 0.5])


@st.composite
def sides(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Nanoseconds of two models with a difference and a noise that may or may not be large beside each other."""
    noise = draw(st.sampled_from([0, 1_000, 30_000, 300_000]))
    middle = draw(st.sampled_from([900_000, 990_000, 1_000_000, 1_060_000, 1_300_000]))
    one = draw(st.lists(st.integers(1_000_000 - noise, 1_000_000 + noise), min_size=1, max_size=7))
    other = draw(st.lists(st.integers(middle - noise, middle + noise), min_size=1, max_size=7))
    return one, other


@settings(deadline=None)
@given(metrics, sides(), bounds, st.randoms(use_true_random=False))
def test_order_does_not_matter(metric: Metric, both: tuple[list[int], list[int]], bound: float, random: object) -> None:
    before = verdict(metric, *both, bound)
    for side in both:
        random.shuffle(side)  # type: ignore[attr-defined]
    assert verdict(metric, *both, bound) == before


@settings(deadline=None)
@given(metrics, sides(), bounds, st.sampled_from([1e-9, 1e-6, 1e-3, 3.0, 1e12]))
def test_units_do_not_matter(
    metric: Metric, both: tuple[list[int], list[int]], bound: float | None, factor: float
) -> None:
    before = verdict(metric, *both, bound)
    after = verdict(metric, *([factor * value for value in side] for side in both), bound)
    assert (after.answer, after.p_value, after.enough) == (before.answer, before.p_value, before.enough)
    assert after.change == pytest.approx(before.change, abs=1e-12)
    assert after.baseline.value == pytest.approx(factor * before.baseline.value)


@settings(deadline=None)
@given(metrics, sides(), bounds)
def test_swapping_the_sides_swaps_the_verdict(
    metric: Metric, both: tuple[list[int], list[int]], bound: float | None
) -> None:
    one, other = both
    there, back = verdict(metric, one, other, bound), verdict(metric, other, one, bound)
    assert back.answer is SWAPPED.get(there.answer, there.answer)
    assert (back.p_value, back.enough) == (there.p_value, there.enough)
    assert (back.baseline, back.contender) == (there.contender, there.baseline)
    assert (1 + there.change) * (1 + back.change) == pytest.approx(1)


@settings(deadline=None)
@given(sides(), bounds)
def test_where_more_is_better_the_verdict_is_the_opposite(
    both: tuple[list[int], list[int]], bound: float | None
) -> None:
    time, speed = verdict(TIME, *both, bound), verdict(SPEED, *both, bound)
    assert speed.answer is SWAPPED.get(time.answer, time.answer)
    assert speed.change == time.change


@settings(deadline=None)
@given(st.sampled_from([TIME, SPEED]), sides(), bounds)
def test_an_answer_is_what_its_figures_say(
    metric: Metric, both: tuple[list[int], list[int]], bound: float | None
) -> None:
    found = verdict(metric, *both, bound)
    limit = found.max_regression
    assert found.p_value is not None
    if found.change_interval is None:
        assert min(map(len, both)) < 4
        assert found.answer is Answer.inconclusive
        return
    low, high = found.change_interval
    assert low - 1e-12 <= found.change <= high + 1e-12
    if found.answer in SWAPPED:
        assert found.p_value <= 0.05
        assert not low <= 0 <= high
        assert max(found.change, 1 / (1 + found.change) - 1) > limit
    elif found.answer is Answer.same:
        assert max(found.change, 1 / (1 + found.change) - 1) <= limit + 1e-6
    else:
        assert low <= 0 <= high or found.p_value > 0.05
        assert max(high, 1 / (1 + low) - 1) > limit - 1e-6


def test_known_differences() -> None:
    base = [10.0, 10.1, 10.2, 10.1]

    def answer(contender: Sequence[float], **options: float) -> Answer:
        return verdict(TIME, base, contender, **options).answer

    assert answer([11.0, 11.1, 11.2, 11.1]) is Answer.regression
    assert answer([9.0, 9.1, 9.2, 9.1]) is Answer.improvement
    assert answer([10.3, 10.31, 10.4, 10.45]) is Answer.same  # slower for sure, but by less than the bound
    assert answer([10.3, 10.31, 10.4, 10.45], max_regression=0.01) is Answer.regression
    assert answer([10.1, 10.0, 10.2, 10.15]) is Answer.same
    assert answer([10.0, 10.6, 11.8, 11.0]) is Answer.inconclusive
    assert answer([11.0, 11.1, 11.2]) is Answer.inconclusive  # too few for any certainty


def test_a_change_of_just_the_bound_is_none() -> None:
    assert verdict(TIME, [1.0] * 4, [1.05] * 4).answer is Answer.same
    assert verdict(TIME, [1.0] * 4, [1.0501] * 4).answer is Answer.regression
    assert verdict(COUNT, [1000], [1050], 0.05).answer is Answer.same


def test_the_figures_of_a_regression() -> None:
    found = verdict(TIME, [100.0, 102.0, 104.0, 98.0], [110.0, 112.2, 114.4, 107.8])
    assert found.answer is Answer.regression
    assert found.change == pytest.approx(0.1)
    assert found.change_interval == (pytest.approx(107.8 / 104 - 1), pytest.approx(114.4 / 98 - 1))
    assert found.p_value == pytest.approx(2 / 70)
    assert (found.baseline.n, found.baseline.low, found.baseline.high) == (4, 98.0, 104.0)
    assert found.baseline.value == pytest.approx(math.sqrt(100 * 102))
    assert found.baseline.coverage == pytest.approx(1 - 2 / 2**4)
    assert found.max_regression == 0.05


def test_exact_metrics_are_compared_exactly() -> None:
    assert verdict(COUNT, [1_000_000], [1_000_000]).answer is Answer.same
    worse = verdict(COUNT, [1_000_000], [1_000_001])
    assert worse.answer is Answer.regression
    assert (worse.p_value, worse.max_regression, worse.contender.value) == (None, 0.0, 1_000_001)
    assert verdict(COUNT, [1_000_000], [999_999]).answer is Answer.improvement
    assert verdict(COUNT, [1_000_000], [1_009_000], 0.01).answer is Answer.same
    # Should they differ from process to process after all, only what holds of all of them is said.
    assert verdict(COUNT, [1000, 1010], [1005, 1020]).answer is Answer.inconclusive
    assert verdict(COUNT, [1000, 1010], [1015, 1020]).answer is Answer.regression


@pytest.mark.parametrize(
    ("name", "higher", "exact"),
    [
        ("request_ms", False, False),
        ("decode_ms_per_token", False, False),
        ("peak_memory_mib", False, False),
        ("tokens_per_second", True, False),
        ("decode_instructions", False, True),
        ("weight_bytes", False, True),
    ],
)
def test_what_metrics_are(name: str, higher: bool, exact: bool) -> None:
    assert Metric.named(name) == Metric(name, higher, exact)


def test_as_many_processes_as_are_said_to_be_enough_mostly_are() -> None:
    random = np.random.default_rng(3)

    def measured(n: int) -> Verdict:
        one, other = np.exp(random.normal(0, 0.04, (2, n)))
        return verdict(TIME, one.tolist(), other.tolist())

    unclear = [found for found in (measured(4) for _ in range(200)) if found.answer is Answer.inconclusive]
    enough = [found.enough for found in unclear if found.enough is not None]
    assert len(enough) > 0.9 * len(unclear)
    assert all(n > 4 for n in enough)
    n = int(np.median(enough))
    clear = sum(measured(min(n, 50)).answer is not Answer.inconclusive for _ in range(100))
    assert clear > sum(measured(4).answer is not Answer.inconclusive for _ in range(100))
    assert clear >= 60


def test_clear_ones_say_no_number_of_processes() -> None:
    assert verdict(TIME, [1.0] * 4, [2.0] * 4).enough is None
    assert verdict(TIME, [1.0], [2.0]).enough == 4
    assert verdict(TIME, [1.0, 2.0], [1.0, 2.0], 0.0).enough is None  # no change is never shown with a bound of 0


def test_several_metrics() -> None:
    found = verdicts(
        {"request_ms": [1.0] * 4, "instructions": [5]}, {"instructions": [5], "request_ms": [2.0] * 4}, 0.1
    )
    assert {name: each.answer.value for name, each in found.items()} == {
        "request_ms": "regression",
        "instructions": "same",
    }
    assert [each.max_regression for each in found.values()] == [0.1, 0.1]


@pytest.mark.parametrize("side", ["baseline", "contender"])
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "0 values of request_ms of the {}; expected 1 to 50"),
        ([1.0] * 51, "51 values of request_ms of the {}; expected 1 to 50"),
        ([1.0, 0.0], "a value of request_ms of the {} is 0.0; it must be finite and above 0"),
        ([1.0, -2.0], "a value of request_ms of the {} is -2.0; it must be finite and above 0"),
        ([math.nan], "a value of request_ms of the {} is nan; it must be finite and above 0"),
        ([math.inf], "a value of request_ms of the {} is inf; it must be finite and above 0"),
        ([True], "a value of request_ms of the {} is True; it must be finite and above 0"),
        (["12"], "a value of request_ms of the {} is '12'; it must be finite and above 0"),
    ],
)
def test_values_that_are_refused(side: str, values: list[float], told: str) -> None:
    both = {"baseline": [1.0], "contender": [1.0], side: values}
    with pytest.raises(UsageError) as caught:
        verdict(TIME, both["baseline"], both["contender"])
    assert str(caught.value) == told.format(side)


@pytest.mark.parametrize("bound", [-0.1, math.nan, math.inf, "5%"])
def test_bounds_that_are_refused(bound: float) -> None:
    with pytest.raises(UsageError, match=r"^max_regression is .*; it must be a number of at least 0"):
        verdict(TIME, [1.0], [1.0], bound)


def test_different_metrics_or_units_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        verdicts({"latency_ms": [1.0]}, {"latency_us": [1.0]})
    assert str(caught.value) == (
        "the baseline has latency_ms and the contender latency_us: latency_ms is on one side only; "
        "expected the same metrics, in the same units"
    )
    with pytest.raises(UsageError, match="the contender no metrics: request_ms is on one side only"):
        verdicts({"request_ms": [1.0]}, {})
    with pytest.raises(UsageError, match="neither side has a metric"):
        verdicts({}, {})


def test_a_verdict_does_not_change() -> None:
    found = verdict(TIME, [1.0] * 4, [1.0] * 4)
    with pytest.raises(AttributeError):
        found.answer = Answer.regression  # type: ignore[misc]
    assert replace(found) == found
