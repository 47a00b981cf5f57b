"""lts-engine gate: exit codes, formats, what is left after Ctrl-C, and a model that no one here made."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from board import LARGE, SMALL, Board, on_every_device
from typer.testing import CliRunner, Result

from lts.cli import app
from lts.measure.outcome import Outcome

COMMAND = Path(sys.executable).with_name("lts-engine")


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    return on_every_device(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(SMALL.to_json())
    (tmp_path / "large.json").write_text(LARGE.to_json())
    return tmp_path


def row(name: str, model: str, more: str = "baseline = 'small.json'") -> str:
    return f"[[check]]\nname = '{name}'\nmodel = '{model}'\n{more}\n"


def gate(text: str, *arguments: str, code: int = 0) -> Result:
    Path("lts-gate.toml").write_text(text)
    result = CliRunner().invoke(app, ["gate", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.mark.usefixtures("board", "folder")
def test_without_arguments_all_checks_of_the_file_are_made() -> None:
    result = gate(row("same", "small.json") + row("wider", "large.json"), code=1)
    assert "same: request_ms: same" in result.stdout
    assert "wider: request_ms: regression, +100 % (" in result.stdout
    assert "wider: the architecture is another one" in result.stdout
    assert "same: the architecture is another one" not in result.stdout
    assert "checking same\nnote: same: the baseline and the contender are the same architecture\n" in result.stderr
    assert "[wider, large.json, contender] request_ms 1" in result.stderr
    assert "wider" not in gate(row("same", "small.json") + row("wider", "large.json"), "--only", "same").output


@pytest.mark.usefixtures("board", "folder")
def test_limits_have_rows_of_their_own() -> None:
    limits = "limits = { request = 800.0, size = 500_000 }"
    result = gate(row("narrow", "small.json", limits))
    assert "request_ms: 768.8 is within the limit of 800" in result.stdout
    result = gate(row("wide", "large.json", f"baseline = 'large.json'\n{limits}"), "-o", "json", code=1)
    records = json.loads(result.stdout)
    assert [(each["metric"], each["baseline"]["name"], each["verdict"]) for each in records] == [
        ("request_ms", "large.json", "same"),
        ("peak_memory_mib", "large.json", "same"),
        ("request_ms", "limit", "regression"),
        ("size_bytes", "limit", "regression"),
    ]
    assert [each["provenance"] for each in records] == ["measured", "measured", "measured", "exact"]
    assert {each["model"] for each in records} == {"wide"}
    assert [each["conditions_differ"] for each in records] == [[]] * 4
    assert "is beyond the limit of 800" in result.stderr


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_measured_does_not_stop_the_others(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = board.evaluate

    def evaluate(architecture: Any, *arguments: Any) -> Outcome:
        return Outcome(error="it crashed") if architecture == LARGE else whole(architecture, *arguments)

    monkeypatch.setattr(board, "evaluate", evaluate)
    broken, good = row("broken", "large.json"), row("good", "small.json")
    result = gate(broken + good, code=3)
    assert "error: broken: the contender cannot be measured: it crashed" in result.stderr
    assert "request_ms: same" in result.stdout
    # A regression counts more than what could not be measured, and that more than a wrong word.
    tight = row("tight", "small.json", "limits = { request = 1 }")
    assert "is beyond the limit of 1" in gate(broken + tight, code=1).stdout
    wrong = row("wrong", "absent.json")
    assert "error: wrong: cannot read absent.json" in gate(wrong + good, code=2).stderr
    gate(wrong + broken, code=3)


@pytest.mark.usefixtures("folder")
def test_what_is_inconclusive_fails_where_the_check_says_so(board: Board) -> None:
    board.noise = iter([1.0, 1.3, 1.1, 1.2, 0.9] * 100)
    assert "inconclusive" in gate(row("x", "small.json")).stdout
    strict = "baseline = 'small.json'\ninconclusive = 'fail'"
    gate(row("x", "small.json", strict), code=3)
    gate(row("x", "small.json", strict) + row("y", "small.json", "limits = { request = 1 }"), code=1)
    gate("[defaults]\ninconclusive = 'fail'\n" + row("x", "small.json"), code=3)


@pytest.mark.usefixtures("folder")
def test_ctrl_c_prints_what_was_checked(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = board.evaluate

    def evaluate(architecture: Any, *arguments: Any) -> Outcome:
        if architecture == LARGE:
            raise KeyboardInterrupt
        return whole(architecture, *arguments)

    monkeypatch.setattr(board, "evaluate", evaluate)
    result = gate(row("good", "small.json") + row("broken", "large.json"), code=130)
    assert "request_ms: same" in result.stdout
    assert result.stderr.endswith("interrupted\n")


@pytest.mark.usefixtures("board", "folder")
@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("", (), "lts-gate.toml has no check; expected [[check]] with a model, and a baseline or limits"),
        (row("x", "small.json"), ("--only", "y"), "unknown check 'y' in lts-gate.toml; expected one of x"),
        (row("x", "small.json"), ("absent.toml",), "cannot read absent.toml: No such file or directory"),
        (row("x", "small.json"), ("small.json",), "small.json is not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence_and_exit_2(text: str, arguments: tuple[str, ...], told: str) -> None:
    result = gate(text, *arguments, code=2)
    assert told in result.stderr
    assert result.stdout == ""


@pytest.mark.usefixtures("board", "folder")
def test_results_of_other_conditions_are_refused_or_said_to_be() -> None:
    before = CliRunner().invoke(app, ["bench", "small.json", "-r", "6", "-o", "jsonl"])
    record = json.loads(before.stdout)
    record["fingerprint"]["kernel"], record["environment"] = "2.4", "12345678"
    Path("before.jsonl").write_text(json.dumps(record))
    known = "baseline = 'before.jsonl'\ndevice = 'local'"
    refused = gate(row("x", "small.json", known), code=2)
    assert "error: x: small.json and small.json are not of the same conditions: kernel 2.4 and" in refused.stderr
    told = gate(row("x", "small.json", f"{known}\nacross = true"))
    assert "note: x: the conditions of small.json differ: kernel 2.4 and" in told.stderr


# A model that no one here made.


@pytest.fixture
def magika(folder: Path) -> Path:
    """The folder with the ONNX model of the package magika, `model.onnx`."""
    found = find_spec("magika")
    if found is None or found.origin is None:
        pytest.skip("magika, which has the ONNX model, is not installed (pip install --no-deps magika)")
    (model, *_) = sorted(Path(found.origin).parent.rglob("model.onnx"))
    (folder / "model.onnx").symlink_to(model)
    return folder


def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.alone
def test_a_model_of_others_is_measured(magika: Path) -> None:
    asked = run("bench", "model.onnx", code=2)
    assert "error: the shape of input 'bytes' of model.onnx, [" in asked.stderr
    assert "2048], is needed: --input bytes=Nx2048" in asked.stderr
    arguments = ("--input", "bytes=1x2048", "--below", "256", "--min-time", "0.05s")
    record = json.loads(run("bench", "model.onnx", *arguments, "-r", "2", "-o", "jsonl").stdout)
    assert record["inputs"] == {"bytes": [1, 2048]}
    assert record["architecture"] is record["workload"] is record["error"] is None
    assert record["values"]["size_bytes"] == (magika / "model.onnx").stat().st_size
    assert record["provenance"]["latency_ms"] == "measured"
    assert len(record["rounds"]["latency_ms"]) == len(record["n_samples"]["latency"]) == 2
    assert len(record["samples_ns"]["latency"]) >= 20
    assert len({*record["samples_ns"]["latency"]}) > 1
    # It weighs three megabytes, which have to be loaded.
    assert record["values"]["peak_memory_mib"] > 3


@pytest.mark.slow
@pytest.mark.alone
def test_a_model_of_others_is_compared_with_its_int8_form_and_gated(magika: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(magika / "model.onnx", magika / "int8.onnx")
    sizes = {name: (magika / f"{name}.onnx").stat().st_size for name in ("model", "int8")}
    assert sizes["int8"] < sizes["model"] / 2
    inputs = ("--input", "bytes=1x2048", "--below", "256")
    done = subprocess.run(
        [COMMAND, "compare", "model.onnx", "int8.onnx", *inputs, "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    found = {record["metric"]: record for record in json.loads(done.stdout)}
    assert found["size_bytes"]["verdict"] == "improvement"
    assert found["size_bytes"]["baseline"]["value"] == sizes["model"]
    assert found["size_bytes"]["contender"]["value"] == sizes["int8"]
    # Whether it is faster depends on the processor; the exit code is that of the answer.
    assert done.returncode == int("regression" in {record["verdict"] for record in found.values()})
    assert found["latency_ms"]["baseline"]["processes"] >= 4
    (magika / "lts-gate.toml").write_text(
        f"""
        [[check]]
        name = "int8"
        model = "int8.onnx"
        baseline = "model.onnx"
        inputs = {{ bytes = "1x2048" }}
        below = 256
        metrics = ["size"]
        limits = {{ latency = 10_000, size = {sizes["int8"]} }}

        [[check]]
        name = "float"
        model = "model.onnx"
        baseline = "int8.onnx"
        inputs = {{ bytes = "1x2048" }}
        metrics = ["size"]
        """
    )
    kept = run("gate", "--only", "int8", "-o", "json")
    assert [(each["metric"], each["verdict"]) for each in json.loads(kept.stdout)] == [
        ("size_bytes", "improvement"),
        ("latency_ms", "same"),
        ("size_bytes", "same"),
    ]
    assert "size_bytes: regression" in run("gate", "--only", "float", code=1).stdout
