"""Mutated answers of devices over every way in: a failed result or one sentence, no traceback, file, hang or flood.

`LTS_FUZZ` is the number of answers on each way, and `LTS_FUZZ_SEED` where they begin.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in import MARK, StandIn

from lts.devices import rpc_worker
from lts.devices.ssh import connection as ssh_connection
from lts.devices.ssh import remote_runner
from lts.devices.ssh.ssh import SshDevice
from lts.errors import MeasurementError
from lts.jobs.job import RunnerJob
from lts.jobs.runner_process import run
from lts.measure.answer import WrongAnswerError, checked
from lts.system.environment import environment_hash

pytestmark = [pytest.mark.alone, pytest.mark.timeout(7200)]

N = int(os.environ.get("LTS_FUZZ", "0"))
SEED = int(os.environ.get("LTS_FUZZ_SEED", "0"))
COSTS = ("latency_ms", "peak_memory_mib")

GOOD = {
    "samples_ns": [1_000_000 + i for i in range(8)],
    "wall_ns": [1_000_000 + i for i in range(8)],
    "peak_memory_mib": 3.5,
    "output_error": 1e-7,
    "correct": True,
    "warnings": ["the clock is coarse"],
    "load_seconds": 0.1,
    "run_seconds": 0.2,
}
FINGERPRINT = {"cpu": "cortex-a72", "cores": 4, "memory_mib": 3900, "governor": "performance", "tvm": "0.25"}
STRANGE: list[Any] = [
    *(None, True, False, "", "1", [], {}, [[]], {"a": {}}, 0, -1, 1, 1.5, -0.0, 1e300, 10**30, 2**63, float("nan")),
    *(float("inf"), float("-inf"), "../../../../evil", "/etc/evil", "\x1b[2J\x07", "x" * 5000, "\ud800", "\u202e"),
    *([1] * 500, ["a"] * 200, {f"k{i}": i for i in range(100)}, "$(touch evil)", "; touch evil", "-oProxyCommand=x"),
]
PIECES = [
    *(
        b"\n",
        b"\0",
        b"\xff\xfe",
        b"[" * 2000,
        b'{"a":' * 2000,
        b"9" * 5000,
        b"../../../../evil",
        b"/etc/evil:x\n",
        b":",
    ),
    *(
        b"lts-engine:\n",
        b"0-99999999999\n",
        b"NaN",
        b"1e999",
        b"\x1b[2J",
        b'{"error": 5}\n',
        b'{"value": null}\n',
        b"-",
    ),
    *(b"begun\n", b" ", b"$(touch evil)", b"`touch evil`", b"cpu0/../../../../evil:1\n", "²".encode(), b"x" * 100_000),
]


def strange_value(rng: random.Random, value: Any) -> Any:
    """The same with something in it replaced, removed or added."""
    if rng.random() < 0.3:
        return rng.choice(STRANGE)
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        if rng.random() < 0.2:
            return {name: inner for name, inner in value.items() if name != key}
        if rng.random() < 0.1:
            return {**value, str(rng.choice(STRANGE))[:50]: rng.choice(STRANGE)}
        return {**value, key: strange_value(rng, value[key])}
    if isinstance(value, list) and value:
        at = rng.randrange(len(value))
        return [*value[:at], *([strange_value(rng, value[at])] if rng.random() < 0.7 else []), *value[at + 1 :]]
    return rng.choice(STRANGE)


def strange_bytes(rng: random.Random, text: bytes) -> bytes:
    """The same with some bytes changed, removed, repeated or put in."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        at, n = rng.randrange(len(text) + 1), rng.randrange(1, 9)
        put = rng.choice([rng.choice(PIECES), rng.randbytes(n), text[at : at + n] * rng.randrange(1, 50), b""])
        text = text[:at] + put + text[at + rng.choice([0, n, len(text)]) :]
    return text


def answer(rng: random.Random, good: Any, before: bytes = b"") -> bytes:
    """An answer of lts-runner with a mutation of its value, of its bytes, or of both."""
    value = strange_value(rng, good) if rng.random() < 0.7 else good
    text = before + json.dumps(rng.choice([{"value": value}] * 5 + [{"error": value}, value])).encode() + b"\n"
    return strange_bytes(rng, text) if rng.random() < 0.4 else text


def look_at(value: Any) -> None:
    """What the measuring does with a value."""
    try:
        found = checked(value, COSTS, repeats=6, tolerance=1e-4)
    except WrongAnswerError as error:
        is_a_sentence(str(error))
    else:
        assert all(type(sample) is int and sample > 0 for sample in found["samples_ns"])
        json.dumps(found, allow_nan=False)


def is_a_sentence(text: str) -> None:
    assert text.isprintable(), text
    assert len(text) < 2000


@pytest.fixture(autouse=True)
def harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing appears anywhere, and little memory is taken."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert not list(here.iterdir())
    assert not [path for path in temporary.rglob("*") if path.is_file() and path.name != ".lock"]
    assert not list(tmp_path.rglob("*evil*"))
    assert not [path for folder in (tmp_path.parent, Path("/etc"), Path("/")) for path in folder.glob("*evil*")]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_answers_over_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, model = tmp_path / "bundle", tmp_path / "model"
    bundle.mkdir()
    model.mkdir()
    (bundle / "lts-runner").write_bytes(b"a program")
    (model / "model.json").write_text("{}")
    monkeypatch.setattr("lts.jobs.bundle.make_bundle", lambda triple, **_: bundle)
    monkeypatch.setattr(ssh_connection, "_NOTICE_TIMEOUT", 0.01)
    monkeypatch.setattr(ssh_connection, "_GREETING_TIMEOUT", 0.5)
    monkeypatch.setattr(remote_runner, "_GRACE", 0.2)
    stand_in = StandIn(tmp_path / "client")
    monkeypatch.setenv("LTS_SSH", stand_in.command)
    rng = random.Random(SEED)
    job = RunnerJob(model)
    ssh: SshDevice | None = None
    for i in range(N or 60):
        stand_in.reset()
        what = rng.choice(
            ["run"] * 8 + ["greeting", "look", "processors", "environment", "job", "said", "code", "other"]
        )
        if ssh is None or what in ("greeting", "look", "processors", "environment"):
            if ssh is not None:
                ssh.close()
            ssh = SshDevice("board", reconnect=0.0)
        if what == "run":
            stand_in.say(what, MARK + answer(rng, GOOD, b"4711\n"))
        elif what == "environment":
            stand_in.say(what, MARK + answer(rng, FINGERPRINT, b"4711\n"))
        elif what == "code":
            stand_in.say(what, rng.choice([b"1", b"2", b"126", b"127", b"139", b"255"]))
            stand_in.say("run", MARK + b"4711\n")
        else:
            stand_in.say(what, strange_bytes(rng, (stand_in.folder / what).read_bytes()))
        begun = time.monotonic()
        try:
            result = ssh.run(job, 2.0)
            environment_hash(ssh.environment(1))
            if result.error is None:
                look_at(result.value)
            else:
                is_a_sentence(result.error)
        except MeasurementError as error:
            is_a_sentence(str(error))
            ssh.close()
            ssh = None
        except BaseException:
            print(f"answer {i} with seed {SEED}: {what}", file=sys.stderr)
            raise
        assert time.monotonic() - begun < 10.0, (i, what)
    if ssh is not None:
        ssh.close()


def test_answers_of_the_runner(tmp_path: Path) -> None:
    rng = random.Random(SEED + 1)
    said = tmp_path / "said"
    for _ in range(N or 200):
        said.write_bytes(answer(rng, GOOD))
        begun = time.monotonic()
        try:
            look_at(run(["/bin/cat", str(said)], {"run": "model.json"}, 2.0))
        except MeasurementError as error:
            is_a_sentence(str(error))
        assert time.monotonic() - begun < 5.0


def test_answers_over_rpc() -> None:
    rng = random.Random(SEED + 2)
    summary = {"server_info": [{"key": "server:pi", "addr": ["127.0.0.1", 9190]}], "queue_info": {"pi": {"free": 1}}}
    for _ in range(N or 2000):
        n = rng.choice([1, 2, 6])
        try:
            times = rpc_worker.times_of(strange_value(rng, [0.001] * n), n)
            assert all(type(sample) is int and sample > 0 for sample in times)
        except MeasurementError as error:
            is_a_sentence(str(error))
        try:
            assert all(key.isprintable() for key in rpc_worker.listed_keys(strange_value(rng, summary)))
        except MeasurementError as error:
            is_a_sentence(str(error))
        look_at(strange_value(rng, GOOD))
