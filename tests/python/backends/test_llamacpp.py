"""The backend llamacpp: architectures as GGUF files, timed by llama-bench on this machine and over ssh."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_cpp import llama_bench
from llama_stand_in import ANSWER, stand_in
from sshd import Sshd

import lts
from lts.devices.device import Device, open_device
from lts.devices.local import LocalDevice
from lts.errors import MeasurementError, UsageError
from lts.export import export
from lts.jobs.job import JobResult, ProgramJob
from lts.measure.measured import MeasuredEvaluator
from lts.measure.models.opening import OpenDevice
from lts.measure.opening import open_evaluator
from lts.spaces.space import load_space
from lts.study.sources import read_source
from lts.study.study import Study
from lts.targets.workload import Workload

pytest.importorskip("gguf", reason="the package gguf is not installed: pip install 'lts-engine[gguf]'")

LLAMA = lts.Architecture("llama", 512, 256, 256, n_head=[4, 2], n_kv_head=[2, 1], d_ff=[512, 768], head_dim=64)
WIDTHS = lts.Architecture("llama", 512, 256, 256, n_head=[4, 2], n_kv_head=[2, 1], d_ff=[512, 768])
COSTS = ("latency_ms", "decode_ms_per_token", "request_ms", "tokens_per_second", "peak_memory_mib")
SMALL: dict[str, Any] = {"n_prompt": 24, "n_gen": 8, "min_time": 0.01}


@pytest.fixture(scope="module")
def local() -> Iterator[LocalDevice]:
    with LocalDevice() as device:
        yield device


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = Sshd(tmp_path_factory.mktemp("board") / "sshd")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def uri(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LTS_SSH", server.command)
    return f"{server.uri}?llama-bench={llama_bench()}"


def evaluator(device: Device | str, **options: Any) -> MeasuredEvaluator:
    found = open_evaluator("host", device=device, backend="llamacpp", **{**SMALL, **options})
    assert isinstance(found, MeasuredEvaluator)
    return found


def check_values(found: lts.Outcome, precision: str) -> None:
    assert found.error is None
    values = found.values
    assert set(COSTS) <= set(values)
    assert {found.provenance[cost] for cost in COSTS} == {"measured"}
    assert values["request_ms"] == pytest.approx(values["latency_ms"] + 7 * values["decode_ms_per_token"])
    assert len(found.samples_ns["latency"]) >= 6
    assert len(found.samples_ns["decode"]) >= 6
    # The whole program is more than the file, and less than everything that it might have mapped.
    assert lts.weight_bytes(LLAMA, precision="int4") / 2**20 / 2 < values["peak_memory_mib"] < 500


@pytest.mark.parametrize("options", [{"precision": "int4"}, {"precision": "float16", "flash_attention": "off"}])
def test_an_architecture_is_measured_here(options: dict[str, Any], local: LocalDevice, tmp_path: Path) -> None:
    llama_bench()
    with evaluator(local, workdir=tmp_path, **options) as measuring:
        found = measuring.evaluate(LLAMA, COSTS)
        said = measuring.describe()
        assert measuring.environment()["llama-bench"]
    check_values(found, options["precision"])
    assert (said["backend"], said["cache"], said["precision"]) == ("llamacpp", "in_place", options["precision"])
    assert said.get("flash_attention") == options.get("flash_attention")
    assert list(tmp_path.iterdir()) == [], "candidates are removed"


class Recorded(LocalDevice):
    """This machine, with what llama-bench was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[ProgramJob] = []

    def run(self, job: Any, timeout: float) -> JobResult:
        self.asked.append(job)
        return super().run(job, timeout)


def test_what_llama_bench_is_asked_for() -> None:
    llama_bench()
    with Recorded() as device, evaluator(device, flash_attention="on", n_prompt=100, n_gen=64) as measuring:
        assert measuring.evaluate(LLAMA, ["request_ms", "peak_memory_mib"]).error is None
    asked = [" ".join(job.options) for job in device.asked]
    assert all(text.endswith(" -fa on") and "-ngl 0" in text and "-t 1 " in text for text in asked)
    # The first token comes from the prompt pass: 63 steps, the first of them after 100 tokens, the last after 162.
    steps = [text.split("json ")[1].removesuffix(" -fa on") for text in asked]
    assert set(steps) == {
        "-p 100 -n 0",
        "-p 0 -n 0 -pg 100,1",
        "-p 0 -n 16 -d 85",
        "-p 0 -n 0 -pg 162,1",
        "-p 0 -n 16 -d 147",
    }


def test_gpt2_up_to_its_last_position(local: LocalDevice) -> None:
    """A position too many would be a row that the table does not have."""
    llama_bench()
    architecture = lts.Architecture("gpt2", 512, 31, 64, n_head=2, d_ff=128, n_layer=1)
    with evaluator(local) as measuring:
        assert Workload(n_prompt=24, n_gen=8).positions(decodes=True) == 31
        assert measuring.evaluate(architecture, COSTS).error is None


def test_over_ssh(uri: str, server: Sshd) -> None:
    with evaluator(uri, precision="int8") as measuring:
        found = measuring.evaluate(LLAMA, COSTS)
        assert measuring.environment()["llama-bench"]
        other = measuring.evaluate(lts.Architecture("llama", 512, 256, 128, n_head=2, d_ff=256, n_layer=1), COSTS)
        here, there = open_device("local").environment(1), measuring.environment()
    assert {name: there[name] for name in ("cpu", "kernel", "triple")} == {
        name: here[name] for name in ("cpu", "kernel", "triple")
    }
    assert there["memory_mib"] >= here["memory_mib"]
    assert [path.name for path in (server.cache / "lts-engine" / "content").glob("runner*")] == [], "it is not needed"
    check_values(found, "int8")
    assert other.error is None
    assert other.values["peak_memory_mib"] < found.values["peak_memory_mib"]
    left = [path.name for path in (server.cache / "lts-engine" / "content").iterdir()]
    assert len([name for name in left if name.startswith("file-")]) == 1, "one model takes the place of the other"
    assert list((server.cache / "lts-engine" / "jobs").iterdir()) == []


def test_a_file_over_ssh(uri: str, tmp_path: Path, local: LocalDevice) -> None:
    """What a search ships is measured by bench and compare as any model."""
    path = export(LLAMA, tmp_path, ["gguf"], precision="int8")[0]
    assert path.name == "model.gguf"
    with OpenDevice("host", uri, min_time=0.01) as place:
        mine = place.open(read_source(str(path)), n_prompt=24, n_gen=8, threads=1)
        found = mine.measure([*COSTS, "size_bytes"])
        assert mine.describe()["device"] == uri
    check_values(found, "int8")
    assert found.values["size_bytes"] == path.stat().st_size


def test_there_is_no_llama_bench(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTS_SSH", server.command)
    with pytest.raises(UsageError, match=r"/nowhere/llama-bench is no program on .*; expected the path of llama-bench"):
        evaluator(f"{server.uri}?llama-bench=/nowhere/llama-bench")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LTS_LLAMA_BENCH", raising=False)
    with pytest.raises(MeasurementError, match=r"llama-bench of llama.cpp is not on PATH"):
        evaluator("local")
    with pytest.raises(MeasurementError, match=r"llama-bench of llama.cpp is not found on .*\?llama-bench=PATH"):
        evaluator(server.uri)
    with pytest.raises(UsageError, match="has the option 'bench'; expected python=PATH or llama-bench=PATH"):
        open_device(f"{server.uri}?bench=x")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('no JSON')", "the answer of llama-bench is wrong: it is not JSON"),
        ("print('{}')", "the device's answer is wrong: its tests are {}"),
        ("test['n_prompt'] = 7; print(json.dumps([test]))", "'n_prompt' is 7; 24 was asked for"),
        ("test['model_filename'] = 'x.gguf'; print(json.dumps([test]))", "'model_filename' is 'x.gguf'"),
        ("test['samples_ns'][0] = -1; print(json.dumps([test]))", "an entry of 'samples_ns' is -1"),
        ("test['samples_ns'].append(5); print(json.dumps([test]))", "it has 2 samples; 1 were asked for"),
        ("sys.exit('error: failed to load model')", "its last words: error: failed to load model"),
        ("os.kill(os.getpid(), 11)", r"killed by signal 11 \(SIGSEGV\)"),
        ("time.sleep(1000)", "no result within"),
        ("while True: print('x' * 1000)", "it has more than 4 MiB|File too large|SIGXFSZ"),
    ],
)
@pytest.mark.parametrize("where", ["local", "ssh"])
def test_an_answer_that_is_wrong(
    where: str, code: str, reason: str, server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed candidate, whatever the program does; the device then runs another one."""
    program = stand_in(tmp_path, code)
    monkeypatch.setenv("LTS_SSH", server.command)
    monkeypatch.setenv("LTS_LLAMA_BENCH", str(program))
    device = "local" if where == "local" else f"{server.uri}?llama-bench={program}"
    with evaluator(device, timeout=3.0 if "within" in reason else 60.0) as measuring:
        found = measuring.evaluate(LLAMA, ["latency_ms"])
        assert "latency_ms" not in found.values
        assert found.error is not None
        assert re.search(reason, found.error), found.error
        stand_in(tmp_path, ANSWER)
        assert measuring.evaluate(LLAMA, ["latency_ms"]).values["latency_ms"] == 10.0


def test_memory_over_ssh(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's mark of the program, not of what started it."""
    monkeypatch.setenv("LTS_SSH", server.command)
    program = stand_in(
        tmp_path, "much = bytearray(b'x') * (200 << 20); time.sleep(0.3); del much; print(json.dumps([test]))"
    )
    with evaluator(f"{server.uri}?llama-bench={program}", min_time=0.001) as measuring:
        found = measuring.evaluate(LLAMA, ["peak_memory_mib"])
    assert 200 < found.values["peak_memory_mib"] < 240


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 2}, "llama-bench measures with batch 1; here batch is 2"),
        ({"logits": "all"}, "llama-bench measures with logits last; here logits is all"),
        ({"cache": "copied"}, "llama-bench measures with cache in_place; here cache is copied"),
        ({"flash_attention": "yes"}, "flash attention is 'yes'; expected one of auto, on, off"),
    ],
)
def test_what_llama_bench_does_not_measure(options: dict[str, Any], message: str) -> None:
    llama_bench()
    with pytest.raises(UsageError, match=message):
        evaluator("local", **options)


def test_a_device_without_it(local: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "runs", ("python", "runner"))
    with pytest.raises(UsageError, match="backend 'llamacpp' needs llama-bench, which this device does not have; use"):
        evaluator(local)


def test_what_does_not_go_together(local: LocalDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    llama_bench()
    with evaluator(local) as measuring:
        with pytest.raises(UsageError, match="backend 'llamacpp' runs the families gpt2 and llama; this is 'hw_gpt'"):
            measuring.check(load_space("hw-gpt-tiny"), ["latency_ms"])
        # A space may have architectures that are not run there, which are failed trials.
        found = measuring.evaluate(WIDTHS, ["latency_ms"])
        assert found.error is not None
        assert "cannot be built: there is no GGUF form of heads of different widths, 64, 128" in found.error
        monkeypatch.setattr("lts.backends.llamacpp.backend.find_spec", lambda name: None)
        with pytest.raises(MeasurementError, match=r"the package gguf, which is not installed: pip install"):
            measuring.check(load_space("llama-tiny"), ["latency_ms"])
    with pytest.raises(UsageError, match="backend 'onnxruntime' has no option flash_attention"):
        open_evaluator("host", device="local", backend="onnxruntime", flash_attention="on")
    with pytest.raises(UsageError, match="leave --flash-attention out"):
        open_evaluator("host", device="none", flash_attention="on")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["local", "ssh"])
def test_a_search(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A front of measured members, whose records name backend and device."""
    llama_bench()
    device = "local" if where == "local" else request.getfixturevalue("uri")
    with (
        evaluator(device, precision="int4") as measuring,
        Study(
            load_space("llama-tiny"),
            measuring,
            objectives=["decoder_params:max", "request_ms:min", "peak_memory_mib:min"],
            store=tmp_path / "study.db",
        ) as study,
    ):
        study.run(trials=6)
        assert len(study.front()) >= 2
        for trial in study.trials:
            assert (trial.state, trial.error) == ("complete", None)
            assert trial.provenance["request_ms"] == "measured"
            assert trial.samples_ns["latency"]
            assert (trial.backend, trial.device) == ("llamacpp", device)


@pytest.mark.slow
def test_the_server_is_killed_during_a_search(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That trial fails, the next one connects again, and nothing is left on the device."""
    monkeypatch.setenv("LTS_SSH", server.command)
    number = tmp_path / "pid"
    program = stand_in(
        tmp_path,
        f"here = {str(number)!r}\n"
        "if not os.path.exists(here):\n"
        "    open(here + '.new', 'w').write(str(os.getpid())); os.rename(here + '.new', here); time.sleep(1000)\n"
        "print(json.dumps([test]))",
    )

    def kill() -> None:
        while not number.exists():
            time.sleep(0.02)
        server.stop()
        server.start()

    killer = threading.Thread(target=kill, daemon=True)
    with (
        evaluator(f"{server.uri}?llama-bench={program}") as measuring,
        Study(
            load_space("llama-tiny"),
            measuring,
            objectives=["decoder_params:max", "latency_ms:min"],
            store=tmp_path / "study.db",
        ) as study,
    ):
        killer.start()
        study.run(trials=4)
        trials = study.trials
    killer.join(60)
    failed = [trial for trial in trials if trial.state == "failed"]
    assert len(failed) == 1
    assert "the connection to" in (failed[0].error or "")
    assert "was lost" in (failed[0].error or "")
    assert [trial.state for trial in trials if trial not in failed] == ["complete"] * 3
    assert not alive(int(number.read_text())), "what was left running is killed"


def alive(pid: int) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    return True


def test_a_record_says_what_was_run(local: LocalDevice) -> None:
    llama_bench()
    with evaluator(local, flash_attention="on") as measuring:
        assert json.loads(json.dumps(measuring.describe()))["flash_attention"] == "on"
