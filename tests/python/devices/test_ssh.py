"""Devices over ssh: a server on this machine, and everything that can go wrong between it and the client."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sshd import Sshd

from lts import SearchSpace, total_params
from lts.backends.backend import load_backend
from lts.backends.onnxruntime import OnnxRuntime
from lts.backends.reference import Reference
from lts.devices.device import Device, open_device
from lts.devices.ssh import connection as ssh_connection
from lts.devices.ssh import remote_files, remote_runner
from lts.devices.ssh.facts import processors_of
from lts.devices.ssh.ssh import SshDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs.bundle import make_bundle
from lts.jobs.job import Job, RunnerJob
from lts.measure.candidate import export_pooled, measure
from lts.study.store import Store
from lts.system.environment import environment_hash
from lts.system.machine import pick_cpus
from lts.targets.target import detect_target
from lts.targets.workload import Step, Workload
from lts.testing import DeviceSuite

pytestmark = pytest.mark.alone

needs_tvm = pytest.mark.skipif(find_spec("tvm") is None, reason="TVM is not installed")

TIMEOUT = 60.0
MIB = 1 << 20
POOL_HEAD = b"lts-engine weight pool 1: for tests\n"

# Stands for lts-runner: what it does is in the manifest.
RUNNER = """#!{python} -ES
import hashlib, json, os, signal, sys, time
from pathlib import Path
request = json.loads(sys.stdin.readline())
def answer(**result):
    print("[runtime] a line of a log")
    print(json.dumps(result), flush=True)
    sys.exit()
if request.get("environment"):
    answer(value={{"cpu": "imaginary", "runner": "0.0"}})
model = Path(request["run"])
manifest = json.loads(model.read_text())
marker = manifest.get("marker")
if marker:
    Path(marker).write_text(f"{{os.getpid()}} {{model.parent}}")
does = manifest.get("does", "answer")
if does == "crash":
    print("out of ideas", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
if does == "exit":
    sys.exit("no such operator")
if does == "refuse":
    answer(error="the output 'logits' is not finite")
if does == "wait":
    sys.stdin.read()
    os._exit(0)
if does == "hang":
    time.sleep(1000)
if does == "flood":
    sys.stderr.write("x" * (1 << 24))
sums = {{}}
for tensor in manifest.get("weights", ()):
    with open(request["files"][tensor["file"]], "rb") as file:
        file.seek(tensor["offset"])
        sums[tensor["file"]] = hashlib.sha256(file.read(4 * tensor["shape"][0])).hexdigest()
for name, path in request["files"].items():
    if name not in sums:
        sums[name] = Path(path).read_text()
answer(value={{"sums": sums, "files": sorted(os.listdir(model.parent)), "request": request}})
"""


def alive(pid: int) -> bool:
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
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A server, and the configuration for its clients."""
    running = Sshd(tmp_path / "sshd")
    monkeypatch.setenv("LTS_SSH", running.command)
    yield running
    running.stop()


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runner of a bundle, which may be overwritten before it is copied."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    program = folder / "lts-runner"
    program.write_text(RUNNER.format(python=sys.executable))
    program.chmod(0o755)
    (folder / "libtvm_ffi.so").write_bytes(b"library" * 1000)
    monkeypatch.setattr("lts.jobs.bundle.make_bundle", lambda triple, **_: folder)
    return program


@pytest.fixture
def ssh(server: Sshd, runner: Path) -> Iterator[SshDevice]:
    """A device with the imaginary runner."""
    opened = SshDevice.from_uri(server.uri)
    yield opened
    opened.close()


def model_job(folder: Path, files: dict[str, Path] | None = None, size: int = 0, **manifest: Any) -> RunnerJob:
    """A job for the imaginary runner, with a weight at the end of `size` bytes of ``weights.bin``."""
    folder.mkdir(exist_ok=True)
    if files and "weights.bin" in files:
        n = 64
        manifest["weights"] = [
            {"name": "w", "file": "weights.bin", "offset": size - 4 * n, "dtype": "float32", "shape": [n]}
        ]
    (folder / "model.json").write_text(json.dumps(manifest))
    (folder / "model.so").write_bytes(b"code")
    return RunnerJob(folder, files or {}, {"min_time": 0.1})


def pool(path: Path, mib: int) -> Path:
    """A file like that of `lts.export.pool`; it grows when called again."""
    with path.open("ab") as file:
        for i in range(file.tell() // MIB, mib):
            head = POOL_HEAD if i == 0 else b""
            file.write((head + hashlib.sha256(bytes([i])).digest() * (MIB // 32))[:MIB])
    return path


def contents(server: Sshd, kind: str = "") -> list[Path]:
    return sorted((server.cache / "lts-engine" / "content").glob(f"{kind}*"))


def in_background(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    return thread, results


class TestDevice(DeviceSuite):
    """The suite, with the modules of lts-engine that are copied rather than those installed."""

    server: ClassVar[Sshd]
    python: ClassVar[Path]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def serve(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        cls.server = Sshd(tmp_path_factory.mktemp("suite") / "sshd")
        cls.python = bare_python(cls.server.folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LTS_SSH", cls.server.command)
            yield
        cls.server.stop()

    def make_device(self) -> Device:
        return open_device(f"{self.server.uri}?python={self.python}")

    def test_its_modules_are_those_copied(self) -> None:
        (found,) = self.device.run(Job("lts:__path__.copy"), TIMEOUT).value
        assert Path(found).is_relative_to(self.server.cache)
        fingerprint = self.device.environment(1)
        assert fingerprint["lts"] != ""
        assert fingerprint["onnxruntime"] != ""
        assert fingerprint["device"] == f"ssh://127.0.0.1:{self.server.port}"


def bare_python(folder: Path) -> Path:
    """An interpreter with the packages of this one, but not with lts-engine where that is installed for editing."""
    program = folder / "python"
    packages = ":".join(path for path in sys.path if path.endswith("-packages"))
    program.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {os.path.realpath(sys.executable)} "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("uri", "host", "user", "port", "python"),
    [
        ("ssh://board", "board", None, None, None),
        ("ssh://Board.local/", "Board.local", None, None, None),
        ("ssh://pi@board:2222", "board", "pi", 2222, None),
        ("ssh://pi@[fe80::1%25]:22", "fe80::1%25", "pi", 22, None),
        ("ssh://board?python=/opt/my%20venv/bin/python", "board", None, None, "/opt/my venv/bin/python"),
        ("ssh://board?python=~/venv/bin/python", "board", None, None, "~/venv/bin/python"),
    ],
)
def test_uris(uri: str, host: str, user: str | None, port: int | None, python: str | None) -> None:
    opened = open_device(uri)
    assert isinstance(opened, SshDevice)
    assert (opened.address.host, opened.address.user, opened.address.port) == (host, user, port)
    assert opened.runs == (*(() if python is None else ("python",)), "runner", "program")
    opened.close()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ssh", "not of the form ssh://"),
        ("ssh:board", "not of the form ssh://"),
        ("ssh://", "not of the form ssh://"),
        ("ssh://board/home", "not of the form ssh://"),
        ("ssh://pi:secret@board", "not of the form ssh://"),
        ("ssh://board:ssh", "not of the form ssh://"),
        ("ssh://board:99999", "port 99999 of board must be from 1 to 65535"),
        ("ssh://-oProxyCommand=date", "is not a machine"),
        ("ssh://board?runner=x", "has the option 'runner'; expected python=PATH"),
        ("ssh://board?python=", "has no path after python="),
    ],
)
def test_wrong_uris(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_device(uri)


def test_a_model_runs(ssh: SshDevice, server: Sshd, tmp_path: Path) -> None:
    expected = tmp_path / "expected.f32"
    expected.write_text("numbers")
    job = model_job(tmp_path / "model", {"expected": expected})
    job = replace(job, options={**job.options, "expected": {"file": "expected", "tolerance": 1e-4}}, threads=2)
    result = ssh.run(job, 7.0)
    assert result.error is None
    assert result.seconds > 0
    assert result.value["sums"] == {"expected": "numbers"}
    assert result.value["files"] == ["files", "model.json", "model.so"]
    request = result.value["request"]
    assert set(request["cpus"]) <= os.sched_getaffinity(0)
    assert len(request["cpus"]) == min(2, len(os.sched_getaffinity(0)))
    assert (request["threads"], request["timeout"], request["min_time"]) == (2, 7.0, 0.1)
    assert request["expected"]["file"] == request["files"]["expected"]
    # The folder of the job goes by itself.
    wait_until(lambda: not list((server.cache / "lts-engine" / "jobs").iterdir()), "the job's folder stays")
    assert [path.name.split("-")[0] for path in contents(server)] == ["runner"]


def test_its_environment_is_what_the_runner_says(ssh: SshDevice, server: Sshd) -> None:
    first = ssh.environment(1)
    assert first["cpu"] == "imaginary"
    assert first["device"] == f"ssh://127.0.0.1:{server.port}"
    assert environment_hash(first) == environment_hash(ssh.environment(1))
    assert environment_hash(first) != environment_hash(ssh.environment(2))
    ssh.close()
    with SshDevice.from_uri(server.uri) as other:
        assert other.environment(1) == first


def test_processors_are_picked_as_here() -> None:
    """The fast cores of a board, one thread per core."""
    lines = ["0-3,6", *(f"cpu{i}/topology/core_id:{i // 2}" for i in range(8))]
    lines += [f"cpu{i}/topology/physical_package_id:0" for i in range(8)]
    lines += [f"cpu{i}/cpu_capacity:{446 if i < 2 else 1024}" for i in range(8)]
    assert pick_cpus(1, processors_of("\t" + "\n".join(lines))) == [6]
    assert pick_cpus(2, processors_of("\n".join(lines))) == [3, 6]
    assert pick_cpus(2, processors_of("0-3")) == [2, 3]


def test_targets_are_checked(ssh: SshDevice) -> None:
    ssh.check(detect_target())
    with pytest.raises(UsageError, match=r"target 'host' is for cpu riscv64-linux-gnu; .*@127.0.0.1:\d+ is a"):
        ssh.check(replace(detect_target(), triple="riscv64-linux-gnu"))
    with pytest.raises(UsageError, match="target 'host' is for gpu"):
        ssh.check(replace(detect_target(), kind="gpu"))
    with pytest.raises(UsageError, match="wants 4000 threads"):
        ssh.check(replace(detect_target(), cores=4000, threads=4000))


def test_jobs_in_python_need_an_interpreter(ssh: SshDevice) -> None:
    with pytest.raises(MeasurementError, match="name an interpreter there: ssh://"):
        ssh.run(Job("lts.testing.jobs:echo", {"value": 1}), TIMEOUT)


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("crash", r"killed by signal 11 \(SIGSEGV\); its last words: .*(out of ideas|Segmentation)"),
        ("exit", "ended with code 1 and no result; its last words: no such operator"),
        ("refuse", "^the output 'logits' is not finite$"),
    ],
)
def test_models_that_fail(ssh: SshDevice, tmp_path: Path, does: str, message: str) -> None:
    result = ssh.run(model_job(tmp_path / "model", does=does), TIMEOUT)
    assert result.value is None
    assert re.search(message, result.error or "")
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None


def test_floods_of_logs_do_no_harm(ssh: SshDevice, tmp_path: Path) -> None:
    assert ssh.run(model_job(tmp_path / "model", does="flood"), TIMEOUT).error is None


def test_what_hangs_is_killed_there(
    ssh: SshDevice, server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_runner, "_GRACE", 0.1)
    marker = tmp_path / "marker"
    result = ssh.run(model_job(tmp_path / "model", does="hang", marker=str(marker)), 2.0)
    assert result.error == "no result within 2 s"
    pid, folder = marker.read_text().split()
    wait_until(lambda: not alive(int(pid)), "what hangs runs on")
    assert not Path(folder).exists()
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None


def test_the_second_time_nothing_is_copied(ssh: SshDevice, server: Sshd, tmp_path: Path) -> None:
    weights = pool(tmp_path / "weights.bin", 9)
    job = model_job(tmp_path / "model", {"weights.bin": weights}, 9 * MIB)
    assert ssh.run(job, TIMEOUT).error is None
    copied = ssh.copied
    assert copied > 9 * MIB
    assert ssh.run(job, TIMEOUT).error is None
    assert ssh.copied == copied
    with SshDevice.from_uri(server.uri) as other:
        assert other.run(job, TIMEOUT).error is None
        assert other.copied == 0


def test_only_what_is_needed_of_a_pool_is_copied(ssh: SshDevice, server: Sshd, tmp_path: Path) -> None:
    weights = pool(tmp_path / "weights.bin", 24)
    ssh.environment(1)
    sizes = []
    for size in (3 * MIB, 5 * MIB, 4 * MIB, 22 * MIB):
        before = ssh.copied
        result = ssh.run(model_job(tmp_path / "model", {"weights.bin": weights}, size), TIMEOUT)
        assert (
            result.value["sums"]["weights.bin"] == hashlib.sha256(weights.read_bytes()[size - 256 : size]).hexdigest()
        )
        sizes.append((ssh.copied - before) // MIB)
    assert sizes == [4, 4, 0, 16]
    # It grows here, and another begins with a shorter one.
    assert ssh.run(model_job(tmp_path / "model", {"weights.bin": pool(weights, 26)}, 26 * MIB), TIMEOUT).error is None
    (copy,) = contents(server, "pool")
    assert copy.read_bytes() == weights.read_bytes()
    with SshDevice.from_uri(server.uri) as other:
        shorter = pool(tmp_path / "shorter.bin", 8)
        assert other.run(model_job(tmp_path / "model", {"weights.bin": shorter}, 8 * MIB), TIMEOUT).error is None
        assert other.copied == 0
    assert copy.read_bytes() == weights.read_bytes()


def test_a_pool_that_was_damaged_there_is_repaired(ssh: SshDevice, server: Sshd, tmp_path: Path) -> None:
    weights = pool(tmp_path / "weights.bin", 8)
    job = model_job(tmp_path / "model", {"weights.bin": weights}, 8 * MIB)
    assert ssh.run(job, TIMEOUT).error is None
    (copy,) = contents(server, "pool")
    with copy.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"\0" * MIB)
    ssh.close()
    assert ssh.run(job, TIMEOUT).error is None
    assert copy.read_bytes() == weights.read_bytes()


def test_other_weights_are_kept_by_their_content(ssh: SshDevice, server: Sshd, tmp_path: Path) -> None:
    weights = tmp_path / "weights.bin"
    for letter in b"ab":
        weights.write_bytes(bytes([letter]) * MIB)
        result = ssh.run(model_job(tmp_path / "model", {"weights.bin": weights}, MIB), TIMEOUT)
        assert result.value["sums"]["weights.bin"] == hashlib.sha256(bytes([letter]) * 256).hexdigest()
    assert len(contents(server, "file")) == 2


@pytest.mark.parametrize("head", [POOL_HEAD, b"other weights"])
def test_a_copy_that_breaks_off_does_not_count(
    ssh: SshDevice, server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(head + os.urandom(16 * MIB - len(head)))
    ssh.environment(1)
    broken = []

    def chunks(path: Path, offset: int, n: int) -> Iterator[bytes]:
        for i, chunk in enumerate(original(path, offset, n)):
            # The sums are calculated from the same chunks: what is sent breaks off.
            if i == 8 and sys._getframe(1).f_code.co_name == "_write" and not broken:
                broken.append(True)
                server.disconnect()
            yield chunk

    original = remote_files._chunks
    monkeypatch.setattr(remote_files, "_chunks", chunks)
    result = ssh.run(model_job(tmp_path / "model", {"weights.bin": weights}, 16 * MIB), TIMEOUT)
    assert broken
    assert result.error is None
    assert result.value["sums"]["weights.bin"] == hashlib.sha256(weights.read_bytes()[-256:]).hexdigest()
    names = [path for path in contents(server) if path.stat().st_size >= MIB]
    assert [path.read_bytes() == weights.read_bytes() for path in names] == [True]


def test_a_device_that_is_closed_while_it_copies_copies_no_more(
    ssh: SshDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(os.urandom(16 * MIB))
    ssh.environment(1)
    starts = []

    def chunks(path: Path, offset: int, n: int) -> Iterator[bytes]:
        writes = sys._getframe(1).f_code.co_name == "_write"
        for i, chunk in enumerate(original(path, offset, n)):
            if writes and i == 0:
                starts.append(True)
            if writes and i == 8:
                ssh.close()  # as Ctrl-C in another thread does
            yield chunk

    original = remote_files._chunks
    monkeypatch.setattr(remote_files, "_chunks", chunks)
    result = ssh.run(model_job(tmp_path / "model", {"weights.bin": weights}, 16 * MIB), TIMEOUT)
    assert result.error is not None
    assert len(starts) == 1
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None, "the next job connects again"


def test_what_somebody_removes_is_copied_again(ssh: SshDevice, server: Sshd, tmp_path: Path) -> None:
    job = model_job(tmp_path / "model", {"weights.bin": pool(tmp_path / "weights.bin", 4)}, 4 * MIB)
    assert ssh.run(job, TIMEOUT).error is None
    shutil.rmtree(server.cache)
    assert ssh.run(job, TIMEOUT).error is None
    contents(server, "pool")[0].unlink()
    assert ssh.run(job, TIMEOUT).error is None


def test_old_content_is_removed(ssh: SshDevice, server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, "_GREETING", ssh_connection._GREETING.replace("4194304", "5000"))
    root = server.cache / "lts-engine"
    for folder in ("content", "jobs", "other"):
        (root / folder).mkdir(parents=True)
    hours = {"old": 8 * 24, "week": 5 * 24, "big": 3, "newer": 2, ".new-part": 25, ".new-now": 0}
    for name, age in hours.items():
        path = root / "content" / name
        path.write_bytes(os.urandom(3 * MIB if name in ("big", "newer") else 10))
        os.utime(path, (time.time() - age * 3600,) * 2)
    for name, age in (("forgotten", 50), ("running", 0), ("../other/mine", 1000)):
        (root / "jobs" / name).mkdir()
        os.utime(root / "jobs" / name, (time.time() - age * 3600,) * 2)
    ssh.check(detect_target())
    assert {path.name for path in (root / "content").iterdir()} == {"week", "newer", ".new-now"}
    assert [path.name for path in (root / "jobs").iterdir()] == ["running"]
    assert (root / "other" / "mine").exists()


@pytest.mark.parametrize("does", ["wait", "hang"])
def test_a_lost_connection_fails_the_job_and_the_next_one_works(
    ssh: SshDevice, server: Sshd, tmp_path: Path, does: str
) -> None:
    marker = tmp_path / "marker"
    job = model_job(tmp_path / "model", does=does, marker=str(marker))
    thread, results = in_background(lambda: ssh.run(job, TIMEOUT))
    wait_until(lambda: marker.exists() and len(marker.read_text().split()) == 2, "the job does not start")
    server.disconnect()
    thread.join()
    assert f"127.0.0.1:{server.port} was lost: Connection to 127.0.0.1 closed" in results[0].error
    fingerprint = ssh.environment(1)  # is known, whether the device is there or not
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
    assert ssh.environment(1) == fingerprint
    pid, folder = marker.read_text().split()
    wait_until(lambda: not alive(int(pid)), "what the lost job started runs on")
    wait_until(lambda: not Path(folder).exists(), "the lost job's folder stays")


def test_a_device_that_falls_silent(
    ssh: SshDevice, server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its cable is pulled: nothing there learns that the connection has ended, and the job keeps running."""
    monkeypatch.setitem(ssh_connection._OPTIONS, "ServerAliveInterval", "1")
    marker = tmp_path / "marker"
    thread, results = in_background(
        lambda: ssh.run(model_job(tmp_path / "model", does="wait", marker=str(marker)), TIMEOUT)
    )
    wait_until(lambda: marker.exists() and len(marker.read_text().split()) == 2, "the job does not start")
    for pid in server.connections():
        os.kill(pid, signal.SIGSTOP)
    thread.join()
    assert "was lost: Timeout, server 127.0.0.1 not responding" in results[0].error
    pid, folder = marker.read_text().split()
    assert alive(int(pid))
    # The next connection finds it.
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
    wait_until(lambda: not alive(int(pid)), "what the lost job started runs on")
    assert not Path(folder).exists()


def test_a_server_that_comes_back(ssh: SshDevice, server: Sshd, tmp_path: Path) -> None:
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
    server.stop()
    back = threading.Timer(1.5, server.start)
    back.start()
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
    back.join()


def test_a_server_that_does_not_come_back(server: Sshd, runner: Path, tmp_path: Path) -> None:
    with SshDevice("127.0.0.1", port=server.port, reconnect=0.1) as lost:
        assert lost.run(model_job(tmp_path / "model"), TIMEOUT).error is None
        server.stop()
        with pytest.raises(
            MeasurementError, match=r"cannot connect to 127.0.0.1:\d+: .*refused; tried again for 0.1 s"
        ):
            lost.run(model_job(tmp_path / "model"), TIMEOUT)


def test_an_agent_whose_connection_is_lost(server: Sshd, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with SshDevice.from_uri(f"{server.uri}?python={sys.executable}") as ssh:
        assert ssh.run(Job("lts.testing.jobs:echo", {"value": 1}), TIMEOUT).value == 1
        job = Job("subprocess:call", {"args": ["sh", "-c", f"echo $PPID >{marker}; exec sleep 1000"]})
        thread, results = in_background(lambda: ssh.run(job, TIMEOUT))
        wait_until(lambda: marker.exists() and marker.read_text().strip() != "", "the job does not start")
        server.disconnect()
        thread.join()
        assert "was lost" in results[0].error
        wait_until(lambda: not alive(int(marker.read_text())), "the job runs on")
        assert ssh.run(Job("lts.testing.jobs:echo", {"value": 2}), TIMEOUT).value == 2


def test_files_of_python_jobs_are_copied(server: Sshd, tmp_path: Path) -> None:
    weights = pool(tmp_path / "weights.bin", 4)
    model = tmp_path / "model.onnx"
    model.write_text("graph")
    arguments = {"args": ["sh", "-c", 'cat "$0"; wc -c <"$(dirname "$0")/weights.bin"; echo "$0"', str(model)]}
    with SshDevice.from_uri(f"{server.uri}?python={sys.executable}") as ssh:
        job = Job("subprocess:getoutput", {"cmd": "true"}, files=(model, weights))
        assert ssh.run(job, TIMEOUT).value == ""
        job = Job("subprocess:check_output", {**arguments, "text": True}, files=(model, weights))
        value = ssh.run(job, TIMEOUT).value
    assert value.startswith(f"graph{4 * MIB}\n")
    folder = Path(value.split("\n")[1]).parent
    assert folder.parent == server.cache / "lts-engine" / "jobs"
    assert not folder.exists()


def test_onnx_runtime_over_ssh(server: Sshd, tmp_path: Path) -> None:
    architecture = SearchSpace.load("gpt2-tiny").sample(1)[0]
    arguments = {"workload": Workload(16), "min_time": 0.05}
    with SshDevice.from_uri(f"{server.uri}?python={bare_python(tmp_path)}") as ssh:
        found = measure(architecture, detect_target(), ssh, OnnxRuntime(), workdir=tmp_path, **arguments)  # type: ignore[arg-type]
        copied = ssh.copied
        again = measure(architecture, detect_target(), ssh, OnnxRuntime(), workdir=tmp_path, **arguments)  # type: ignore[arg-type]
        assert ssh.copied == copied
    for measurement in (found, again):
        assert measurement.error is None
        assert {"latency_ms", "decode_ms_per_token", "request_ms", "peak_memory_mib"} <= set(measurement.values)
        assert measurement.provenance["latency_ms"] == "measured"
    assert found.environment == again.environment
    assert abs(found.values["peak_memory_mib"] - again.values["peak_memory_mib"]) < 8


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("absent", "Python at .*/absent on .* runs no jobs: .*not found"),
        ("/bin/false", "Python at /bin/false on .* runs no jobs: it has ended without a word"),
    ],
)
def test_interpreters_that_are_none(server: Sshd, python: str, message: str, tmp_path: Path) -> None:
    python = str(tmp_path / python)
    with (
        SshDevice.from_uri(f"{server.uri}?python={python}") as ssh,
        pytest.raises(MeasurementError, match=message) as raised,
    ):
        ssh.run(Job("lts.testing.jobs:echo", {"value": 1}), TIMEOUT)
    assert "\n" not in str(raised.value)


def test_an_interpreter_without_the_packages(server: Sshd) -> None:
    with SshDevice.from_uri(f"{server.uri}?python={sys.executable}") as ssh:
        job = Job("lts.testing.jobs:echo", {"value": 1}, preload=("json", "no_such_runtime"))
        with pytest.raises(MeasurementError, match=r"does not import json and no_such_runtime \(.*No module named"):
            ssh.run(job, TIMEOUT)
        assert ssh.run(replace(job, preload=("json",)), TIMEOUT).value == 1


def refusal(uri: str) -> str:
    """What is said when a device cannot be opened, one sentence with its address."""
    with SshDevice.from_uri(uri) as refused, pytest.raises(MeasurementError) as raised:
        refused.check(detect_target())
    message = str(raised.value)
    assert "\n" not in message
    assert uri.removeprefix("ssh://") in message
    return message


def test_a_host_key_that_is_not_known(server: Sshd) -> None:
    server.known_hosts.write_text("")
    assert f"ssh does not know the host key of {getpass.getuser()}@127.0.0.1" in refusal(server.uri)
    assert f"connect once by hand: ssh -p {server.port} {getpass.getuser()}@127.0.0.1" in refusal(server.uri)


def test_a_host_key_that_has_changed(server: Sshd) -> None:
    server.trust((server.folder / "user.pub").read_text())
    message = refusal(server.uri)
    assert "is not the one that ssh knows" in message
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in message


def test_a_device_that_lets_nobody_in(server: Sshd) -> None:
    (server.folder / "authorized").write_text("")
    message = refusal(server.uri)
    assert "lets nobody in without a password" in message
    assert "Permission denied (publickey)" in message
    assert f"ssh-copy-id -p {server.port}" in message


def test_a_port_where_nothing_listens(server: Sshd) -> None:
    server.stop()
    assert "Connection refused" in refusal(server.uri)


def test_a_host_that_does_not_exist(server: Sshd) -> None:
    assert "cannot connect to nobody.invalid: Could not resolve hostname" in refusal("ssh://nobody.invalid")


@pytest.mark.parametrize("absent", [True, False])
def test_the_client_may_be_named(server: Sshd, monkeypatch: pytest.MonkeyPatch, absent: bool, tmp_path: Path) -> None:
    client = tmp_path / "absent"
    monkeypatch.setenv("LTS_SSH", f"{client} -x" if absent else "")
    if absent:
        with pytest.raises(MeasurementError, match=f"cannot start '{client}': No such file or directory; install"):
            SshDevice.from_uri(server.uri).check(detect_target())
    else:
        refusal(server.uri)  # the client's own configuration does not know this server


def test_a_command_for_the_client_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTS_SSH", "ssh -F 'my config")
    with pytest.raises(UsageError, match=r"LTS_SSH is .*No closing quotation"):
        SshDevice("board").check(detect_target())


def test_servers_and_shells_that_talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: Path) -> None:
    banner = tmp_path / "banner"
    banner.write_text("Authorized users only!\nAll others will be disconnected: Permission denied\n")
    options = [f"Banner {banner}", 'ForceCommand echo Welcome; echo to the board >&2; eval "$SSH_ORIGINAL_COMMAND"']
    talking = Sshd(tmp_path / "sshd", options)
    monkeypatch.setenv("LTS_SSH", talking.command)
    try:
        with SshDevice.from_uri(talking.uri) as ssh:
            assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
            talking.disconnect()
            assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
    finally:
        talking.stop()


def test_an_account_without_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Sshd(tmp_path / "sshd", ["ForceCommand echo This account is currently not available.; exit 1"])
    monkeypatch.setenv("LTS_SSH", closed.command)
    try:
        assert "This account is currently not available" in refusal(closed.uri)
    finally:
        closed.stop()


def test_a_server_that_allows_one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: Path) -> None:
    narrow = Sshd(tmp_path / "sshd", ["MaxSessions 1"])
    monkeypatch.setenv("LTS_SSH", narrow.command)
    try:
        with SshDevice.from_uri(narrow.uri) as ssh:
            assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
    finally:
        narrow.stop()


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01\x01" + bytes(100), b"#!FOLDER/absent\n"])
def test_a_runner_for_another_machine(ssh: SshDevice, runner: Path, tmp_path: Path, content: bytes) -> None:
    runner.write_bytes(content.replace(b"FOLDER", bytes(tmp_path)))
    with pytest.raises(MeasurementError, match=r"lts-runner does not run on .*127.0.0.1:\d+: ") as raised:
        ssh.run(model_job(tmp_path / "model"), TIMEOUT)
    assert "\n" not in str(raised.value)


@pytest.fixture
def small_disk(server: Sshd) -> Iterator[Path]:
    """16 MiB for everything on the device."""
    server.cache.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "lts-test", str(server.cache)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small file system can be mounted here")
    yield server.cache
    subprocess.run(["umount", "-l", str(server.cache)], check=True)


def test_a_disk_that_is_full(ssh: SshDevice, small_disk: Path, tmp_path: Path) -> None:
    folder = small_disk / "lts-engine"
    weights = pool(tmp_path / "weights.bin", 32)
    with pytest.raises(MeasurementError, match=f"no space left on .* in {folder}: need 33 MiB"):
        ssh.run(model_job(tmp_path / "model", {"weights.bin": weights}, 32 * MIB), TIMEOUT)
    (tmp_path / "other.bin").write_bytes(bytes(20 * MIB))
    with pytest.raises(MeasurementError, match=f"no space left on .* in {folder}: need 21 MiB"):
        ssh.run(model_job(tmp_path / "model", {"weights.bin": tmp_path / "other.bin"}, MIB), TIMEOUT)
    large = model_job(tmp_path / "large")
    (tmp_path / "large" / "model.so").write_bytes(bytes(20 * MIB))
    with pytest.raises(MeasurementError, match=f"no space left on .* in {folder}: need 21 MiB"):
        ssh.run(large, TIMEOUT)
    # What did not fit leaves room for what does.
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None


def test_a_folder_that_cannot_be_written(ssh: SshDevice, server: Sshd) -> None:
    server.cache.write_text("a file where the folder should be")
    with pytest.raises(MeasurementError, match=f"cannot write on .*127.0.0.1.*: mkdir: .*{server.cache}"):
        ssh.check(detect_target())


def client(server: Sshd, folder: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that runs a job without an end, and where that says which it is."""
    marker = folder / "marker"
    script = f"echo $$ >{marker}.new; mv {marker}.new {marker}; exec sleep 1000"
    code = f"""
import sys
sys.path[:] = {json.dumps(sys.path)}
from lts.jobs.job import Job
from lts.devices.ssh.ssh import SshDevice
with SshDevice.from_uri("{server.uri}?python={sys.executable}") as ssh:
    ssh.run(Job("subprocess:call", {{"args": ["sh", "-c", {script!r}]}}), 1000)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(marker.exists, "the job does not start")
    return process, marker


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_client(server: Sshd, tmp_path: Path, number: signal.Signals) -> None:
    process, marker = client(server, tmp_path)
    assert server.connections()
    process.send_signal(number)
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == -number
    assert ("KeyboardInterrupt" in said) == (number == signal.SIGINT)
    wait_until(lambda: not alive(int(marker.read_text())), "the job outlives its client")
    wait_until(lambda: not server.connections(), "the connection outlives its client")


def test_closing_ends_the_connection(ssh: SshDevice, server: Sshd, tmp_path: Path) -> None:
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
    ssh.close()
    wait_until(lambda: not server.connections(), "the connection is not closed")
    assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None


def test_a_long_path_of_temporary_files(
    server: Sshd, runner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with SshDevice.from_uri(server.uri) as ssh:
        assert ssh.run(model_job(tmp_path / "model"), TIMEOUT).error is None
    assert list(long.iterdir()) == []


def running(server: Sshd) -> list[int]:
    """Processes of lts-runner on the device, also those that run models."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            program = path.read_bytes().split(b"\0")[0].decode()
            if program.startswith(str(server.cache)) and program.endswith("/lts-runner"):
                found.append(int(path.parent.name))
    return found


def hold_a_run(server: Sshd) -> bool:
    """Stops lts-runner while it runs a model, so that the run cannot end before whatever shall happen to it."""
    held = running(server)
    for pid in held:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    if len(held) == len(running(server)) == 2:
        return True
    go_on(held)
    return False


def go_on(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@needs_tvm
@pytest.mark.slow
def test_compiled_models_over_ssh(server: Sshd, tmp_path: Path) -> None:
    """The real runner: the outputs are right, with the whole pool there and after it has grown."""
    models = sorted(SearchSpace.load("gpt2-tiny").sample(8), key=total_params)
    backend, reference = load_backend("tvm"), Reference()
    try:
        with SshDevice.from_uri(server.uri) as ssh:
            for architecture in (models[0], models[-1]):
                found = measure(
                    architecture,
                    detect_target(),
                    ssh,
                    backend,
                    workload=Workload(8),
                    min_time=0.05,
                    workdir=tmp_path,
                    reference=reference,
                )
                assert found.error is None
                assert found.values["latency_ms"] > 0
                assert found.values["output_error"] < reference.tolerance
                assert found.environment == environment_hash(ssh.environment(1))
            assert ssh.environment(1)["tvm"] != ""
    finally:
        backend.close()
        reference.close()


@needs_tvm
@pytest.mark.slow
def test_a_compiled_model_ends_with_the_connection(server: Sshd, tmp_path: Path) -> None:
    architecture = SearchSpace.load("gpt2-tiny").sample(1)[0]
    step = Step.of(architecture, "prefill", 8)
    backend = load_backend("tvm")
    built = backend.build(export_pooled(architecture, "prefill", tmp_path, Workload()), detect_target(), step, TIMEOUT)
    job = backend.job(built, step, threads=1, min_time=0.0, min_repeats=3)
    assert isinstance(job, RunnerJob)
    endless = replace(job, options={**job.options, "min_time": 1000.0, "max_time": 1000.0, "max_repeats": 10**6})
    with SshDevice.from_uri(server.uri) as ssh:
        assert ssh.run(endless, 1.0).error == "no result within 1 s"
        wait_until(lambda: not running(server), "the runner keeps running after its timeout")
        thread, results = in_background(lambda: ssh.run(endless, TIMEOUT))
        wait_until(lambda: len(running(server)) == 2, "the runner does not start")
        server.disconnect()
        thread.join()
        assert "was lost" in results[0].error
        wait_until(lambda: not running(server), "the runner outlives the connection")
        assert ssh.run(job, TIMEOUT).error is None
    backend.close()


@needs_tvm
@pytest.mark.slow
def test_a_search_goes_on_after_the_server_was_away(server: Sshd, tmp_path: Path) -> None:
    make_bundle(detect_target().triple)  # which may have to be compiled
    program = Path(sys.executable).with_name("lts-engine")
    command = [str(program), "search", "gpt2-tiny", "--target", "host", "--device", server.uri, "--backend", "tvm"]
    command += ["--trials", "6", "--n-prompt", "16", "--export", "none", "--output-dir", str(tmp_path / "search")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as search:
        try:
            wait_until(lambda: hold_a_run(server) or search.poll() is not None, "no candidate is run")
            server.stop()
            go_on(running(server))
            time.sleep(1.0)
            server.start()
            out, said = search.communicate(timeout=500)
        finally:
            search.kill()
    assert search.returncode == 0, said
    assert out
    trials = Store(tmp_path / "search" / "study.db").trials()
    states = [trial.state for trial in trials]
    assert states.count("complete") == 5
    (failed,) = (trial.error for trial in trials if trial.state == "failed")
    assert failed is not None
    assert f"the connection to {server.uri.removeprefix('ssh://')} was lost" in failed
