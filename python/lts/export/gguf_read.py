"""A pretrained model in a GGUF file of llama.cpp, whoever wrote it: architecture, weights and tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.gguf_file import GgufFile
from lts.export.gguf_form import SCALED
from lts.export.gguf_metadata import read_architecture
from lts.export.gguf_tensors import ROTARY_FACTORS
from lts.export.gguf_tokenizer import StoredTokenizer, read_tokenizer
from lts.export.gguf_weights import weights_of

# Tensors of older files, which llama.cpp computes itself today.
_COMPUTED = "attn_rot_embd.weight"


@dataclass(frozen=True)
class StoredModel:
    """A model in a GGUF file.

    Attributes
    ----------
    path
        The file.
    architecture
        What it is.
    weights
        By the names of `lts.weights`, in float32, each read and unpacked when it is asked for.
    tokenizer
        How it cuts texts; None where the file does not say.
    """

    path: Path
    architecture: Architecture
    weights: Mapping[str, Array]
    tokenizer: StoredTokenizer | None


def read_gguf(path: Path) -> StoredModel:
    """The model in a GGUF file: LLaMA (``llama``, ``deci``), Qwen 2, GPT-2 or GPT-NeoX.

    Its numbers may be stored in any form that the package gguf unpacks: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1
    and those of K-quants, among others.

    Raises
    ------
    UsageError
        When the file cannot be read, holds something else or something that cannot be built here, a tensor is missing,
        left over, of another shape or has a value that is no finite number, or it has not as many tokens as rows in its
        embedding.
    """
    file = GgufFile(path)
    architecture, form = read_architecture(file)
    besides = {ROTARY_FACTORS} if architecture.rotary_scaling is None and form.name in SCALED else set()
    besides |= {f"blk.{i}.{_COMPUTED}" for i in form.layers}
    if architecture.tie_embedding:
        besides.add("output.weight")
    tokenizer = read_tokenizer(file)
    if tokenizer is not None and tokenizer.size != architecture.vocab_size:
        raise UsageError(
            f"{path}: its tokenizer has {tokenizer.size} tokens, and its embedding {architecture.vocab_size} rows; "
            "expected as many"
        )
    weights = weights_of(file, architecture, form, frozenset(besides))
    return StoredModel(path, architecture, weights, tokenizer)
