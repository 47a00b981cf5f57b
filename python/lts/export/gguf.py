"""Architectures as GGUF files of llama.cpp: their metadata and the content of their tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import FLOAT16, Array
from lts.export.gguf_form import GgufForm, gguf_form
from lts.export.gguf_package import package
from lts.export.gguf_tensors import TYPES, GgufTensor, gguf_tensors, interleaved
from lts.export.weights import ArrayWeights

GGUF_FILE = "model.gguf"
# What llama.cpp calls the whole file by the type of its matrices.
_FILE_TYPES = {"F32": "ALL_F32", "F16": "MOSTLY_F16", "Q8_0": "MOSTLY_Q8_0", "Q4_0": "MOSTLY_Q4_0"}


class Tokenizer(Protocol):
    """What a GGUF file says of the tokenizer."""

    def add_to(self, writer: Any) -> None:
        """Add it to a writer of the package gguf."""


def write_gguf(
    file: BinaryIO,
    architecture: Architecture,
    precision: str,
    data: Callable[[GgufTensor], npt.NDArray[Any]],
    vocabulary: Tokenizer | None = None,
) -> None:
    """Write a GGUF file, one tensor after the other.

    Parameters
    ----------
    file
        A real file, open for writing.
    architecture, precision
        What is written, and how; see `TYPES`.
    data
        Gives the content of a tensor, as `stored` does.
    vocabulary
        By default the file has none, and llama.cpp works on token ids alone.

    Raises
    ------
    UsageError
        When there is no such form, or the package gguf is not installed.
    OSError
        When it cannot be written.
    """
    gguf = package()
    form = gguf_form(architecture)
    writer = gguf.GGUFWriter(None, form.name)
    _add_metadata(writer, gguf, architecture, form, precision)
    if vocabulary is None:
        writer.add_tokenizer_model("no_vocab")
    else:
        vocabulary.add_to(writer)
    tensors = gguf_tensors(architecture, precision, form)
    for each in tensors:
        kind_of_numbers = gguf.GGMLQuantizationType[each.type]
        block, size = gguf.GGML_QUANT_SIZES[kind_of_numbers]
        n_bytes = prod(each.shape) // block * size
        writer.add_tensor_info(each.name, each.shape, np.dtype(np.float32), n_bytes, raw_dtype=kind_of_numbers)
    # It opens a path itself; this file is open, and gets its name when all is written.
    writer.fout = [file]
    writer.state = gguf.gguf_writer.WriterState.EMPTY
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for each in tensors:
        writer.write_tensor_data(data(each))
    writer.flush()


def stored(source: ArrayWeights, each: GgufTensor) -> npt.NDArray[Any]:
    """The content of a tensor: float32, float16, or the bytes of its blocks.

    Raises
    ------
    UsageError
        When it holds numbers that cannot be stored so.
    """
    if each.constant is not None:
        return stored_array(each.constant, each.type)
    array = source.joined(each.tensor)
    if each.type != "F32" and not np.isfinite(array).all():
        raise UsageError(f"cannot store '{each.name}' as {each.type}: it holds numbers that are not finite")
    if each.heads:
        array = interleaved(array, each.heads)
    return stored_array(array, each.type)


def stored_array(array: Array, kind: str) -> npt.NDArray[Any]:
    """An array in a form of llama.cpp, such as ``Q8_0``: float32, float16, or the bytes of its blocks."""
    if kind == "F32":
        return np.ascontiguousarray(array, "<f4")
    if kind == "F16":
        return FLOAT16.encode(array)
    gguf = package()
    rows = np.ascontiguousarray(array, np.float32)
    blocks: npt.NDArray[np.uint8] = gguf.quants.quantize(rows, gguf.GGMLQuantizationType[kind])
    return blocks


def _add_metadata(writer: Any, gguf: Any, a: Architecture, form: GgufForm, precision: str) -> None:
    def of_layers(values: Sequence[int]) -> int | list[int]:
        return list(values) if form.name == "deci" else values[0]

    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_context_length(a.n_positions)
    writer.add_embedding_length(a.d_model)
    writer.add_block_count(len(form.layers))
    writer.add_vocab_size(a.vocab_size)
    writer.add_head_count(of_layers(form.n_head))
    writer.add_feed_forward_length(of_layers(form.d_ff))
    if a.family == "llama":
        writer.add_head_count_kv(of_layers(form.n_kv_head))
        writer.add_layer_norm_rms_eps(a.norm_epsilon)
        writer.add_key_length(form.head_dim)
        writer.add_value_length(form.head_dim)
    else:
        writer.add_layer_norm_eps(a.norm_epsilon)
    if a.traits.position == "rotary":
        writer.add_rope_freq_base(a.rotary_theta)
        writer.add_rope_dimension_count(a.rotary_dim or form.head_dim)
    if a.rotary_scaling:
        # Its factors are a tensor; this is what readers and people can tell them by.
        writer.add_rope_scaling_orig_ctx_len(a.rotary_scaling["original_positions"])
    if form.name == "gptneox":
        writer.add_parallel_residual(a.traits.parallel)
    kind = TYPES[precision]
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[kind]])
    if kind.startswith("Q"):
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
