"""Reading the model that is compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


def test_a_gguf_file(tmp_path: Path) -> None:
    """The same weights as in the folder, and the tokenizer as a file of its own."""
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    from trained_tokenizers import TEXT
    from trained_tokenizers import trained as trained_tokenizer

    vocab_size = trained_tokenizer(tmp_path, "smollm").get_vocab_size()
    architecture = lts.Architecture("llama", vocab_size, 32, 32, 2, 64, n_layer=2)
    export(architecture, tmp_path, ["hf", "gguf"], tokenizer=tmp_path)
    folder, file = read_original(tmp_path), read_original(tmp_path / "model.gguf")
    assert lts.decoder_params(file.architecture) == lts.decoder_params(architecture)
    for name, array in folder.weights.items():
        assert np.array_equal(file.weights[name], array)
    assert file.tokenizer is None
    written = file.with_tokenizer(tmp_path / "apart").tokenizer
    assert written == tmp_path / "apart" / "tokenizer.json"
    from tokenizers import Tokenizer

    one, other = (Tokenizer.from_file(str(path)) for path in (written, tmp_path / "tokenizer.json"))
    assert one.encode(TEXT).ids == other.encode(TEXT).ids
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(UsageError, match=r"model\.bin is no GGUF file; expected one, or the folder of a trained model"):
        read_original(tmp_path / "model.bin")
