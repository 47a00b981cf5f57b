"""Architectures as GGUF files of llama.cpp: which are there, their metadata, and their tensors.

GPT-2 with equal layers is its architecture ``gpt2``, LLaMA with equal layers ``llama``, other LLaMAs ``deci``, whose
loader reads heads, heads of keys and values and feed-forward widths layer by layer, but one width of a head for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lts._core import Architecture, weights
from lts.errors import UsageError
from lts.export.encodings import BLOCK, FLOAT16, Array
from lts.export.gguf_package import package
from lts.export.vocabulary import Vocabulary
from lts.export.weights import ArrayWeights, Piece, Tensor

GGUF_FILE = "model.gguf"
TYPES = {"float32": "F32", "float16": "F16", "int8": "Q8_0", "int4": "Q4_0"}
"""What llama.cpp calls the form of matrices in each precision: the last two have a scale for each 32 inputs."""

# llama.cpp's limit of layers.
_MOST_LAYERS = 512

# Names of tensors, and the weights that each holds side by side; {} is the layer.
_LLAMA = {
    "token_embd.weight": "token_embedding.0.weight",
    "blk.{}.attn_norm.weight": "layers.{}.attention_norm.scale",
    "blk.{}.attn_q.weight": "layers.{}.query.weight",
    "blk.{}.attn_k.weight": "layers.{}.key.weight",
    "blk.{}.attn_v.weight": "layers.{}.value.weight",
    "blk.{}.attn_output.weight": "layers.{}.attention_output.weight",
    "blk.{}.ffn_norm.weight": "layers.{}.feed_forward_norm.scale",
    "blk.{}.ffn_gate.weight": "layers.{}.gate.weight",
    "blk.{}.ffn_up.weight": "layers.{}.up.weight",
    "blk.{}.ffn_down.weight": "layers.{}.down.weight",
    "output_norm.weight": "final_norm.scale",
    "output.weight": "head.weight",
}
_GPT2 = {
    "token_embd.weight": "token_embedding.0.weight",
    "position_embd.weight": "position_embedding.weight",
    "blk.{}.attn_norm.weight": "layers.{}.attention_norm.scale",
    "blk.{}.attn_norm.bias": "layers.{}.attention_norm.bias",
    "blk.{}.attn_qkv.weight": "layers.{}.query.weight layers.{}.key.weight layers.{}.value.weight",
    "blk.{}.attn_qkv.bias": "layers.{}.query.bias layers.{}.key.bias layers.{}.value.bias",
    "blk.{}.attn_output.weight": "layers.{}.attention_output.weight",
    "blk.{}.attn_output.bias": "layers.{}.attention_output.bias",
    "blk.{}.ffn_norm.weight": "layers.{}.feed_forward_norm.scale",
    "blk.{}.ffn_norm.bias": "layers.{}.feed_forward_norm.bias",
    "blk.{}.ffn_up.weight": "layers.{}.up.weight",
    "blk.{}.ffn_up.bias": "layers.{}.up.bias",
    "blk.{}.ffn_down.weight": "layers.{}.down.weight",
    "blk.{}.ffn_down.bias": "layers.{}.down.bias",
    "output_norm.weight": "final_norm.scale",
    "output_norm.bias": "final_norm.bias",
    "output.weight": "head.weight",
}
_NAMES = {"llama": _LLAMA, "gpt2": _GPT2}
# Tables that are looked up alone, as rows; all other matrices are stored (outputs, inputs), the transpose of ours.
_AS_THEY_ARE = ("token_embd.weight", "position_embd.weight")


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of a GGUF file.

    Attributes
    ----------
    tensor
        Its name and the weights that it holds, in the shape of the file.
    type
        How llama.cpp stores it, such as ``Q8_0``.
    heads
        Of rows that rotate with their position: how many heads they are of. 0 for all others.
    """

    tensor: Tensor
    type: str
    heads: int = 0


def check_gguf_form(architecture: Architecture) -> str:
    """The name of llama.cpp's architecture that this one is.

    Raises
    ------
    UsageError
        When it is none, with what it would take.
    """
    a = architecture
    if a.family not in _NAMES:
        raise UsageError(f"there is no GGUF form of the family '{a.family}'; llama.cpp runs {' and '.join(_NAMES)}")
    if a.adaptive:
        raise UsageError("there is no GGUF form of an adaptive embedding; llama.cpp has one table as wide as the model")
    if a.n_layer > _MOST_LAYERS:
        raise UsageError(f"the architecture has {a.n_layer} layers; llama.cpp runs at most {_MOST_LAYERS}")
    widths = dict.fromkeys(a.head_dims)
    if a.family == "gpt2":
        if not a.uniform:
            raise UsageError(
                "there is no GGUF form of a GPT-2 whose layers differ; llama.cpp runs those that are equal"
            )
        if a.n_head[0] * a.head_dims[0] != a.d_model:
            raise UsageError(
                f"there is no GGUF form of a GPT-2 whose {a.n_head[0]} heads of {a.head_dims[0]} are not as wide as the"
                f" model, {a.d_model}"
            )
        return "gpt2"
    if len(widths) > 1:
        raise UsageError(
            f"there is no GGUF form of heads of different widths, {', '.join(map(str, widths))}; llama.cpp has one for "
            "all layers, which a space sets with head_dim"
        )
    return "llama" if a.uniform else "deci"


def gguf_tensors(architecture: Architecture, precision: str) -> list[GgufTensor]:
    """The tensors of the file, in its order. Raises as `check_gguf_form`."""
    check_gguf_form(architecture)
    inventory = {weight.name: weight for weight in weights(architecture)}
    result = []
    for name, parts in _of_layers(_NAMES[architecture.family], architecture.n_layer):
        matrix = name.endswith(".weight") and "_norm" not in name and name not in _AS_THEY_ARE
        pieces = tuple(Piece(inventory[part], transposed=matrix) for part in parts.split() if part in inventory)
        if pieces:
            tensor = Tensor(name, pieces)
            result.append(GgufTensor(tensor, _type_of(tensor, precision), _heads(architecture, name)))
    return result


def write_gguf(
    file: BinaryIO,
    architecture: Architecture,
    precision: str,
    data: Callable[[GgufTensor], npt.NDArray[Any]],
    vocabulary: Vocabulary | None = None,
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
    kind = check_gguf_form(architecture)
    writer = gguf.GGUFWriter(None, kind)
    _add_metadata(writer, gguf, architecture, kind, precision)
    if vocabulary is None:
        writer.add_tokenizer_model("no_vocab")
    else:
        vocabulary.add_to(writer)
    tensors = gguf_tensors(architecture, precision)
    for each in tensors:
        shape = each.tensor.shape
        kind_of_numbers = gguf.GGMLQuantizationType[each.type]
        block, size = gguf.GGML_QUANT_SIZES[kind_of_numbers]
        writer.add_tensor_info(
            each.tensor.name, shape, np.dtype(np.float32), prod(shape) // block * size, raw_dtype=kind_of_numbers
        )
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
    array = source.joined(each.tensor)
    if each.type != "F32" and not np.isfinite(array).all():
        raise UsageError(f"cannot store '{each.tensor.name}' as {each.type}: it holds numbers that are not finite")
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


def interleaved(rows: Array, heads: int) -> Array:
    """Rows of queries or keys, (heads x width, inputs), in llama.cpp's order.

    It rotates neighbors, where we and Hugging Face rotate a row of the first half of a head with one of the second.
    """
    n, inputs = rows.shape
    return rows.reshape(heads, 2, n // heads // 2, inputs).swapaxes(1, 2).reshape(n, inputs)


def not_quantized(architecture: Architecture, precision: str) -> list[str]:
    """Names of the matrices that stay float16 in int8 and int4, because their rows are no multiple of 32 numbers."""
    wanted = TYPES[precision]
    return [
        each.tensor.name
        for each in gguf_tensors(architecture, precision)
        if wanted.startswith("Q") and each.type == "F16"
    ]


def _of_layers(names: Mapping[str, str], n_layer: int) -> Iterator[tuple[str, str]]:
    """Names of the whole file, layer by layer where the first name of a layer stands."""
    rows = list(names.items())
    begin = next(i for i, (name, _) in enumerate(rows) if "{}" in name)
    in_layers = [row for row in rows if "{}" in row[0]]
    yield from rows[:begin]
    for layer in range(n_layer):
        yield from ((name.replace("{}", str(layer)), parts.replace("{}", str(layer))) for name, parts in in_layers)
    yield from rows[begin + len(in_layers) :]


def _type_of(tensor: Tensor, precision: str) -> str:
    """As llama.cpp's own quantization: norms, biases, positions stay float32, rows that fit no blocks float16."""
    shape = tensor.shape
    if len(shape) < 2 or tensor.name == "position_embd.weight":
        return "F32"
    wanted = TYPES[precision]
    return "F16" if wanted.startswith("Q") and shape[-1] % BLOCK else wanted


def _heads(a: Architecture, name: str) -> int:
    if a.family != "llama" or not name.endswith(("attn_q.weight", "attn_k.weight")):
        return 0
    return (a.n_head if "attn_q" in name else a.n_kv_head)[int(name.split(".")[1])]


def _add_metadata(writer: Any, gguf: Any, a: Architecture, kind: str, precision: str) -> None:
    traits = a.traits
    one = kind != "deci"
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_context_length(a.n_positions)
    writer.add_embedding_length(a.d_model)
    writer.add_block_count(a.n_layer)
    writer.add_vocab_size(a.vocab_size)
    writer.add_head_count(a.n_head[0] if one else list(a.n_head))
    writer.add_feed_forward_length(a.d_ff[0] if one else list(a.d_ff))
    if kind == "gpt2":
        writer.add_layer_norm_eps(traits.norm_epsilon)
    else:
        width = a.head_dims[0]
        writer.add_head_count_kv(a.n_kv_head[0] if one else list(a.n_kv_head))
        writer.add_layer_norm_rms_eps(traits.norm_epsilon)
        writer.add_rope_freq_base(traits.rotary_theta)
        writer.add_rope_dimension_count(width)
        writer.add_key_length(width)
        writer.add_value_length(width)
    named = {"F32": "ALL_F32", "F16": "MOSTLY_F16", "Q8_0": "MOSTLY_Q8_0", "Q4_0": "MOSTLY_Q4_0"}[TYPES[precision]]
    writer.add_file_type(gguf.LlamaFileType[named])
    if TYPES[precision].startswith("Q"):
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
