"""Reads a decoder that is compiled to generate: one library for prompts of any length, and steps at any context.

Three functions share their weights, which are packed once: ``prefill`` takes `CHUNK` tokens, ``decode`` one, and
``head`` gives the logits of what either gives out. A prompt of another length is chunks, of which the last need not be
full, and single tokens, as the caller chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lts.backends.tvm.attention import Attention
from lts.backends.tvm.onnx_model import FixedModel, fixed, read_model
from lts.backends.tvm.tiles import Tiles
from lts.errors import MeasurementError

CHUNK = 128
"""Tokens of a prompt that are computed together.

Every chunk reads all weights: with 64, a prompt of 128 takes 18 % longer, and with 32 it takes 45 % longer (LLaMA, 6
layers, d_model 512, float32, one thread).
"""
FUNCTIONS = ("prefill", "decode", "head")
_HIDDEN, _LOGITS = "hidden", "logits"
_ATTENTION = "CachedAttention"
_FLOAT, _INT64 = 1, 7  # in onnx.proto


@dataclass(frozen=True)
class Layer:
    """Attention of a layer, and the names of what else it takes.

    Attributes
    ----------
    placeholder
        The input of the graph that stands for it, as the right side of a product.
    """

    placeholder: str
    attention: Attention
    past_length: str
    keys: str
    values: str
    frequencies: npt.NDArray[np.float32] | None


@dataclass
class Part:
    """One of the functions: its model, in which products stand for attention."""

    model: FixedModel
    layers: list[Layer]


@dataclass
class Generation:
    """What is compiled.

    Attributes
    ----------
    parts
        By name of the function.
    n_positions, vocab_size
        Tokens that there is room for; numbers that logits have.
    caches
        Shapes of the caches, float32, by the names of the inputs.
    """

    parts: dict[str, Part]
    n_positions: int
    vocab_size: int
    caches: dict[str, tuple[int, ...]]


def generates(model: Any) -> bool:
    """Whether an `onnx.ModelProto` is one of `lts.export.generation`, which is compiled so."""
    return any(node.domain == "lts" and node.op_type == _ATTENTION for node in model.graph.node)


def read_generation(path: Path, tiles: Tiles) -> Generation:
    """The parts of a model file.

    Raises
    ------
    MeasurementError
        When the file is not one of `lts.export.generation`.
    """
    whole = read_model(path)
    if not generates(whole):
        raise MeasurementError(f"{path} has no cache of keys and values that grows in place")
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in whole.graph.output}
    parts: dict[str, Part] = {}
    caches: dict[str, tuple[int, ...]] = {}
    n_positions = 0
    for name in FUNCTIONS:
        tokens = CHUNK if name == "prefill" else 1
        model = read_model(path)
        _keep(model.graph, _LOGITS if name == "head" else _HIDDEN, shapes if name == "head" else {})
        layers = _take_attention(model.graph, tokens)
        for layer in layers:
            n_positions = layer.attention.capacity
            caches.update(zip((layer.keys, layer.values), layer.attention.cache_shapes(tiles), strict=True))
        for value in model.graph.input:
            if value.name in caches:
                _set_shape(value, caches[value.name])
        parts[name] = Part(fixed(model, path, {"sequence": tokens}), layers)
    return Generation(parts, n_positions, shapes[_LOGITS][-1], caches)


def _keep(graph: Any, output: str, inputs: dict[str, list[int]]) -> None:
    """Leave what one output needs, float32; from the hidden state on, where its shape is among `inputs`."""
    import onnx

    for value in list(graph.output):
        if value.name != output:
            graph.output.remove(value)
        else:
            value.type.tensor_type.elem_type = _FLOAT
    needed = {output}
    left = []
    for node in reversed(graph.node):
        if needed & set(node.output) and not (inputs and _HIDDEN in node.output):
            needed.update(node.input)
            left.append(node)
    copies = [type(node).FromString(node.SerializeToString()) for node in reversed(left)]
    del graph.node[:]
    graph.node.extend(copies)
    for places in (graph.input, graph.initializer):
        for value in [value for value in places if value.name not in needed]:
            places.remove(value)
    if inputs:
        graph.input.append(onnx.helper.make_tensor_value_info(_HIDDEN, _FLOAT, inputs[_HIDDEN]))


def _take_attention(graph: Any, tokens: int) -> list[Layer]:
    """Replace attention by products with placeholders, which become inputs."""
    import onnx
    from onnx import numpy_helper

    sizes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.input}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    layers = []
    for node in graph.node:
        if node.op_type != _ATTENTION:
            continue
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        joined, past_length, keys, values, *frequencies = node.input
        capacity, n_kv_head, width = sizes[keys]
        n_head = attributes["n_head"]
        table = numpy_helper.to_array(constants[frequencies[0]]) if frequencies else None
        rotated = 0 if table is None else 2 * len(table)
        kind = Attention(tokens, n_head, n_kv_head, width, capacity, attributes["scale"], rotated)
        placeholder = f"{node.output[0]}.attention"
        layers.append(Layer(placeholder, kind, past_length, keys, values, table))
        shape = [(n_head + 2 * n_kv_head) * width, n_head * width]
        graph.input.append(onnx.helper.make_tensor_value_info(placeholder, _FLOAT, shape))
        node.CopyFrom(onnx.helper.make_node("MatMul", [joined, placeholder], list(node.output)))
    return layers


def _set_shape(value: Any, shape: tuple[int, ...]) -> None:
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    for size in shape:
        dims.add().dim_value = size
