"""Exported architectures in the oldest and the newest transformers: what they compute, and what comes back to us."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_runner import arrays, exported, relative_error, tokens

import lts
from lts.export.huggingface import CODE
from lts.measure.pretrained import read_pretrained

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
from transformers_models import FAMILIES, OLDEST, REASON, load, loaded, own_modules, small  # noqa: E402, F401

from lts.networks import Network  # noqa: E402

N_RANDOM = 200
HERE = Path(__file__).parent


def drawn(count: int) -> list[lts.Architecture]:
    """As many of one family as of any other."""
    source = random.Random(2203)
    return [small(FAMILIES[i % len(FAMILIES)], source) for i in range(count)]


def check_round_trip(architecture: lts.Architecture, folder: Path) -> str:
    """From us to transformers, and back; the kind of model that it was there."""
    weights = arrays(architecture)
    model = loaded(architecture, folder / "exported", weights)
    ids = tokens(architecture, 2, 9)
    with torch.no_grad():
        got = model(torch.tensor(ids)).logits.numpy()
        network = Network(architecture, weights)(torch.tensor(ids)).numpy()
    assert relative_error(got, network) < 1e-5, architecture
    if not architecture.traits.encoder:
        logits, *steps = exported(architecture, weights)(ids, 6)
        onnx = np.concatenate([logits, np.stack(steps, 1)], 1)
        assert relative_error(got, onnx) < 1e-5, architecture
    model.save_pretrained(folder / "saved")
    read = read_pretrained(folder / "saved")
    assert read.weights.keys() == weights.keys()
    for name, array in weights.items():
        assert np.array_equal(read.weights[name], array), (architecture, name)
    assert lts.total_params(read.architecture) == lts.total_params(architecture)
    with torch.no_grad():
        again = load(folder / "saved", architecture.traits.encoder)(torch.tensor(ids)).logits.numpy()
    assert relative_error(again, got) < 1e-6, architecture  # sums depend on where the loader puts weights
    return str(model.config.model_type)


@pytest.mark.parametrize("architecture", drawn(len(FAMILIES)), ids=lambda a: a.family)
def test_random_architectures(architecture: lts.Architecture, tmp_path: Path) -> None:
    check_round_trip(architecture, tmp_path)


@pytest.mark.slow
def test_many_random_architectures(tmp_path: Path) -> None:
    kinds = [check_round_trip(each, tmp_path / str(i)) for i, each in enumerate(drawn(N_RANDOM))]
    assert {kind for kind in kinds if kinds.count(kind) >= 2} == {"gpt2", "gpt_neox", "llama", "qwen2", "lts"}


UNIFORM = {
    "gpt2": lts.Architecture("gpt2", 97, 32, 24, n_head=3, d_ff=30, n_layer=2),
    "gpt2-untied": lts.Architecture("gpt2", 97, 32, 24, n_head=3, d_ff=30, n_layer=2, tie_embedding=False),
    "llama": lts.Architecture("llama", 97, 32, 24, n_head=4, n_kv_head=2, d_ff=30, n_layer=2),
    "llama-wide": lts.Architecture("llama", 97, 32, 24, n_head=4, n_kv_head=2, d_ff=30, n_layer=2, head_dim=16),
    "llama-odd": lts.Architecture("llama", 97, 32, 50, n_head=4, n_kv_head=2, d_ff=30, n_layer=2, head_dim=12),
    "qwen2": lts.Architecture("llama", 97, 32, 24, n_head=4, n_kv_head=2, d_ff=30, n_layer=2, qkv_bias=True),
    "gpt_neox": lts.Architecture("gpt_neox", 97, 32, 24, n_head=3, d_ff=30, n_layer=2, rotary_dim=4),
    "llama-tied": lts.Architecture("llama", 97, 32, 48, n_head=4, d_ff=30, n_layer=2, tie_embedding=True),
}


@pytest.mark.parametrize("name", UNIFORM)
def test_equal_layers_are_classes_of_transformers(name: str, tmp_path: Path) -> None:
    """Without code beside them, also those with heads that do not divide the width."""
    architecture = UNIFORM[name]
    weights = arrays(architecture)
    model = loaded(architecture, tmp_path, weights, trust_remote_code=False)
    assert not list(tmp_path.glob("*.py"))
    assert type(model).__module__.startswith("transformers.models.")
    ids = tokens(architecture, 2, 9)
    with torch.no_grad():
        got = model(torch.tensor(ids)).logits.numpy()
    assert relative_error(got, exported(architecture, weights)(ids, 9)[0]) < 1e-5
    model.save_pretrained(tmp_path / "saved")
    read = read_pretrained(tmp_path / "saved")
    assert read.architecture == architecture
    assert all(np.array_equal(read.weights[name], array) for name, array in weights.items())


@pytest.mark.slow
@pytest.mark.skipif(not OLDEST.is_dir(), reason=REASON)
def test_the_oldest_release() -> None:
    """All of the tests here and of `modeling_lts.py`, with the oldest release that is supported."""
    if os.environ.get("PYTHONPATH", "").startswith(str(OLDEST)):
        pytest.skip("this is the oldest release")
    code = "import transformers, sys; print(transformers.__version__, transformers.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(OLDEST), "OMP_NUM_THREADS": "1"}
    version = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert version.startswith("4.57.6 ")
    assert str(OLDEST) in version
    names = ("test_remote_code.py", "test_transformers.py", "test_fields_in_transformers.py")
    files = [str(HERE / name) for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *files]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


TRAP = "from pathlib import Path\n\nPath({!r}).touch()\nraise SystemExit(7)\n"


def test_no_code_beside_a_model_is_run_by_us(tmp_path: Path) -> None:
    """Every command that reads such a folder reads its configuration and its weights alone."""
    architecture = lts.Architecture("gpt2", 97, 32, 24, n_head=[4, 2], d_ff=[30, 20])
    folder, sprung = tmp_path / "model", tmp_path / "sprung"
    loaded(architecture, folder, arrays(architecture))
    for name in CODE:
        (folder / name).write_text(TRAP.format(str(sprung)))
    read = read_pretrained(folder)
    assert read.architecture == architecture
    for command in (
        ["count", folder],
        ["estimate", folder, "--target", "arm64"],
        ["export", folder, "-O", tmp_path / "out", "--format", "onnx,hf,json"],
        ["bench", folder, *["-p", "8", "-n", "2", "-r", "1", "--min-time", "0.01s"]],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lts", *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        assert not sprung.exists(), command
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "lts"
    assert (tmp_path / "out" / CODE[1]).read_text() != (folder / CODE[1]).read_text()
    with pytest.raises(SystemExit):
        load(folder)  # as a trap, it works
    assert sprung.exists()
