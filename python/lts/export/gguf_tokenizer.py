"""The tokenizer that a GGUF file holds: copied into another such file, or written in the form of Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.export.gguf_file import GgufFile
from lts.export.tokenizer_json import NORMAL, begin_with, merging_bytes, merging_characters
from lts.export.vocabulary import IGNORES_MERGES, TOKENIZER
from lts.system.files import replace_file
from lts.system.outside import sentence

CONFIG = "tokenizer_config.json"
_TOKENS = "tokenizer.ggml.tokens"

# Ways of cutting a text, by llama.cpp's names of them: as `lts.export.vocabulary` calls that cut.
_CUTS = {
    "gpt-2": "gpt-2",
    "phi-2": "gpt-2",
    "mpt": "gpt-2",
    "olmo": "gpt-2",
    "smollm": "smollm",
    "starcoder": "smollm",
    "refact": "smollm",
    "command-r": "smollm",
    "codeshell": "smollm",
    "qwen2": "qwen2",
    "deepseek-r1-qwen": "qwen2",
    "llama-bpe": "llama-bpe",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "falcon3": "llama-bpe",
    "pixtral": "llama-bpe",
}
# Special tokens: what GGUF calls them, and Hugging Face.
_SPECIAL = {
    "bos": "bos_token",
    "eos": "eos_token",
    "unknown": "unk_token",
    "padding": "pad_token",
    "seperator": "sep_token",  # it is spelled so
    "cls": "cls_token",
    "mask": "mask_token",
}


class StoredTokenizer:
    """The tokenizer in a GGUF file; see `read_gguf`.

    Attributes
    ----------
    size
        How many tokens it has.
    """

    def __init__(self, file: GgufFile, size: int) -> None:
        self.size = size
        self._file = file

    def add_to(self, writer: Any) -> None:
        """Add it, as it is, to a writer of the package gguf."""
        for key in self._file.keys:
            if key.startswith("tokenizer."):
                writer.add_key_value(key, *self._file.typed(key))

    def content(self) -> tuple[str, dict[str, Any]]:
        """The content of ``tokenizer.json``, and that of ``tokenizer_config.json``. Raises `UsageError` as `write`."""
        try:
            return _hugging_face(self._file)
        except UsageError:
            raise
        except ValueError as error:
            raise UsageError(f"{self._file.path}: its tokenizer {error}") from None

    def write(self, folder: Path) -> Path:
        """Write it as ``tokenizer.json``, with ``tokenizer_config.json`` beside it, and return the path of the first.

        Raises
        ------
        UsageError
            When it is of a kind that is not known here, is damaged, or the package tokenizers is not installed.
        OSError
            When it cannot be written.
        """
        content, config = self.content()
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / CONFIG, json.dumps(config, ensure_ascii=False, indent=2) + "\n")
        replace_file(folder / TOKENIZER, content)
        return folder / TOKENIZER


def read_tokenizer(file: GgufFile) -> StoredTokenizer | None:
    """The tokenizer in a GGUF file; None where it has no tokens. Raises `UsageError` when they are no texts."""
    tokens = file.value(_TOKENS)
    if tokens is None:
        return None
    if not _are_texts(tokens):
        raise UsageError(f"{file.path}: its {_TOKENS} are no texts")
    return StoredTokenizer(file, len(tokens))


def copied_tokenizer(path: Path, vocab_size: int) -> StoredTokenizer:
    """The tokenizer in a GGUF file, for another one of a model with so many tokens.

    Raises
    ------
    UsageError
        When the file cannot be read, has none, or has another number of tokens.
    """
    tokenizer = read_tokenizer(GgufFile(path))
    if tokenizer is None:
        raise UsageError(f"{path} has no tokenizer; expected a GGUF file that has one")
    if tokenizer.size != vocab_size:
        raise UsageError(
            f"{path}: its tokenizer has {tokenizer.size} tokens, and the model has {vocab_size}; expected as many"
        )
    return tokenizer


def _hugging_face(file: GgufFile) -> tuple[str, dict[str, Any]]:
    kind = file.text("tokenizer.ggml.model")
    tokens, types = _tokens_and_types(file)
    config = _config(file, tokens)
    if kind == "gpt2":
        pre = file.text("tokenizer.ggml.pre", "default")
        if (cut := _CUTS.get(pre)) is None:
            raise ValueError(f"cuts texts as '{sentence(pre, 40)}'; expected one of {', '.join(_CUTS)}")
        model = merging_bytes(tokens, types, _merges(file), cut)
        begins = cut == IGNORES_MERGES
    elif kind == "llama":
        spaced = file.flag("tokenizer.ggml.add_space_prefix", True)
        model = merging_characters(tokens, types, _scores(file, len(tokens)), space_before=spaced)
        begins = True
    else:
        known = "'gpt2', which merges bytes, or 'llama', which merges characters"
        raise ValueError(f"is of the kind '{sentence(kind, 40)}'; expected {known}")
    # Where the file does not say, it depends on the kind whether llama.cpp begins every text with a token.
    if file.flag("tokenizer.ggml.add_bos_token", begins) and "bos_token" in config:
        config["add_bos_token"] = True
        begin_with(model, config["bos_token"], tokens.index(config["bos_token"]))
    return model.to_str(), config


def _tokens_and_types(file: GgufFile) -> tuple[list[str], list[int]]:
    tokens = file.value(_TOKENS)
    types = file.value("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    if not isinstance(types, list) or len(types) != len(tokens):
        raise ValueError(f"has {len(tokens)} tokens and not as many types of them; it is damaged")
    return tokens, types


def _merges(file: GgufFile) -> list[tuple[str, str]]:
    """Pairs of tokens; the space between them is not the first character."""
    merges = file.value("tokenizer.ggml.merges") or []
    if not _are_texts(merges):
        raise ValueError("has merges that are no texts")
    pairs = []
    for merge in merges:
        between = merge.find(" ", 1)
        if between < 0:
            raise ValueError(f"has the merge '{sentence(merge, 40)}', which is no pair of tokens")
        pairs.append((merge[:between], merge[between + 1 :]))
    return pairs


def _scores(file: GgufFile, n: int) -> list[float]:
    scores = file.value("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != n or not all(type(score) is float for score in scores):
        raise ValueError(f"has {n} tokens and not as many scores of them; it is damaged")
    return scores


def _config(file: GgufFile, tokens: Sequence[str]) -> dict[str, Any]:
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    for name, ours in _SPECIAL.items():
        key = f"tokenizer.ggml.{name}_token_id"
        if file.value(key) is None:
            continue
        if (id_ := file.whole(key)) >= len(tokens):
            raise ValueError(f"has {len(tokens)} tokens, and its {key} is {id_}; it is damaged")
        config[ours] = tokens[id_]
    for name in ("bos", "eos"):
        if file.value(key := f"tokenizer.ggml.add_{name}_token") is not None:
            config[f"add_{name}_token"] = file.flag(key)
    if file.value("tokenizer.chat_template") is not None:
        config["chat_template"] = file.text("tokenizer.chat_template")
    return config


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
