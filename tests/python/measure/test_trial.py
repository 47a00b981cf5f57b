"""Trials and their records."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lts
from lts.measure.trial import Trial

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ARCHITECTURE = lts.Architecture("gpt2", 512, 256, 64, n_head=[2, 4], d_ff=[64, 256])

FULL = Trial(
    id=17,
    state="complete",
    architecture=ARCHITECTURE,
    values={"decoder_params": 16042240, "latency_ms": 8.31},
    provenance={"decoder_params": "exact", "latency_ms": "measured"},
    interval={"latency_ms": (8.28, 8.35)},
    samples_ns={"latency": [8_300_000, 8_310_000]},
    feasible=True,
    warnings=["the clock is not steady"],
    disturbed=True,
    seconds={"export": 0.1, "run": 1.5},
    target="host",
    device="local",
    backend="onnxruntime",
    environment="c0ffee12",
    seed=1,
    time="2026-11-20T19:25:00Z",
    lts_version="0.1.0",
)


def test_the_record_is_the_documented_one() -> None:
    record = FULL.record()
    assert record["schema"] == 1
    assert record["trial"] == 17
    assert record["architecture"] == ARCHITECTURE.to_dict()
    documented = (
        "schema trial state architecture values provenance interval samples_ns feasible error target device backend "
        "environment seed time lts_version"
    )
    assert set(documented.split()) <= set(record)
    assert json.loads(FULL.to_json()) == record
    assert "\n" not in FULL.to_json()


def test_a_trial_comes_back_from_its_record() -> None:
    assert Trial.from_record(json.loads(FULL.to_json())) == FULL
    bare = Trial(id=0, state="waiting", architecture=ARCHITECTURE)
    assert Trial.from_record(json.loads(bare.to_json())) == bare


def test_records_of_earlier_versions_do_not_say_what_was_disturbed() -> None:
    record = FULL.record()
    del record["disturbed"]
    assert Trial.from_record(record) == replace(FULL, disturbed=False)


names = st.text(min_size=1, max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@UNHURRIED
@given(
    values=st.dictionaries(names, numbers, max_size=5),
    interval=st.dictionaries(names, st.tuples(numbers, numbers), max_size=3),
    samples=st.dictionaries(names, st.lists(st.integers(0, 2**63), max_size=4), max_size=3),
    error=st.none() | st.text(),
    warnings=st.lists(st.text(), max_size=3),
    state=st.sampled_from(["waiting", "running", "complete", "failed"]),
)
def test_any_trial_comes_back_from_its_record(values, interval, samples, error, warnings, state) -> None:
    trial = Trial(
        id=3,
        state=state,
        architecture=ARCHITECTURE,
        values=values,
        interval=interval,
        samples_ns=samples,
        error=error,
        warnings=warnings,
    )
    line = trial.to_json()
    assert "\n" not in line
    assert Trial.from_record(json.loads(line)) == trial


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_json_does_not_know_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dataclasses.replace(FULL, values={"x": value}).to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"schema": None},
        {"architecture": {"family": "bert"}},
        {"interval": {"latency_ms": [1.0]}},
        {"interval": {"latency_ms": 3}},
        {"colour": "red"},
        {"trial": True},
        {"trial": "../x"},
        {"trial": -1},
        {"trial": 2**70},
        {"state": ["complete"]},
        {"values": {"latency_ms": True}},
        {"values": {"latency_ms": "8.31"}},
        {"values": {"latency_ms": None}},
        {"values": {"latency_ms": float("inf")}},
        {"values": {"latency_ms": 10**400}},
        {"values": [8.31]},
        {"values": {"x" * 200_000: 1.0}},
        {"values": {str(i): 1.0 for i in range(20_000)}},
        {"provenance": {"latency_ms": "guessed"}},
        {"provenance": {"latency_ms": ["measured"]}},
        {"interval": {"latency_ms": ["8.28", "8.35"]}},
        {"interval": {"latency_ms": "ab"}},
        {"predicted": {"latency_ms": [1.0, 2.0]}},
        {"mad": {"latency_ms": False}},
        {"samples_ns": {"latency": 3}},
        {"samples_ns": {"latency": [1, True]}},
        {"samples_ns": {"latency": [-1]}},
        {"seconds": {"run": "1.5"}},
        {"feasible": 1},
        {"error": 3},
        {"error": "x" * 200_000},
        {"warnings": "a text"},
        {"warnings": [3]},
        {"deployed": True},
        {"target": None},
        {"environment": 3},
        {"seed": 1.0},
        {"time": 20261120},
    ],
)
def test_what_is_not_a_record_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Trial.from_record({**FULL.record(), **change})


@pytest.mark.parametrize("key", ["schema", "trial", "state", "architecture", "interval"])
def test_a_record_that_lacks_a_key_is_refused(key: str) -> None:
    record = FULL.record()
    del record[key]
    with pytest.raises((ValueError, TypeError, KeyError)):
        Trial.from_record(record)


def test_reading_a_record_leaves_it_alone() -> None:
    record = FULL.record()
    before = json.dumps(record)
    Trial.from_record(record)
    assert json.dumps(record) == before


def test_a_trial_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.state = "failed"  # type: ignore[misc]
