"""Tokenizers in the form of Hugging Face, built of tokens by the package tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lts.errors import UsageError
from lts.export.vocabulary import IGNORES_MERGES, REGEXES, SPACE
from lts.system.outside import sentence

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED = 1, 2, 3, 4, 5
"""What llama.cpp calls the types of tokens."""


def merging_bytes(tokens: Sequence[str], types: Sequence[int], merges: Sequence[tuple[str, str]], cut: str) -> Any:
    """A tokenizer that merges bytes in pairs, as that of GPT-2.

    Parameters
    ----------
    tokens, types
        By id.
    merges
        Pairs of tokens, the first ones first.
    cut
        How a text is cut before, by the name of `lts.export.vocabulary`.

    Raises
    ------
    ValueError
        When they do not fit one another, saying of the tokenizer what is wrong.
    UsageError
        When the package tokenizers is not installed.
    """
    package = _package()
    from tokenizers import decoders, models, pre_tokenizers, processors

    by_bytes: Any = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut in ("gpt-2", "smollm"))
    if cut == "smollm":
        by_bytes = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), by_bytes])
    elif cut != "gpt-2":
        regex = next(regex for regex, name in REGEXES.items() if name == cut)
        by_bytes = pre_tokenizers.Sequence([pre_tokenizers.Split(package.Regex(regex), "isolated"), by_bytes])
    options = {"ignore_merges": cut == IGNORES_MERGES}
    tokenizer = _merging(models, tokens, types, merges, **options)
    tokenizer.pre_tokenizer = by_bytes
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def merging_characters(
    tokens: Sequence[str], types: Sequence[int], scores: Sequence[float], *, space_before: bool
) -> Any:
    """A tokenizer that merges characters by scores, as SentencePiece does for LLaMA 2; what it lacks becomes bytes.

    Parameters
    ----------
    tokens, types, scores
        By id; of all neighbors those are merged first whose token has the highest score.
    space_before
        Whether a text gets a space before its first word.

    Raises
    ------
    ValueError, UsageError
        As `merging_bytes`.
    """
    _package()
    from tokenizers import decoders, models, normalizers

    known = {token: score for token, score, kind in zip(tokens, scores, types, strict=True) if kind == NORMAL}
    merges = [
        (-score, i, token[:i], token[i:])
        for token, score in known.items()
        for i in range(1, len(token))
        if token[:i] in known and token[i:] in known
    ]
    merges.sort()
    unknown = next((token for token, kind in zip(tokens, types, strict=True) if kind == UNKNOWN), None)
    options = {"unk_token": unknown, "fuse_unk": True, "byte_fallback": True}
    tokenizer = _merging(models, tokens, types, [(left, right) for _, _, left, right in merges], **options)
    before = [normalizers.Prepend(SPACE)] if space_before else []
    tokenizer.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", SPACE)])
    after = [decoders.Strip(" ", 1, 0)] if space_before else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *after]
    )
    return tokenizer


def begin_with(tokenizer: Any, token: str, id_: int) -> None:
    """Let every text of a tokenizer begin with a token."""
    from tokenizers.processors import TemplateProcessing

    tokenizer.post_processor = TemplateProcessing(
        single=[f"{token}:0", "$A:0"],
        pair=[f"{token}:0", "$A:0", "$B:1"],
        special_tokens=[(token, id_)],
    )


def _merging(
    models: Any, tokens: Sequence[str], types: Sequence[int], merges: Sequence[tuple[str, str]], **options: Any
) -> Any:
    package = _package()
    # Unused tokens at the end only fill the embedding up.
    end = next((i + 1 for i in reversed(range(len(tokens))) if types[i] != UNUSED), 0)
    vocab = {token: id_ for id_, token in enumerate(tokens[:end])}
    if len(vocab) < end:
        raise ValueError("has the same token twice")
    try:
        tokenizer = package.Tokenizer(models.BPE(vocab=vocab, merges=list(merges), **options))
    except Exception as error:  # it raises plain Exception
        raise ValueError(f"is damaged: {sentence(error)}") from None
    for kinds, add in (((UNKNOWN, CONTROL), tokenizer.add_special_tokens), ((USER_DEFINED,), tokenizer.add_tokens)):
        found = [token for token, kind in zip(tokens, types, strict=True) if kind in kinds]
        add([package.AddedToken(token, special=CONTROL in kinds, normalized=False) for token in found])
    return tokenizer


def _package() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise UsageError(
            "tokenizers are written by the package tokenizers, which is not installed: pip install 'lts-engine[text]'"
        ) from None
    return tokenizers
