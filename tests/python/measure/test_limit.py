"""Fixed limits, and how bounds are written."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts.errors import UsageError
from lts.measure.allowed import bounds_for, share_of
from lts.measure.compare import Answer
from lts.measure.limit import limit_verdicts


@pytest.mark.parametrize(
    ("name", "values", "limit", "answer"),
    [
        ("latency_ms", [9.0, 9.5, 9.2, 9.9, 9.1, 9.3], 10.0, Answer.same),
        ("latency_ms", [9.0, 9.5, 9.2, 10.0, 9.1, 9.3], 10.0, Answer.same),  # which may be reached
        ("latency_ms", [10.1, 10.5, 10.2, 10.6, 10.3, 10.4], 10.0, Answer.regression),
        ("latency_ms", [9.9, 10.1, 9.8, 10.2, 10.3, 9.7], 10.0, Answer.inconclusive),
        ("tokens_per_second", [9.9, 9.5, 9.2, 9.9, 9.1, 9.3], 10.0, Answer.regression),
        ("tokens_per_second", [10.1, 10.5, 10.0, 10.6, 10.3, 10.4], 10.0, Answer.same),
        ("tokens_per_second", [9.9, 10.1, 9.8, 10.2, 10.3, 9.7], 10.0, Answer.inconclusive),
        ("size_bytes", [1000], 1000, Answer.same),
        ("size_bytes", [1001], 1000, Answer.regression),
    ],
)
def test_a_limit_is_kept_by_all_of_the_interval(name: str, values: list[float], limit: float, answer: Answer) -> None:
    (verdict,) = limit_verdicts({name: values}, {name: limit}).values()
    assert verdict.answer is answer
    assert verdict.baseline.value == limit
    assert verdict.change_interval == (min(values) / limit - 1, max(values) / limit - 1)
    assert verdict.p_value is None


@given(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=20), st.floats(0.1, 100.0))
def test_beyond_is_never_within_and_more_room_never_makes_it_worse(values: list[float], limit: float) -> None:
    def answer(at: float) -> Answer:
        return limit_verdicts({"latency_ms": values}, {"latency_ms": at})["latency_ms"].answer

    order = [Answer.regression, Answer.inconclusive, Answer.same]
    assert order.index(answer(2 * limit)) >= order.index(answer(limit))
    assert answer(1.01 * max(values)) is Answer.same
    assert answer(0.99 * min(values)) is Answer.regression


@pytest.mark.parametrize(("values", "limit"), [([0.0], 1.0), ([-1.0], 1.0), ([math.nan], 1.0), ([], 1.0), ([1.0], 0.0)])
def test_nothing_is_no_value_and_no_limit(values: list[float], limit: float) -> None:
    with pytest.raises(UsageError):
        limit_verdicts({"latency_ms": values}, {"latency_ms": limit})


@pytest.mark.parametrize(
    ("value", "share"),
    [("5%", 0.05), ("5 %", 0.05), (" 0.05 ", 0.05), (0.05, 0.05), (0, 0.0), ("0", 0.0), ("150%", 1.5), (".5%", 0.005)],
)
def test_a_share_is_a_number_or_has_its_sign(value: Any, share: float) -> None:
    assert share_of(value, "x") == pytest.approx(share)


@pytest.mark.parametrize(
    "value",
    [*("", " ", "%", "5%%", "-5%", "1e-2", "nan", "inf", "five", "5 percent", "0x1", "1_0%", "٥%", "9" * 400),
     *(5, 1.0, -0.1, True, math.nan, math.inf, 10**400, None, [], [0.05], {"a": 1}, b"5%")],
)  # fmt: skip
def test_another_share_is_one_sentence(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^max_regression is "):
        share_of(value, "max_regression")


def test_a_bound_without_a_name_is_for_what_is_not_exact() -> None:
    metrics = ["latency_ms", "peak_memory_mib", "size_bytes", "instructions"]
    assert bounds_for({"": 0.1}, metrics) == {"latency_ms": 0.1, "peak_memory_mib": 0.1}
    assert bounds_for({"": 0.1, "latency_ms": 0.2, "size_bytes": 0.3}, metrics) == {
        "latency_ms": 0.2,
        "peak_memory_mib": 0.1,
        "size_bytes": 0.3,
    }
    assert bounds_for({}, metrics) == {}
    with pytest.raises(UsageError, match="a bound is given for request_ms, which is not compared; expected any of lat"):
        bounds_for({"request_ms": 0.1}, metrics)
