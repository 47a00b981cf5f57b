"""What a user waits for, from the steps that were measured."""

from __future__ import annotations

import pytest

from lts.measure.outcome import Outcome
from lts.measure.request import derived_from, joined, needed_for, together, with_request
from lts.targets.workload import Workload


def step(ms: float, peak: float, name: str = "decode_ms_per_token") -> Outcome:
    samples = {"decode_ms_per_token": "decode", "latency_ms": "latency"}[name]
    return Outcome(
        values={name: ms, "peak_memory_mib": peak},
        provenance={name: "measured", "peak_memory_mib": "measured"},
        interval={name: (0.9 * ms, 1.2 * ms)},
        mad={name: 0.1 * ms},
        samples_ns={samples: [int(ms * 1e6)] * 3, f"{samples}_wall": [int(ms * 2e6)] * 3},
        seconds={"run": 1.0},
        warnings=[f"{ms}"],
    )


def test_a_decode_step_at_both_ends_is_their_mean() -> None:
    found = together([step(2.0, 50.0), step(3.0, 40.0)])
    assert found.values == {"decode_ms_per_token": 2.5, "peak_memory_mib": 50.0}
    assert found.interval["decode_ms_per_token"] == pytest.approx((0.9 * 2.5, 1.2 * 2.5))
    assert found.mad["decode_ms_per_token"] == pytest.approx(0.25)
    assert set(found.samples_ns) == {"decode", "decode_wall", "decode_last", "decode_last_wall"}
    assert found.samples_ns["decode"] == [2_000_000] * 3
    assert found.samples_ns["decode_last"] == [3_000_000] * 3
    assert found.seconds == {"run": 2.0}
    assert found.warnings == ["2.0", "3.0"]
    assert together([step(2.0, 50.0)]) == step(2.0, 50.0)


def test_a_step_that_fails_is_the_error_of_both() -> None:
    found = together([step(2.0, 50.0), Outcome(error="decode: killed")])
    assert found.error == "decode: killed"


def test_a_request() -> None:
    both = joined(step(10.0, 30.0, "latency_ms"), step(2.0, 35.0))
    found = with_request(both, Workload(100, n_gen=21, batch=4))
    assert found.values["request_ms"] == pytest.approx(10 + 20 * 2)
    assert found.values["tokens_per_second"] == pytest.approx(2000)
    assert found.interval["request_ms"] == pytest.approx((0.9 * 50, 1.2 * 50))
    assert found.interval["tokens_per_second"] == pytest.approx((4000 / 2.4, 4000 / 1.8))
    assert found.provenance["request_ms"] == found.provenance["tokens_per_second"] == "measured"
    assert found.values["peak_memory_mib"] == 35.0
    for n_gen in (0, 1):
        assert with_request(both, Workload(100, n_gen=n_gen)).values["request_ms"] == 10.0


def test_nothing_follows_from_a_part() -> None:
    assert with_request(step(10.0, 30.0, "latency_ms"), Workload()).values.keys() == {"latency_ms", "peak_memory_mib"}
    mixed = step(10.0, 30.0, "latency_ms") | Outcome(
        values={"decode_ms_per_token": 1.0}, provenance={"decode_ms_per_token": "estimated"}
    )
    assert "request_ms" not in with_request(mixed, Workload()).values


def test_what_has_to_be_measured() -> None:
    assert needed_for(["request_ms", "peak_memory_mib", "latency_ms"]) == [
        "latency_ms",
        "decode_ms_per_token",
        "peak_memory_mib",
    ]
    assert derived_from(["latency_ms", "peak_memory_mib"]) == ()
    assert derived_from(["latency_ms", "decode_ms_per_token"]) == ("request_ms", "tokens_per_second")
