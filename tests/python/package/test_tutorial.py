"""docs/tutorial.md, command by command: from a space to trained models that say the same in every format."""

from __future__ import annotations

import json
import os
import pydoc_data.topics
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runner import Runner
from llama_cpp import LlamaModel

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "train_front_member"

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

TEXT = "\n\n".join(pydoc_data.topics.topics.values())
# What a test need not wait for: the page gives search and training two minutes each, of larger models.
SHORTER = {"--timeout 2m": "--timeout 20s", "--minutes 2": "--steps 600"}
SMALLER = {"n_layer = {min = 2, max = 6}": "n_layer = [2]", "max = 256, step": "max = 96, step"}
N = 32


def blocks() -> list[tuple[str, str]]:
    """The language and text of every block of code of the page."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    return re.findall(r"```(bash|python)\n(.*?)```", page, flags=re.DOTALL)


def execute(folder: Path, language: str, code: str) -> str:
    for long, short in SHORTER.items():
        code = code.replace(long, short)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(folder / "modules")}
    command = ["bash", "-ec", code] if language == "bash" else [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder in which every command of the page was run, and what each block has printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    space = shutil.copytree(EXAMPLE, folder / "examples" / "train_front_member") / "talk.toml"
    for long in SHORTER:
        assert any(long in code for _, code in blocks())
    for large, small in SMALLER.items():
        assert large in space.read_text(encoding="utf-8")
        space.write_text(space.read_text(encoding="utf-8").replace(large, small), encoding="utf-8")
    return folder, [execute(folder, *block) for block in blocks()]


def ship(folder: Path, form: str) -> Path:
    (found,) = (folder / "ship" / form).iterdir()
    return found


def prompt(folder: Path) -> list[int]:
    from transformers import AutoTokenizer

    return list(AutoTokenizer.from_pretrained(folder / "trained")("The value of an object ").input_ids)


@pytest.fixture(scope="module")
def theirs(walked: tuple[Path, list[str]]) -> Any:
    """The trained model as transformers loads it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(ship(walked[0], "float32"), trust_remote_code=True).eval()


def expected(model: Any, ids: list[int]) -> list[int]:
    with torch.no_grad():
        tokens = model.generate(torch.tensor([ids]), max_new_tokens=N, do_sample=False, pad_token_id=0)
    return tokens[0, len(ids) :].tolist()


def greedy_onnx(model: Path, ids: list[int]) -> list[int]:
    runner, tokens = Runner(model), list(ids)
    for _ in range(N):
        steps = runner(np.array([tokens]), len(ids))
        last = steps[-1][0] if len(tokens) > len(ids) else steps[0][0, -1]
        tokens.append(int(last.argmax()))
    return tokens[len(ids) :]


def test_training_beats_a_bigram_model(walked: tuple[Path, list[str]]) -> None:
    said = next(text for text in walked[1] if "held-out loss" in text)
    found = re.search(r"held-out loss ([\d.]+) nats per token .* a bigram model has ([\d.]+)", said)
    assert found is not None
    loss, bigram = map(float, found.groups())
    assert loss < bigram


def test_the_member_has_layers_that_may_differ_and_its_measurements(walked: tuple[Path, list[str]]) -> None:
    said = json.loads((ship(walked[0], "int8") / "manifest.json").read_text())
    assert said["weights"] == "given"
    assert said["trial"]["provenance"]["request_ms"] == "measured"
    assert said["trial"]["values"]["request_ms"] <= 60
    assert said["workload"]["precision"] == "int8"


def test_the_same_tokens_in_every_float32_form(walked: tuple[Path, list[str]], theirs: Any) -> None:
    folder = walked[0]
    ids = prompt(folder)
    wanted = expected(theirs, ids)
    one = ship(folder, "float32")
    assert greedy_onnx(one / "model.onnx", ids) == wanted
    assert LlamaModel(one / "model.gguf").generate(ids, N) == wanted
    words = " ".join(map(str, ids))
    for target in ("host", "arm64"):
        assert runner(folder, target, one / target, words) == wanted


def runner(folder: Path, target: str, model: Path, ids: str) -> list[int]:
    """The tokens of lts-runner, for another processor in the emulator."""
    command = [str(folder / "bundle" / "lts-runner")]
    if target == "arm64":
        if shutil.which("qemu-aarch64") is None:
            pytest.skip("qemu-aarch64 is not installed")
        execute(folder, "bash", "lts-engine target bundle arm64 -O bundle-arm64")
        command = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(folder / "bundle-arm64" / "lts-runner")]
    done = subprocess.run(
        [*command, str(model), "--generate", ids, "--n-gen", str(N)], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line["token"] for line in lines if "token" in line]


def test_integers_say_nearly_the_same(walked: tuple[Path, list[str]], theirs: Any) -> None:
    """The next token after every prefix of a text."""
    folder = walked[0]
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "trained")
    ids = tokenizer(TEXT[-3000:]).input_ids[:200]
    with torch.no_grad():
        wanted = theirs(torch.tensor([ids])).logits[0].argmax(-1).numpy()
    one = ship(folder, "int8")
    steps = Runner(one / "model.onnx")(np.array([ids]), 1)
    found = np.array([int(steps[0][0, -1].argmax()), *(int(step[0].argmax()) for step in steps[1:])])
    assert (found == wanted).mean() >= 0.95
    assert (LlamaModel(one / "model.gguf").logits(ids).argmax(-1) == wanted).mean() >= 0.95


def test_plain_pytorch_trains_the_same_member(walked: tuple[Path, list[str]]) -> None:
    folder = walked[0]
    script = EXAMPLE / "train_pytorch.py"
    execute(folder, "bash", f"python {script} member/*/architecture.json text.txt --output plain --minutes 0.1")
    execute(folder, "bash", "lts-engine export member/*/architecture.json --weights plain --format onnx -O plain-model")
    assert (folder / "plain-model" / "model.onnx").is_file()
