"""Measuring one candidate: with stand-ins for what exports and runs it, and for real."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lts import Architecture
from lts.backends.onnxruntime import OnnxRuntime
from lts.devices.local import LocalDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult
from lts.measure.candidate import export_pooled, measure
from lts.measure.outcome import Outcome
from lts.measure.request import derived_from
from lts.measure.statistics import summary
from lts.spaces.space import load_space, space_names
from lts.system.environment import environment_hash, fingerprint
from lts.targets.target import Target, detect_target
from lts.targets.workload import Workload

pytestmark = pytest.mark.alone

TARGET = detect_target()
ONCE = Workload(128, n_gen=2)  # one decode step


def architecture(space: str = "gpt2-tiny", seed: int = 0) -> Architecture:
    return load_space(space).sample(1, seed)[0]


class FakeDevice:
    """Answers every job with the next result, or with a good one."""

    def __init__(self, *results: JobResult | BaseException) -> None:
        self.results = list(results)
        self.jobs: list[tuple[Job, float]] = []

    runs = ("python",)
    costs = LocalDevice.costs
    parallel = 1

    def check(self, target: Target) -> None:
        if target.name == "elsewhere":
            raise UsageError("target 'elsewhere' is not here")

    def run(self, job: Job, timeout: float) -> JobResult:
        assert Path(job.arguments["model"]).is_file()
        self.jobs.append((job, timeout))
        result = self.results.pop(0) if self.results else JobResult(good())
        if isinstance(result, BaseException):
            raise result
        return result

    def environment(self, threads: int) -> dict[str, Any]:
        return {"machine": "fake", "threads": threads}

    def close(self) -> None:
        pass


def good(**changes: Any) -> dict[str, Any]:
    samples = [2_000_000 + 1000 * i for i in range(21)]
    value = {"samples_ns": samples, "wall_ns": samples, "peak_memory_mib": 100.0, "load_seconds": 0.1}
    return {**value, "run_seconds": 0.2, "checksum": "0", "rms": 1.0, "warnings": [], **changes}


def export(_: Architecture, phase: str, directory: Path, workload: Workload) -> Path:
    file = directory / f"{phase}.onnx"
    file.write_text(phase)
    return file


def fake(device: FakeDevice, **options: Any) -> Outcome:
    return measure(architecture(), TARGET, device, OnnxRuntime(), **{"export": export, "workload": ONCE, **options})


def test_values_come_from_the_samples(tmp_path: Path) -> None:
    device = FakeDevice(JobResult(good()), JobResult(good(samples_ns=[5_000_000] * 12, wall_ns=[5_000_000] * 12)))
    found = fake(device, workdir=tmp_path, costs=LocalDevice.costs)
    assert found.error is None
    assert found.values == {
        "latency_ms": 2.01,
        "decode_ms_per_token": 5.0,
        "peak_memory_mib": 100.0,
        "request_ms": pytest.approx(7.01),
        "tokens_per_second": 200.0,
    }
    assert found.provenance == dict.fromkeys(found.values, "measured")
    expected = summary(good()["samples_ns"])
    assert found.interval["latency_ms"] == (expected.low / 1e6, expected.high / 1e6)
    assert found.samples_ns == {"latency": good()["samples_ns"], "decode": [5_000_000] * 12}
    assert found.warnings == []
    assert found.environment == environment_hash({"machine": "fake", "threads": 1})
    assert set(found.seconds) == {"export", "load", "run", "worker"}
    assert found.seconds["load"] == 0.2
    assert found.seconds["run"] == 0.4
    assert dataclasses.is_dataclass(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.error = "no"  # type: ignore[misc]


def test_only_what_is_asked_for_is_run() -> None:
    for costs, phases in [
        (("latency_ms",), ["prefill"]),
        (("peak_memory_mib",), ["prefill"]),
        (("decode_ms_per_token",), ["decode"]),
        (("latency_ms", "peak_memory_mib"), ["prefill"]),
        (("decode_ms_per_token", "latency_ms", "decode_ms_per_token"), ["decode", "prefill"]),
        ((), []),
    ]:
        device = FakeDevice()
        found = fake(device, costs=costs)
        assert [job.arguments["phase"] for job, _ in device.jobs] == phases
        assert set(found.values) == {*costs, *derived_from(costs)}
    # Memory alone needs no time.
    device = FakeDevice()
    fake(device, costs=("peak_memory_mib",))
    assert device.jobs[0][0].arguments["min_time"] == 0.0


def test_what_the_runner_is_told() -> None:
    device = FakeDevice()
    target = dataclasses.replace(TARGET, cores=4, threads=3)
    measure(architecture(), target, device, OnnxRuntime(), workload=Workload(7, n_gen=2), min_time=0.5, export=export)
    (prefill, _), (decode, _) = device.jobs
    assert prefill.function == "lts.backends.onnxruntime:run"
    assert prefill.threads == 3
    assert prefill.arguments["threads"] == 3
    assert prefill.arguments["vocab_size"] == architecture().vocab_size
    assert prefill.arguments["min_time"] == 0.5
    dims = {"batch": 1, "sequence": 7, "past": 0, "memory": 0, "total": 7, "capacity": 7}
    assert prefill.arguments["dims"] == dims
    dims = {"batch": 1, "sequence": 1, "past": 7, "memory": 7, "total": 8, "capacity": 8}
    assert decode.arguments["dims"] == dims


def test_models_are_removed_whatever_happens(tmp_path: Path) -> None:
    fake(FakeDevice(), workdir=tmp_path)
    fake(FakeDevice(JobResult(error="crashed")), workdir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fake(FakeDevice(KeyboardInterrupt()), workdir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_job_is_a_failed_measurement() -> None:
    found = fake(FakeDevice(JobResult(error="killed by signal 9 (SIGKILL): probably out of memory", seconds=1.0)))
    assert found.error == "prefill: killed by signal 9 (SIGKILL): probably out of memory"
    assert found.values == {}
    # What was measured before stays.
    found = fake(FakeDevice(JobResult(good()), JobResult(error="no result within 3 s")))
    assert found.error == "decode: no result within 3 s"
    assert set(found.values) == {"latency_ms", "peak_memory_mib"}
    assert found.environment


@pytest.mark.parametrize("samples", [[], [0, 1], None])
def test_a_runner_without_times(samples: list[int] | None) -> None:
    assert "prefill: the device's answer is wrong: " in (
        fake(FakeDevice(JobResult(good(samples_ns=samples)))).error or ""
    )


def test_a_device_that_is_gone_is_an_exception() -> None:
    with pytest.raises(MeasurementError, match="unplugged"):
        fake(FakeDevice(MeasurementError("unplugged")))


def test_an_export_that_fails_is_a_failed_measurement() -> None:
    def broken(*_: Any) -> Path:
        raise ValueError("this cannot be drawn")

    found = fake(FakeDevice(), export=broken)
    assert found.error == "the prefill model cannot be built: ValueError: this cannot be drawn"


def test_a_compiler_that_fails_is_a_failed_measurement(tmp_path: Path) -> None:
    class Broken(OnnxRuntime):
        def build(self, *arguments: object) -> Path:
            raise RuntimeError("internal error")

    found = measure(architecture(), TARGET, FakeDevice(), Broken(), export=export, workdir=tmp_path)
    assert found.error == "the prefill model cannot be built: RuntimeError: internal error"
    assert list(tmp_path.iterdir()) == []


def test_the_timeout_is_for_all_together() -> None:
    device = FakeDevice()
    fake(device, timeout=30.0)
    (_, first), (_, second) = device.jobs
    assert 0 < second < first < 30.0
    found = fake(device, timeout=1e-9)
    assert "no result within 1e-09 s" in (found.error or "")
    assert sum(found.seconds.values()) >= 1e-9


def test_disturbance_is_reported_and_the_wall_time_kept() -> None:
    wall = [2_000_000 + 1000 * i for i in range(18)] + [9_000_000] * 3
    found = fake(FakeDevice(JobResult(good(wall_ns=wall))), costs=("latency_ms",))
    assert found.samples_ns["latency_wall"] == wall
    assert found.samples_ns["latency"] == good()["samples_ns"]
    assert found.values["latency_ms"] == 2.01
    (warning,) = found.warnings
    assert warning.startswith("latency_ms: other programs had the processor during 3 of 21 samples")


def test_a_little_waiting_is_no_disturbance() -> None:
    found = fake(FakeDevice(JobResult(good(wall_ns=[x + 1000 for x in good()["samples_ns"]]))), costs=("latency_ms",))
    assert found.warnings == []
    assert "latency_wall" not in found.samples_ns


def test_what_was_disturbed_is_marked() -> None:
    costs = ("latency_ms", "decode_ms_per_token")
    assert not fake(FakeDevice(), costs=costs).disturbed
    found = fake(FakeDevice(JobResult(good(disturbed=True, warnings=["no memory"])), JobResult(good())), costs=costs)
    assert found.error is None
    assert found.disturbed
    assert found.warnings == ["prefill: no memory"]


def test_warnings_say_what_they_are_about() -> None:
    found = fake(FakeDevice(JobResult(good(warnings=["a doubt"]))), costs=("latency_ms",))
    assert found.warnings == ["prefill: a doubt"]
    rising = [1_000_000 + 10_000 * i for i in range(40)]
    found = fake(FakeDevice(JobResult(good(samples_ns=rising, wall_ns=rising))), costs=("latency_ms",))
    assert any(warning.startswith("latency_ms: times rose") for warning in found.warnings)


def test_more_memory_than_the_target_has_is_a_warning() -> None:
    target = dataclasses.replace(TARGET, memory_mib=64)
    found = measure(architecture(), target, FakeDevice(), OnnxRuntime(), costs=("peak_memory_mib",), export=export)
    assert found.warnings == ["peak_memory_mib: 100 MiB are more than the 64 MiB of target 'host'"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"costs": ("latency",)}, "does not give the cost 'latency'; expected one of latency_ms, decode_ms"),
        ({"timeout": 0}, "the timeout is 0 s; it must be above 0"),
        ({"timeout": float("nan")}, "the timeout is nan s"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        fake(FakeDevice(), **options)


FLOAT16 = ({"precision": "float16", "triple": "x86_64-linux-gnu"}, "emulates float16")


def test_combinations_that_cannot_be_measured() -> None:
    for change, sentence in [({"name": "elsewhere"}, "is not here"), FLOAT16]:
        target = dataclasses.replace(TARGET, **change)
        with pytest.raises(UsageError, match=sentence):
            measure(architecture(), target, FakeDevice(), OnnxRuntime(), export=export)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence(tmp_path: Path, number: int) -> None:
    def full(*_: Any) -> Path:
        raise OSError(number, os.strerror(number))

    with pytest.raises(UsageError, match=r"no space left in .*: need \d+ MiB, \d+ MiB are free; set TMPDIR to"):
        fake(FakeDevice(), export=full, workdir=tmp_path)


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write in .*nowhere: there is no such directory"):
        fake(FakeDevice(), workdir=tmp_path / "nowhere")


def test_no_temporary_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(UsageError, match=r"cannot write in .*absent: No such file or directory; set TMPDIR"):
        fake(FakeDevice())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    with pytest.raises(UsageError, match=r"no space left in .*small: need \d+ MiB, 0 MiB are free; set TMPDIR"):
        measure(architecture(), TARGET, FakeDevice(), OnnxRuntime(), workdir=small_disk)
    assert not list(small_disk.glob("*.onnx"))


@pytest.fixture(scope="module")
def local() -> Iterator[LocalDevice]:
    with LocalDevice() as device:
        yield device


@pytest.mark.parametrize("space", [name for name in space_names() if name.endswith("-tiny")])
def test_every_family_is_measured(local: LocalDevice, tmp_path: Path, space: str) -> None:
    found = measure(
        architecture(space), TARGET, local, OnnxRuntime(), workload=Workload(16), min_time=0.02, workdir=tmp_path
    )
    assert found.error is None
    assert set(found.values) == {*LocalDevice.costs, *derived_from(LocalDevice.costs)}
    assert all(value > 0 for value in found.values.values())
    assert len(found.samples_ns["latency"]) >= 10
    for cost, (low, high) in found.interval.items():
        assert low <= found.values[cost] <= high
    assert found.environment == environment_hash(fingerprint(1))
    assert [file.name for file in tmp_path.iterdir()] == ["weights.bin"]


def test_larger_models_cost_more(local: LocalDevice, tmp_path: Path) -> None:
    """Fifty times the work and ten times the weights: no noise hides that."""
    common = {"family": "gpt2", "vocab_size": 1000, "n_positions": 256}
    small = Architecture(n_layer=1, d_model=64, n_head=2, d_ff=128, **common)
    large = Architecture(n_layer=6, d_model=320, n_head=4, d_ff=1280, **common)
    one, other = (
        measure(a, TARGET, local, OnnxRuntime(), workload=Workload(64), min_time=0.05, workdir=tmp_path)
        for a in (small, large)
    )
    for cost in LocalDevice.costs:
        assert other.values[cost] > one.values[cost], cost


def test_memory_is_the_same_again(local: LocalDevice, tmp_path: Path) -> None:
    a = architecture("gpt2-tiny", 3)
    first, second = (
        measure(a, TARGET, local, OnnxRuntime(), costs=("peak_memory_mib",), workdir=tmp_path).values for _ in range(2)
    )
    assert first["peak_memory_mib"] == pytest.approx(second["peak_memory_mib"], rel=0.03)


def test_a_timeout_is_a_failed_measurement(local: LocalDevice, tmp_path: Path) -> None:
    a = architecture("gpt2-small", 1)
    found = measure(a, TARGET, local, OnnxRuntime(), min_time=1000.0, timeout=3.0, workdir=tmp_path)
    assert "no result within" in (found.error or "")
    assert sum(found.seconds.values()) >= 3.0
    assert [file.name for file in tmp_path.iterdir()] == ["weights.bin"]


def test_the_pool_is_shared_by_candidates(tmp_path: Path) -> None:
    files = [export_pooled(architecture("gpt2-tiny", seed), "prefill", tmp_path, ONCE) for seed in range(3)]
    assert len(set(files)) == 3
    assert {file.name for file in tmp_path.iterdir()} == {"weights.bin", *(file.name for file in files)}
