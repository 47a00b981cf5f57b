"""Endless, slow and huge answers: each ends in time, with a sentence, and takes little memory."""

from __future__ import annotations

import gzip
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_in import MARK, StandIn

from lts.devices.qemu import version_of
from lts.devices.ssh import connection as ssh_connection
from lts.devices.ssh import remote_runner, session
from lts.devices.ssh.ssh import SshDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs import worker_process
from lts.jobs.job import Job, RunnerJob
from lts.jobs.pool import Workers
from lts.jobs.program import run_program
from lts.jobs.runner_process import run
from lts.measure.table import TableEvaluator
from lts.measure.tables.reader import read_table
from lts.system.toml_file import read_toml
from lts.targets.target import detect_target

pytestmark = pytest.mark.alone

MIB = 1 << 20


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "lts-runner").write_bytes(b"a program")
    monkeypatch.setattr("lts.jobs.bundle.make_bundle", lambda triple, **_: bundle)
    monkeypatch.setattr(remote_runner, "_GRACE", 0.2)
    made = StandIn(tmp_path / "client")
    monkeypatch.setenv("LTS_SSH", made.command)
    return made


@pytest.fixture
def job(tmp_path: Path) -> RunnerJob:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.json").write_text("{}")
    return RunnerJob(model)


@pytest.mark.parametrize(
    ("head", "more", "error"),
    [
        (b"4711\n", b"x" * MIB, "the device's answer is wrong: it has more than 4 MiB"),
        (b"4711\n", b'{"value": [' + b"1," * MIB, "the device's answer is wrong: it has more than 4 MiB"),
        (b"4711\n", b"a line\n" * 10_000, "no result within 1 s"),
        (b"4711\n", b'{"progress": 1}\n' * 1000, "no result within 1 s"),
        (b"no number\n", b"a line\n" * 10_000, "no result within 1 s"),
    ],
)
def test_an_endless_answer_over_ssh(stand_in: StandIn, job: RunnerJob, head: bytes, more: bytes, error: str) -> None:
    with SshDevice("board") as ssh:
        assert ssh.run(job, 10.0).error is None
        stand_in.say("run", MARK + head)
        stand_in.say("endless", more)
        begun = time.monotonic()
        assert ssh.run(job, 1.0).error == error
        assert time.monotonic() - begun < 5.0
        stand_in.reset()
        assert ssh.run(job, 10.0).error is None


@pytest.mark.parametrize("what", ["greeting", "look", "job", "processors", "environment"])
def test_a_huge_answer_over_ssh(stand_in: StandIn, job: RunnerJob, what: str) -> None:
    stand_in.say(what, MARK + b"x" * (8 * MIB))
    with SshDevice("board") as ssh, pytest.raises(MeasurementError, match="answer is wrong: it has more than 4 MiB"):
        ssh.run(job, 5.0)


def test_a_greeting_that_never_ends(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, "_GREETING_TIMEOUT", 0.5)
    Path(stand_in.command).write_text("#!/bin/sh\nwhile :; do echo welcome; sleep 0.05; done\n")
    begun = time.monotonic()
    with SshDevice("board") as ssh, pytest.raises(MeasurementError):
        ssh.check(detect_target())
    assert time.monotonic() - begun < 10.0


def test_what_a_device_says_gives_it_no_more_time() -> None:
    opened = session.Session(["/bin/sh", "-c", "while :; do echo x; echo y >&2; sleep 0.05; done"])
    begun = time.monotonic()
    opened.send([b"x" * MIB], close=True)
    assert opened.rest(0.5) is None
    assert time.monotonic() - begun < 3.0
    opened.kill()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("while True: print('x' * 100000)", "its answer is wrong: it has more than 4 MiB"),
        ("while True: print('{\"value\": 1}\\n' * 10000)", "its answer is wrong: it has more than 4 MiB"),
        ("import sys\nwhile True: sys.stderr.write('x' * 100000)", "no result within 1 s"),
        ("import time\nwhile True: print('{', flush=True); time.sleep(0.01)", "no result within 1 s"),
        ("import os, time\nos.close(1); os.close(2); time.sleep(100)", "no result within 1 s"),
        ("print('[' * 100000)", "lts-runner ended with code 0 and no result"),
        ("print('{\"value\": ' + '9' * 10000 + '}')", "lts-runner ended with code 0 and no result"),
        ("import os\nos.write(1, b'\\xff' * 1000 + b'\\n')", "lts-runner ended with code 0 and no result"),
        ("print('{\"error\": \"' + 'x' * 100000 + '\"}')", "x" * 499),
    ],
)
def test_programs_that_answer_too_much(code: str, message: str) -> None:
    begun = time.monotonic()
    with pytest.raises(MeasurementError) as raised:
        run([sys.executable, "-c", code], {"run": "model.json"}, 1.0)
    assert str(raised.value).startswith(message)
    assert str(raised.value).isprintable()
    assert time.monotonic() - begun < 4.0


def test_programs_get_their_input() -> None:
    text = b"x" * MIB
    done = run_program(["cat"], 10.0, text)
    assert (done.output, done.said, done.code) == (text, b"", 0)
    assert run_program(["sh", "-c", "echo no >&2; exit 3"], 10.0).said == b"no\n"


def test_a_version_without_an_end(tmp_path: Path) -> None:
    program = tmp_path / "qemu-any"
    program.write_text("#!/bin/sh\nexec yes\n")
    program.chmod(0o755)
    with pytest.raises(MeasurementError, match="does not start: its answer is wrong: it has more than 4 MiB"):
        version_of(program)


def test_a_huge_result_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    with Workers() as workers:
        result = workers.run(Job("builtins:list", {}), 30.0)
        assert result.value == []
        monkeypatch.setattr(worker_process, "RESULT_BYTES", 1000)
        assert "no result" in (workers.run(Job("lts.testing.jobs:echo", {"value": "x" * 2000}), 30.0).error or "")
        assert workers.run(Job("lts.testing.jobs:echo", {"value": 1}), 30.0).value == 1


def test_tables_that_unpack_to_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(bytes(MIB))
    monkeypatch.setattr("lts.measure.tables.reader.unpacked", lambda content, path: small_unpacked(content, path))
    with pytest.raises(UsageError, match="is too large: it unpacks to more than 64 MiB"):
        read_table(path)


def small_unpacked(content: bytes, path: Path) -> bytes:
    from lts.system.outside import unpacked

    return unpacked(content, path, 64 * MIB)


@pytest.mark.parametrize(
    "row", ["[" * 100_000, '{"values": ' * 50_000, json.dumps({"architecture": {}, "values": {}}) + "]" * 9, "9" * 9999]
)
def test_tables_of_nonsense(tmp_path: Path, row: str) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text("{\n" + row + "\n")
    with pytest.raises(UsageError, match=r"table\.jsonl"):
        read_table(path)
    path.write_text(row + "\n")
    with pytest.raises(UsageError, match=r"table\.jsonl"):
        TableEvaluator(detect_target(), path)


@pytest.mark.parametrize("cell", ['["x", 1]', "[[0]]", "[1.5]", "[true]", "[" * 50_000])
def test_cells_that_would_become_huge(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "table.csv"
    quoted = cell.replace('"', '""')
    path.write_text(f'embed_dim,mlp_ratio,bias,n_head\n999999999999,"{quoted}",1,"[1]"\n')
    with pytest.raises(UsageError, match="line 2"):
        read_table(path)


@pytest.mark.parametrize("text", ["a = " + "9" * 10_000, "a = " + "[" * 100_000, "a" * (5 * MIB)])
def test_configuration_of_nonsense(tmp_path: Path, text: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"space\.toml(, 'a'| is (not valid TOML|too large)): ") as raised:
        read_toml(path)
    assert str(raised.value).count("space.toml") == 1
