"""lts-engine export: what is exported, and the way back of weights that were trained elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from export_runner import Runner, arrays, export_pair, tokens
from trained_tokenizers import TEXT
from trained_tokenizers import trained as trained_tokenizer

import lts
from lts.export import export, onnx_model
from lts.study.architectures import load_architecture
from lts.study.stored import stored_front

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from safetensors.torch import save_file  # noqa: E402

from lts.networks.network import Network  # noqa: E402


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of estimates: it takes no device."""
    folder = tmp_path_factory.mktemp("study")
    options = ("--target", "arm64", "--device", "none", "--trials", "200", "--export", "none", "-O", "found")
    done = run("search", "gpt2-tiny", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "found"


@pytest.fixture(scope="module")
def trained(study: Path) -> tuple[str, Network, Path]:
    """A trial by its name, the network that it became, and where the weights of that are."""
    member = next(
        trial for trial in stored_front(study / "study.db") if len({*trial.architecture.d_ff}) > 1
    )  # layers that differ
    torch.manual_seed(0)
    network = Network(member.architecture)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    path = study.parent / "trained.safetensors"
    save_file(network.state_dict(), path)
    return f"{study.name}#{member.id}", network, path


def logits(folder: Path, ids: Any) -> Any:
    """Of every position, as the exported model says."""
    return Runner(folder / "model.onnx")(ids, ids.shape[1])[0]


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-5), ("int8", 0.1)])
def test_trained_weights_come_back(
    study: Path, trained: tuple[str, Network, Path], precision: str, bound: float, tmp_path: Path
) -> None:
    name, network, path = trained
    arguments = (name, "--weights", path, "--precision", precision, "--logits", "all", "-O", tmp_path, "-o", "jsonl")
    done = run("export", *arguments, cwd=study.parent)
    assert done.returncode == 0, done.stderr
    assert "random" not in done.stderr
    assert ("errors of int8, exact" in done.stderr) == (precision == "int8")
    (folder,) = {Path(json.loads(line)["file"]).parent for line in done.stdout.splitlines()}
    assert folder == tmp_path / name.rpartition("#")[2]
    ids = np.arange(16)[None] % network.architecture.vocab_size
    with torch.no_grad():
        expected = network(torch.tensor(ids)).numpy()
    error = np.abs(logits(folder, ids) - expected).max() / expected.std()
    assert error < bound
    # What was exported has the weights, too: it is exported once more, from its own folder.
    again = run("export", folder, "--format", "onnx", "--logits", "all", "-O", tmp_path / "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert np.abs(logits(tmp_path / "again", ids) - expected).max() < 1e-4


def test_random_weights_are_said(study: Path, trained: tuple[str, Network, Path], tmp_path: Path) -> None:
    name, network, path = trained
    done = run("export", name, "--format", "json", "-O", tmp_path, cwd=study.parent)
    assert done.returncode == 0
    assert "the weights are random; train the model, and export it again with --weights CHECKPOINT" in done.stderr
    file = tmp_path / name.rpartition("#")[2] / "architecture.json"
    assert load_architecture(str(file)) == network.architecture
    done = run("export", file, "--weights", path, "--format", "hf", "-O", tmp_path / "hf", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "hf" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("found", "--pick", "all", "--weights", "trained.safetensors"), "of one architecture, and"),
        (("{name}", "--weights", "none"), "cannot read none: No such file"),
        (("{name}", "--weights", "found"), "found has neither model.safetensors nor"),
        (("{name}", "--weights", "trained.safetensors", "--seed", "3"), "--seed is about random weights"),
        (("{name}", "--pick", "knee"), "is one trial, and --pick chooses among those of a study"),
        (("found#999999",), "found has no trial 999999"),
        (("{name}", "--format", "onnx,pickle"), "unknown format 'pickle'"),
        (("nowhere",), "no study at nowhere, and no model or architecture either"),
    ],
)
def test_what_is_refused(
    study: Path, trained: tuple[str, Network, Path], arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    given = [each.replace("{name}", trained[0]) for each in arguments]
    done = run("export", *given, "-O", tmp_path / "out", cwd=study.parent)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_of_earlier_versions_is_exported_anew(tmp_path: Path) -> None:
    """Its pair of models has the weights of its safetensors file; elsewhere it stays, and in its place it goes."""
    architecture = lts.Architecture("llama", 131, 64, 32, n_head=[4, 2], n_kv_head=2, d_ff=64)
    old, weights, ids = tmp_path / "old", arrays(architecture), tokens(architecture, 2, 9)
    pair = export_pair(architecture, old, weights=weights)
    export(architecture, old, ["hf", "json"], weights=weights)
    expected = Runner(*pair[:2])(ids, 9)[0]
    arguments = ("export", "old", "--format", "onnx", "--logits", "all", "-o", "jsonl", "-O")
    done = run(*arguments, "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(logits(tmp_path / "new", ids), expected, rtol=1e-5, atol=1e-4)
    assert all(path.is_file() for path in pair)
    export(architecture, old, ["onnx"], weights=weights)
    assert sorted(path.name for path in old.glob("*.onnx")) == ["model.onnx"]
    np.testing.assert_allclose(logits(old, ids), expected, rtol=1e-5, atol=1e-4)


def test_an_exported_folder_without_the_form_of_hugging_face_is_a_source(study: Path, tmp_path: Path) -> None:
    assert run("export", study, "--format", "onnx,json", "-O", tmp_path, cwd=tmp_path).returncode == 0
    (folder,) = tmp_path.iterdir()
    done = run("export", folder, "--format", "json", "-O", tmp_path / "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the weights are random" in done.stderr


def test_a_search_leaves_trained_members_alone(tmp_path: Path) -> None:
    """The same command again, after the weights came back to the folder that it exports to."""
    options = ("gpt2-tiny", "--n-prompt", "8", "--trials", "4", "--timeout", "60s", "-O", "found")
    assert run("search", *options, cwd=tmp_path).returncode == 0
    (folder,) = (tmp_path / "found" / "models").iterdir()
    architecture = load_architecture(str(folder / "architecture.json"))
    torch.manual_seed(1)
    save_file(Network(architecture).state_dict(), tmp_path / "trained.safetensors")
    done = run("export", "found", "--pick", folder.name, "--weights", "trained.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = run("search", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "with weights of its own, which stay" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_gguf_file_becomes_other_forms(tmp_path: Path) -> None:
    """With its tokenizer, where that is asked for: in the GGUF file, and for the perplexity on a text."""
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    trained_tokenizer(tmp_path, "smollm")
    architecture = lts.Architecture("llama", 300, 64, 32, n_head=2, n_kv_head=1, d_ff=32, n_layer=2, rotary_theta=1e5)
    export(architecture, tmp_path, ["gguf"], weights=arrays(architecture), tokenizer=tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    done = run("export", "model.gguf", "--format", "onnx,gguf", "--text", "text.txt", "-O", "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: model.gguf has no tokenizer; --tokenizer model.gguf puts the model's own into it" in done.stderr
    assert "perplexity on text.txt" in done.stderr
    ids = tokens(architecture, 1, 16)
    expected = Runner(onnx_model(architecture, weights=arrays(architecture)))(ids, 16)[0]
    np.testing.assert_allclose(logits(tmp_path / "new", ids), expected, atol=1e-5)
    done = run("export", "model.gguf", "--format", "gguf", "--tokenizer", "model.gguf", "-O", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note" not in done.stderr
    assert (tmp_path / "again" / "model.gguf").read_bytes() == (tmp_path / "model.gguf").read_bytes()
