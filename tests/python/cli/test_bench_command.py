"""lts-engine bench: what is measured with what, every format, what is left after Ctrl-C, wrong input, a real device."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from board import LARGE, SMALL, Board, Clock
from typer.testing import CliRunner, Result

from lts.cli import app
from lts.cli import bench as command
from lts.export import export
from lts.jobs.job import Job
from lts.measure import history
from lts.measure.models import opening
from lts.measure.result_file import read_results
from lts.targets.workload import Workload

onnx = pytest.importorskip("onnx")

COMMAND = Path(sys.executable).with_name("lts-engine")
FILES = ("a.onnx", "b.onnx")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Architectures, and files with an open size, as the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(SMALL.to_json())
    (tmp_path / "large.json").write_text(LARGE.to_json())
    helper = onnx.helper
    values = [helper.make_tensor_value_info(name, 1, ["n", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "files").mkdir()
    for name in FILES:
        onnx.save(model, tmp_path / "files" / name)
    return tmp_path


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[Board]:
    """Those that were opened, one for each workload."""
    made: list[Board] = []

    def opened(target: Any, *, threads: int | None = None, precision: str | None = None, **options: Any) -> Board:
        load = {name: options[name] for name in ("n_prompt", "n_gen", "batch", "logits", "cache") if name in options}
        board = Board()
        board.workload = Workload(**load, threads=threads or 1, precision=precision or "float32")
        made.append(board)
        return board

    monkeypatch.setattr(opening, "open_evaluator", opened)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock({"a.onnx": 2.0, "b.onnx": 4.0, "model.onnx": 2.0})
    monkeypatch.setattr(opening, "open_device", lambda *_: made)
    return made


def bench(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def records(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bench(*arguments, "-o", "jsonl", code=code).stdout.splitlines()]


# What is measured.


@pytest.mark.usefixtures("folder", "boards")
def test_a_table_of_medians() -> None:
    result = bench("small.json", "large.json")
    said = " ".join(result.stdout.split())
    assert "host on board with onnxruntime, 128 tokens of prompt, 32 generated, logits of the last position, " in said
    assert "medians of 5 processes, ± with 93.8 %" in said
    assert "request_ms" in result.stdout
    assert "(measured)" in result.stdout
    # 3 * 2 * 128 and twice that, in a process of three a little more.
    rows = [line for line in result.stdout.splitlines() if ".json" in line]
    assert [line.split()[0] for line in rows] == ["small.json", "large.json"]
    assert "768.8 ±0.77" in rows[0]
    assert result.stderr.count("[small.json] ") == 5


@pytest.mark.usefixtures("folder", "boards")
def test_every_format_has_the_same_records(tmp_path: Path) -> None:
    arguments = ("small.json", "large.json", "-r", "3", "--metric", "latency,size")
    found = records(*arguments)
    assert [record["model"] for record in found] == ["small.json", "large.json"]
    first = found[0]
    assert (first["schema"], first["state"], first["device"], first["target"]) == (1, "complete", "board", "host")
    assert first["rounds"]["latency_ms"] == pytest.approx([256.0, 256.0, 256.512])  # in turn with the other one
    assert first["values"]["latency_ms"] == pytest.approx(256.0)
    assert first["interval"]["latency_ms"] == pytest.approx([256.0, 256.512])
    assert first["provenance"] == {"latency_ms": "measured", "size_bytes": "exact"}
    assert len(first["samples_ns"]["latency"]) == sum(first["n_samples"]["latency"]) == 3
    assert first["workload"]["n_prompt"] == 128
    assert first["fingerprint"]["threads"] == 1
    assert first["architecture"] == SMALL.to_dict()
    for form in ("json", "jsonl"):
        (tmp_path / f"x.{form}").write_text(bench(*arguments, "-o", form).stdout)
        assert [each.rounds for each in read_results(tmp_path / f"x.{form}")] == [each["rounds"] for each in found]
    rows = list(csv.DictReader(io.StringIO(bench(*arguments, "-o", "csv").stdout)))
    assert [float(row["values.latency_ms"]) for row in rows] == [each["values"]["latency_ms"] for each in found]
    assert "| small.json | 256 ±0.51 |" in bench(*arguments, "-o", "md").stdout


@pytest.mark.usefixtures("folder")
def test_lists_are_combined(boards: list[Board]) -> None:
    found = records("small.json", "-p", "64,128", "-n", "0,8", "-b", "1,2", "--precision", "float32,int8", "-r", "1")
    loads = [tuple(each["workload"][name] for name in ("precision", "batch", "n_prompt", "n_gen")) for each in found]
    assert len(loads) == len(set(loads)) == 16
    assert loads[0] == ("float32", 1, 64, 0)
    assert loads[-1] == ("int8", 2, 128, 8)
    assert ["latency_ms" in each["values"] for each in found] == [each["workload"]["n_gen"] == 0 for each in found]
    table = bench("small.json", "-p", "64,128", "-r", "1").stdout
    assert "n_prompt" in table
    assert "n_gen" not in table
    assert "one process each" in table


@pytest.mark.usefixtures("boards")
def test_files_are_measured_once_whatever_the_workload(folder: Path, clock: Clock, monkeypatch: Any) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(opening, "open_device", lambda *_: clock)
    found = records("files", "-p", "64,128", "-t", "1,2", "--input", "x=3x4", "-r", "2")
    assert [(each["model"], each["fingerprint"]["threads"]) for each in found] == [
        ("files/a.onnx", 1),
        ("files/b.onnx", 1),
        ("files/a.onnx", 2),
        ("files/b.onnx", 2),
    ]
    assert {tuple(each["inputs"]["x"]) for each in found} == {(3, 4)}
    assert all(each["workload"] is None for each in found)
    order = "".join(Path(job.arguments["model"]).stem for job in clock.jobs if isinstance(job, Job))
    assert order == "abba" * 2
    table = bench("files", "-t", "1,2", "--input", "x=3x4", "-r", "1").stdout
    assert "threads" in table
    # Both of one model are found again.
    (folder / "before.jsonl").write_text("\n".join(json.dumps(each) for each in found))
    result = CliRunner().invoke(app, ["compare", "before.jsonl", "before.jsonl"])
    assert result.exit_code == 0, result.output
    assert "files/a.onnx, x 3x4, 2 threads" in result.output


def test_decode_steps_alone(folder: Path, clock: Clock) -> None:
    export(SMALL, folder / "exported", ["onnx"])
    found = records("exported", "-d", "16,200", "-n", "2", "-r", "1")
    assert [sorted(each["values"]) for each in found] == [["decode_ms_per_token", "tokens_per_second"]] * 2
    assert {Path(job.arguments["model"]).name for job in clock.jobs if isinstance(job, Job)} == {"model.onnx"}
    assert [job.arguments["dims"]["past"] for job in clock.jobs if isinstance(job, Job)] == [16, 200]
    # What its files have is not asked for.
    assert [each["workload"]["logits"] for each in found] == ["all", "all"]
    assert "has logits all, and last is asked for" in bench("exported", "--logits", "last", code=2).stderr


def test_a_model_that_fails_leaves_the_others(folder: Path, clock: Clock) -> None:
    clock.ms["b.onnx"] = "killed by signal 11"
    result = bench("files", "--input", "x=3x4", "-r", "3", code=3)
    assert "error: files/b.onnx cannot be measured: prefill: killed by signal 11" in result.stderr
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if "files/" in line}
    assert "2.002" in rows["files/a.onnx"]
    assert "failed" in rows["files/b.onnx"]
    found = records("files", "--input", "x=3x4", "-r", "3", code=3)
    assert [each["state"] for each in found] == ["complete", "failed"]


# Ctrl-C, and histories.


def interrupt_at(number: int, ms: float) -> Callable[[], float]:
    left = iter(range(1, 1000))

    def said() -> float:
        if next(left) == number:
            raise KeyboardInterrupt
        return ms

    return said


def test_what_was_measured_before_ctrl_c_is_printed(folder: Path, clock: Clock) -> None:
    clock.ms["b.onnx"] = interrupt_at(2, 4.0)
    found = records("files", "--input", "x=3x4", "-r", "3", "--save", "main", code=130)
    assert [(each["model"], len(each["rounds"]["latency_ms"])) for each in found] == [
        ("files/a.onnx", 1),
        ("files/b.onnx", 1),
    ]
    assert "it was interrupted after 1 of 3 processes" in found[0]["warnings"]
    assert not (folder / "lts-history.jsonl").exists()
    # What had all of its processes is kept.
    clock.ms["b.onnx"] = interrupt_at(3, 4.0)
    found = records("files", "--input", "x=3x4", "-r", "2", "-t", "1,2", "--save", "main", code=130)
    assert [len(each["rounds"]["latency_ms"]) for each in found] == [2, 2, 1]
    saved = history.read(folder / "lts-history.jsonl").entries
    assert sorted((each.saved, each.threads) for each in saved) == [("main/a.onnx", 1), ("main/b.onnx", 1)]


def test_ctrl_c_before_anything_was_measured(folder: Path, clock: Clock) -> None:
    clock.ms["a.onnx"] = interrupt_at(1, 4.0)
    result = bench("files/a.onnx", "--input", "x=3x4", code=130)
    assert result.stdout == ""
    assert result.stderr.endswith("interrupted\n")


def test_results_are_kept_and_compared_with(folder: Path, clock: Clock) -> None:
    bench("files/a.onnx", "--input", "x=3x4", "--save", "main", "-r", "6")
    result = CliRunner().invoke(app, ["compare", "files/b.onnx", "--against", "main", "--input", "x=3x4"])
    assert result.exit_code == 1, result.output
    assert "latency_ms: regression, +" in result.stdout
    bench("files", "--input", "x=3x4", "--save", "both", "--history", "h.jsonl", "-r", "6")
    result = CliRunner().invoke(
        app, ["compare", "files", "--against", "both", "--history", "h.jsonl", "--input", "x=3x4"]
    )
    assert result.exit_code == 0, result.output
    assert "a.onnx: latency_ms: same" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--save", " x"), "the name that it is saved under is ' x/a.onnx'; expected 1 to 100 characters"),
        (("--save", "x" * 101), "expected 1 to 100 characters"),
        (("--save", "x" * 95), "expected 1 to 100 characters"),
        (("--history", "h.jsonl"), "--history is where --save keeps results; name them, as in --save main"),
        (("--save", "x", "--history", "files"), "cannot write the history files: it is not a file"),
        (("--save", "x", "--history", "absent/h.jsonl"), "cannot write the history absent/h.jsonl"),
        (("--save", "x", "--history", "small.json"), "small.json, line 1"),
    ],
)
def test_what_cannot_be_kept_is_said_before_anything_is_measured(
    folder: Path, clock: Clock, arguments: tuple[str, ...], told: str
) -> None:
    result = bench("files", "--input", "x=3x4", *arguments, code=2)
    assert told in result.stderr
    assert clock.jobs == []


# Wrong input.


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("files/a.onnx",), "the shape of input 'x' of files/a.onnx, [n, 4], is needed: --input x=Nx4"),
        (
            ("files/a.onnx", "--input", "x=3"),
            "input 'x' of files/a.onnx has 2 dimensions, [n, 4]; --input gives 1, [3]",
        ),
        (("files/a.onnx", "--input", "x"), "--input is 'x'; expected NAME=DIMxDIM"),
        (("files/a.onnx", "--input", "x=3x4", "--input", "x=4x4"), "--input is given twice for 'x'; expected once"),
        (("small.json", "--input", "x=3x4"), "--input is about ONNX files, and none is named; leave it out"),
        (("absent.json",), "cannot read absent.json: No such file or directory"),
        (("",), "the name of a model is empty"),
        (("small.json", "-p", "64,"), "-p is '64,'; expected whole numbers, as in -p 128,512"),
        (("small.json", "-p", "x"), "-p is 'x'; expected whole numbers"),
        (("small.json", "-p", "-1"), "-p is '-1'; expected whole numbers"),
        (("small.json", "-p", "0"), "n_prompt is 0; it must be at least 1"),
        (("small.json", "-n", "9" * 30), "-n is '999"),
        (("small.json", "-t", "1000"), "threads is 1000"),
        (("small.json", "-p", ",".join(map(str, range(1, 1002)))), "these are 1001 workloads; expected at most 1000"),
        (("small.json", "--precision", "bfloat16"), "unknown precision 'bfloat16'; expected any of float32, float16"),
        (("small.json", "--precision", ""), "unknown precision ''"),
        (("small.json", "--metric", "joules"), "unknown metric 'joules' of small.json"),
        (("small.json", "--metric", ","), "expected names of columns"),
        (("small.json", "-r", "0"), "0 processes; expected 1 to 100"),
        (("small.json", "-r", "101"), "101 processes; expected 1 to 100"),
        (("small.json", "--cooldown", "soon"), "'soon' is not a duration"),
        (("small.json", "--min-time", "0s"), "the duration '0s' must be above 0"),
        (("small.json", "--candidate-timeout", "x"), "'x' is not a duration"),
        (("small.json", "--max-temperature", "nan"), "the highest temperature is nan °C; expected one above 0"),
        (("small.json", "--max-temperature", "-5"), "the highest temperature is -5 °C; expected one above 0"),
        (("small.json", "--device", "nowhere"), "unknown device 'nowhere'"),
        (
            ("small.json", "--device", "local", "--device", "emulated"),
            "--device is given 2 times; models are compared on",
        ),
        (("small.json", "--device", "none", "--target", "cortex-a76"), "request_ms is not measured there"),
        (
            ("files/a.onnx", "--input", "x=3x4", "--device", "none", "--target", "cortex-a76"),
            "is a file, and files are",
        ),
        (("small.json", "--target", "cortex-a76"), "this machine does not run models for target 'cortex-a76'"),
        (("small.json", "-p", "300"), "n_prompt is 300 and n_gen 32, which needs n_positions 331"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_input_is_one_sentence_and_exit_2(arguments: tuple[str, ...], told: str) -> None:
    result = bench(*arguments, code=2)
    assert told in result.stderr
    assert result.stdout == ""
    assert "[" not in result.stderr.split("error:")[0]


def test_a_temperature_that_cannot_be_read(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    from lts.measure import bench as measuring

    monkeypatch.setattr(measuring, "celsius", lambda: None)
    result = bench("files", "--input", "x=3x4", "--max-temperature", "60", code=2)
    assert "the temperature of this machine cannot be read; leave the highest one out" in result.stderr
    assert clock.jobs == []


def test_help_says_what_the_options_are() -> None:
    assert command.command.__doc__ is not None
    assert "130" in command.command.__doc__


# This machine.


@pytest.mark.alone
def test_ctrl_c_on_this_machine_leaves_results_and_no_processes(folder: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "bench", "small.json", "-p", "8", "-n", "0", "-r", "100", "--min-time", "0.02s", "-o", "jsonl"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith("[small.json]"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    (record,) = map(json.loads, out.splitlines())
    assert record["model"] == "small.json"
    assert 1 <= len(record["rounds"]["latency_ms"]) < 100
    end = time.monotonic() + 10
    while (left := of_session(process.pid)) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


def of_session(session: int) -> list[str]:
    """Processes of a session that still run."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z" and place.name != str(os.getpid()):
                found.append(place.name)
    return found
