"""What a device says of a run: a right answer is taken over, a wrong one is a failed trial with the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lts.backends.backend import Backend
from lts.devices.device import Device
from lts.jobs.job import Job, JobResult, RunnerJob
from lts.measure.answer import WrongAnswerError, checked
from lts.measure.run import run_built
from lts.targets.target import Target, detect_target
from lts.targets.workload import Step

COSTS = ("latency_ms", "peak_memory_mib", "instructions")
NAN, INFINITY = float("nan"), float("inf")


def good(**changes: Any) -> dict[str, Any]:
    said = {
        "samples_ns": [2_000_000 + i for i in range(10)],
        "wall_ns": [2_000_001 + i for i in range(10)],
        "peak_memory_mib": 12.5,
        "instructions": 10**9,
        "output_error": 1e-7,
        "correct": True,
        "load_seconds": 0.1,
        "run_seconds": 1,
        "warnings": ["the clock is coarse"],
        "checksum": "00c0ffee",
        "rms": 1.0,
    }
    return {key: value for key, value in {**said, **changes}.items() if value != "absent"}


def test_a_right_answer() -> None:
    answer = checked(json.loads(json.dumps(good())), COSTS, repeats=10, tolerance=1e-4)
    wanted = {key: value for key, value in good().items() if key not in ("checksum", "rms")}
    assert answer == {**wanted, "disturbed": False}
    assert isinstance(answer["run_seconds"], float)


def test_what_was_not_asked_for_may_be_missing() -> None:
    assert checked({}) == {"warnings": [], "disturbed": False, "load_seconds": 0.0, "run_seconds": 0.0}
    assert checked({"samples_ns": [5000]}, ["latency_ms"], repeats=1)["wall_ns"] == [5000]
    assert checked({"peak_memory_mib": 0}, ["peak_memory_mib"])["peak_memory_mib"] == 0.0


def test_warnings_are_made_fit_to_be_shown() -> None:
    assert checked({"warnings": ["\x1b[2Jhot\n", "x" * 5000, "\x00"]})["warnings"] == ["[2Jhot", "x" * 299 + "…"]


def test_the_tolerance_is_ours() -> None:
    assert not checked(good(output_error=0.5), COSTS, tolerance=1e-4)["correct"]
    assert not checked(good(correct=False), COSTS, tolerance=1e-4)["correct"]


def test_times_by_two_clocks() -> None:
    second = [100_000_000] * 10
    for seconds in (1.0, 0.9, 5.0, None):
        assert checked(good(samples_ns=second, wall_ns=second), seconds=seconds)["samples_ns"] == second
    message = "its runs took 1 s together; by our clock all of it took 0.5 s"
    for lie in ({"samples_ns": second}, {"wall_ns": second}, {"samples_ns": second, "wall_ns": second}):
        with pytest.raises(WrongAnswerError, match=message if len(lie) == 2 else "by our clock all of it took 0.5 s"):
            checked(good(**lie), seconds=0.5)


def test_more_memory_than_there_is() -> None:
    assert checked(good(), memory_mib=12.0)["peak_memory_mib"] == 12.5
    with pytest.raises(WrongAnswerError, match=r"'peak_memory_mib' is 5000; the machine has 4096 MiB in all"):
        checked(good(peak_memory_mib=5000), memory_mib=4096)
    with pytest.raises(WrongAnswerError, match="the machine has 8 MiB"):
        checked({"peak_memory_mib": 12.5}, memory_mib=8)


SAMPLES = [2_000_000] * 10
WRONG = [
    *[(key, value) for key in ("samples_ns", "wall_ns") for value in ("1", 5, True, {"0": 1}, [None] * 10, ["1"] * 10)],
    *[(key, [*SAMPLES[1:], value]) for key in ("samples_ns", "wall_ns") for value in (0, -1, True, 1.5, NAN, 1e300)],
    *[(key, [*SAMPLES[1:], value]) for key in ("samples_ns", "wall_ns") for value in (10**30, "1", None, [1], {})],
    *[(key, [1000] * 200_000) for key in ("samples_ns", "wall_ns")],
    *[("samples_ns", value) for value in ("absent", None, [], [5000] * 3, [1] * 10, [7] * 10)],
    *[("wall_ns", value) for value in ([5000] * 3, [5000] * 11, [5000])],
    *[(key, value) for key in ("peak_memory_mib", "output_error") for value in ("1", True, -1, NAN, INFINITY, [1], {})],
    *[(key, value) for key in ("peak_memory_mib", "output_error") for value in ("absent", None, 1e300, 10**5000)],
    *[("instructions", value) for value in ("absent", None, "1", 1.0, True, 0, -5, NAN, 10**30, [1], 10**5000)],
    *[("correct", value) for value in ("absent", None, "true", 1, 0, [], {})],
    *[("disturbed", value) for value in (None, "true", 1, 0, [], {})],
    *[("warnings", value) for value in ("hot", {}, 1, True, [1], [None], [["a"]], ["a"] * 1000)],
    *[(key, value) for key in ("load_seconds", "run_seconds") for value in ("1", True, -1, NAN, INFINITY, 1e300, [])],
]


@pytest.mark.parametrize(("key", "value"), WRONG, ids=lambda value: type(value).__name__)
def test_a_wrong_field(key: str, value: Any) -> None:
    with pytest.raises(WrongAnswerError, match="the device's answer is wrong: ") as raised:
        checked(good(**{key: value}), COSTS, repeats=10, tolerance=1e-4)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("said", [None, [], "", "text", 1, 1.5, True, NAN, [{}]])
def test_what_is_no_object(said: Any) -> None:
    with pytest.raises(WrongAnswerError, match="expected an object"):
        checked(said)


class Anything(Device):
    """A device that says anything."""

    runs = ("python",)
    costs = COSTS

    def __init__(self, said: Any) -> None:
        self.said = said

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        return JobResult(self.said)

    def environment(self, threads: int) -> Mapping[str, Any]:  # type: ignore[override]
        return {"threads": threads}


class Nothing(Backend):
    """A backend that builds nothing."""

    name = "nothing"
    needs = "python"

    def build(self, model: Path, target: Target, step: Step, timeout: float) -> Path:
        return model

    def job(self, built: Path, step: Step, *, threads: int, min_time: float, min_repeats: int) -> Job:
        return Job("lts.testing.jobs:echo")


@pytest.mark.parametrize("said", [None, [], "x", 3, *(good(**{key: value}) for key, value in WRONG[:60:7])])
def test_a_wrong_answer_is_a_failed_run(said: Any, tmp_path: Path) -> None:
    step = Step("prefill", {}, 100)
    outcome = run_built(tmp_path, step, detect_target(), Anything(said), Nothing(), costs=COSTS, timeout=5.0)
    assert (outcome.error or "").startswith("prefill: the device's answer is wrong: ")
    assert outcome.values == {}
    right = run_built(tmp_path, step, detect_target(), Anything(good()), Nothing(), costs=COSTS, timeout=5.0)
    assert right.error is None
    assert right.values["latency_ms"] == pytest.approx(2.0, rel=1e-3)
