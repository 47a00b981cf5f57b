"""A decoder as it is compiled to generate: new tokens behind those of a cache of fixed size, at any context."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.builder import Builder, attending
from lts.export.decoder import check_decoder, decoder_graph, finish, layers
from lts.export.embedding import embed, embed_positions, head
from lts.export.empty_layers import leave_out
from lts.export.files import placed
from lts.export.frequencies import rotary_frequencies
from lts.export.graph import Graph, Symbol
from lts.export.precision import matrices
from lts.export.weights import Tensor, Weights, array_source, weight_source

GENERATION = "generation"
"""What the metadata of such a model call its phase."""


def generates(architecture: Architecture) -> bool:
    """Whether the architecture can be compiled to generate: it caches keys and values, and its positions end."""
    traits = architecture.traits
    return not traits.encoder and traits.position != "relative" and bool(attending(architecture))


def generation_model(architecture: Architecture, *, precision: str = "float32", weights: Weights = None) -> Any:
    """The model that `lts.backends.tvm.generation` compiles; ONNX but for one operation, which is its own.

    ======================  ==========================  =================================================
    input                   shape                       what
    ======================  ==========================  =================================================
    ``input_ids``           int64 [1, sequence]         new tokens
    ``past_length``         int64 [1]                   tokens in the cache
    ``row``                 int64 [1]                   the new token whose output is wanted
    ``keys.%d``             float32 [room, heads, head dim], as for ``values.%d``: caches of the layers with attention
    ======================  ==========================  =================================================

    Outputs are ``hidden`` [1, d_model], what the head takes, and ``logits`` [1, vocab_size]. The operation
    ``lts.CachedAttention`` of (joined queries, keys and values, past_length, keys, values[, frequencies]) writes new
    keys and values into the cache; how they lie there is the compiler's choice. Arguments as for `onnx_model`.

    Raises
    ------
    UsageError
        For an architecture that `generates` says no to, an unknown precision, or weights that do not fit.
    """
    graph, tensors = generation_graph(architecture, precision)
    initializers = weight_source(weights).initializers(architecture, tensors)
    return finish(graph, architecture, GENERATION, initializers, {"precision": precision, "logits": "last"})


def generation_graph(architecture: Architecture, precision: str) -> tuple[Graph, list[Tensor]]:
    """The graph of `generation_model`, and its weights: those of `decoder_graph`, in the same order."""
    check_decoder(architecture)
    if not generates(architecture):
        relative = architecture.traits.position == "relative"
        why = f"{architecture.family} remembers the inputs of its layers," if relative else "no layer has attention,"
        raise UsageError(f"{why} not keys and values; it is compiled with fixed sizes, and does not generate")
    sequence = Symbol("sequence", "input_ids", 1)
    b = Builder(architecture, matrices(precision), 1, sequence, sequence)
    graph = b.graph
    input_ids = graph.input("input_ids", np.int64, 1, sequence)
    past_length = graph.input("past_length", np.int64, 1)
    row = graph.input("row", np.int64, 1)
    attention = _Attention(b, past_length)
    with b.scope("embedding"):
        x = embed(b, input_ids)
        if b.traits.position == "learned":
            x = graph.op("Add", x, embed_positions(b, _positions(b, past_length)))
    x = layers(b, x, attention)
    with b.scope("head"):
        x = graph.op("Gather", x, row, axis=0)
        hidden = x
        if b.traits.final_norm:
            x = b.norm(x, "final_norm")
        graph.output("logits", head(b, x), 1, architecture.vocab_size)
        graph.output("hidden", hidden, 1, architecture.d_model)
    return graph, list(b.matrices.tensors.values())


class _Attention:
    """The attention of all layers, each with its cache."""

    def __init__(self, builder: Builder, past_length: str) -> None:
        self.builder = builder
        self.past_length = past_length

    def __call__(self, layer: int, x: str) -> str:
        """Attention of a layer; `x` and the result are [tokens, d_model]."""
        b, graph, a = self.builder, self.builder.graph, self.builder.architecture
        n_head, n_kv, width = a.n_head[layer], a.n_kv_head[layer], a.head_dims[layer]
        joined = b.linear(x, *(f"layers.{layer}.{name}" for name in ("query", "key", "value")))
        number, shape = b.cache_of[layer], (a.n_positions, n_kv, width)
        cache = [graph.input(f"{part}.{number}", np.float32, *shape) for part in ("keys", "values")]
        frequencies = []
        if b.traits.position == "rotary":
            frequencies = [graph.constant(rotary_frequencies(a, width), np.float32)]
        mixed = graph.op(
            "lts.CachedAttention",
            joined,
            self.past_length,
            *cache,
            *frequencies,
            n_head=n_head,
            n_kv_head=n_kv,
            scale=1 / math.sqrt(width),
        )
        return b.linear(mixed, f"layers.{layer}.attention_output")


def _positions(b: Builder, past_length: str) -> str:
    """Positions of the new tokens, int64 [1, sequence]; of what is behind the last position, that one."""
    graph = b.graph
    length = graph.op("Squeeze", graph.size(b.sequence))
    index = graph.op("Range", graph.constant(0), length, graph.constant(1))
    positions = graph.op("Min", graph.op("Add", index, past_length), graph.constant(b.architecture.n_positions - 1))
    return graph.op("Unsqueeze", positions, graph.constant([0]))


def write_generation(architecture: Architecture, folder: Path, precision: str, weights: Weights = None) -> list[Path]:
    """Write models whose weights are those that `lts.export.export` has written to the folder, with the same arguments.

    Returns
    -------
    list of Path
        The file of `generation_model`, and that of the prompt pass, which has to give the same logits.
    """
    architecture, source = leave_out(architecture, array_source(architecture, weights, "export"))
    graph, tensors = generation_graph(architecture, precision)
    reference, needed = decoder_graph(architecture, "prefill", logits="last", precision=precision)
    assert [(t.name, t.shape) for t in needed] == [(t.name, t.shape) for t in tensors], "weights are shared"
    initializers = placed(tensors, source)
    form = {"precision": precision, "logits": "last"}
    paths = []
    for phase, each in ((GENERATION, graph), ("prefill", reference)):
        paths.append(folder / f".{phase}.onnx")
        paths[-1].write_bytes(finish(each, architecture, phase, initializers, form).SerializeToString())
    return paths
