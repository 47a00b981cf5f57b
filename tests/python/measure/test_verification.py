"""Manifests of exported folders, and whether what they name is there and is one model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from export_runner import arrays

import lts
from lts.errors import UsageError
from lts.export import RandomWeights, export
from lts.export.huggingface import CODE
from lts.export.manifest import MANIFEST_FILE, Manifest, has_own_weights, read_manifest, update_manifest
from lts.measure.logits import OnnxLogits
from lts.measure.verification import TOLERANCE, verify

GPT2 = lts.Architecture("gpt2", 96, 32, 64, n_head=2, d_ff=96, n_layer=2)
LLAMA = lts.Architecture("llama", 96, 32, 64, n_head=[2, 4], n_kv_head=[1, 2], d_ff=[64, 96], n_layer=2, head_dim=16)
WITHOUT_PARTS = lts.Architecture(
    "llama", 96, 32, 64, n_head=[0, 4, 0, 2], n_kv_head=[0, 2, 0, 1], d_ff=[64, 0, 0, 96], head_dim=16,
    rotary_theta=1e5, norm_epsilon=1e-6, qkv_bias=True,
)  # fmt: skip
XL = lts.Architecture("transformer_xl", 96, 32, 64, n_head=[4, 2], d_ff=[128, 64], cutoffs=[40, 96], div_val=2)


def formats_of(architecture: lts.Architecture) -> tuple[str, ...]:
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    return ("onnx", "hf", "json") + (() if architecture is XL else ("gguf",))


def wrong(folder: Path) -> dict[str, str]:
    return {each.about: each.says for each in verify(folder) if each.right is not True}


@pytest.mark.parametrize("architecture", [GPT2, LLAMA, XL], ids=lambda a: a.family)
@pytest.mark.parametrize("precision", ["float32", "int8", "int4"])
def test_what_was_exported_is_right(architecture: lts.Architecture, precision: str, tmp_path: Path) -> None:
    formats = formats_of(architecture)
    files = export(architecture, tmp_path, formats, precision=precision, logits="last", seed=2)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.architecture == architecture
    assert (manifest.weights, manifest.seed) == ("random", 2)
    assert set(manifest.files) == {file.name for file in files}
    for name, entry in manifest.files.items():
        content = (tmp_path / name).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert set(manifest.forms) == set(formats)
    assert manifest.forms["onnx"]["precision"] == precision
    assert manifest.forms["hf"] == {"precision": "float32"}
    assert wrong(tmp_path) == {}
    assert {each.about for each in verify(tmp_path)} == {*manifest.files, *formats}


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_layers_without_parts(precision: str, tmp_path: Path) -> None:
    """The empty one is not in the files, and what the manifest says is what they are."""
    export(WITHOUT_PARTS, tmp_path, ["onnx", "json"], precision=precision, seed=2)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.architecture == lts.without_empty_layers(WITHOUT_PARTS)
    assert wrong(tmp_path) == {}


def test_formats_of_another_time_stay_in_the_manifest(tmp_path: Path) -> None:
    """Of the same weights; those of other weights do not belong to it."""
    export(GPT2, tmp_path, ["onnx"], seed=1)
    export(GPT2, tmp_path, ["hf", "json"], seed=1, origin={"trial": {"trial": 7}})
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert set(manifest.forms) == {"onnx", "hf", "json"}
    assert manifest.origin == {"trial": {"trial": 7}}
    assert wrong(tmp_path) == {}
    export(GPT2, tmp_path, ["onnx"], seed=1, precision="int8")
    assert wrong(tmp_path) == {}
    export(GPT2, tmp_path, ["json"], seed=2)
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert set(manifest.files) == {"architecture.json"}
    more = tmp_path / "host" / "model.so"
    more.parent.mkdir()
    more.write_bytes(b"code")
    update_manifest(tmp_path, {"tvm/host": {"precision": "int8"}}, {more: "tvm/host"}, [tmp_path / "architecture.json"])
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.files["host/model.so"].sha256 == hashlib.sha256(b"code").hexdigest()
    assert list(manifest.forms) == ["tvm/host"]


@pytest.mark.parametrize("name", ["model.safetensors", "weights.bin", "model.onnx", "architecture.json", "model.gguf"])
def test_files_that_are_not_what_was_exported(name: str, tmp_path: Path) -> None:
    export(LLAMA, tmp_path, formats_of(LLAMA))
    path = tmp_path / name
    whole = path.read_bytes()
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    format = manifest.files[name].format
    for content, message in (
        (whole[:-1] + bytes([whole[-1] ^ 1]), "its SHA-256 is another one"),
        (whole + b"x", f"{len(whole):,} were exported".replace(",", " ")),
        (None, "is missing"),
    ):
        path.unlink() if content is None else path.write_bytes(content)
        found = wrong(tmp_path)
        assert message in found[name].replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
        assert set(found) == {name, format}


@pytest.mark.parametrize("format", ["onnx", "hf", "gguf"])
@pytest.mark.parametrize("precision", ["float32", "int8", "int4"])
def test_another_model_is_found_in_every_precision(format: str, precision: str, tmp_path: Path) -> None:
    """One format has other weights than the rest, and hashes that agree with that."""
    formats = formats_of(LLAMA)
    export(LLAMA, tmp_path, formats, precision=precision)
    export(LLAMA, tmp_path / "other", [format], precision=precision, seed=9)
    for file in (tmp_path / "other").iterdir():
        if file.name != MANIFEST_FILE:
            file.rename(tmp_path / file.name)
    said = json.loads((tmp_path / MANIFEST_FILE).read_text())
    for name, entry in said["files"].items():
        content = (tmp_path / name).read_bytes()
        entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(said))
    found = {each.about for each in verify(tmp_path) if each.right is False}
    # What is compared with is the weights in the form of Hugging Face: when these are others, all else differs.
    assert found == ({"onnx", "gguf"} if format == "hf" else {format})


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_rounding_of_random_weights_is_far_within_the_tolerance(precision: str, tmp_path: Path) -> None:
    """And so is another model far beyond it. Nothing says the weights, so that float32 is what is compared with."""
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    for seed in range(1, 6):
        export(LLAMA, tmp_path, ["gguf"], weights=given_weights(LLAMA, seed))
        export(LLAMA, tmp_path, ["onnx"], precision=precision, weights=given_weights(LLAMA, seed))
        assert error_said(tmp_path, "onnx") < 0.75 * TOLERANCE[precision]


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_rounding_of_known_weights_is_no_error(precision: str, tmp_path: Path) -> None:
    """However far it moves logits, as in a deep network in which every term counts."""
    deep = lts.Architecture("llama", 96, 32, 64, n_head=4, n_kv_head=2, d_ff=96, n_layer=8)
    formats = formats_of(deep)
    weights = {name: 3 * array if array.ndim > 1 else array for name, array in arrays(deep).items()}
    ids = np.random.default_rng(0).integers(0, 96, 24)
    whole, rounded = [], []
    for each, found in (("float32", whole), (precision, rounded)):
        export(deep, tmp_path, formats, precision=each, weights=weights)
        found.append(OnnxLogits(tmp_path / "model.onnx")(ids))
    assert np.sqrt(np.mean((whole[0] - rounded[0]) ** 2)) > TOLERANCE[precision] * whole[0].std()
    assert wrong(tmp_path) == {}
    assert max(error_said(tmp_path, form) for form in ("onnx", "gguf")) < 1e-4


def error_said(folder: Path, form: str) -> float:
    says = next(each.says for each in verify(folder) if each.about == form)
    return float(says.partition("logits are ")[2].partition(" of")[0])


@pytest.mark.alone
def test_compiled_models_are_run(tmp_path: Path) -> None:
    """And found out when the weights beside them are others."""
    pytest.importorskip("tvm", reason="Apache TVM is not installed")
    (tmp_path / "architecture.json").write_text(LLAMA.to_json())
    command = ("export", "architecture.json", "--target", "host", "-O", "model")
    done = run(*command, "--format", "hf,tvm", "--precision", "int8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "model"
    manifest = read_manifest(folder)
    assert manifest is not None
    assert set(manifest.forms) == {"hf", "tvm/host"}
    assert manifest.files["weights.bin"].format == "tvm/host"
    assert wrong(folder) == {}
    assert all(name in {path.relative_to(folder).as_posix() for path in folder.rglob("*")} for name in manifest.files)
    export(LLAMA, tmp_path / "other", ["onnx"], precision="int8", seed=5)
    (tmp_path / "other" / "weights.bin").rename(folder / "weights.bin")
    said = json.loads((folder / MANIFEST_FILE).read_text())
    said["files"]["weights.bin"]["sha256"] = hashlib.sha256((folder / "weights.bin").read_bytes()).hexdigest()
    (folder / MANIFEST_FILE).write_text(json.dumps(said))
    assert set(wrong(folder)) == {"tvm/host"}
    assert "the output differs from ONNX Runtime's" in wrong(folder)["tvm/host"]


def given_weights(architecture: lts.Architecture, seed: int = 1) -> dict[str, Any]:
    return {weight.name: RandomWeights(seed).array(weight) for weight in lts.weights(architecture)}


def test_without_weights_of_their_own_formats_are_compared_as_the_coarser_allows(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    export(LLAMA, tmp_path, ["gguf"], precision="int4", weights=given_weights(LLAMA))
    export(LLAMA, tmp_path, ["onnx"], weights=given_weights(LLAMA))
    assert wrong(tmp_path) == {}
    export(LLAMA, tmp_path, ["onnx"], weights=given_weights(LLAMA, 2))
    assert set(wrong(tmp_path)) == {"onnx"}


def test_what_cannot_be_read_here_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats_of(LLAMA)
    export(LLAMA, tmp_path, ["hf", "gguf"])
    monkeypatch.setattr("lts.measure.verification.find_spec", lambda name: None)
    (gguf,) = [each for each in verify(tmp_path) if each.about == "gguf"]
    assert gguf.right is None
    assert "the package gguf is not installed" in gguf.says


def test_weights_of_ones_own_are_known(tmp_path: Path) -> None:
    """What a search may write again, and what it may not."""
    assert not has_own_weights(tmp_path)
    export(GPT2, tmp_path / "random", ["onnx", "hf"])
    assert not has_own_weights(tmp_path / "random")
    export(GPT2, tmp_path / "given", ["onnx"], weights=given_weights(GPT2))
    assert has_own_weights(tmp_path / "given")
    export(GPT2, tmp_path / "trained", ["hf"], seed=4)
    (tmp_path / "trained" / "model.safetensors").replace(tmp_path / "random" / "model.safetensors")
    assert has_own_weights(tmp_path / "random"), "saved in the place of what was exported"


def damaged(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        said = json.loads(path.read_text())
        change(said)
        path.write_text(json.dumps(said))

    return write


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text("[]"),
        damaged(lambda said: said.pop("files")),
        damaged(lambda said: said["files"].update({"../secret": next(iter(said["files"].values()))})),
        damaged(lambda said: said["files"].update({"/etc/passwd": next(iter(said["files"].values()))})),
        damaged(lambda said: said["files"]["config.json"].update(bytes=-1)),
        damaged(lambda said: said["files"]["config.json"].update(sha256="z" * 64)),
        damaged(lambda said: said["architecture"].update(n_layer=3)),
        damaged(lambda said: said.update(seed="1")),
        damaged(lambda said: said.update(forms={"hf": 3})),
    ],
)
def test_damaged_manifests(change: Callable[[Path], None], tmp_path: Path) -> None:
    export(GPT2, tmp_path, ["hf"])
    change(tmp_path / MANIFEST_FILE)
    with pytest.raises(UsageError, match="is not the manifest of an export"):
        verify(tmp_path)
    export(GPT2, tmp_path, ["json"])  # the next export writes a new one
    assert wrong(tmp_path) == {}


def test_the_command(tmp_path: Path) -> None:
    export(
        GPT2, tmp_path / "model", ["hf", "json"], weights={w.name: RandomWeights(1).array(w) for w in lts.weights(GPT2)}
    )
    done = run("verify", "model", "-o", "jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["about"] for each in found} >= {"config.json", "model.safetensors", "hf", "json"}
    assert all(each["right"] for each in found)
    (tmp_path / "model" / "config.json").write_text("{}")
    done = run("verify", "model", cwd=tmp_path)
    assert done.returncode == 1
    assert "config.json" in done.stdout
    done = run("verify", ".", "-o", "jsonl", cwd=tmp_path)  # which has folders that were exported
    assert done.returncode == 1
    assert {json.loads(line)["about"] for line in done.stdout.splitlines()} >= {"model/config.json", "model/json"}
    (tmp_path / "empty").mkdir()
    done = run("verify", "empty", cwd=tmp_path)
    assert done.returncode == 2
    assert "has no manifest.json; expected a folder that lts-engine export has written" in done.stderr


def test_no_code_in_the_folder_is_run(tmp_path: Path) -> None:
    export(LLAMA, tmp_path, ["hf"])
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')\n"
    for name in CODE:
        (tmp_path / name).write_text(trap)
    assert set(wrong(tmp_path)) == {*CODE, "hf"}
    assert not (tmp_path / "sprung").exists()
    assert Manifest(LLAMA, "random", 0, {}, {}).updated({}, {}).files == {}
    assert np.isfinite(list(TOLERANCE.values())).all()
