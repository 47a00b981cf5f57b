"""The tokenizer of a model in a form that llama.cpp reads: from a tokenizer.json of Hugging Face."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.export.gguf_package import package
from lts.system.outside import parse_json, read_bytes, sentence

TOKENIZER = "tokenizer.json"
SPACE = "\u2581"
"""What SentencePiece writes for a space."""

_MOST_BYTES = 64 << 20
_BYTE = re.compile("<0x[0-9A-F]{2}>")

# Ways of cutting a text before pairs are merged that llama.cpp knows, by its names: their form in tokenizer.json.
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
REGEXES = {
    rf"{_CONTRACTIONS}\p{{N}}{{1,3}}{_REST}": "llama-bpe",
    rf"{_CONTRACTIONS}\p{{N}}{_REST}": "qwen2",
}
# llama.cpp takes a whole word that is in the vocabulary, whatever its merges, with this one alone.
IGNORES_MERGES = "llama-bpe"
_KNOWN = "those of GPT-2, SmolLM, Llama 3 and Qwen 2"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in order of their ids, and how a text becomes them.

    Attributes
    ----------
    tokens, types
        Texts of the tokens as stored, and what llama.cpp calls their types.
    pre
        llama.cpp's name of the way in which a text is cut first; empty where it is not, because characters are merged.
    special
        What the package gguf has found of merges, special tokens and the chat template.
    space_before
        Whether a text gets a space before its first word.
    """

    tokens: Sequence[str]
    types: Sequence[int]
    pre: str
    special: Any
    space_before: bool = False

    def add_to(self, writer: Any) -> None:
        """Add it to a writer of the package gguf."""
        if self.pre:
            writer.add_tokenizer_model("gpt2")
            writer.add_tokenizer_pre(self.pre)
        else:
            writer.add_tokenizer_model("llama")
            writer.add_add_space_prefix(self.space_before)
            writer.add_token_scores(self._scores())
        writer.add_token_list(list(self.tokens))
        writer.add_token_types(list(self.types))
        self.special.add_to_gguf(writer, quiet=True)

    def _scores(self) -> list[float]:
        """What orders the merges where characters are merged: of each token the place of its first merge, negative."""
        first: dict[str, int] = {}
        for rank, merge in enumerate(self.special.merges):
            first.setdefault(merge.replace(" ", ""), rank)
        return [-float(first.get(token, len(first))) for token in self.tokens]


def read_vocabulary(folder: Path, vocab_size: int) -> Vocabulary:
    """The tokenizer in a folder, for a model with so many tokens; those that it does not have are filled up as unused.

    Raises
    ------
    UsageError
        When the folder has none, it is of a kind that llama.cpp does not have, or has more tokens than the model.
    """
    path = folder / TOKENIZER
    try:
        said = parse_json(read_bytes(path, _MOST_BYTES))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; expected a folder with {TOKENIZER}") from None
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {sentence(error, 100)}") from None
    try:
        pre, space_before = _cut_by(said)
        tokens, types = _tokens(said, vocab_size)
        gguf = package()
        try:
            special = gguf.SpecialVocab(folder, load_merges=True, n_vocab=vocab_size)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, OSError, RecursionError) as error:
            raise UsageError(f"a file beside it, or it itself, is not as expected: {sentence(error, 100)}") from None
        if not _are_texts(special.merges):
            raise UsageError("its merges are no texts")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    # What the template of the file does not say is a default of llama.cpp, which differs from one cut to the other.
    special.add_special_token.setdefault("bos", False)
    return Vocabulary(tokens, types, pre, special, space_before)


def _cut_by(said: Any) -> tuple[str, bool]:
    """llama.cpp's name of how a text is cut, and whether it begins with a space; without a name, as SentencePiece's.

    Raises `UsageError` for a tokenizer that it does not have.
    """
    model = said.get("model") if isinstance(said, Mapping) else None
    if not isinstance(model, Mapping):
        raise UsageError("it is no tokenizer of Hugging Face")
    kind = model.get("type", "BPE")
    if kind != "BPE":
        raise UsageError(f"it is {sentence(kind, 40)}; tokenizers that merge pairs are written to GGUF (BPE)")
    if model.get("byte_fallback"):
        return "", _with_space_before(said)
    if said.get("normalizer") is not None:
        raise UsageError("it changes a text before it cuts it (a normalizer), which llama.cpp does not")
    name = _name_of(said.get("pre_tokenizer"))
    if name is None or bool(model.get("ignore_merges")) != (name == IGNORES_MERGES):
        raise UsageError(f"it cuts texts in a way that is not known; expected one of {_KNOWN}")
    return name, False


def _with_space_before(said: Mapping[str, Any]) -> bool:
    """Whether a tokenizer that merges characters puts a space before a text, as that of LLaMA 2."""
    replaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    normalizer = said.get("normalizer")
    steps = normalizer.get("normalizers") if isinstance(normalizer, Mapping) else None
    if said.get("pre_tokenizer") is None and isinstance(steps, list) and steps and steps[-1] == replaces:
        if len(steps) == 1:
            return False
        if steps[:-1] == [{"type": "Prepend", "prepend": SPACE}]:
            return True
    raise UsageError(
        "it merges characters, and prepares texts for that in a way that is not known; expected that of LLaMA 2: "
        "spaces replaced, and one before"
    )


def _name_of(cut: Any) -> str | None:
    """The name of a pre-tokenizer; None for one that is not known."""
    parts = cut.get("pretokenizers") if isinstance(cut, Mapping) and cut.get("type") == "Sequence" else [cut]
    if not isinstance(parts, list) or not parts or not all(isinstance(part, Mapping) for part in parts):
        return None
    *before, last = parts
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space"):
        return None
    by_regex = last.get("use_regex", True)
    if not before:
        return "gpt-2" if by_regex else None
    first = before[0]
    if len(before) > 1:
        return None
    if first.get("type") == "Digits":
        return "smollm" if by_regex and first.get("individual_digits") else None
    pattern = first.get("pattern")
    if first.get("type") != "Split" or by_regex or first.get("behavior") != "Isolated" or first.get("invert"):
        return None
    regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
    return REGEXES.get(regex) if isinstance(regex, str) else None


def _tokens(said: Mapping[str, Any], vocab_size: int) -> tuple[list[str], list[int]]:
    """Texts and types by id. Raises `UsageError` unless every id of the model has one text at most."""
    types = package().TokenType
    vocab, added = said["model"].get("vocab"), said.get("added_tokens") or []
    if not isinstance(vocab, Mapping) or not isinstance(added, list):
        raise UsageError("it has no vocabulary")
    found: dict[int, tuple[str, int]] = {}
    characters, unknown = said["model"].get("byte_fallback"), said["model"].get("unk_token")

    def kind_of(token: str, otherwise: Any) -> Any:
        if not characters:
            return otherwise
        return types.BYTE if _BYTE.fullmatch(token) else types.UNKNOWN if token == unknown else otherwise

    entries = [(token, id_, kind_of(token, types.NORMAL)) for token, id_ in vocab.items()]
    for each in added:
        if not isinstance(each, Mapping) or not isinstance(each.get("content"), str):
            raise UsageError("one of its added tokens has no text")
        token, kind = each["content"], types.CONTROL if each.get("special") else types.USER_DEFINED
        entries.append((token, each.get("id"), kind_of(token, kind)))
    for token, id_, kind in entries:
        if isinstance(id_, bool) or not isinstance(id_, int) or id_ < 0:
            raise UsageError(f"the token '{sentence(token, 40)}' has the id {sentence(id_, 40)}; expected a number")
        if id_ in found and found[id_][0] != token:
            raise UsageError(f"it has two tokens with the id {id_}")
        found[id_] = (token, int(kind))
    if found and max(found) >= vocab_size:
        raise UsageError(f"it has {max(found) + 1} tokens, and the model has {vocab_size}; expected at most as many")
    texts = [found.get(id_, (f"[PAD{id_}]", int(types.UNUSED))) for id_ in range(vocab_size)]
    if len({text for text, _ in texts}) < vocab_size:
        raise UsageError("it has the same token under two ids, which llama.cpp does not take")
    return [text for text, _ in texts], [kind for _, kind in texts]


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
