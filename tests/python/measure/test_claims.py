"""Devices of every kind that claim what cannot be: more time than passed here, more memory than the machine has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from stand_in import StandIn

from lts.devices.device import Device
from lts.devices.local import LocalDevice
from lts.devices.rpc import RpcDevice
from lts.devices.ssh.ssh import SshDevice
from lts.jobs.job import JobResult, RunnerJob
from lts.measure.outcome import Outcome
from lts.measure.run import run_built
from lts.targets.target import detect_target
from lts.targets.workload import Step

pytestmark = pytest.mark.alone

MEMORY_MIB = 2048
TRUE = {"samples_ns": [1_000_000] * 10, "wall_ns": [1_100_000] * 10, "peak_memory_mib": 20.0}
HOUR = 3600 * 10**9
LIES = [
    ({"samples_ns": [HOUR] * 10, "wall_ns": [HOUR] * 10}, "its runs took 3.6e+04 s together; by our clock all of it"),
    ({"samples_ns": [HOUR, *[1_000_000] * 9]}, "its runs took 3.6e+03 s together; by our clock all of it took"),
    ({"wall_ns": [HOUR, *[1_000_000] * 9]}, "its runs took 3.6e+03 s together; by our clock all of it took"),
]
TOO_MUCH = ({"peak_memory_mib": 3e6}, "'peak_memory_mib' is 3e+06; the machine has ")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    return folder


def outcome(device: Device, model: Path, costs: tuple[str, ...]) -> Outcome:
    backend: Any = SimpleNamespace(name="stand-in", needs="runner", job=lambda built, *_, **__: RunnerJob(built))
    step = Step("prefill", {}, 100)
    return run_built(model, step, detect_target(), device, backend, costs=costs, timeout=20.0)


def check(device: Device, model: Path, costs: tuple[str, ...], lie: str | None) -> None:
    found = outcome(device, model, costs)
    if lie is None:
        assert found.error is None
        assert found.values["latency_ms"] == 1.0
    else:
        assert (found.error or "").startswith(f"prefill: the device's answer is wrong: {lie}")
        assert found.values == {}


@contextmanager
def runner(tmp_path: Path, said: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalDevice]:
    """This machine, with a program in the place of lts-runner."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "said").write_text(json.dumps({"value": said}) + "\n")
    (bundle / "lts-runner").write_text(f"#!/bin/sh\ncat > /dev/null\ncat {bundle / 'said'}\n")
    (bundle / "lts-runner").chmod(0o755)
    monkeypatch.setattr("lts.jobs.bundle.make_bundle", lambda triple, **_: bundle)
    with LocalDevice() as device:
        yield device


@pytest.mark.parametrize(("change", "lie"), [({}, None), *LIES, TOO_MUCH])
def test_of_the_runner_here(
    change: dict[str, Any], lie: str | None, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runner(tmp_path, {**TRUE, **change}, monkeypatch) as device:
        check(device, model, ("latency_ms", "peak_memory_mib"), lie)


@pytest.mark.parametrize(
    ("change", "lie"), [({}, None), *LIES, TOO_MUCH, ({"peak_memory_mib": 2300}, "'peak_memory_mib' is 2300; the mach")]
)
def test_of_a_device_over_ssh(
    change: dict[str, Any], lie: str | None, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "lts-runner").write_bytes(b"a program")
    monkeypatch.setattr("lts.jobs.bundle.make_bundle", lambda triple, **_: bundle)
    stand_in = StandIn(tmp_path / "client")
    monkeypatch.setenv("LTS_SSH", stand_in.command)
    stand_in.say("environment", stand_in.answer({"cpu": "imaginary", "memory_mib": MEMORY_MIB}))
    stand_in.say("run", stand_in.answer({**TRUE, **change}))
    with SshDevice("board") as device:
        check(device, model, ("latency_ms", "peak_memory_mib"), lie)


@pytest.mark.parametrize(("change", "lie"), [({}, None), *LIES])
def test_of_a_device_of_a_tracker(
    change: dict[str, Any], lie: str | None, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tvm", reason="TVM is not installed")
    said = {"samples_ns": TRUE["samples_ns"], "wall_ns": TRUE["wall_ns"], **change}
    device = object.__new__(RpcDevice)
    idle: SimpleQueue[None] = SimpleQueue()
    idle.put(None)
    device.__dict__.update(_host="farm", _port=9190, _key="pi", _idle=idle, _wait=1.0, _closed=Event(), parallel=1)
    monkeypatch.setattr(device, "_attempt", lambda local, job, timeout: JobResult(said))
    check(device, model, ("latency_ms",), lie)
