"""Local devices of several processes: each measures on cores of its own, and says so when there are none."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from device_jobs import facts

from lts.devices.device import open_device
from lts.devices.local import LocalDevice
from lts.devices.pool import PoolDevice
from lts.errors import MeasurementWarning
from lts.jobs.job import Job
from lts.system import machine
from lts.system.core_locks import GROUP

FACTS = Job(f"device_jobs:{facts.__name__}")
TIMEOUT = 60.0

# Holds the cores of a local device of so many threads until its input ends, and says which processors those are.
_PROGRAM = """
import sys
from lts.devices.local import LocalDevice
from lts.jobs.job import Job
with LocalDevice() as local:
    print(*local.run(Job("device_jobs:facts", threads=int(sys.argv[1])), 60).value["cpus"], flush=True)
    sys.stdin.read()
"""

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        machine.cores(machine.allowed_cpus()) < 2, reason="two measurements on this one core cannot but share it"
    ),
]


@pytest.fixture(autouse=True)
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GROUP, f"test-{os.getpid()}-{tmp_path.name}"[:60])


@contextmanager
def holding(threads: int) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        cpus = [int(each) for each in process.stdout.readline().split()]
        assert len(cpus) == threads
        yield process, cpus
    finally:
        process.kill()
        process.communicate()


def cpus_of(local: LocalDevice) -> list[int]:
    found = local.run(FACTS, TIMEOUT)
    assert found.error is None
    return list(found.value["cpus"])


def test_a_device_keeps_off_the_core_of_another_process_until_that_is_killed() -> None:
    with holding(1) as (process, taken):
        with LocalDevice() as local:
            assert set(cpus_of(local)).isdisjoint(taken)
        process.kill()
        process.wait()
        with LocalDevice(cpus=taken) as local, warnings.catch_warnings():
            warnings.simplefilter("error", MeasurementWarning)
            assert cpus_of(local) == taken


def test_the_processors_of_the_user_come_first() -> None:
    everything = machine.allowed_cpus()
    with (
        holding(len(everything)) as (process, _),
        LocalDevice(cpus=everything[:1]) as local,
        pytest.warns(MeasurementWarning, match=rf"^process {process.pid} measures on processor {everything[0]}, "),
    ):
        assert cpus_of(local) == everything[:1]


def test_local_devices_of_a_pool_have_cores_of_their_own() -> None:
    opened = open_device("pool:local,local")
    assert isinstance(opened, PoolDevice)
    with opened:
        assert opened.parallel == 2
        used = {tuple(opened.run(FACTS, TIMEOUT).value["cpus"]) for _ in range(2)}  # by turns
    assert len(used) == 2


@pytest.mark.slow
def test_a_command_says_once_who_has_the_cores(tmp_path: Path) -> None:
    with holding(len(machine.allowed_cpus())) as (process, _):
        done = subprocess.run(
            [sys.executable, "-m", "lts", "search", "gpt2-tiny", "--trials", "3", "--surrogate", "none", "--no-confirm",
             "--export", "none", "-O", str(tmp_path / "study")],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if f"process {process.pid} " in line]
    assert len(said) == 1
    assert said[0].startswith(f"warning: process {process.pid} measures on processor ")
