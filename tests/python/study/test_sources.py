"""Models by what a user names: one, or all that a folder or a study has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from board import LARGE, SMALL, Board

from lts.errors import UsageError
from lts.export import export, onnx_model
from lts.spaces.space import load_space
from lts.study.sources import read_source, read_sources
from lts.study.study import Study

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of every kind, and what is none."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "sub").mkdir()
    (folder / "small.json").write_text(SMALL.to_json())
    (folder / "sub" / "large.json").write_text(LARGE.to_json())
    onnx.save(onnx_model(SMALL, "prefill"), folder / "sub" / "file.onnx")
    export(SMALL, folder / "exported", ["onnx", "json"])
    (folder / "hf").mkdir()
    config = {"model_type": "gpt2", "vocab_size": 512, "n_positions": 256, "n_embd": 64, "n_layer": 2, "n_head": 4}
    (folder / "hf" / "config.json").write_text(json.dumps(config))
    (folder / "hf" / "tokenizer.json").write_text("{}")
    (folder / "package.json").write_text('{"name": "other"}')
    (folder / "README.md").write_text("x")
    return folder


def test_each_kind_alone(folder: Path) -> None:
    kinds = {
        "small.json": "architecture",
        "sub/file.onnx": "onnx",
        "exported": "exported",
        "exported/architecture.json": "architecture",
        "hf": "architecture",
        "hf/config.json": "architecture",
    }
    for name, kind in kinds.items():
        assert read_source(str(folder / name)).kind == kind
        ((member, source),) = read_sources(str(folder / name)).items()
        assert (member, source.name, source.kind) == ("", str(folder / name), kind)


def test_a_folder_has_its_models_by_their_paths(folder: Path) -> None:
    found = read_sources(str(folder))
    assert {name: source.kind for name, source in found.items()} == {
        "exported": "exported",
        "hf": "architecture",
        "small.json": "architecture",
        "sub/file.onnx": "onnx",
        "sub/large.json": "architecture",
    }
    assert found["sub/large.json"].content == LARGE
    assert found["sub/large.json"].name == str(folder / "sub/large.json")


def test_a_study_has_the_members_of_its_front_by_number(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with Study(load_space("gpt2-tiny"), Board(), objectives=["request_ms:min"], store=path, surrogate="none") as study:
        study.run(trials=3)
        best = min(study.trials, key=lambda trial: trial.values["request_ms"])
        architecture = best.architecture
    ((name, source),) = read_sources(str(path)).items()
    assert (name, source.name) == (f"#{best.id}", f"{path}#{best.id}")
    assert source.content == architecture == read_source(f"{path}#{best.id}").content


def test_what_is_none_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    wrong = {
        str(tmp_path): "has no model; expected ONNX or GGUF files, architectures, or folders of models",
        str(tmp_path / "absent"): "No such file or directory; expected an architecture file or STUDY#ID",
        str(folder / "package.json"): "package.json",
        str(folder / "README.md"): "README.md",
        str(tmp_path / "absent.db"): "absent.db",
        "": "the name of a model is empty; expected a file, a folder, or STUDY#ID",
    }
    for text, told in wrong.items():
        with pytest.raises(UsageError) as caught:
            read_sources(text)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_broken_model_in_a_folder_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(SMALL.to_json())
    (tmp_path / "b.onnx").write_bytes(b"")
    with pytest.raises(UsageError, match=r"b.onnx is not an ONNX model: it has no nodes or no outputs"):
        read_sources(str(tmp_path))
