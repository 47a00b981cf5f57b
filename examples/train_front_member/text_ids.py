"""A text as token ids: a byte-level BPE tokenizer is trained on it, and a tenth of it is held out."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HELD_OUT = 10  # one part in ten


def make_tokenizer(text: str, vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer (Radford et al. 2019) of at most `vocab_size` tokens: it can write any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        text.splitlines(keepends=True),
        trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False),
    )
    return tokenizer


def split(text: str, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Token ids to train on and to evaluate on: the last tenth of the text is held out."""
    ids = np.array(tokenizer.encode(text).ids)
    end = len(ids) - len(ids) // HELD_OUT
    return ids[:end], ids[end:]


def bigram_loss(train: np.ndarray, held_out: np.ndarray, vocab_size: int) -> float:
    """Cross entropy, in nats per token, of a bigram model that is smoothed by unigrams: what any model must beat."""
    ones, twos = Counter(train.tolist()), Counter(zip(train[:-1].tolist(), train[1:].tolist(), strict=True))
    total = 0.0
    for before, token in zip(held_out[:-1].tolist(), held_out[1:].tolist(), strict=True):
        unigram = (ones[token] + 1) / (len(train) + vocab_size)
        total -= math.log((twos[before, token] + 5 * unigram) / (ones[before] + 5))
    return total / (len(held_out) - 1)


def read_text(path: Path) -> str:
    """A text in UTF-8, a byte order mark or not."""
    return path.read_text(encoding="utf-8-sig")
