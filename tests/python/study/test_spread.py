"""Intervals that hold from process to process."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import lts
from lts.measure.statistics import student_quantile
from lts.measure.trial import Trial
from lts.study.spread import center, drift_notes, restated, spread_of

SMALL = lts.Architecture("gpt2", vocab_size=100, n_positions=16, d_model=8, n_head=[2], d_ff=[16])


def trial_of(key: int, rounds: list[float], provenance: str = "measured") -> Trial:
    return Trial(
        id=key,
        state="complete",
        architecture=SMALL,
        values={"latency_ms": rounds[0], "decoder_params": 10.0},
        provenance={"latency_ms": provenance, "decoder_params": "exact"},  # type: ignore[dict-item]
        interval={"latency_ms": (rounds[0] * 0.999, rounds[0] * 1.001)},
        rounds={"latency_ms": rounds} if len(rounds) > 1 else {},
    )


@pytest.mark.parametrize(
    ("freedom", "expected"),  # of printed tables
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228), (30, 2.042), (120, 1.980)],
)
def test_quantiles_of_students_t(freedom: int, expected: float) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(expected, abs=6e-4)


def test_quantiles_agree_with_samples_of_students_t() -> None:
    random = np.random.default_rng(0)
    for freedom in (3, 6, 11):
        samples = np.abs(random.standard_t(freedom, 400_000))
        for confidence in (0.5, 0.9, 0.99):
            assert np.mean(samples <= student_quantile(confidence, freedom)) == pytest.approx(confidence, abs=0.003)


@pytest.mark.parametrize(("confidence", "freedom"), [(0.0, 3), (1.0, 3), (0.5, 0)])
def test_quantiles_that_do_not_exist(confidence: float, freedom: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        student_quantile(confidence, freedom)


def test_without_further_processes_nothing_changes() -> None:
    trials = [trial_of(0, [10.0]), trial_of(1, [20.0])]
    assert restated(trials) == trials
    assert spread_of(trials, "latency_ms") is None


def test_intervals_hold_the_next_process_as_often_as_honest_ones_do() -> None:
    """Two equally noisy values differ by more than 1.96 standard deviations of one in 17 % of all cases; not knowing
    the spread exactly widens intervals somewhat."""
    random = np.random.default_rng(1)
    for scale in (0.003, 0.02, 0.1):
        later, grand = [], []
        for _ in range(300):
            references = [trial_of(i, (10 * np.exp(scale * random.standard_normal(4))).tolist()) for i in range(3)]
            first = trial_of(3, [float(10 * np.exp(scale * random.standard_normal()))])
            several = trial_of(4, (10 * np.exp(scale * random.standard_normal(3))).tolist())
            one, three = restated([*references, first, several])[3:]
            low, high = one.interval["latency_ms"]
            later += [low <= value <= high for value in 10 * np.exp(scale * random.standard_normal(20))]
            low, high = three.interval["latency_ms"]
            grand.append(low <= 10 <= high)
        assert 0.78 <= np.mean(later) <= 0.92
        assert np.mean(grand) >= 0.92


def test_three_processes_count_by_their_median_and_narrow_the_interval() -> None:
    references = [trial_of(i, [10.0, 10.2, 9.9, 10.1]) for i in range(3)]
    one, three = restated([*references, trial_of(3, [10.0]), trial_of(4, [10.0, 12.0, 10.1])])[3:]
    assert three.values["latency_ms"] == center([10.0, 12.0, 10.1]) == 10.1
    widths = [math.log(t.interval["latency_ms"][1] / t.interval["latency_ms"][0]) for t in (one, three)]
    assert widths[1] == pytest.approx(widths[0] * math.sqrt(0.4487))


def test_a_speed_has_the_center_of_its_time() -> None:
    for times in ([4.0], [4.0, 9.0], [4.0, 9.0, 5.0], [1.0, 4.0, 9.0, 100.0]):
        assert center([1 / ms for ms in times]) == pytest.approx(1 / center(times))
    assert center([4.0, 9.0]) == 6.0


def test_what_one_process_doubts_itself_only_widens() -> None:
    references = [trial_of(i, [10.0, 10.01, 9.99, 10.0]) for i in range(3)]
    noisy = replace(trial_of(3, [10.0]), interval={"latency_ms": (8.0, 13.0)})
    assert restated([*references, noisy])[3].interval["latency_ms"] == (8.0, 13.0)


def test_a_trial_that_was_far_off_does_not_widen_all_intervals() -> None:
    references = [trial_of(i, [10.0, 10.2, 9.9, 10.1]) for i in range(3)]
    before = spread_of(references, "latency_ms")
    after = spread_of([*references, trial_of(3, [90.0, 10.0, 10.1])], "latency_ms")
    assert before is not None
    assert after is not None
    assert after.relative < 1.2 * before.relative


def test_only_what_was_measured_is_restated() -> None:
    references = [trial_of(i, [10.0, 10.2, 9.9, 10.1]) for i in range(3)]
    emulated = trial_of(3, [10.0], "emulated")
    failed = replace(trial_of(4, [10.0]), state="failed", values={}, provenance={}, interval={}, error="no")
    found = restated([*references, emulated, failed])
    assert found[3:] == [emulated, failed]
    assert all("decoder_params" not in trial.interval for trial in found)


def test_constraints_hold_for_what_all_processes_say() -> None:
    trials = [replace(trial_of(0, [10.0, 11.0, 11.1]), feasible=True)]
    assert restated(trials, [lts.parse_constraint("latency_ms<=10.5")])[0].feasible is False


def test_a_device_that_becomes_slower_is_told() -> None:
    steady = [trial_of(i, [10.0, 10.1, 9.95, 10.0]) for i in range(3)]
    assert drift_notes(steady, ["latency_ms"]) == []
    slower = [trial_of(i, [10.0, 10.3, 10.7, 11.0]) for i in range(3)]
    (note,) = drift_notes(slower, ["latency_ms"])
    assert "+10" in note or "+9" in note


def test_rounds_survive_the_record() -> None:
    trial = trial_of(0, [10.0, 10.5])
    assert Trial.from_record(trial.record()).rounds == {"latency_ms": [10.0, 10.5]}
    for wrong in ({"latency_ms": []}, {"latency_ms": ["1"]}, {"latency_ms": [float("nan")]}, [1.0]):
        with pytest.raises(ValueError, match="rounds"):
            Trial.from_record({**trial.record(), "rounds": wrong})
