"""Devices behind a TVM RPC tracker: a real tracker and real servers on loopback, which are killed and stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rpc_farm import KEY, Farm, free_port

import lts
from lts.devices import rpc_worker
from lts.devices.device import open_device
from lts.devices.rpc import RpcDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult, RunnerJob
from lts.jobs.pool import Workers
from lts.study.store import Store
from lts.system import machine
from lts.system.environment import environment_hash
from lts.targets.target import detect_target, load_target
from lts.targets.workload import Step, Workload

TIMEOUT = 120.0
COMMAND = Path(sys.executable).with_name("lts-engine")


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """A farm whose servers may be killed."""
    opened = Farm(tmp_path, 2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """One farm for all tests that leave it as it is."""
    opened = Farm(tmp_path_factory.mktemp("farm"), 2)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunnerJob]:
    """A compiled model in both phases, with what ONNX Runtime gives for it."""
    pytest.importorskip("tvm", reason="tvm is not installed")
    from lts.backends.reference import Reference
    from lts.backends.tvm.backend import Tvm
    from lts.measure.candidate import export_pooled

    folder = tmp_path_factory.mktemp("models")
    (architecture,) = lts.SearchSpace.load("llama-tiny").sample(1, 5)
    backend, reference, made = Tvm(), Reference(), {}
    for phase in ("prefill", "decode"):
        step = Step.of(architecture, phase, 12)
        model = export_pooled(architecture, phase, folder, Workload())
        job = backend.job(
            backend.build(model, detect_target(), step, TIMEOUT), step, threads=1, min_time=0.02, min_repeats=5
        )
        made[phase] = reference.attach(job, reference.write(model, step))
    backend.close()
    reference.close()
    return made


def good(result: JobResult) -> bool:
    assert result.error is None, result.error
    assert result.value["correct"], result.value
    return bool(result.value["output_error"] < 1e-5)


def long_job(job: RunnerJob) -> RunnerJob:
    """One that is on its device for seconds."""
    return replace(job, options={**job.options, "min_time": 5.0, "max_repeats": 10**6})


@pytest.mark.slow
def test_models_are_run_checked_and_timed(steady: Farm, jobs: dict[str, RunnerJob]) -> None:
    with RpcDevice.from_uri(steady.uri) as opened:
        assert opened.parallel == 2
        for job in jobs.values():
            result = opened.run(job, TIMEOUT)
            assert good(result)
            value = result.value
            assert len(value["samples_ns"]) >= 5
            assert all(isinstance(sample, int) and sample > 0 for sample in value["samples_ns"])
            assert value["wall_ns"] == value["samples_ns"]
            assert "peak_memory_mib" not in value
            assert value["load_seconds"] > 0
            assert opened.run(job, TIMEOUT).value["checksum"] == value["checksum"]
        first, second = opened.environment(1), opened.environment(1)
        assert json.loads(json.dumps(first)) == first
        assert environment_hash(first) == environment_hash(second) != environment_hash(opened.environment(2))
    opened.close()


@pytest.mark.slow
def test_clients_are_not_pinned_to_one_processor(
    steady: Farm, jobs: dict[str, RunnerJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    run = Workers.run
    monkeypatch.setattr(
        Workers, "run", lambda self, job, timeout: threads.append(job.threads) or run(self, job, timeout)
    )
    with RpcDevice.from_uri(steady.uri) as opened:
        assert good(opened.run(jobs["decode"], TIMEOUT))
    assert threads[-1] == len(machine.allowed_cpus())


@pytest.mark.parametrize(
    ("options", "seconds", "expected"),
    [
        ({"min_repeats": 1, "min_time": 0.0}, 2.0, 1),  # one run is enough to check
        ({"min_repeats": 10, "min_time": 0.3}, 2.0, 6),  # a slow model is not run so often
        ({"min_repeats": 10, "min_time": 0.3}, 0.2, 6),
        ({"min_repeats": 10, "min_time": 0.3}, 0.01, 30),
        ({"min_repeats": 10, "min_time": 0.3, "max_repeats": 12}, 0.01, 12),
    ],
)
def test_how_often_a_model_is_run(options: dict[str, float], seconds: float, expected: int) -> None:
    assert len(rpc_worker._sample(lambda n: [round(seconds * 1e9)] * n, seconds, options)) == expected


@pytest.mark.parametrize(
    ("error", "answers"),
    [
        ("Socket SockChannel::Recv Error:Connection reset by peer", False),
        ("Socket SockChannel::Send Error:Broken pipe", False),
        ("Check failed: code != RPCCode::kShutdown", False),
        ("Check failed: (index < size) is false", True),
    ],
)
def test_a_device_whose_socket_broke_is_gone(error: str, answers: bool) -> None:
    """TVM's client says of a device that was killed in the middle of a call that it exists."""
    remote = SimpleNamespace(cpu=lambda _: SimpleNamespace(exist=True))
    assert rpc_worker._answers(remote, RuntimeError(error)) is answers


@pytest.mark.slow
def test_both_devices_are_used_at_once(steady: Farm, jobs: dict[str, RunnerJob]) -> None:
    from tvm import rpc  # before the jobs: it can take as long as they do

    def free() -> int:
        """Servers that work are not free: at some time the tracker has none to give."""
        found: int = rpc.connect_tracker("127.0.0.1", steady.port).summary()["queue_info"][KEY]["free"]
        return found

    def overlap(opened: RpcDevice) -> bool:
        results: list[JobResult] = []
        threads = [
            threading.Thread(target=lambda: results.append(opened.run(long_job(jobs["prefill"]), TIMEOUT)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        seen = False
        while not seen and any(thread.is_alive() for thread in threads):
            seen = free() == 0
            time.sleep(0.05)
        for thread in threads:
            thread.join(TIMEOUT)
        assert len(results) == 2
        assert all(good(result) for result in results)
        return seen

    with RpcDevice.from_uri(steady.uri) as opened:
        # On a busy machine, a job may end before the other has begun.
        assert any(overlap(opened) for _ in range(3))


@pytest.mark.slow
def test_a_device_that_dies_leaves_its_job_to_the_other(farm: Farm, jobs: dict[str, RunnerJob]) -> None:
    results: list[JobResult] = []
    with RpcDevice.from_uri(farm.uri) as opened:
        threads = [
            threading.Thread(target=lambda: results.append(opened.run(long_job(jobs["prefill"]), TIMEOUT)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        time.sleep(3)
        farm.kill(0)
        for thread in threads:
            thread.join()
        assert [good(result) for result in results] == [True, True]
        assert good(opened.run(jobs["decode"], TIMEOUT))


@pytest.mark.slow
def test_a_device_that_is_silent_leaves_its_job_to_the_other(farm: Farm, jobs: dict[str, RunnerJob]) -> None:
    with RpcDevice.from_uri(farm.uri) as opened:
        farm.stop(0)
        for _ in range(2):  # one of them gets the silent one
            assert good(opened.run(jobs["prefill"], 40.0))


@pytest.mark.slow
def test_when_none_is_left_that_is_told_and_a_new_one_is_found(farm: Farm, jobs: dict[str, RunnerJob]) -> None:
    host, port, key = "127.0.0.1", farm.port, KEY
    with RpcDevice(host, port, key, wait=2.0) as opened:
        farm.kill(0)
        farm.kill(1)
        farm.wait_for(0)
        with pytest.raises(MeasurementError, match=rf"the tracker at 127.0.0.1:{port} lists no device 'host' any more"):
            opened.run(jobs["prefill"], TIMEOUT)
        farm.add_server()
        farm.wait_for(1)
        assert good(opened.run(jobs["prefill"], TIMEOUT))


@pytest.mark.slow
def test_an_error_of_the_model_is_not_tried_elsewhere(steady: Farm, jobs: dict[str, RunnerJob], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(jobs["prefill"].model, broken)
    (broken / "model.so").write_bytes(b"this is no library")
    with RpcDevice.from_uri(steady.uri) as opened:
        result = opened.run(replace(jobs["prefill"], model=broken), TIMEOUT)
        assert result.value is None
        assert result.error
        assert "\n" not in result.error
        assert "went away" not in result.error
        missing = replace(jobs["prefill"], files={**jobs["prefill"].files, "weights.bin": tmp_path / "nothing.bin"})
        assert "nothing.bin" in (opened.run(missing, TIMEOUT).error or "")
        assert good(opened.run(jobs["prefill"], TIMEOUT))


@pytest.mark.slow
def test_a_wrong_output_is_told(steady: Farm, jobs: dict[str, RunnerJob], tmp_path: Path) -> None:
    import numpy as np

    job = jobs["decode"]
    wrong = np.fromfile(job.files["expected"], np.float32)
    wrong[7] += 10
    wrong.tofile(tmp_path / "wrong.f32")
    with RpcDevice.from_uri(steady.uri) as opened:
        value = opened.run(replace(job, files={**job.files, "expected": tmp_path / "wrong.f32"}), TIMEOUT).value
    assert not value["correct"]
    assert value["output_error"] > 0.5


@pytest.mark.slow
def test_close_ends_a_job(steady: Farm, jobs: dict[str, RunnerJob]) -> None:
    opened = RpcDevice.from_uri(steady.uri)
    results: list[JobResult] = []
    job = replace(jobs["prefill"], options={"min_time": 500.0, "max_repeats": 10**6})
    thread = threading.Thread(target=lambda: results.append(opened.run(job, 500.0)))
    thread.start()
    time.sleep(3)
    opened.close()
    thread.join(60)
    assert results[0].error == "the device was closed"


def test_jobs_in_python_and_gpus_are_refused(steady: Farm) -> None:
    with RpcDevice.from_uri(steady.uri) as opened:
        with pytest.raises(UsageError, match="--backend tvm"):
            opened.run(Job("lts.testing.jobs:echo", {"value": 1}), 5.0)
        with pytest.raises(UsageError, match="is a gpu"):
            opened.check(replace(detect_target(), kind="gpu"))
        opened.check(detect_target())
        there = detect_target().triple.split("-")[0]
        for name in {"arm64", "x86-64-v3"} - {"arm64" if there == "aarch64" else "x86-64-v3"}:
            with pytest.raises(
                UsageError, match=rf"target '{name}' is for cpu .*; 'host' of the tracker at .* is a {there}"
            ):
                opened.check(load_target(name))


@pytest.mark.slow
def test_a_key_that_is_not_there(steady: Farm) -> None:
    with pytest.raises(MeasurementError, match="lists no device 'toaster'; it lists host"):
        open_device(steady.uri.replace(KEY, "toaster"))


def test_a_tracker_that_is_not_there() -> None:
    pytest.importorskip("tvm", reason="tvm is not installed")
    with pytest.raises(MeasurementError, match="no TVM RPC tracker"):
        open_device(f"rpc://127.0.0.1:{free_port()}/pi")


@pytest.mark.parametrize(
    "uri", ["rpc://", "rpc://host", "rpc://host:1", "rpc://host:x/key", "rpc://h:70000/k", "rpc:h"]
)
def test_a_uri_that_is_wrong(uri: str) -> None:
    with pytest.raises(UsageError, match="rpc://TRACKER:PORT/KEY"):
        open_device(uri)


@pytest.mark.slow
def test_a_search_in_which_a_device_dies(farm: Farm, tmp_path: Path) -> None:
    arguments = ["search", "gpt2-tiny", "--target", "host", "--device", farm.uri, "--backend", "tvm", "--trials", "5"]
    process = subprocess.Popen(
        [COMMAND, *arguments, "--n-prompt", "8", "--export", "none", "-o", "json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("[2/5]"):
            farm.kill(1)
            break
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, "".join([*seen, errors])
    with Store(tmp_path / "gpt2-tiny-host" / "study.db") as store:  # every trial, not only the front
        trials = store.trials()
    assert [(trial.state, trial.error) for trial in trials] == [("complete", None)] * 5
    assert {trial.device for trial in trials} == {farm.uri}
    assert all(trial.provenance["latency_ms"] == "measured" for trial in trials)
    assert json.loads(output)
