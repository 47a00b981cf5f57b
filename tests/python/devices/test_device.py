"""Workers that hang and leave things behind, servers that die, and parents that die; for more, `DeviceSuite`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device_jobs import (
    close_everything_and_hang,
    facts,
    hang_with_a_child,
    kill_the_parent,
    kill_the_server_once,
    leave_a_child_behind,
)
from mounts import mounted

from lts.devices import device as device_module
from lts.devices.device import Device, open_device
from lts.devices.local import LocalDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult, RunnerJob
from lts.targets.target import detect_target

pytestmark = pytest.mark.alone

TIMEOUT = 60.0


def job(function: Callable[..., Any], **arguments: Any) -> Job:
    return Job(f"device_jobs:{function.__name__}", arguments)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def local() -> Iterator[LocalDevice]:
    with LocalDevice() as opened:
        yield opened


def server_of(local: LocalDevice) -> int:
    result = local.run(job(facts), TIMEOUT)
    assert result.error is None
    return int(result.value["parent"])


def test_device_by_name() -> None:
    opened = open_device("local")
    assert isinstance(opened, LocalDevice)
    opened.close()
    with pytest.raises(UsageError, match="unknown device 'toaster'; expected one of local"):
        open_device("toaster")


def test_device_of_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name = "board"

        def load(self) -> Callable[[str], Device]:
            return lambda uri: LocalDevice(cpus=[int(uri.split(":")[1])])

    monkeypatch.setattr(device_module, "entry_points", lambda group: [Entry()] if group == "lts.devices" else [])
    opened = open_device("board:0")
    assert isinstance(opened, LocalDevice)
    with pytest.raises(UsageError, match=r"expected one of local, .*emulated, pool:DEVICE,DEVICE, board"):
        open_device("toaster")


@pytest.mark.parametrize("fork", [True, False])
def test_a_worker_is_alone_pinned_and_expendable(fork: bool) -> None:
    with LocalDevice(fork=fork) as local:
        found = local.run(job(facts), TIMEOUT).value
    assert found["pid"] != os.getpid()
    assert len(found["cpus"]) == 1
    assert set(found["cpus"]) <= os.sched_getaffinity(0)
    assert found["ignores_interrupt"]
    assert found["group"] == found["pid"]
    assert found["session"] != os.getsid(0)
    assert found["core_limit"] == 0
    assert found["oom_score"] == 1000
    assert found["environment"]["OMP_NUM_THREADS"] == "1"
    assert found["environment"]["ORT_DISABLE_TELEMETRY"] == "1"
    assert found["threads"] == 1


def test_threads_are_processors(local: LocalDevice) -> None:
    n = len(os.sched_getaffinity(0))
    found = local.run(replace(job(facts), threads=n), TIMEOUT).value
    assert set(found["cpus"]) == os.sched_getaffinity(0)
    assert found["environment"]["OMP_NUM_THREADS"] == str(n)


def test_the_processors_may_be_chosen() -> None:
    cpu = min(os.sched_getaffinity(0))
    with LocalDevice(cpus=[cpu]) as local:
        assert local.run(job(facts), TIMEOUT).value["cpus"] == [cpu]
        with pytest.raises(UsageError, match="wants 2 threads; the local device may use 1 processors"):
            local.check(replace(detect_target(), cores=2, threads=2))


def test_targets_of_other_machines_are_refused(local: LocalDevice) -> None:
    local.check(detect_target())
    with pytest.raises(UsageError, match="target 'host' is for gpu"):
        local.check(replace(detect_target(), kind="gpu"))
    with pytest.raises(UsageError, match="is for cpu riscv64-linux-gnu; the local device is a"):
        local.check(replace(detect_target(), triple="riscv64-linux-gnu"))


def test_jobs_share_one_server_that_has_done_the_imports(local: LocalDevice) -> None:
    first, second = (local.run(replace(job(facts), preload=("fractions",)), TIMEOUT).value for _ in range(2))
    assert first["parent"] == second["parent"]
    assert first["pid"] != second["pid"]
    assert "fractions" in first["modules"]
    assert "onnxruntime" not in first["modules"]
    # Other imports, another server.
    third = local.run(replace(job(facts), preload=("fractions", "colorsys")), TIMEOUT).value
    assert third["parent"] != first["parent"]
    assert "colorsys" in third["modules"]
    wait_until(lambda: not alive(first["parent"]), "the first server runs on")


def test_what_a_job_leaves_behind_is_killed(local: LocalDevice, tmp_path: Path) -> None:
    file = tmp_path / "pids"
    assert local.run(job(leave_a_child_behind, path=str(file)), TIMEOUT).error is None
    pids = [int(pid) for pid in file.read_text().split()]
    wait_until(lambda: not any(map(alive, pids)), "processes of a job that has ended run on")


@pytest.mark.parametrize("fork", [True, False])
def test_a_timeout_kills_what_the_job_started(fork: bool, tmp_path: Path) -> None:
    with LocalDevice(fork=fork) as local:
        file = tmp_path / "pids"
        local.run(job(facts), TIMEOUT)
        result = local.run(job(hang_with_a_child, path=str(file)), 2.0)
        assert result.error == "no result within 2 s"
        assert result.seconds >= 2.0
        if file.exists():  # it got that far
            worker, _, child = (int(pid) for pid in file.read_text().split())
            wait_until(lambda: not alive(worker) and not alive(child), "processes of a job that timed out run on")


@pytest.mark.parametrize("fork", [True, False])
def test_a_job_that_closes_all_files_ends_at_its_timeout(fork: bool) -> None:
    with LocalDevice(fork=fork) as local:
        assert local.run(job(close_everything_and_hang), 1.0).error == "no result within 1 s"
        assert local.run(job(facts), TIMEOUT).error is None


def test_close_ends_the_server_and_a_job_starts_another(local: LocalDevice) -> None:
    first = server_of(local)
    local.close()
    assert not alive(first)
    second = server_of(local)
    assert second != first
    local.close()
    assert not alive(second)


def test_a_server_killed_between_jobs_is_replaced(local: LocalDevice) -> None:
    for _ in range(4):
        server = server_of(local)
        os.kill(server, signal.SIGKILL)
        wait_until(lambda pid=server: not alive(pid), "SIGKILL")
    assert server_of(local) != server


def test_a_server_killed_during_a_job_is_replaced_and_the_job_done(local: LocalDevice, tmp_path: Path) -> None:
    result = local.run(job(kill_the_server_once, marker=str(tmp_path / "marker")), TIMEOUT)
    assert result.error is None
    assert result.value == "second try"
    assert server_of(local) not in (os.getpid(), 0)


def test_without_a_server_jobs_get_interpreters_of_their_own(local: LocalDevice) -> None:
    result = local.run(job(kill_the_parent), TIMEOUT)
    assert result.error is None
    assert result.value == os.getpid()


@pytest.mark.parametrize(
    "module",
    [
        "import os; os.abort()",
        "import threading, time; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
        "import sys; sys.exit(3)",
    ],
)
def test_a_preloaded_module_that_ruins_the_server(
    local: LocalDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    (tmp_path / "module_that_ruins.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        result = local.run(replace(job(facts), preload=("module_that_ruins",)), TIMEOUT)
        assert result.error is None
        assert result.value["parent"] == os.getpid()


def test_a_preloaded_module_that_does_not_exist_is_the_jobs_business(local: LocalDevice) -> None:
    result = local.run(replace(job(facts), preload=("no_such_module_anywhere",)), TIMEOUT)
    assert result.error is None
    assert result.value["parent"] != os.getpid()


@pytest.mark.parametrize("executable", ["absent", "/bin/false"])
def test_no_worker_at_all_is_an_exception(monkeypatch: pytest.MonkeyPatch, executable: str, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / executable))
    with LocalDevice() as local, pytest.raises(MeasurementError, match="cannot start worker processes: ") as raised:
        local.run(job(facts), TIMEOUT)
    assert "\n" not in str(raised.value)


def test_jobs_of_several_threads_run_one_after_the_other(local: LocalDevice) -> None:
    results: list[JobResult] = []
    threads = [threading.Thread(target=lambda: results.append(local.run(job(facts), TIMEOUT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.error for result in results] == [None] * 8
    assert len({result.value["pid"] for result in results}) == 8
    # The server does not end with the thread that started it.
    assert server_of(local) == results[0].value["parent"]


def parent(folder: Path, fork: bool) -> tuple[subprocess.Popen[str], list[int]]:
    """A process whose worker hangs, and its worker, the parent of that, and a child of it."""
    file = folder / "pids"
    code = f"""
import sys
sys.path[:] = {json.dumps([str(Path(__file__).parents[1]), *sys.path])}
from lts.jobs.job import Job
from lts.devices.local import LocalDevice
with LocalDevice(fork={fork}) as local:
    local.run(Job("device_jobs:hang_with_a_child", {{"path": {str(file)!r}}}), 1000)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(file.exists, "the job does not start")
    return process, [int(pid) for pid in file.read_text().split()]


@pytest.mark.parametrize("fork", [True, False])
def test_no_orphans_when_the_parent_is_killed(tmp_path: Path, fork: bool) -> None:
    process, (worker, above, child) = parent(tmp_path, fork)
    assert (above == process.pid) is not fork
    process.kill()
    process.communicate(timeout=TIMEOUT)
    wait_until(lambda: not alive(worker) and not alive(above), "workers outlive their parent")
    if fork:
        wait_until(lambda: not alive(child), "what a job started outlives the parent")
    elif alive(child):  # nobody is left to know of it; the worker itself was what mattered
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("fork", [True, False])
def test_ctrl_c_ends_the_job_with_everything_it_started(tmp_path: Path, fork: bool) -> None:
    process, (worker, above, child) = parent(tmp_path, fork)
    os.kill(worker, signal.SIGINT)  # it does not care
    time.sleep(0.1)
    assert alive(worker)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in stderr
    wait_until(lambda: not any(map(alive, (worker, above, child))), "something outlives Ctrl-C")


def test_importing_is_light() -> None:
    code = (
        "import sys, lts.targets.target, lts.system.environment, lts.measure.statistics, lts.devices.device\n"
        "import lts.backends.backend, lts.testing\n"
        "print([m for m in ('onnx', 'onnxruntime', 'numpy', 'tvm', 'pytest') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert done.stdout.strip() == "[]"


def test_close_ends_the_jobs_that_wait_too() -> None:
    local = LocalDevice()
    results: list[JobResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(local.run(Job("lts.testing.jobs:hang"), TIMEOUT)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    local.close()
    for thread in threads:
        thread.join(TIMEOUT / 2)
    assert [result.error for result in results] == ["the device was closed"] * 3


@pytest.mark.parametrize("fork", [True, False])
def test_close_ends_a_job_of_another_thread(fork: bool) -> None:
    local = LocalDevice(fork=fork)
    results: list[JobResult] = []
    thread = threading.Thread(target=lambda: results.append(local.run(Job("lts.testing.jobs:hang"), TIMEOUT)))
    thread.start()
    time.sleep(0.3)  # somewhere between the start of the server and the job
    local.close()
    thread.join(TIMEOUT / 2)
    assert results[0].error == "the device was closed"
    assert local.run(Job("lts.testing.jobs:echo", {"value": 1}), TIMEOUT).value == 1
    local.close()


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("temporary", "compiled models cannot be run: {}, where temporary files go, is mounted noexec; set TMPDIR to"),
        ("model", "compiled models cannot be run: {}/model lies on a file system that is mounted noexec; use another"),
        ("runner", "lts-runner cannot be run: {}/bundle lies on a file system that is mounted noexec; use another"),
    ],
)
def test_a_disk_from_which_nothing_can_be_run(
    local: LocalDevice, where: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "disk", "noexec,size=1m") as disk:
        bundle = (disk if where == "runner" else tmp_path) / "bundle"
        model = (tmp_path if where == "runner" else disk) / "model"
        bundle.mkdir()
        model.mkdir()
        if where == "temporary":
            monkeypatch.setattr("tempfile.tempdir", str(disk))
        monkeypatch.setattr("lts.jobs.bundle.make_bundle", lambda triple, **_: bundle)
        with pytest.raises(MeasurementError) as caught:
            local.run(RunnerJob(model), TIMEOUT)
        assert str(caught.value).startswith(sentence.format(disk))
