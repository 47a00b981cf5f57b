"""The tensors of a GGUF file: their names, which weights of the inventory they hold, and in which order of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lts._core import Architecture, weights
from lts.export.encodings import BLOCK, Array
from lts.export.gguf_form import SCALED, GgufForm, gguf_form
from lts.export.rotary_factors import rotary_factors
from lts.export.weights import Piece, Tensor

TYPES = {"float32": "F32", "float16": "F16", "int8": "Q8_0", "int4": "Q4_0"}
"""What llama.cpp calls the form of matrices in each precision: the last two have a scale for each 32 inputs."""

ROTARY_FACTORS = "rope_freqs.weight"
"""The tensor by which llama.cpp scales the wavelengths of rotary positions."""

# Names of tensors, and the weights that each holds side by side; {} is the layer.
_LLAMA = {
    "token_embd.weight": "token_embedding.0.weight",
    "blk.{}.attn_norm.weight": "layers.{}.attention_norm.scale",
    "blk.{}.attn_q.weight": "layers.{}.query.weight",
    "blk.{}.attn_q.bias": "layers.{}.query.bias",
    "blk.{}.attn_k.weight": "layers.{}.key.weight",
    "blk.{}.attn_k.bias": "layers.{}.key.bias",
    "blk.{}.attn_v.weight": "layers.{}.value.weight",
    "blk.{}.attn_v.bias": "layers.{}.value.bias",
    "blk.{}.attn_output.weight": "layers.{}.attention_output.weight",
    "blk.{}.attn_output.bias": "layers.{}.attention_output.bias",
    "blk.{}.ffn_norm.weight": "layers.{}.feed_forward_norm.scale",
    "blk.{}.ffn_gate.weight": "layers.{}.gate.weight",
    "blk.{}.ffn_gate.bias": "layers.{}.gate.bias",
    "blk.{}.ffn_up.weight": "layers.{}.up.weight",
    "blk.{}.ffn_up.bias": "layers.{}.up.bias",
    "blk.{}.ffn_down.weight": "layers.{}.down.weight",
    "blk.{}.ffn_down.bias": "layers.{}.down.bias",
    "output_norm.weight": "final_norm.scale",
    "output.weight": "head.weight",
}
_GPT2 = {
    "token_embd.weight": "token_embedding.0.weight",
    "position_embd.weight": "position_embedding.weight",  # GPT-NeoX has none
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
_NAMES = {"llama": _LLAMA, "qwen2": _LLAMA, "deci": _LLAMA, "gpt2": _GPT2, "gptneox": _GPT2}
# Tables that are looked up alone, as rows; all other matrices are stored (outputs, inputs), the transpose of ours.
_AS_THEY_ARE = ("token_embd.weight", "position_embd.weight")


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of a GGUF file.

    Attributes
    ----------
    tensor
        Its name and the weights that it holds, in the shape of the file; none where it has numbers of its own.
    type
        How llama.cpp stores it, such as ``Q8_0``.
    heads
        Of rows that rotate with their position by neighbors: how many heads they are of. 0 for all others.
    constant
        Its numbers where they are no weights.
    """

    tensor: Tensor
    type: str
    heads: int = 0
    constant: Array | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return self.tensor.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape if self.constant is None else self.constant.shape


def gguf_tensors(architecture: Architecture, precision: str, form: GgufForm | None = None) -> list[GgufTensor]:
    """The tensors of the file, in its order; of the form that `gguf_form` gives, which raises, or of another one."""
    form = gguf_form(architecture) if form is None else form
    inventory = {weight.name: weight for weight in weights(architecture)}
    result = []
    if architecture.rotary_scaling and form.name in SCALED:
        factors = rotary_factors(architecture.rotary_scaling, architecture.rotary_theta, form.head_dim)
        result.append(GgufTensor(Tensor(ROTARY_FACTORS, ()), "F32", constant=factors.astype(np.float32)))
    for name, layer, parts in _of_layers(_NAMES[form.name], form):
        matrix = name.endswith(".weight") and "_norm" not in name and name not in _AS_THEY_ARE
        pieces = tuple(Piece(inventory[part], transposed=matrix) for part in parts.split() if part in inventory)
        if pieces:
            tensor = Tensor(name, pieces)
            heads = _heads(form, name, layer)
            result.append(GgufTensor(tensor, _type_of(name, tensor.shape, precision), heads))
        elif shape := _filling(architecture, form, name, layer):
            zeros = np.broadcast_to(np.float32(0), shape)
            result.append(GgufTensor(Tensor(name, ()), _type_of(name, shape, precision), constant=zeros))
    return result


def not_quantized(architecture: Architecture, precision: str) -> list[str]:
    """Names of the matrices that stay float16 in int8 and int4, because their rows are no multiple of 32 numbers."""
    wanted = TYPES[precision]
    return [
        each.name for each in gguf_tensors(architecture, precision) if wanted.startswith("Q") and each.type == "F16"
    ]


def interleaved(rows: Array, heads: int) -> Array:
    """Rows of queries or keys, (heads x width, inputs), or their biases, in llama.cpp's order of LLaMAs.

    It rotates neighbors, where we and Hugging Face rotate a row of the first half of a head with one of the second.
    """
    return _reordered(rows, (heads, 2, len(rows) // heads // 2, -1))


def neighbors_apart(rows: Array, heads: int) -> Array:
    """Rows of queries or keys, (heads x width, inputs), or their biases, in our order; the inverse of `interleaved`."""
    return _reordered(rows, (heads, len(rows) // heads // 2, 2, -1))


def _reordered(rows: Array, shape: tuple[int, ...]) -> Array:
    swapped: Array = rows.reshape(shape).swapaxes(1, 2).reshape(rows.shape)
    return swapped


def _of_layers(names: Mapping[str, str], form: GgufForm) -> Iterator[tuple[str, int, str]]:
    """Names of the whole file, with the layer of the file that they are in, and the weights.

    Layer by layer where the first name of a layer stands; outside of layers the number is -1.
    """
    rows = list(names.items())
    begin = next(i for i, (name, _) in enumerate(rows) if "{}" in name)
    in_layers = [row for row in rows if "{}" in row[0]]
    yield from ((name, -1, parts) for name, parts in rows[:begin])
    for number, layer in enumerate(form.layers):
        for name, parts in in_layers:
            yield name.replace("{}", str(number)), number, parts.replace("{}", str(layer))
    yield from ((name, -1, parts) for name, parts in rows[begin + len(in_layers) :])


def _type_of(name: str, shape: tuple[int, ...], precision: str) -> str:
    """As llama.cpp's own quantization: norms, biases, positions stay float32, rows that fit no blocks float16."""
    if len(shape) < 2 or name == "position_embd.weight":
        return "F32"
    wanted = TYPES[precision]
    return "F16" if wanted.startswith("Q") and shape[-1] % BLOCK else wanted


def _heads(form: GgufForm, name: str, layer: int) -> int:
    if form.name not in SCALED:  # the others rotate as we do
        return 0
    counts: dict[Any, tuple[int, ...]] = {"attn_q": form.n_head, "attn_k": form.n_kv_head}
    part = name.split(".")[-2]
    return counts[part][layer] if part in counts else 0


def _filling(a: Architecture, form: GgufForm, name: str, layer: int) -> tuple[int, ...]:
    """The shape of a tensor that a layer has in the file alone; none where it has none there either."""
    if layer < 0 or name.endswith(".bias"):
        return ()
    part, kept = name.split(".")[-2], form.layers[layer]
    shapes: dict[str, tuple[int, ...]] = {}
    if not a.n_head[kept] and form.n_head[layer]:
        queries, keys = form.n_head[layer] * form.head_dim, form.n_kv_head[layer] * form.head_dim
        rows = {"attn_q": queries, "attn_k": keys, "attn_v": keys}
        shapes = {each: (n, a.d_model) for each, n in rows.items()}
        shapes |= {"attn_norm": (a.d_model,), "attn_output": (a.d_model, queries)}
    if not a.d_ff[kept] and form.d_ff[layer]:
        inner = form.d_ff[layer]
        shapes |= dict.fromkeys(("ffn_gate", "ffn_up"), (inner, a.d_model))
        shapes |= {"ffn_norm": (a.d_model,), "ffn_down": (a.d_model, inner)}
    return shapes.get(part, ())
