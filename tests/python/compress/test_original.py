"""Reading the model that is compressed."""

from __future__ import annotations

from pathlib import Path

import pytest

import lts
from lts.compress.original import read_original
from lts.errors import UsageError
from lts.export import export


def test_a_folder_of_hugging_face(tmp_path: Path) -> None:
    architecture = lts.Architecture("llama", 100, 32, 32, 2, 64, n_layer=2)
    export(architecture, tmp_path, ["hf"])
    found = read_original(tmp_path)
    assert found.architecture == architecture
    assert found.tokenizer is None
    assert {name: array.shape for name, array in found.weights.items()} == {
        weight.name: weight.shape for weight in lts.weights(architecture)
    }
    (tmp_path / "tokenizer.json").write_text("{}")
    assert read_original(str(tmp_path)).tokenizer == tmp_path / "tokenizer.json"


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no model at .*absent; expected a folder of Hugging Face or a GGUF"):
        read_original(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"has no config\.json; expected the folder of a trained model"):
        read_original(tmp_path)
    export(lts.Architecture("llama", 100, 32, 32, 2, 64, n_layer=2), tmp_path, ["hf"])
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(
        UsageError, match=r"pytorch_model\.bin is a pickle, which may run any code .*safe_serialization"
    ):
        read_original(tmp_path)
