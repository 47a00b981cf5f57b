"""A decoder as an ONNX model, from its architecture and the traits of its family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.attention import MASKED, CachedAttention, InPlaceAttention, RelativeAttention
from lts.export.builder import Builder
from lts.export.embedding import embed, embed_positions, head
from lts.export.feed_forward import feed_forward
from lts.export.graph import Dim, Graph, Symbol
from lts.export.precision import matrices
from lts.export.weights import Tensor, Weights, weight_source

ANY = "any"
PHASES = ("prefill", "decode")
LOGITS = ("all", "last")
CACHES = ("copied", "in_place")
Network: TypeAlias = Callable[[int, str], str]
"""Computes [tokens, d_model] from the number of a layer and its input, of the same shape."""


def onnx_model(
    architecture: Architecture,
    phase: str = ANY,
    *,
    logits: str = "all",
    precision: str = "float32",
    cache: str = "copied",
    position_ids: bool = False,
    weights: Weights = None,
    n_prompt: int | None = None,
    batch: int | None = None,
) -> Any:
    """The architecture as an ONNX model of standard operations only (opset 17), but for ``int4`` and ``in_place``.

    Inputs and outputs are described in ``docs/formats.md``. In short: it takes new tokens, `input_ids` [batch,
    sequence], and the keys and values, or memory, of the tokens before, of which there may be none; `attention_mask`
    [batch, all tokens] is 0 where a token is padding. It gives `logits` [batch, sequence, vocab_size], and keys and
    values, or memory, with those of the new tokens. One model is the prompt pass, the decode step, and what is between.

    Parameters
    ----------
    architecture
        What to build.
    phase
        ``any``; or for compilers, which fix sizes, one alone: ``prefill``, where nothing is before the new tokens, or
        ``decode``, where there is one new token.
    logits
        New tokens that get logits: ``all``, or ``last`` for the last column alone, [batch, 1, vocab_size], which is all
        that generating needs.
    precision
        ``float32``, ``float16``, ``int8`` or ``int4``, see `lts.export.precision`. The last two store and multiply the
        matrices so; all else stays float32.
    cache
        How keys and values are kept: ``copied``, which gives out new ones, with those of the new tokens appended; or
        ``in_place``, where they stay in memory that has room for more (ONNX Runtime from 1.22 on). ``prefill`` is the
        same for both, and so is Transformer-XL, which remembers the inputs of its layers.
    position_ids
        Whether positions are an input as well, int64 [batch, sequence]; by default they count the unmasked tokens.
        (Transformer-XL has none.)
    weights
        A source such as `RandomWeights` or `PooledWeights`, or arrays by the names of `lts.weights`; by default
        ``RandomWeights(0)``.
    n_prompt
        Tokens of the prompt; in decoding, tokens before the new one. None leaves it open until the model runs; ``any``
        is always open.
    batch
        Sequences. None leaves it open.

    Returns
    -------
    onnx.ModelProto
        In float32 and float16, the elements of its initializers, without those named ``const.*``, are
        `lts.total_params`.

    Raises
    ------
    UsageError
        For an unknown phase, precision or cache, a size below 1 or above the positions there are, or weights that do
        not fit.
    """
    source = weight_source(weights)
    graph, tensors = decoder_graph(
        architecture,
        phase,
        logits=logits,
        precision=precision,
        cache=cache,
        position_ids=position_ids,
        n_prompt=n_prompt,
        batch=batch,
    )
    form = {"precision": precision, "logits": logits, "cache": cache}
    return finish(graph, architecture, phase, source.initializers(architecture, tensors), form)


def finish(
    graph: Graph, architecture: Architecture, phase: str, initializers: list[Any], form: Mapping[str, str]
) -> Any:
    """The `onnx.ModelProto` of a graph from `decoder_graph`; its metadata say what it is, in which `form`."""
    metadata = {"architecture": architecture.to_json(), "phase": phase, **form}
    if phase == "prefill":
        metadata.pop("cache", None)  # it has none
    elif architecture.traits.position == "relative":
        metadata["cache"] = "copied"  # the memory is, whatever is asked for
    return graph.model(f"{architecture.family}.{phase}", initializers, metadata)


def decoder_graph(
    architecture: Architecture,
    phase: str,
    *,
    logits: str = "all",
    precision: str = "float32",
    cache: str = "copied",
    position_ids: bool = False,
    n_prompt: int | None = None,
    batch: int | None = None,
) -> tuple[Graph, list[Tensor]]:
    """The graph of a decoder, and its weights as initializers; all phases have the same ones in the same order."""
    _check(architecture, phase, logits, cache, n_prompt, batch)
    relative = architecture.traits.position == "relative"
    rows: Dim = Symbol("batch", "input_ids", 0) if batch is None else batch
    sequence: Dim = 1 if phase == "decode" else Symbol("sequence", "input_ids", 1) if n_prompt is None else n_prompt
    past: Dim | None = None
    total: Dim = sequence
    if phase != "prefill":
        if n_prompt is None:
            past = Symbol("memory", "mems.0", 1) if relative else Symbol("past", "past_key_values.0.key", 2)
            total = Symbol("total", "attention_mask", 1)
        else:
            past, total = n_prompt, n_prompt + 1
    b = Builder(architecture, matrices(precision), rows, sequence, total)
    graph = b.graph
    learned, attends = b.traits.position == "learned", bool(b.cache_of)
    input_ids = graph.input("input_ids", np.int64, rows, sequence)
    attention_mask = graph.input("attention_mask", np.int64, rows, total)
    positions = ""
    if position_ids and not relative:
        positions = graph.input("position_ids", np.int64, rows, sequence)
    elif learned or (attends and not relative):
        positions = _positions(b, attention_mask, phase)
    attention = _attention(b, attention_mask, positions, past, cache) if attends else _no_attention
    with b.scope("embedding"):
        x = embed(b, input_ids)
        if learned:
            x = graph.op("Add", x, embed_positions(b, positions))
    x = layers(b, x, attention)
    with b.scope("head"):
        columns = sequence
        if logits == "last" and sequence != 1:
            columns = 1
            x = graph.reshape(x, rows, sequence, architecture.d_model)
            x = graph.op("Gather", x, graph.constant(-1), axis=1)
        if b.traits.final_norm:
            x = b.norm(x, "final_norm")
        given = graph.reshape(head(b, x), rows, columns, architecture.vocab_size)
    graph.output("logits", given, rows, columns, architecture.vocab_size, first=True)
    return graph, list(b.matrices.tensors.values())


def _attention(b: Builder, attention_mask: str, positions: str, past: Dim | None, cache: str) -> Network:
    """The attention of the family; `past` are the tokens before, None where there are none."""
    mask = _mask(b, attention_mask)
    if b.traits.position == "relative":
        return RelativeAttention(b, mask, past)
    if past is None or cache == "copied":
        return CachedAttention(b, positions, mask, past)
    capacity = b.total if isinstance(past, int) else Symbol("capacity", "past_key_values.0.key", 2)
    return InPlaceAttention(b, positions, mask, capacity)


def layers(b: Builder, x: str, attention: Network) -> str:
    """All layers, given what attends in each; `x` and the result are their input and output.

    A layer has the parts that the architecture gives it; where it has none, it hands on what it gets.
    """
    a = b.architecture
    for layer in range(a.n_layer):
        parts: list[tuple[str, Network]] = []
        if a.n_head[layer]:
            parts.append((f"layers.{layer}.attention", attention))
        if a.d_ff[layer]:
            parts.append((f"layers.{layer}.feed_forward", partial(feed_forward, b)))
        x = (_side_by_side if b.traits.parallel else _one_by_one)(b, x, layer, parts)
    return x


def _one_by_one(b: Builder, x: str, layer: int, parts: Iterable[tuple[str, Network]]) -> str:
    """The parts of a layer with their norms and residual connections, in the order of the family."""
    for name, network in parts:
        with b.scope(name):
            if b.traits.norm_placement == "before":
                x = b.graph.op("Add", x, network(layer, b.norm(x, f"{name}_norm")))
            else:
                x = b.norm(b.graph.op("Add", x, network(layer, x)), f"{name}_norm")
    return x


def _side_by_side(b: Builder, x: str, layer: int, parts: Iterable[tuple[str, Network]]) -> str:
    """The parts of a layer, each on the same `x` with a norm of its own (GPT-NeoX, Black et al. 2022, section 2.1)."""
    result = x
    for name, network in parts:
        with b.scope(name):
            result = b.graph.op("Add", result, network(layer, b.norm(x, f"{name}_norm")))
    return result


def _no_attention(layer: int, x: str) -> str:
    raise AssertionError("no layer has attention")


def _positions(b: Builder, attention_mask: str, phase: str) -> str:
    """Positions that count unmasked tokens, int64 [batch, sequence]; positions of padding are ignored."""
    graph, one = b.graph, b.graph.constant(1)
    if phase == "decode":
        count = graph.op("ReduceSum", attention_mask, graph.constant([1]), keepdims=1)
    else:
        count = graph.op("CumSum", attention_mask, one)
    if phase == ANY:  # of the new tokens alone
        past = graph.op("Sub", graph.size(b.total), graph.size(b.sequence))
        count = graph.op("Slice", count, past, graph.constant([np.iinfo(np.int64).max]), graph.constant([1]))
    return graph.op("Max", graph.op("Sub", count, one), graph.constant(0))


def _mask(b: Builder, attention_mask: str) -> str:
    """The mask that is added to scores: 0 where a token may be attended to; [batch, 1, sequence or 1, total]."""
    graph = b.graph
    visible = graph.op("Unsqueeze", graph.op("Cast", attention_mask, to=9), graph.constant([1, 2]))
    if b.sequence != 1:
        total = graph.op("Squeeze", graph.size(b.total))
        index = graph.op("Range", graph.constant(0), total, graph.constant(1))
        new = index
        if b.sequence != b.total:
            past = graph.op("Sub", total, graph.op("Squeeze", graph.size(b.sequence)))
            new = graph.op("Range", past, total, graph.constant(1))
        causal = graph.op("LessOrEqual", index, graph.op("Unsqueeze", new, graph.constant([1])))
        visible = graph.op("And", visible, causal)
    return graph.op("Where", visible, graph.number(0.0), graph.number(MASKED[graph.real.name]))


def check_decoder(architecture: Architecture) -> None:
    """Raise `UsageError` for an encoder, which has neither an output layer nor a decode step."""
    if architecture.traits.encoder:
        raise UsageError(f"{architecture.family} is an encoder; as ONNX only decoders are exported")


def _check(
    architecture: Architecture, phase: str, logits: str, cache: str, n_prompt: int | None, batch: int | None
) -> None:
    check_decoder(architecture)
    for what, given, known in (("phase", phase, (ANY, *PHASES)), ("logits", logits, LOGITS), ("cache", cache, CACHES)):
        if given not in known:
            raise UsageError(f"unknown {what} '{given}'; expected one of {', '.join(known)}")
    for name, value in (("n_prompt", n_prompt), ("batch", batch)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")
    if n_prompt is not None and phase == ANY:
        raise UsageError("n_prompt fixes the size of one phase; name it: prefill or decode")
    if n_prompt is not None and architecture.traits.position == "learned":
        needed = n_prompt + (phase == "decode")
        if needed > architecture.n_positions:
            raise UsageError(
                f"{phase} with n_prompt {n_prompt} needs {needed} positions; the architecture has "
                f"{architecture.n_positions}"
            )
