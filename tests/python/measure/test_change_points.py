"""Change points: an independent implementation by enumeration, known probabilities, and simulated series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise, product
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results import BOARD, result

from lts.errors import UsageError
from lts.measure.change_points import FALSE_ALARMS, MOST, ChangePoint, change_points
from lts.measure.compare import Metric
from lts.measure.history import History, union
from lts.measure.series import Series, apart, series_of

TIME, SPEED, COUNT = map(Metric.named, ("request_ms", "tokens_per_second", "instructions"))


def places(values: Sequence[float], metric: Metric = TIME, **options: float) -> list[int]:
    return [change.index for change in change_points(list(map(float, values)), metric, **options)]


def noisy(generator: np.random.Generator, *levels: tuple[int, float], noise: float = 0.03) -> list[float]:
    """So many values around each level, with multiplicative normal noise."""
    return [level * math.exp(generator.normal(0, noise)) for n, level in levels for _ in range(n)]


# --- An independent implementation ---


def enumerated_p(values: Sequence[float], chosen: Sequence[int]) -> float:
    """The two-sided p value of the rank sum, from all ways to choose as many."""
    ranks = [sum(y < x for y in values) + (sum(y == x for y in values) + 1) / 2 for x in values]
    seen = sum(ranks[i] for i in chosen)
    sums = [sum(ranks[i] for i in each) for each in combinations(range(len(values)), len(chosen))]
    below, above = sum(s <= seen for s in sums), sum(s >= seen for s in sums)
    return min(1.0, 2 * min(below, above) / len(sums))


def clearest(values: Sequence[float]) -> tuple[float, list[tuple[int, ...]]]:
    """The smallest corrected p value, and every change that has it."""
    n = len(values)
    steps = [(k,) for k in range(1, n)]
    spells = [(i, j) for i in range(1, n) for j in range(i + 1, n)]
    found: dict[tuple[int, ...], float] = {}
    for kind in (steps, spells):
        for change in kind:
            begin, end = (0, change[0]) if len(change) == 1 else change
            found[change] = 2 * len(kind) * enumerated_p(values, range(begin, end))
    least = min(found.values(), default=1.0)
    return least, [change for change, p in found.items() if p <= least * (1 + 1e-9)]


Places = frozenset[int]


def searched(values: Sequence[float], first: int, rate: float) -> set[Places]:
    """The places where a series may be cut: one set of them for every choice among equally clear changes."""
    least, changes = clearest(values)
    if least > rate:
        return {frozenset()}
    found = set()
    for change in changes:
        ends = (0, *change, len(values))
        parts = [searched(values[a:b], first + a, rate) for a, b in pairwise(ends)]
        found |= {frozenset(first + place for place in change).union(*each) for each in product(*parts)}
    return found


def pruned(values: Sequence[float], cut: Places, least: float) -> set[Places]:
    """Without places that do not show between the levels beside them, then those whose levels differ too little."""
    ends = (0, *sorted(cut), len(values))
    p, size = {}, {}
    for a, b, c in zip(ends, ends[1:], ends[2:], strict=False):
        p[b] = enumerated_p(values[a:c], range(b - a))
        size[b] = abs(math.log(median(values[b:c]) / median(values[a:b])))
    if p and max(p.values()) > 0.05:
        worst = [place for place in cut if p[place] >= max(p.values()) * (1 - 1e-9)]
    elif size and min(size.values()) <= math.log1p(least) + 1e-9:
        worst = [place for place in cut if size[place] <= min(size.values()) + 1e-12]
    else:
        return {cut}
    return set().union(*(pruned(values, cut - {place}, least) for place in worst))


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.sampled_from([10, 11, 12, 13, 20, 21, 22, 23, 24]), min_size=2, max_size=11),
    st.sampled_from([0.0521, 0.2137, 0.4713, 0.9917]),
    st.sampled_from([0.0, 0.3]),
    st.booleans(),
)
def test_what_is_found_is_what_enumeration_finds(values: list[int], rate: float, least: float, ordered: bool) -> None:
    series = sorted(values) if ordered else values
    expected = set().union(*(pruned(series, cut, least) for cut in searched(series, 0, rate)))
    assert frozenset(places(series, least=least, false_alarms=rate)) in expected


@pytest.mark.parametrize(("before", "after"), [(10, 5), (7, 7), (15, 4), (8, 9)])
def test_the_p_value_of_a_clear_step_is_known(before: int, after: int) -> None:
    n = before + after
    generator = np.random.default_rng(1)
    values = [*(generator.permutation(before) + 100.0), *(generator.permutation(after) + 200.0)]
    (change,) = change_points(values, TIME)
    assert change.index == before
    # Two of all ways to choose, at any of n - 1 places, with half of the rate.
    assert change.p_value == pytest.approx(2 * (n - 1) * 2 / math.comb(n, after))


def test_the_p_value_of_another_level_for_a_while_is_known() -> None:
    generator = np.random.default_rng(2)
    low = generator.permutation(24) + 100.0
    values = [*low[:12], *(generator.permutation(6) + 150.0), *low[12:]]
    first, second = change_points(values, TIME)
    assert (first.index, second.index) == (12, 18)
    assert first.p_value == second.p_value == pytest.approx(2 * (29 * 28 / 2) * 2 / math.comb(30, 6))


# --- How often there is a change where there is none, and where there is one ---


@pytest.mark.parametrize(
    "kind", ["normal", "heavy tails", "slow processes", "steps of a clock", "two values", "one outlier"]
)
@pytest.mark.parametrize("n", [12, 25])
def test_the_rate_of_false_alarms(kind: str, n: int) -> None:
    generator = np.random.default_rng(hash_of(kind, n))
    series = 1500

    def values() -> list[float]:
        if kind == "normal":
            found = generator.normal(10, 0.3, n)
        elif kind == "heavy tails":
            found = 10 + generator.standard_cauchy(n).clip(-9, 1e6)
        elif kind == "slow processes":
            found = generator.normal(10, 0.3, n) * np.where(generator.random(n) < 0.1, 1.3, 1)
        elif kind == "steps of a clock":
            found = np.round(generator.normal(10, 0.3, n), 1)
        elif kind == "two values":
            found = 10.0 + generator.integers(0, 2, n)
        else:
            found = generator.normal(10, 0.3, n)
            found[generator.integers(n)] = 100
        return [float(value) for value in found]

    alarms = sum(bool(change_points(values(), TIME, least=0)) for _ in range(series))
    # At most the rate, and three standard deviations of chance.
    assert alarms <= FALSE_ALARMS * series + 3 * math.sqrt(FALSE_ALARMS * series)


def hash_of(kind: str, n: int) -> int:
    return sum(map(ord, kind)) * 100 + n


def test_a_tighter_rate_has_fewer_alarms_and_a_looser_one_more() -> None:
    generator = np.random.default_rng(5)
    series = [noisy(generator, (15, 10.0)) for _ in range(400)]
    alarms = [sum(bool(places(each, least=0, false_alarms=rate)) for each in series) for rate in (0.001, 0.2, 0.9)]
    assert alarms[0] <= 4
    assert alarms[0] < alarms[1] < alarms[2]
    assert alarms[1] <= 0.2 * 400


@pytest.mark.parametrize("factor", [1.1, 0.9])
def test_a_step_of_ten_percent_is_found_within_five_results(factor: float) -> None:
    """With noise of 3 % and 20 results before it: in at least 8 of 10 series, and at the right place."""
    generator = np.random.default_rng(6)
    found = [places(noisy(generator, (20, 10.0), (5, 10.0 * factor))) for _ in range(200)]
    near = [each for each in found if len(each) == 1 and abs(each[0] - 20) <= 2]
    assert len(near) >= 160
    assert sum(each == [20] for each in found) >= 140
    assert sum(len(each) > 1 for each in found) <= 4


def test_a_regression_that_was_fixed_stays_found() -> None:
    generator = np.random.default_rng(7)
    found = [places(noisy(generator, (20, 10.0), (6, 11.0), (20, 10.0))) for _ in range(100)]
    assert (
        sum(each == [20, 26] or (len(each) == 2 and max(abs(each[0] - 20), abs(each[1] - 26)) <= 1) for each in found)
        >= 75
    )


def test_several_steps() -> None:
    generator = np.random.default_rng(8)
    values = noisy(generator, (15, 10.0), (15, 12.0), (15, 14.5), (15, 9.0), noise=0.02)
    changes = change_points(values, TIME)
    assert [change.index for change in changes] == [15, 30, 45]
    for change, (before, after) in zip(changes, [(10, 12), (12, 14.5), (14.5, 9)], strict=True):
        assert change.before.median == pytest.approx(before, rel=0.02)
        assert change.after.median == pytest.approx(after, rel=0.02)
        assert change.change == pytest.approx(after / before - 1, abs=0.03)
        assert (change.before.n, change.after.n) == (15, 15)
    assert changes[0].after == changes[1].before


def test_an_outlier_is_no_change() -> None:
    generator = np.random.default_rng(9)
    values = noisy(generator, (30, 10.0))
    for place in (0, 13, 29):
        assert places([*values[:place], 50.0, *values[place:]]) == []
    assert places([*values, 50.0, 50.0]) == []


def test_one_result_does_not_end_a_change() -> None:
    """The clearest is another level until the last result, which alone shows nothing of a new one."""
    generator = np.random.default_rng(11)
    low, high = generator.permutation(20) / 100 + 10.0, generator.permutation(6) / 100 + 12.0
    (change,) = change_points([*low, *high, 9.9], TIME)
    assert change.index == 20
    assert change.p_value == pytest.approx(2 * (26 * 25 / 2) * 2 / math.comb(27, 6))
    assert places([*low, *high, 9.9, *(low[:4] + 0.003)]) == [20, 26]


# --- What it must not depend on ---


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1024.0, 1e9])
def test_units_do_not_matter(seed: int, factor: float) -> None:
    generator = np.random.default_rng(seed)
    values = noisy(generator, (14, 10.0), (10, 11.5), (12, 9.0))
    there, here = change_points(values, TIME), change_points([factor * value for value in values], TIME)
    assert there
    assert [(c.index, c.p_value) for c in here] == [(c.index, c.p_value) for c in there]
    for one, other in zip(there, here, strict=True):
        assert other.change == pytest.approx(one.change)
        assert other.after.median == pytest.approx(factor * one.after.median)


@pytest.mark.parametrize("seed", range(10))
def test_backwards_and_upside_down_the_changes_are_the_same(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = noisy(generator, (14, 10.0), (9, 12.0))
    forwards = change_points(values, TIME)
    backwards = change_points(values[::-1], TIME)
    inverted = change_points([1 / value for value in values], SPEED)
    assert [len(values) - c.index for c in backwards] == [c.index for c in forwards] == [c.index for c in inverted]
    assert [c.p_value for c in backwards] == [c.p_value for c in forwards] == [c.p_value for c in inverted]


# --- What counts as a change ---


def test_small_changes_are_left_out() -> None:
    values = [100.0 + 0.1 * (i % 5) for i in range(15)] + [104.0 + 0.1 * (i % 5) for i in range(15)]
    assert places(values) == []
    assert places(values, least=0.02) == [15]
    assert places(values, least=0.05) == []
    up = [100.0] * 12 + [105.0] * 12
    assert places(up, least=0.05) == []  # just the bound is none
    assert places(up, least=0.0499) == [12]
    assert places(up[::-1], least=0.05) == []
    assert places(up[::-1], least=0.0499) == [12]


def test_of_exact_metrics_every_other_value_is_a_change() -> None:
    changes = change_points([5.0, 5.0, 6.0, 6.0, 5.0], COUNT)
    assert [change.index for change in changes] == [2, 4]
    assert changes[0] == ChangePoint(2, changes[0].before, changes[0].after, pytest.approx(0.2), None)
    assert (changes[0].before.median, changes[0].after.median) == (5, 6)
    assert places([2**53 - 1, 2**53], COUNT) == [1]
    assert places([0, 1], COUNT) == [1]
    assert change_points([0.0, 1.0], COUNT)[0].change is None
    assert places([100, 101, 120], COUNT, least=0.05) == [2]
    assert places([], COUNT) == places([1], COUNT) == places([1, 1], COUNT) == []


def test_few_values_show_nothing() -> None:
    for n in range(7):
        assert places([1.0] * n + [2.0] * n) == []
    assert places([1.0] * 7 + [2.0] * 7) == [7]
    assert places([1.0] * 100) == []


def test_values_that_are_not_above_0_have_levels_too() -> None:
    changes = change_points([-1.0 - 0.01 * i for i in range(10)] + [1.0 + 0.01 * i for i in range(10)], TIME)
    assert [(change.index, change.change) for change in changes] == [(10, None)]


def test_of_many_values_the_newest_are_searched() -> None:
    generator = np.random.default_rng(10)
    values = noisy(generator, (30, 5.0), (MOST - 60, 10.0), (60, 12.0))
    assert places(values) == [MOST - 30]


@pytest.mark.parametrize(
    ("values", "options", "told"),
    [
        ([1.0, math.nan], {}, "a value of request_ms is nan; it must be finite"),
        ([math.inf], {}, "a value of request_ms is inf; it must be finite"),
        ([1.0], {"least": -0.1}, "the least change is -0.1; it must be a number of at least 0, as in 0.05 for 5 %"),
        ([1.0], {"least": math.nan}, "the least change is nan"),
        ([1.0], {"false_alarms": 0.0}, "the rate of false alarms is 0.0; it must be between 0 and 1"),
        ([1.0], {"false_alarms": 1.0}, "the rate of false alarms is 1.0; it must be between 0 and 1"),
    ],
)
def test_wrong_input_is_one_sentence(values: list[float], options: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError) as refused:
        change_points(values, TIME, **options)
    assert str(refused.value).startswith(told)


# --- Series of a history ---


def test_a_point_is_the_median_of_the_processes() -> None:
    entries = [result({"request_ms": [3.0, 1.0, 2.0 + day]}, day=day) for day in range(3)]
    (series,) = series_of(union([History(tuple(entries))]))
    assert [point.median for point in series.points] == [median([3.0, 1.0, 2.0 + day]) for day in range(3)]
    first = series.points[0]
    assert (first.low, first.high, first.n) == (1.0, 3.0, 3)
    assert series.to_before == pytest.approx(3 / 3 - 1)
    assert series.to_level == pytest.approx(0)
    assert (series.provenance, series.name, series.metric) == ("measured", "main", TIME)


def test_conditions_names_and_metrics_are_series_of_their_own() -> None:
    other = {**BOARD, "kernel": "6.6"}
    entries = [
        result({"request_ms": [1.0], "instructions": [5]}, day=1),
        result({"request_ms": [1.0]}, day=2, name="int8"),
        result({"request_ms": [9.0]}, day=3, fingerprint=other),
        result({"request_ms": [2.0]}, day=4),
    ]
    found = series_of(union([History(tuple(entries))]))
    assert [(each.name, each.metric.name, len(each.entries)) for each in found] == [
        ("main", "request_ms", 2),
        ("main", "request_ms", 1),
        ("main", "instructions", 1),
        ("int8", "request_ms", 1),
    ]
    (said,) = apart(found)
    assert said.startswith("main: results of different conditions are different series, which are not compared: kernel")
    assert [len(each.entries) for each in series_of(union([History(tuple(entries))]), ["int8"])] == [1]
    chosen = series_of(union([History(tuple(entries))]), metrics=["instructions"])
    assert [(each.name, each.metric.name) for each in chosen] == [("main", "instructions")]
    with pytest.raises(UsageError, match="unknown metric 'request' in the history; expected one of request_ms, instru"):
        series_of(union([History(tuple(entries))]), metrics=["request"])
    with pytest.raises(UsageError, match=r"unknown name 'mian'.*did you mean 'main'"):
        series_of(union([History(tuple(entries))]), ["mian"])


def test_the_level_is_what_holds_since_the_last_change() -> None:
    values = [10.0] * 9 + [12.0] * 9 + [12.6]
    series = Series("main", TIME, tuple(result({"request_ms": [v]}, day=day) for day, v in enumerate(values)))
    assert [change.index for change in series.changes] == [9]
    assert series.level.median == 12.0
    assert series.to_level == pytest.approx(0.05)
    assert series.to_before == pytest.approx(0.05)
    assert "local, onnxruntime, host, " in series.conditions
