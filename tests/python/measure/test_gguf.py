"""GGUF files, measured by llama-bench: what it has really said, what another program could say, and the real one."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from llama_cpp import llama_bench

from lts.devices.device import Device
from lts.devices.local import LocalDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult, RunnerJob
from lts.measure.models.gguf import GgufModel
from lts.measure.models.gguf_file import check_gguf
from lts.measure.models.opening import OpenDevice
from lts.measure.outcome import Outcome
from lts.measure.result import result_of
from lts.study.sources import read_source, read_sources
from lts.targets.workload import Workload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")

WORKLOAD = Workload(n_prompt=32, n_gen=64)

# What llama-bench 0.5.0-dev (commit 0c1e570) wrote about a LLaMA of two layers, for
# -p 32 -n 0 -t 1 -r 6 -o json -ngl 0, then -p 0 -n 16 -d 32,79, then -p 0 -n 0 -pg 32,63 -r 1.
ABOUT = """
    "build_commit": "0c1e570",
    "build_number": 1,
    "cpu_info": "AMD EPYC",
    "gpu_info": "",
    "backends": "CPU",
    "model_filename": "tiny-q8.gguf",
    "model_type": "llama ?B Q8_0",
    "model_size": 120416,
    "model_n_params": 112448,
    "n_batch": 2048,
    "n_ubatch": 512,
    "n_threads": 1,
    "cpu_mask": "0x0",
    "cpu_strict": false,
    "poll": 50,
    "type_k": "f16",
    "type_v": "f16",
    "n_gpu_layers": 0,
    "n_cpu_moe": 0,
    "split_mode": "layer",
    "main_gpu": 0,
    "no_kv_offload": false,
    "flash_attn": -1,
    "devices": "auto",
    "tensor_split": "0.00",
    "tensor_buft_overrides": "none",
    "load_mode": "auto",
    "lazy_mode": "auto",
    "embeddings": false,
    "no_op_offload": 0,
    "no_host": false,
    "repack": true,
    "fit_target": 0,
    "fit_min_ctx": 0,"""
PREFILL = f"""[
  {{{ABOUT}
    "n_prompt": 32,
    "n_gen": 0,
    "n_depth": 0,
    "test_time": "2026-11-30T14:43:37Z",
    "avg_ns": 1592261,
    "stddev_ns": 2030608,
    "avg_ts": 37124.047714,
    "stddev_ts": 17285.718777,
    "samples_ns": [ 1073070, 803200, 5723540, 672356, 646118, 635282 ],
    "samples_ts": [ 29821, 39840.6, 5590.95, 47593.8, 49526.6, 50371.3 ]
  }}
]
"""
DECODE = f"""[
  {{{ABOUT}
    "n_prompt": 0,
    "n_gen": 16,
    "n_depth": 32,
    "test_time": "2026-11-30T14:48:51Z",
    "avg_ns": 2231182,
    "stddev_ns": 3297188,
    "avg_ts": 15448.638067,
    "stddev_ts": 6829.071774,
    "samples_ns": [ 1025789, 886894, 838262, 839895, 836350, 8959905 ],
    "samples_ts": [ 15597.7, 18040.5, 19087.1, 19050, 19130.7, 1785.73 ]
  }},
  {{{ABOUT}
    "n_prompt": 0,
    "n_gen": 16,
    "n_depth": 79,
    "test_time": "2026-11-30T14:48:51Z",
    "avg_ns": 4091279,
    "stddev_ns": 4218570,
    "avg_ts": 8358.863630,
    "stddev_ts": 5180.607102,
    "samples_ns": [ 1422617, 9506655, 1348248, 1346064, 9567845, 1356249 ],
    "samples_ts": [ 11246.9, 1683.03, 11867.3, 11886.5, 1672.27, 11797.2 ]
  }}
]
"""
REQUEST = f"""[
  {{{ABOUT}
    "n_prompt": 32,
    "n_gen": 63,
    "n_depth": 0,
    "test_time": "2026-11-30T14:48:51Z",
    "avg_ns": 9257927,
    "stddev_ns": 0,
    "avg_ts": 10261.476462,
    "stddev_ts": 0.000000,
    "samples_ns": [ 9257927 ],
    "samples_ts": [ 10261.5 ]
  }}
]
"""
# Medians of these samples, by hand.
PREFILL_MS = (672356 + 803200) / 2 / 1e6
DECODE_MS = ((839895 + 886894) / 2 + (1356249 + 1422617) / 2) / 2 / 16 / 1e6


def write_gguf(path: Path, version: int = 3) -> Path:
    """The beginning of a GGUF file."""
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, 0, 0))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny-q8.gguf")


@pytest.fixture(scope="module")
def device() -> Iterator[LocalDevice]:
    with LocalDevice() as device:
        yield device


def program(folder: Path, code: str) -> str:
    """A program in the place of llama-bench; `option` has what it was given."""
    path = folder / "llama-bench"
    path.write_text(
        f"#!{sys.executable} -SE\nimport os, sys, time\n"
        "if '--version' in sys.argv: sys.exit(print('version: 4711 (abc)'))\n"
        "option = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        f"{code}\n"
    )
    path.chmod(0o755)
    return str(path)


def answering(folder: Path, prefill: str = PREFILL, decode: str = DECODE, request: str = REQUEST) -> str:
    """A program that answers as llama-bench has answered, about whatever file it is given; it keeps its arguments."""
    answers = {"prefill": prefill, "decode": decode, "request": request}
    return program(
        folder,
        f"open({str(folder / 'arguments')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"said = {answers!r}['decode' if '-d' in option else 'request' if '-pg' in option else 'prefill']\n"
        "memory = bytearray(os.urandom(1)) * (64 << 20) if '-pg' in option else None\n"
        "print(said.replace('tiny-q8.gguf', option['-m']))",
    )


def measured(
    path: Path, device: Device, bench: str, *costs: str, workload: Workload = WORKLOAD, **options: Any
) -> Outcome:
    options = {"min_time": 0.0, **options}
    return GgufModel("mine", path, workload, device=device, program=bench, **options).measure(
        costs or ("latency_ms",), 60.0
    )


def test_what_llama_bench_has_said(model: Path, device: LocalDevice, tmp_path: Path) -> None:
    costs = ["latency_ms", "decode_ms_per_token", "request_ms", "tokens_per_second", "peak_memory_mib", "size_bytes"]
    mine = GgufModel("mine", model, WORKLOAD, device=device, program=answering(tmp_path), min_time=0.0)
    assert list(mine.costs) == costs
    assert mine.default_costs == mine.costs
    found = mine.measure(costs, 60.0)
    assert found.error is None
    assert found.values["latency_ms"] == pytest.approx(PREFILL_MS)
    assert found.values["decode_ms_per_token"] == pytest.approx(DECODE_MS, rel=1e-4)  # whole nanoseconds
    assert found.values["request_ms"] == pytest.approx(PREFILL_MS + 63 * DECODE_MS, rel=1e-4)
    assert found.values["tokens_per_second"] == pytest.approx(1000 / DECODE_MS, rel=1e-4)
    assert found.values["size_bytes"] == model.stat().st_size
    assert 64 < found.values["peak_memory_mib"] < 128, "what the program takes, and its interpreter"
    assert found.samples_ns["latency"] == [1073070, 803200, 5723540, 672356, 646118, 635282]
    assert found.samples_ns["decode"] == [round(n / 16) for n in (1025789, 886894, 838262, 839895, 836350, 8959905)]
    assert found.samples_ns["decode_last"][0] == round(1422617 / 16)
    assert found.interval["latency_ms"] == (0.635282, 5.72354)
    assert {name: found.provenance[name] for name in costs} == {
        **dict.fromkeys(costs, "measured"),
        "size_bytes": "exact",
    }
    assert [line.split(" -t ", 1)[1] for line in (tmp_path / "arguments").read_text().splitlines()] == [
        "1 -ngl 0 -r 6 -o json -p 32 -n 0",
        "1 -ngl 0 -r 6 -o json -p 0 -n 16 -d 32,79",
        "1 -ngl 0 -r 1 -o json -p 0 -n 0 -pg 32,63",
    ]
    assert mine.model_type == "llama ?B Q8_0"
    assert mine.environment()["llama-bench"] == "4711 (abc)"
    result = result_of(mine, costs, [found, found])
    assert (result.kind, result.device, result.backend, result.target) == ("gguf", "local", "llamacpp", "host")
    assert result.workload is not None
    assert (result.workload.n_prompt, result.workload.precision, result.workload.cache) == (32, "as stored", "in_place")
    assert found.environment == result.environment


def test_nothing_runs_that_is_not_asked_for(model: Path, device: LocalDevice, tmp_path: Path) -> None:
    bench = answering(tmp_path)
    assert set(measured(model, device, bench, "size_bytes").values) == {"size_bytes"}
    assert not (tmp_path / "arguments").exists()
    assert "decode_ms_per_token" in measured(model, device, bench, "tokens_per_second").values
    assert len((tmp_path / "arguments").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("n_gen", "expected"),
    [(0, "-n 1 -d 32"), (2, "-n 1 -d 32"), (33, "-n 32 -d 32"), (34, "-n 16 -d 32,49"), (65, "-n 16 -d 32,80")],
)
def test_which_steps_are_measured(model: Path, device: LocalDevice, tmp_path: Path, n_gen: int, expected: str) -> None:
    workload = Workload(n_prompt=32, n_gen=n_gen)
    measured(model, device, answering(tmp_path), "decode_ms_per_token", workload=workload)
    assert (tmp_path / "arguments").read_text().strip().endswith(expected)
    steps = max(1, workload.n_steps)
    n, depths = int(expected.split()[1]), [int(depth) for depth in expected.split()[3].split(",")]
    contexts = [depth + i for depth in depths for i in range(n)]
    assert sum(contexts) / len(contexts) == 32 + (steps - 1) / 2, "their mean is that of all steps of the request"
    assert max(contexts) == 32 + steps - 1


def test_a_fast_model_is_run_more_often(model: Path, device: LocalDevice, tmp_path: Path) -> None:
    """The answer has six samples in any case, which is wrong when eight were asked for."""
    found = measured(model, device, answering(tmp_path), min_time=8 * PREFILL_MS / 1e3)
    assert [line.split("-r ")[1][0] for line in (tmp_path / "arguments").read_text().splitlines()] == ["6", "8"]
    assert "it has 6 samples; 8 were asked for" in (found.error or "")


def changed(text: str, **fields: Any) -> str:
    tests = json.loads(text)
    tests[0] |= fields
    return json.dumps([{k: v for k, v in test.items() if v is not ...} for test in tests])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"samples_ns": ...}, "it has 0 samples"),
        ({"samples_ns": []}, "it has 0 samples"),
        ({"samples_ns": [1] * 6}, "which is no time for a model"),
        ({"samples_ns": [1000] * 5}, "it has 5 samples; 6 were asked for"),
        ({"samples_ns": [1000] * 7}, "it has 7 samples; 6 were asked for"),
        ({"samples_ns": [1000] * 5 + [-1]}, "an entry of 'samples_ns' is -1"),
        ({"samples_ns": [1000] * 5 + [0]}, "an entry of 'samples_ns' is 0"),
        ({"samples_ns": [1000] * 5 + [float("nan")]}, "an entry of 'samples_ns' is nan, which is no number"),
        ({"samples_ns": [1000] * 5 + [1e300]}, "an entry of 'samples_ns' is 1e[+]300"),
        ({"samples_ns": [1000] * 5 + [10**30]}, "an entry of 'samples_ns' is 1000000"),
        ({"samples_ns": [1000] * 5 + ["1000"]}, "an entry of 'samples_ns' is '1000'"),
        ({"samples_ns": [1000] * 5 + [True]}, "an entry of 'samples_ns' is True"),
        ({"samples_ns": "1000"}, "'samples_ns' is '1000'; expected a list"),
        ({"samples_ns": [10**13] * 6}, "its runs took 6e[+]04 s together; by our clock"),
        ({"model_filename": "other.gguf"}, "'model_filename' is 'other.gguf'; '/"),
        ({"model_filename": None}, "'model_filename' is None"),
        ({"n_prompt": 31}, "'n_prompt' is 31; 32 was asked for"),
        ({"n_gen": 1}, "'n_gen' is 1; 0 was asked for"),
        ({"n_gen": False}, "'n_gen' is False; 0 was asked for"),
        ({"n_depth": 7}, "'n_depth' is 7; 0 was asked for"),
        ({"n_threads": 2}, "'n_threads' is 2; 1 was asked for"),
        ({"n_threads": ...}, "'n_threads' is None; 1 was asked for"),
    ],
)
def test_an_answer_that_is_wrong(
    model: Path, device: LocalDevice, tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    found = measured(model, device, answering(tmp_path, changed(PREFILL, **fields)))
    assert found.values == {"size_bytes": model.stat().st_size}
    assert found.error is not None
    assert re.search(f"^prefill: the device's answer is wrong: .*{reason}", found.error), found.error
    assert len(found.error) < 500


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('[]')", "it has 0 tests; 1 were asked for"),
        ("print('[{}, {}]')", "it has 2 tests; 1 were asked for"),
        ("print('{}')", r"its tests are {}; expected a list of objects"),
        ("print('[1]')", r"its tests are \[1\]; expected a list of objects"),
        ("print('null')", r"its tests are None; expected a list"),
        ("print('[' * 100000)", r"the answer of llama-bench is wrong: it is not JSON \(it is nested too deeply\)"),
        ("print('| model | size |')", "the answer of llama-bench is wrong: it is not JSON"),
        ("os.write(1, b'\\xff')", "the answer of llama-bench is wrong: it is not JSON"),
        ("pass", "the answer of llama-bench is wrong: it is not JSON"),
        (
            "print('['); sys.exit('main: error: failed to load model \\'x\\'')",
            "llama-bench ended with code 1 and no result; its last words: main: error: failed to load model 'x'",
        ),
        ("os.abort()", r"killed by signal 6 \(SIGABRT\)"),
        ("while True: os.write(1, bytes(1 << 20))", "its answer is wrong: it has more than 4 MiB"),
        ("while True: os.write(2, bytes(1 << 20))", "no result within 2 s"),
        ("time.sleep(1000)", "no result within 2 s"),
        ("os.system('sleep 1000 &'); time.sleep(1000)", "no result within 2 s"),
    ],
)
def test_a_program_that_fails(model: Path, device: LocalDevice, tmp_path: Path, code: str, reason: str) -> None:
    mine = GgufModel("mine", model, WORKLOAD, device=device, program=program(tmp_path, code))
    found = mine.measure(["latency_ms"], 2.0 if "2 s" in reason else 60.0)
    assert "latency_ms" not in found.values
    assert re.search(f"^prefill: .*{reason}", found.error or ""), found.error


def test_one_without_depth_says_so(model: Path, device: LocalDevice, tmp_path: Path) -> None:
    """Before `-d`, llama-bench printed its usage to stdout, and this to stderr."""
    code = (
        "if '-d' in option: print('usage: llama-bench [options]'); "
        "sys.exit('error: invalid parameter for argument: -d')\n"
        f"print({changed(PREFILL, n_depth=...)!r}.replace('tiny-q8.gguf', option['-m']))"
    )
    found = measured(model, device, program(tmp_path, code), "latency_ms", "decode_ms_per_token")
    assert found.error is not None
    assert found.error.startswith("decode: this llama-bench has no -d, by which decoding after a prompt is measured")
    assert found.values["latency_ms"] == pytest.approx(PREFILL_MS)


def test_what_is_said_of_the_program(model: Path, device: LocalDevice, tmp_path: Path) -> None:
    answer = changed(PREFILL, backends="CUDA,BLAS", model_type="\x1b[31mllama" + "x" * 5000)
    bench = program(
        tmp_path,
        "print('warning: debug build, performance may be affected\\nload_backend: CPU', file=sys.stderr)\n"
        f"print({answer!r}.replace('tiny-q8.gguf', option['-m']))",
    )
    mine = GgufModel("mine", model, WORKLOAD, device=device, program=bench, min_time=0.0)
    found = mine.measure(["latency_ms"], 60.0)
    assert found.error is None
    assert "llama-bench: debug build, performance may be affected" in found.warnings
    assert (
        "llama-bench has the backends CUDA,BLAS, which may do a part of the work, also without -ngl" in found.warnings
    )
    assert len(mine.model_type) <= 100
    assert mine.model_type.isprintable()
    assert mine.describe()["model_type"] == mine.model_type


def test_memory_of_a_small_program(model: Path, device: LocalDevice, tmp_path: Path) -> None:
    """A process begins with what its parent has, and that is all that Linux says of a small one at its end."""
    answer = REQUEST.replace("tiny-q8.gguf", str(model))
    (tmp_path / "answer").write_text(answer)
    path = Path(program(tmp_path, ""))
    path.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\nsleep 0.3\n")
    found = measured(model, device, str(path), "peak_memory_mib")
    assert found.error is None
    assert 0.1 < found.values["peak_memory_mib"] < 8


def test_waiting_for_the_processor_is_said(model: Path, device: LocalDevice, tmp_path: Path) -> None:
    bench = program(tmp_path, f"time.sleep(1)\nprint({PREFILL!r}.replace('tiny-q8.gguf', option['-m']))")
    said = re.compile(r"llama-bench had the processor for \d+% of its time")
    assert any(map(said.search, measured(model, device, bench).warnings))
    two = measured(model, device, changed_threads(tmp_path, 2), workload=Workload(n_prompt=32, threads=2))
    assert two.error is None
    assert not any(map(said.search, two.warnings)), "threads wait for one another"


def changed_threads(folder: Path, threads: int) -> str:
    answer = changed(PREFILL, n_threads=threads)
    return program(folder, f"time.sleep(1)\nprint({answer!r}.replace('tiny-q8.gguf', option['-m']))")


def test_as_others_name_it(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file name to a result, with the options of the command line."""
    monkeypatch.setenv("LTS_LLAMA_BENCH", answering(tmp_path))
    assert {name: source.kind for name, source in read_sources(str(tmp_path)).items()} == {"tiny-q8.gguf": "gguf"}
    source = read_source(str(model))
    with OpenDevice(device="local", min_time=0.0) as place:
        mine = place.open(source, n_prompt=32, n_gen=64, threads=1)
        assert mine.measure(["latency_ms"]).values["latency_ms"] == pytest.approx(PREFILL_MS)
        with pytest.raises(UsageError, match="has precision as stored, and int8 is asked for"):
            place.open(source, precision="int8")
        with pytest.raises(UsageError, match="has cache in_place, and copied is asked for"):
            place.open(source, cache="copied")
        with pytest.raises(UsageError, match="batch is 2"):
            place.open(source, batch=2)
    with (
        OpenDevice("cortex-a72", "none") as place,
        pytest.raises(UsageError, match="is a file, and files are run on a device"),
    ):
        place.open(source)


def test_it_runs_on_the_chosen_processors(model: Path, tmp_path: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    code = (
        f"open({str(tmp_path / 'cpus')!r}, 'w').write(str(sorted(os.sched_getaffinity(0))))\n"
        f"print({PREFILL!r}.replace('tiny-q8.gguf', option['-m']))"
    )
    with LocalDevice(cpus=[cpu]) as device:
        assert measured(model, device, program(tmp_path, code)).error is None
    assert (tmp_path / "cpus").read_text() == f"[{cpu}]"


@pytest.mark.alone
def test_a_program_that_hangs_is_killed(model: Path, device: LocalDevice, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(1000)"
    mine = GgufModel("mine", model, WORKLOAD, device=device, program=program(tmp_path, code))
    assert mine.measure(["latency_ms"], 2.0).error == "prefill: no result within 2 s"
    process = Path("/proc", (tmp_path / "pid").read_text())
    end = time.monotonic() + 60
    while process.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not process.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no GGUF file: it does not begin with GGUF"),
        (b"GGUF", "is no GGUF file"),
        (b"ggml\x03\0\0\0", "is no GGUF file"),
        (b"GGUF\x01\0\0\0", "is of GGUF version 1; expected 2 or 3, so convert it anew"),
        (b"GGUF\x04\0\0\0", "is of GGUF version 4"),
        (b"GGUF\0\0\0\x03", "is a big-endian GGUF file"),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        check_gguf(path)


def test_files_and_parts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*missing.gguf: No such file"):
        check_gguf(tmp_path / "missing.gguf")
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        check_gguf(tmp_path)
    first = write_gguf(tmp_path / "big-00001-of-00002.gguf", 2)
    with pytest.raises(UsageError, match=r"cannot read .*big-00002-of-00002.gguf"):
        check_gguf(first)
    second = write_gguf(tmp_path / "big-00002-of-00002.gguf", 2)
    assert check_gguf(first) == 2 * second.stat().st_size
    with pytest.raises(UsageError, match="is part 2 of 2 of a model; name the first one"):
        check_gguf(second)
    with pytest.raises(UsageError, match="is part 1 of 0 of a model"):
        check_gguf(tmp_path / "big-00001-of-00000.gguf")


@pytest.mark.parametrize(
    ("workload", "reason"),
    [
        (Workload(batch=2), "one sequence at a time is measured; batch is 2"),
        (Workload(logits="all"), "with logits of the last position; logits is all"),
    ],
)
def test_a_workload_that_it_does_not_measure(model: Path, tmp_path: Path, workload: Workload, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        GgufModel("mine", model, workload, program=answering(tmp_path))


class Elsewhere(Device):
    """Another machine."""

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        raise AssertionError

    def environment(self, threads: int) -> dict[str, Any]:
        return {}


def test_other_wrong_arguments(model: Path, tmp_path: Path, device: LocalDevice) -> None:
    bench = answering(tmp_path)
    with pytest.raises(UsageError, match="and this device has no llama-bench; use --device local or ssh://"):
        GgufModel("mine", model, WORKLOAD, device=Elsewhere(), program=bench)
    with pytest.raises(UsageError, match="has a comma in its path"):
        GgufModel("mine", write_gguf(tmp_path / "a,b.gguf"), WORKLOAD, program=bench)
    with pytest.raises(UsageError, match="energy_mj"):
        measured(model, device, bench, "energy_mj")
    assert GgufModel("mine", model, Workload(n_gen=0), program=bench).default_costs == (
        "latency_ms",
        "peak_memory_mib",
        "size_bytes",
    )


def test_where_the_program_is(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LTS_LLAMA_BENCH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(MeasurementError, match=r"llama-bench of llama\.cpp is not on PATH.*set LTS_LLAMA_BENCH"):
        GgufModel("mine", model, WORKLOAD)
    monkeypatch.setenv("LTS_LLAMA_BENCH", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="missing, which LTS_LLAMA_BENCH names, is no program"):
        GgufModel("mine", model, WORKLOAD)
    with pytest.raises(UsageError, match="nonsense is no program; expected the path of llama-bench"):
        GgufModel("mine", model, WORKLOAD, program="nonsense")
    bench = Path(answering(tmp_path))
    monkeypatch.setenv("LTS_LLAMA_BENCH", str(bench))
    GgufModel("mine", model, WORKLOAD).close()
    monkeypatch.delenv("LTS_LLAMA_BENCH")
    monkeypatch.setenv("PATH", str(tmp_path))
    GgufModel("mine", model, WORKLOAD).close()


def test_an_earlier_program_has_no_version(model: Path, tmp_path: Path) -> None:
    path = Path(program(tmp_path, ""))
    path.write_text("#!/bin/sh\necho usage; echo error: invalid parameter for argument: --version >&2; exit 1\n")
    mine = GgufModel("mine", model, WORKLOAD, program=str(path))
    assert mine.environment()["llama-bench"].startswith(f"{path.stat().st_size} bytes of 20")


@pytest.fixture(scope="session")
def real() -> str:
    return os.environ.get("LTS_LLAMA_BENCH") or shutil.which("llama-bench") or str(llama_bench())


@pytest.fixture(scope="session")
def real_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA with random weights, which the package gguf writes."""
    gguf = pytest.importorskip("gguf", reason="the package gguf is not installed")
    import numpy as np

    path: Path = tmp_path_factory.mktemp("gguf") / "llama.gguf"
    width, heads, keys, inner, n_layer, n_vocab = 128, 4, 2, 256, 2, 8000
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(n_layer)
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(keys)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(n_vocab)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([b"<unk>", b"<s>", b"</s>", *(b"t%d" % i for i in range(n_vocab - 3))])
    writer.add_token_scores([0.0] * n_vocab)
    writer.add_token_types([2, 3, 3, *[1] * (n_vocab - 3)])
    random = np.random.default_rng(0)
    half = width // heads * keys
    layer = {
        "attn_norm": (width,),
        "attn_q": (width, width),
        "attn_k": (half, width),
        "attn_v": (half, width),
        "attn_output": (width, width),
        "ffn_norm": (width,),
        "ffn_gate": (inner, width),
        "ffn_up": (inner, width),
        "ffn_down": (width, inner),
    }
    shapes = {"token_embd": (n_vocab, width), "output_norm": (width,), "output": (n_vocab, width)}
    shapes |= {f"blk.{i}.{name}": shape for i in range(n_layer) for name, shape in layer.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.02, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.alone
def test_the_real_program(real: str, real_model: Path, device: LocalDevice) -> None:
    mine = GgufModel("mine", real_model, WORKLOAD, device=device, program=real, min_time=0.02)
    found = mine.measure(mine.default_costs, 120.0)
    if "no -d" in (found.error or ""):
        pytest.skip(found.error or "")
    assert found.error is None
    assert set(found.values) == set(mine.costs)
    assert found.values["size_bytes"] == real_model.stat().st_size
    assert found.values["latency_ms"] == median(found.samples_ns["latency"]) / 1e6
    assert len(found.samples_ns["decode"]) == len(found.samples_ns["decode_last"]) >= 6
    assert found.values["request_ms"] > found.values["latency_ms"]
    assert found.values["peak_memory_mib"] > real_model.stat().st_size / 2**20
    assert mine.model_type.startswith("llama ")


@pytest.mark.alone
def test_the_real_program_and_a_file_that_is_cut_off(
    real: str, real_model: Path, device: LocalDevice, tmp_path: Path
) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(real_model.read_bytes()[:2000])
    found = measured(path, device, real)
    assert "failed to load model" in (found.error or "")
