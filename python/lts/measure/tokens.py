"""A text as the token ids of a model: by its tokenizer, as bytes, or given as ids."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lts.errors import UsageError
from lts.export.gguf import GGUF_FILE
from lts.export.gguf_file import GgufFile
from lts.export.gguf_tokenizer import read_tokenizer
from lts.system.outside import sentence

Ids: TypeAlias = NDArray[np.int64]

_BYTES = 256
# Bytes of text that are read for each token that is wanted: a token of a usual vocabulary has four.
_BYTES_PER_TOKEN = 32


def read_tokens(file: Path, vocab_size: int, most: int, tokenizer: Path | None = None) -> Ids:
    """The first tokens of a text, at most so many, int64 (n,).

    Parameters
    ----------
    file
        Token ids where its name ends in ``.npy``: integers of one dimension. Else text.
    vocab_size
        Ids are below this.
    most
        How many tokens.
    tokenizer
        A ``tokenizer.json`` of Hugging Face, or a GGUF file that has a tokenizer. Without one, a text is its bytes, for
        a vocabulary of 256.

    Raises
    ------
    UsageError
        When a file cannot be read or is none of these, there is nothing to turn the text into ids with, or an id is
        not in the vocabulary.
    """
    try:
        if file.suffix == ".npy":
            ids = _array(file, most)
        elif tokenizer is not None:
            ids = _tokenized(_text(file, most * _BYTES_PER_TOKEN), tokenizer)[:most]
        elif vocab_size == _BYTES:
            ids = np.frombuffer(_content(file, most), np.uint8)
        else:
            raise UsageError(
                f"the model has no tokenizer.json, and its {vocab_size} tokens are no bytes: give the ids of {file} "
                "as integers in a .npy file"
            )
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}") from None
    if ids.size < 2:
        raise UsageError(f"{file} has {ids.size} tokens; at least 2 are needed")
    if not 0 <= ids.min() <= ids.max() < vocab_size:
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise UsageError(f"{file} has the token {wrong}; those of the model are 0 to {vocab_size - 1}")
    return ids.astype(np.int64)


def _array(file: Path, most: int) -> NDArray[Any]:
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except (ValueError, EOFError) as error:
        raise UsageError(f"{file} is no array of NumPy: {sentence(error)}") from None
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise UsageError(
            f"{file} holds {array.dtype} {list(array.shape)}; expected token ids: integers of one dimension"
        )
    return np.array(array[:most])


def _content(file: Path, most: int) -> bytes:
    with file.open("rb") as opened:
        return opened.read(most)


def _text(file: Path, most: int) -> str:
    content = _content(file, most)
    try:  # where the text is longer, its last character may be cut
        return codecs.getincrementaldecoder("utf-8-sig")().decode(content, final=len(content) < most)
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no UTF-8 text: byte {error.start}; token ids are given as a .npy file") from None


def _tokenized(text: str, tokenizer: Path) -> NDArray[Any]:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UsageError(
            f"{tokenizer} needs the package tokenizers: pip install 'lts-engine[text]'; or give token ids as a .npy "
            "file"
        ) from None
    packed = _packed(tokenizer) if tokenizer.suffix == Path(GGUF_FILE).suffix else None
    try:
        loaded = Tokenizer.from_file(str(tokenizer)) if packed is None else Tokenizer.from_str(packed)
        loaded.no_truncation()
        loaded.no_padding()
        return np.array(loaded.encode(text, add_special_tokens=False).ids, dtype=np.int64)
    except Exception as error:  # it raises plain Exception
        raise UsageError(f"{tokenizer} is no tokenizer that can be read: {sentence(error)}") from None


def _packed(path: Path) -> str:
    """The tokenizer in a GGUF file, as a ``tokenizer.json`` has it."""
    found = read_tokenizer(GgufFile(path))
    if found is None:
        raise UsageError(f"{path} has no tokenizer; give token ids as a .npy file")
    return found.content()[0]
