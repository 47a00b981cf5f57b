"""What a user types to search for llama.cpp and to export to it, with a program in the place of llama-bench."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import Result
from llama_stand_in import ANSWER, stand_in
from typer.testing import CliRunner

import lts
from lts.cli import app

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed: pip install 'lts-engine[gguf]'")

SMALL = ("--n-prompt", "24", "--n-gen", "8", "--trials", "3", "--surrogate", "none", "--no-confirm")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def search(folder: Path, *arguments: str | Path, space: str = "llama-tiny") -> Result:
    return run("search", space, "--backend", "llamacpp", *SMALL, "-O", folder / "work", *arguments)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = stand_in(tmp_path / "bin", f"open({str(tmp_path / 'asked')!r}, 'a').write(str(option) + '\\n')\n{ANSWER}")
    monkeypatch.setenv("LTS_LLAMA_BENCH", str(path))
    return path


@pytest.mark.usefixtures("bench")
def test_a_search(tmp_path: Path) -> None:
    """It ends with a GGUF file, is resumed by the same command, and says what differs in another one."""
    options = ("--precision", "int4", "--flash-attention", "on")
    done = search(tmp_path, *options, "-o", "json")
    assert done.exit_code == 0, done.output
    records = json.loads(done.stdout)
    assert {record["backend"] for record in records} == {"llamacpp"}
    assert {record["values"]["latency_ms"] for record in records} == {10.0}
    assert all("'-fa': 'on'" in line for line in (tmp_path / "asked").read_text().splitlines())
    (path,) = (tmp_path / "work" / "models").glob("*/model.gguf")
    kinds = {tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    assert kinds == {"F32", "Q4_0"}
    assert not (path.parent / "model.onnx").exists()
    again = search(tmp_path, *options)
    assert again.exit_code == 0, again.output
    (tmp_path / "asked").unlink()
    anew = run("front", tmp_path / "work", "--again", "--processes", "1", "-o", "jsonl")
    assert anew.exit_code == 0, anew.output
    assert "'-fa': 'on'" in (tmp_path / "asked").read_text()
    other = search(tmp_path, "--precision", "int4")
    assert other.exit_code == 2
    assert "flash_attention is on there and" in other.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch", "2"), "llama-bench measures with batch 1; here batch is 2"),
        (("--cache", "copied"), "llama-bench measures with cache in_place; here cache is copied"),
        (("--device", "none", "--flash-attention", "on"), "leave --flash-attention out"),
        (("--device", "none", "--target", "cortex-a72"), "the backend 'llamacpp' needs a device to run on"),
    ],
)
@pytest.mark.usefixtures("bench")
def test_arguments_that_are_wrong(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = search(tmp_path, *arguments)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "work").exists()


@pytest.mark.usefixtures("bench")
def test_a_space_of_another_family(tmp_path: Path) -> None:
    done = search(tmp_path, space="hw-gpt-tiny")
    assert done.exit_code == 2
    assert "backend 'llamacpp' runs the families gpt2 and llama; this is 'hw_gpt'" in done.output


def test_flash_attention_of_another_backend(tmp_path: Path) -> None:
    done = run("search", "llama-tiny", "--backend", "onnxruntime", "--flash-attention", "on", "-O", tmp_path / "work")
    assert done.exit_code == 2
    assert "has no option flash_attention; it is of llama.cpp: add --backend llamacpp" in done.output


def test_there_is_no_llama_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LTS_LLAMA_BENCH", raising=False)
    done = search(tmp_path)
    assert done.exit_code == 3
    assert "llama-bench of llama.cpp is not on PATH" in done.output
    assert not (tmp_path / "work").exists()


def test_an_old_llama_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `-d` it prints its usage to stdout, and this to stderr. Every trial fails, and the search says why."""
    code = f"if '-d' in option: print('usage'); sys.exit('error: invalid parameter for argument: -d')\n{ANSWER}"
    monkeypatch.setenv("LTS_LLAMA_BENCH", str(stand_in(tmp_path / "bin", code)))
    done = search(tmp_path)
    assert done.exit_code == 3
    assert "this llama-bench has no -d" in done.output
    assert "build one of May 2025 or later" in done.output


def architecture(folder: Path, **options: object) -> Path:
    values = {"family": "llama", "vocab_size": 300, "n_positions": 64, "d_model": 96, "head_dim": 16}
    values |= {"n_head": [3, 6], "n_kv_head": [1, 2], "d_ff": [96, 160], **options}
    path = folder / "architecture.json"
    path.write_text(lts.Architecture(**values).to_json())
    return path


def test_an_export(tmp_path: Path) -> None:
    done = run("export", architecture(tmp_path), "--format", "gguf", "--precision", "int8", "-O", tmp_path / "new")
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert names == {"model.gguf", "manifest.json"}
    assert "float16 in place of Q8_0" in done.output
    assert "blk.0.attn_output.weight" in done.output


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({"head_dim": 0}, (), "heads of different widths, 32, 16"),
        ({"family": "transformer_xl", "head_dim": 0, "n_kv_head": 0}, (), "family 'transformer_xl'"),
        ({}, ("--tokenizer", "nowhere"), "cannot read nowhere/tokenizer.json"),
    ],
)
def test_an_export_that_is_refused(
    options: dict[str, object], arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    if options.get("n_kv_head") == 0:
        options = {**options, "n_kv_head": None}
    path = architecture(tmp_path, **options)
    done = run("export", path, "--format", "json,gguf", *arguments, "-O", tmp_path / "new")
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert not (tmp_path / "new").exists()


def test_the_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    done = run("export", architecture(tmp_path), "--format", "gguf", "-O", tmp_path / "new")
    assert done.exit_code == 2
    assert "pip install 'lts-engine[gguf]'" in done.output
    assert not (tmp_path / "new").exists()


def test_a_file_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It takes as long as it says that its runs took, at least.
    asked = f"open({str(tmp_path / 'asked')!r}, 'a').write(str(option) + '\\n')"
    slow = stand_in(tmp_path / "bin", f"import time\ntime.sleep(0.5)\n{asked}\n{ANSWER}")
    monkeypatch.setenv("LTS_LLAMA_BENCH", str(slow))
    assert run("export", architecture(tmp_path), "--format", "gguf", "-O", tmp_path / "new").exit_code == 0
    (path,) = (tmp_path / "new").rglob("model.gguf")
    done = run("bench", path, "-p", "24", "-n", "8", "-r", "1", "--flash-attention", "off", "-o", "json")
    assert done.exit_code == 0, done.output
    (record,) = json.loads(done.stdout)
    assert (record["backend"], record["fingerprint"]["flash_attention"]) == ("llamacpp", "off")
    assert "'-fa': 'off'" in (tmp_path / "asked").read_text()
