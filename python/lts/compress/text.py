"""Texts as windows of tokens: what a model is compressed for, and what its sub-networks are judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lts.compress.arrays import save_arrays
from lts.compress.original import Original
from lts.errors import UsageError
from lts.measure.tokens import Ids, read_tokens
from lts.system.outside import parse_json, read_bytes
from lts.system.text import grouped, plural

TOKENS, CONTEXT = 49_152, 512
"""Tokens to calibrate on, and tokens of a window, unless the user says otherwise."""

# Of every file the first part calibrates, and the last is held out: windows of one page must not be on both sides.
_CALIBRATION_SHARE = 0.75
# Held-out windows for each one to calibrate on, up to the most: every member is measured on all of them. With fewer
# windows than the least, nothing is known.
_HELD_OUT, _MOST_HELD_OUT = 1 / 3, 16
_LEAST_CALIBRATION, _LEAST_HELD_OUT = 4, 2
# A text with fewer different tokens than this is no text.
_LEAST_DISTINCT = 16
# Tokens of a file that are looked at, for each one that is wanted of it.
_LOOKED_AT = 16
_MOST_TOKENIZER = 256 << 20


@dataclass(frozen=True)
class Windows:
    """Windows of texts, int64, all of the same length.

    Attributes
    ----------
    calibration
        What sub-networks are chosen on, (n, length).
    held_out
        What their perplexity is measured on, (m, length).
    second
        Of another text, which nothing is chosen on; None where none was given.
    notes
        What there is to say of them, in sentences for people.
    """

    calibration: Ids
    held_out: Ids
    second: Ids | None = None
    notes: Sequence[str] = field(default=(), compare=False)

    @property
    def length(self) -> int:
        """Tokens of a window."""
        return int(self.calibration.shape[1])

    @property
    def digest(self) -> str:
        """The first digits of a SHA-256 over all windows: the same texts, taken in the same way."""
        found = hashlib.sha256()
        for part in (self.calibration, self.held_out, self.second):
            found.update(b"-" if part is None else repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        return found.hexdigest()[:16]


def read_windows(
    original: Original,
    texts: Sequence[Path],
    second: Path | None = None,
    *,
    tokens: int = TOKENS,
    context: int | None = None,
) -> Windows:
    """Windows of several texts, evenly taken from all of them.

    Three quarters of each file are calibrated on, and the last quarter is held out.

    Parameters
    ----------
    original
        Whose tokenizer and vocabulary the tokens are of.
    texts, second
        Files of text or token ids, see `lts.measure.tokens.read_tokens`.
    tokens
        How many are calibrated on, at most; a third as many are held out, up to 16 windows.
    context
        Tokens of a window; by default 512, or as many as the model has positions.

    Raises
    ------
    UsageError
        When a file cannot be read, the texts are too short or no text, or the tokenizer is of another model.
    """
    positions = original.architecture.n_positions
    length = min(CONTEXT, positions) if context is None else context
    if not 2 <= length <= positions:
        raise UsageError(
            f"--context is {length}; the model has {positions} positions, so it must be from 2 to {positions}"
        )
    if not texts:
        raise UsageError("no text to compress for; name one or several files (--text FILE)")
    wanted = max(_LEAST_CALIBRATION, tokens // length)
    n_held = min(_MOST_HELD_OUT, max(_LEAST_HELD_OUT, round(_HELD_OUT * wanted)))
    notes = _check_tokenizer(original)
    share = -(-(wanted + n_held) // len(texts)) * length
    files = [_ids(file, original, share * _LOOKED_AT) for file in texts]
    blocks = [ids[: len(ids) // length * length].reshape(-1, length) for ids in files]
    cuts = [_cut(len(each)) for each in blocks]
    first = _spread([each[:cut] for each, cut in zip(blocks, cuts, strict=True)], wanted)
    held = _spread([each[cut:] for each, cut in zip(blocks, cuts, strict=True)], n_held)
    if len(first) < _LEAST_CALIBRATION or len(held) < _LEAST_HELD_OUT:
        least = (_LEAST_CALIBRATION + _LEAST_HELD_OUT) * length
        raise UsageError(
            f"{_named(texts)}: {grouped(sum(map(len, files)))} tokens are too few; {_LEAST_CALIBRATION} windows of "
            f"{length} to calibrate on and {_LEAST_HELD_OUT} held out take {grouped(least)} or more of one file: give "
            "more text, or a smaller --context"
        )
    if len(first) < wanted:
        notes.append(
            f"the texts have {plural(len(first), 'window')} of {length} tokens to calibrate on, of {wanted} that were "
            "asked for; with more text, sub-networks are better chosen"
        )
    other = None if second is None else _second(second, original, length, n_held)
    return Windows(first, held, other, tuple(notes))


def _second(file: Path, original: Original, length: int, n: int) -> Ids:
    ids = _ids(file, original, n * length * _LOOKED_AT)
    found = _spread([ids[: len(ids) // length * length].reshape(-1, length)], n)
    if len(found) < _LEAST_HELD_OUT:
        raise UsageError(
            f"{file}: {grouped(len(ids))} tokens are too few; {_LEAST_HELD_OUT} windows of {length} take "
            f"{grouped(_LEAST_HELD_OUT * length)}"
        )
    return found


def _ids(file: Path, original: Original, most: int) -> Ids:
    ids = read_tokens(file, original.architecture.vocab_size, most, original.tokenizer)
    if (n := len(np.unique(ids))) < _LEAST_DISTINCT:
        raise UsageError(
            f"{file} has {plural(n, 'different token')} among its {grouped(len(ids))}; expected a text, with at least "
            f"{_LEAST_DISTINCT}"
        )
    return ids


def _cut(n: int) -> int:
    """After how many of a file's windows those begin that are held out: one at least, where there are two."""
    return min(round(_CALIBRATION_SHARE * n), n - 1) if n > 1 else n


def _spread(parts: Sequence[Ids], n: int) -> Ids:
    """At most `n` windows, as many of each part as of the others, evenly spread over it; what a short part lacks comes
    from the others."""
    counts = [0] * len(parts)
    for place, i in enumerate(sorted(range(len(parts)), key=lambda i: len(parts[i]))):
        counts[i] = min(len(parts[i]), -(-(n - sum(counts)) // (len(parts) - place)))
    taken = [
        part[np.linspace(0, len(part) - 1, count).round().astype(int)] if count else part[:0]
        for part, count in zip(parts, counts, strict=True)
    ]
    return np.concatenate(taken)[:n]


def _check_tokenizer(original: Original) -> list[str]:
    """Raise `UsageError` for a tokenizer with more tokens than the model; what there is to say of one with fewer."""
    if original.tokenizer is None:
        return []
    n = _size(original.tokenizer)
    rows = original.architecture.vocab_size
    if n is not None and n > rows:
        raise UsageError(
            f"{original.tokenizer} has {grouped(n)} tokens, and the embedding of the model {grouped(rows)}: it is the "
            "tokenizer of another model"
        )
    if n is not None and n < rows / 2:
        return [f"the tokenizer has {grouped(n)} tokens, and the embedding {grouped(rows)}: is it that of this model?"]
    return []


def _size(tokenizer: Path) -> int | None:
    """How many tokens a `tokenizer.json` has; None where it does not say: reading the text tells what is wrong."""
    try:
        content = parse_json(read_bytes(tokenizer, _MOST_TOKENIZER).decode("utf-8-sig"))
        known = content["model"]["vocab"]
        ids = [*known.values()] if isinstance(known, dict) else [*range(len(known))]
        ids += [int(each["id"]) for each in content.get("added_tokens") or ()]
        return max(map(int, ids), default=-1) + 1
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _named(texts: Sequence[Path]) -> str:
    names = [str(path) for path in texts]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def save_windows(windows: Windows, file: Path) -> None:
    """Keep them, for whoever goes on with the same study; the file appears whole."""
    parts = {"calibration": windows.calibration, "held_out": windows.held_out}
    if windows.second is not None:
        parts["second"] = windows.second
    save_arrays(file, parts)


def load_windows(file: Path) -> Windows:
    """What `save_windows` has kept. Raises `UsageError` when it cannot be read."""
    try:
        with np.load(file, allow_pickle=False) as found:
            second = found["second"].astype(np.int64) if "second" in found else None
            return Windows(found["calibration"].astype(np.int64), found["held_out"].astype(np.int64), second)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UsageError(f"{file} is damaged ({error}); compress once more, with another --output-dir") from None
