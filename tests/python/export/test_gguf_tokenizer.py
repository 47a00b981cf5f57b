"""Tokenizers read from GGUF files: ids and texts against the original tokenizer and against llama.cpp."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from export_runner import arrays
from llama_cpp import LlamaModel
from trained_tokenizers import TEXT, trained

import lts
from lts.errors import UsageError
from lts.export import export, read_gguf
from lts.export.gguf import stored, write_gguf
from lts.export.weights import GivenWeights

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed: pip install 'lts-engine[gguf]'")
tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")

SIZE = 300
MODEL = lts.Architecture("llama", SIZE, 64, 32, n_head=2, n_kv_head=1, d_ff=32, n_layer=1)
SPEECH = f"{TEXT}<|end|>You'd 99 it's 🙂 <|end|> over"


def exported(folder: Path, tokenizer: Path) -> Path:
    export(MODEL, folder, ["gguf"], tokenizer=tokenizer)
    return folder / "model.gguf"


def written(path: Path, add_to: Callable[[Any], None]) -> Path:
    """A GGUF file with any tokenizer."""

    class Given:
        def add_to(self, writer: Any) -> None:
            add_to(writer)

    with path.open("wb") as file:
        write_gguf(file, MODEL, "float32", partial(stored, GivenWeights(arrays(MODEL))), Given())
    return path


def read(path: Path, folder: Path) -> Any:
    """The tokenizer of a GGUF file, as the package tokenizers loads what is written of it."""
    stored_tokenizer = read_gguf(path).tokenizer
    assert stored_tokenizer is not None
    return tokenizers.Tokenizer.from_file(str(stored_tokenizer.write(folder)))


def metadata(path: Path) -> dict[str, tuple[Any, Any]]:
    fields = gguf.GGUFReader(path).fields
    return {name: (field.contents(), field.types) for name, field in fields.items() if name.startswith("tokenizer.")}


@pytest.mark.parametrize("kind", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_the_same_ids_as_the_original(kind: str, tmp_path: Path) -> None:
    original = trained(tmp_path, kind)
    config = {"eos_token": "<|end|>", "chat_template": "{{ 1 }}"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    path = exported(tmp_path / "new", tmp_path)
    again = read(path, tmp_path / "read")
    ids = original.encode(SPEECH).ids
    assert again.encode(SPEECH).ids == ids == LlamaModel(path).tokenize(SPEECH)
    assert len(ids) > 50
    assert again.decode(ids, skip_special_tokens=False) == original.decode(ids, skip_special_tokens=False)
    assert "<|end|>" not in again.decode(ids)
    said = json.loads((tmp_path / "read" / "tokenizer_config.json").read_text())
    assert config.items() <= said.items()


@pytest.mark.parametrize("kind", ["smollm", "llama-bpe"])
def test_written_again_from_both_forms(kind: str, tmp_path: Path) -> None:
    """From the GGUF file itself as it was, and from the files of Hugging Face with the same meaning."""
    trained(tmp_path, kind)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|end|>", "add_bos_token": True}))
    path = exported(tmp_path / "new", tmp_path)
    read(path, tmp_path / "read")
    assert metadata(exported(tmp_path / "copied", path)) == metadata(path)
    assert metadata(exported(tmp_path / "again", tmp_path / "read")) == metadata(path)


def test_in_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    trained(tmp_path, "smollm")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
    ids = read(exported(tmp_path / "new", tmp_path), tmp_path / "read").encode(SPEECH).ids
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "read")
    assert loaded(SPEECH)["input_ids"] == ids
    assert loaded.eos_token == "<|end|>"


def pieces() -> tuple[list[str], list[float], list[int]]:
    """Tokens as SentencePiece has them for LLaMA 2: special ones, bytes, words by score, characters."""
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=SIZE - 259, show_progress=False)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(["the other there is another theme in the thesis then"] * 3, trainer)
    vocab = tokenizer.get_vocab()
    words = sorted((token for token in vocab if len(token) > 1), key=vocab.__getitem__)
    characters = [token for token in vocab if len(token) == 1]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *words, *characters]
    scores = [0.0] * 259 + [-float(i) for i in range(len(words) + len(characters))]
    types = [2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)]
    rest = SIZE - len(tokens)
    assert rest >= 0
    return [*tokens, *(f"[PAD{i}]" for i in range(SIZE - rest, SIZE))], [*scores, *[-1e4] * rest], [*types, *[5] * rest]


@pytest.mark.parametrize("space", [None, False])
@pytest.mark.parametrize("begins", [None, False])
def test_of_sentence_piece(space: bool | None, begins: bool | None, tmp_path: Path) -> None:
    def add_to(writer: Any) -> None:
        tokens, scores, types = pieces()
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores(scores)
        writer.add_token_types(types)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        if space is not None:
            writer.add_add_space_prefix(space)
        if begins is not None:
            writer.add_add_bos_token(begins)

    path = written(tmp_path / "model.gguf", add_to)
    again = read(path, tmp_path / "read")
    for text in ("the other theme", " then", "Zürich:\n\tthe  thesis 🙂", "in</s>the other<unk>"):
        ids = again.encode(text).ids
        assert ids == LlamaModel(path).tokenize(text), text
        assert (ids[0] == 1) == (begins is None)
        if "<" not in text:
            assert again.decode(ids) == text
    assert metadata(exported(tmp_path / "copied", path)) == metadata(path)
    anew = exported(tmp_path / "anew", tmp_path / "read")  # with other scores of the same order
    assert LlamaModel(anew).tokenize("in</s>the other\n 🙂") == again.encode("in</s>the other\n 🙂").ids
    for name in ("tokens", "token_type", "bos_token_id", "eos_token_id", "unknown_token_id"):
        assert metadata(anew)[f"tokenizer.ggml.{name}"] == metadata(path)[f"tokenizer.ggml.{name}"], name


def changed(path: Path, **fields: Any) -> Path:
    """The tokenizer of a file with other values; None leaves one out."""
    said = {name.removeprefix("tokenizer."): value for name, value in metadata(path).items()}

    def add_to(writer: Any) -> None:
        for name, (value, types) in said.items():
            value = fields.get(name.replace(".", "_"), value)
            if value is not None:
                kind = types if isinstance(value, list) else [gguf.GGUFValueType.get_type(value)]
                writer.add_key_value(f"tokenizer.{name}", value, kind[0], kind[-1] if len(kind) > 1 else None)
        for name, value in fields.items():
            if (key := name.replace("_", ".", 1)) not in said and value is not None:
                writer.add_key_value(f"tokenizer.{key}", value, gguf.GGUFValueType.get_type(value))

    return written(path.with_name("changed.gguf"), add_to)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"ggml_model": "bert"},
            "its tokenizer is of the kind 'bert'; expected 'gpt2', which merges bytes, or 'llama'",
        ),
        ({"ggml_pre": "tekken"}, "its tokenizer cuts texts as 'tekken'; expected one of gpt-2, "),
        ({"ggml_pre": None}, "its tokenizer cuts texts as 'default'"),
        ({"ggml_token_type": [1]}, "has 300 tokens and not as many types of them; it is damaged"),
        ({"ggml_merges": ["ab"]}, "has the merge 'ab', which is no pair of tokens"),
        ({"ggml_merges": ["qqq xxx"]}, "its tokenizer is damaged: .*qqq"),
        ({"ggml_tokens": ["a"] * SIZE, "ggml_merges": None}, "has the same token twice"),
        ({"ggml_bos_token_id": 300}, "has 300 tokens, and its tokenizer.ggml.bos_token_id is 300; it is damaged"),
        ({"ggml_add_bos_token": 1}, "its tokenizer.ggml.add_bos_token is 1; expected true or false"),
        ({"ggml_model": "llama"}, "has 300 tokens and not as many scores of them; it is damaged"),
    ],
)
def test_what_cannot_be_read(fields: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    trained(tmp_path, "gpt-2")
    path = changed(exported(tmp_path / "new", tmp_path), **fields)
    model = read_gguf(path)
    assert model.tokenizer is not None
    with pytest.raises(UsageError, match=message) as caught:
        model.tokenizer.write(tmp_path / "read")
    assert str(caught.value).count(str(path)) == 1
    assert not (tmp_path / "read").exists()


def test_of_another_size(tmp_path: Path) -> None:
    trained(tmp_path, "gpt-2")
    path = exported(tmp_path / "new", tmp_path)
    other = lts.Architecture("llama", 310, 64, 32, n_head=2, n_kv_head=1, d_ff=32, n_layer=1)
    with pytest.raises(UsageError, match=r"model.gguf: its tokenizer has 300 tokens, and the model has 310; expected"):
        export(other, tmp_path / "other", ["gguf"], tokenizer=path)
    fewer = changed(path, ggml_tokens=metadata(path)["tokenizer.ggml.tokens"][0][:290])
    with pytest.raises(UsageError, match=r"changed.gguf: its tokenizer has 290 tokens, and its embedding 300 rows"):
        read_gguf(fewer)


def test_of_a_file_without_one(tmp_path: Path) -> None:
    export(MODEL, tmp_path, ["gguf"])
    path = tmp_path / "model.gguf"
    assert read_gguf(path).tokenizer is None
    with pytest.raises(UsageError, match=r"model.gguf has no tokenizer"):
        export(MODEL, tmp_path / "new", ["gguf"], tokenizer=path)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path, "gpt-2")
    stored_tokenizer = read_gguf(exported(tmp_path / "new", tmp_path)).tokenizer
    assert stored_tokenizer is not None
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        UsageError, match=r"the package tokenizers, which is not installed: pip install 'lts-engine\[text"
    ):
        stored_tokenizer.write(tmp_path / "read")
