"""Tokenizers trained on a short text, of the kinds that llama.cpp knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TEXT = (
    "It's 1234567 o'clock, we'LL go — don't  wait!\n\n\tThe cafés of Zürich\r\n are   open at 10:45; ünder, 日本語.\n"
    * 4
)


def trained(folder: Path, kind: str, vocab_size: int = 290) -> Any:
    """A tokenizer of a kind, trained on a text with what is hard: contractions, digits, spaces, accents, a dialog."""
    tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers.decoders import ByteLevel

    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=kind == "llama-bpe"))
    cut: Any = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind in ("gpt-2", "smollm"))
    digits = r"\p{N}{1,3}" if kind == "llama-bpe" else r"\p{N}"
    regex = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    if kind == "smollm":
        cut = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), cut])
    elif kind != "gpt-2":
        cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), cut])
    tokenizer.pre_tokenizer, tokenizer.decoder = cut, ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 3, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer
