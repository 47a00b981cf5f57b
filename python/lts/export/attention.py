"""Causal self-attention: with cached keys and values, or relative over a memory of layer inputs."""

from __future__ import annotations

import math

import numpy as np

from lts.export.builder import Builder
from lts.export.embedding import sinusoids
from lts.export.graph import Dim
from lts.export.rotary import rotate

MASKED = {"float32": -1e30, "float16": -3e4}  # added to scores; a row without any key stays finite, and uniform
FUSED_WIDTH, FUSED_GROUP = 8, 4  # see InPlaceAttention


class CachedAttention:
    """Multi-head (Vaswani et al. 2017) or grouped-query (Ainslie et al. 2023) attention with cached keys and values.

    Parameters
    ----------
    positions
        int64 [batch, sequence]; used by rotary positions.
    mask
        Added to scores: [batch, 1, sequence or 1, total].
    past
        Tokens in the cache; None in a prompt pass.
    """

    def __init__(self, builder: Builder, positions: str, mask: str, past: Dim | None) -> None:
        self.builder = builder
        self.positions = positions
        self.mask = mask
        self.past = past
        self.length = builder.total  # of keys and values

    def __call__(self, layer: int, x: str) -> str:
        """Attention of a layer; `x` and the result are [tokens, d_model]."""
        b, graph = self.builder, self.builder.graph
        batch, sequence = b.batch, b.sequence
        n_head, n_kv = b.architecture.n_head[layer], b.architecture.n_kv_head[layer]
        width = b.architecture.head_dims[layer]

        heads = split_heads(b, self._joined(layer, x), sequence, n_head + 2 * n_kv, width)
        if b.traits.position == "rotary":
            rotated, value = graph.split(heads, [n_head + n_kv, n_kv], axis=1)
            query, key = graph.split(rotate(b, rotated, self.positions, width), [n_head, n_kv], axis=1)
        else:
            query, key, value = graph.split(heads, [n_head, n_kv, n_kv], axis=1)
        key, value = self._remembered(layer, key, value)

        # The queries of a group are rows of one product with its key: keys and values need no repetition.
        grouped = n_head != n_kv
        rows = n_head // n_kv * sequence if isinstance(sequence, int) else -1
        if grouped:
            query = graph.reshape(query, batch, n_kv, rows, width)
        query = graph.op("Mul", query, graph.number(1 / math.sqrt(width)))
        scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=(0, 1, 3, 2)))
        if grouped:
            scores = graph.reshape(scores, batch, n_head, sequence, self.length)
        weights = graph.op("Softmax", graph.op("Add", scores, self._hidden()), axis=-1)
        if grouped:
            weights = graph.reshape(weights, batch, n_kv, rows, self.length)
        mixed = graph.op("MatMul", weights, value)
        if grouped:
            mixed = graph.reshape(mixed, batch, n_head, sequence, width)
        return self._projected(layer, merge_heads(b, mixed, sequence, n_head * width))

    def _joined(self, layer: int, x: str) -> str:
        """Query, key and value of all heads side by side, [tokens, heads * width]."""
        return self.builder.linear(x, *(f"layers.{layer}.{name}" for name in ("query", "key", "value")))

    def _projected(self, layer: int, mixed: str) -> str:
        return self.builder.linear(mixed, f"layers.{layer}.attention_output")

    def _hidden(self) -> str:
        """What is added to scores, [batch, 1, sequence or 1, length]."""
        return self.mask

    def _remembered(self, layer: int, key: str, value: str) -> list[str]:
        """Keys and values of all tokens, [batch, n_kv_head, length, width], which become outputs."""
        new = [key, value]
        if self.past is not None:
            old = self._inputs(layer, self.past)
            new = [self.builder.graph.op("Concat", *pair, axis=2) for pair in zip(old, new, strict=True)]
        return self._outputs(layer, *new)

    def _inputs(self, layer: int, length: Dim) -> list[str]:
        graph, number, shape = self.builder.graph, self.builder.cache_of[layer], self._shape(layer, length)
        return [graph.input(f"past_key_values.{number}.{part}", graph.real, *shape) for part in ("key", "value")]

    def _outputs(self, layer: int, *given: str) -> list[str]:
        number = self.builder.cache_of[layer]
        for part, value in zip(("key", "value"), given, strict=True):
            self.builder.graph.output(f"present.{number}.{part}", value, *self._shape(layer, self.length))
        return list(given)

    def _shape(self, layer: int, length: Dim) -> tuple[Dim, ...]:
        a = self.builder.architecture
        return self.builder.batch, a.n_kv_head[layer], length, a.head_dims[layer]


class InPlaceAttention(CachedAttention):
    """The same over a cache that has room for more: new keys and values are written behind those there.

    Past and present have the same shape. Bound to the same memory, nothing but the new tokens is written; bound to two,
    the runtime copies the tokens from the one to the other first. What lies behind the new tokens is not used, but must
    be finite.

    Attention is one operation of ONNX Runtime where that is the fastest (``benchmarks/cache.py``), for heads of a
    multiple of `FUSED_WIDTH` numbers and at most `FUSED_GROUP` queries to a key. It works on each query by itself, so
    that for larger groups the products of `CachedAttention` are faster.

    Parameters
    ----------
    positions
        int64 [batch, sequence]; used by rotary positions.
    mask
        Added to scores: [batch, 1, sequence or 1, total].
    capacity
        Tokens that the cache has room for, at least `total`.
    """

    def __init__(self, builder: Builder, positions: str, mask: str, capacity: Dim) -> None:
        super().__init__(builder, positions, mask, capacity)
        self.length = capacity

    def __call__(self, layer: int, x: str) -> str:
        """Attention of a layer; `x` and the result are [tokens, d_model]."""
        a = self.builder.architecture
        group = a.n_head[layer] // a.n_kv_head[layer]
        fits = a.head_dims[layer] % FUSED_WIDTH == 0
        return self._fused(layer, x) if fits and group <= FUSED_GROUP else super().__call__(layer, x)

    def _fused(self, layer: int, x: str) -> str:
        b, graph = self.builder, self.builder.graph
        n_head, n_kv = b.architecture.n_head[layer], b.architecture.n_kv_head[layer]
        width = b.architecture.head_dims[layer]
        joined = self._joined(layer, x)
        if b.traits.position == "rotary":
            heads = split_heads(b, joined, b.sequence, n_head + 2 * n_kv, width)
            rotated, value = graph.split(heads, [n_head + n_kv, n_kv], axis=1)
            joined = graph.op("Concat", rotate(b, rotated, self.positions, width), value, axis=1)
            joined = merge_heads(b, joined, b.sequence, (n_head + 2 * n_kv) * width)
        total = graph.cast(graph.size(b.total), np.int32)
        last = graph.op("Sub", total, graph.constant([1], np.int32))
        mixed, key, value = graph.ops(
            3,
            "com.microsoft.GroupQueryAttention",
            graph.reshape(joined, b.batch, b.sequence, (n_head + 2 * n_kv) * width),
            *("", ""),  # key and value, which the query holds
            *self._inputs(layer, self.length),
            graph.op("Expand", last, graph.size(b.batch)),
            graph.op("Squeeze", total),
            *("", "", ""),  # rotary tables and positions
            self.mask,
            num_heads=n_head,
            kv_num_heads=n_kv,
            scale=1 / math.sqrt(width),
        )
        self._outputs(layer, key, value)
        return self._projected(layer, graph.reshape(mixed, -1, n_head * width))

    def _hidden(self) -> str:
        graph = self.builder.graph
        if self.length == self.builder.total:
            return self.mask
        free = graph.op("Sub", graph.size(self.length), graph.size(self.builder.total))
        pads = graph.op("Concat", graph.constant([0] * 7), free, axis=0)
        return graph.op("Pad", self.mask, pads, graph.number(MASKED[graph.real.name]))

    def _remembered(self, layer: int, key: str, value: str) -> list[str]:
        index, old = self._places(layer), self._inputs(layer, self.length)
        pairs = zip(old, (key, value), strict=True)
        return self._outputs(layer, *(self.builder.graph.op("ScatterND", past, index, new) for past, new in pairs))

    def _places(self, layer: int) -> str:
        """Where in the cache the new tokens belong: sequence, head, place: int64 [batch, n_kv_head, sequence, 3]."""
        b, graph = self.builder, self.builder.graph
        n_kv = b.architecture.n_kv_head[layer]
        count = graph.op("Range", graph.constant(0), graph.op("Squeeze", graph.size(b.batch)), graph.constant(1))
        sequence = graph.op("Unsqueeze", count, graph.constant([1, 2, 3]))
        head = graph.constant(np.arange(n_kv).reshape(1, n_kv, 1, 1))
        total = graph.op("Squeeze", graph.size(b.total))
        past = graph.op("Sub", total, graph.op("Squeeze", graph.size(b.sequence)))
        place = graph.op("Unsqueeze", graph.op("Range", past, total, graph.constant(1)), graph.constant([1]))
        new, one = graph.size(b.sequence), graph.constant([1])
        shape = graph.op("Concat", graph.size(b.batch), graph.constant([n_kv]), new, one, axis=0)
        return graph.op("Concat", *(graph.op("Expand", each, shape) for each in (sequence, head, place)), axis=3)


class RelativeAttention:
    """Attention with relative positions over a memory of layer inputs: Transformer-XL (Dai et al. 2019, section 3.3).

    A score is ``(q + u) k + (q + v) W_r R``, where R are sinusoids of the distance, and u and v are learned for each
    layer. Without biases; the memory goes through the same projections of keys and values as the new tokens.

    Parameters
    ----------
    mask
        Added to scores: [batch, 1, sequence or 1, total].
    memory
        Tokens in the memory; None where there is none.
    """

    def __init__(self, builder: Builder, mask: str, memory: Dim | None) -> None:
        self.builder = builder
        self.mask = mask
        self.memory = memory

    def __call__(self, layer: int, x: str) -> str:
        """Attention of a layer; `x` and the result are [tokens, d_model]."""
        b, graph = self.builder, self.builder.graph
        batch, sequence, total, d_model = b.batch, b.sequence, b.total, b.architecture.d_model
        n_head, width = b.architecture.n_head[layer], b.architecture.head_dims[layer]
        prefix = f"layers.{layer}"

        remembered = graph.reshape(x, batch, sequence, d_model)
        if self.memory is not None:
            memory = graph.input(f"mems.{layer}", graph.real, batch, self.memory, d_model)
            remembered = graph.op("Concat", memory, remembered, axis=1)
        graph.output(f"new_mems.{layer}", remembered, batch, total, d_model)

        # The memory needs no query, so that query is separate; in a prompt pass too, to have the same weights.
        joined = b.linear(graph.reshape(remembered, -1, d_model), f"{prefix}.key", f"{prefix}.value")
        key, value = graph.split(split_heads(b, joined, total, 2 * n_head, width), [n_head, n_head], axis=1)
        query = split_heads(b, b.linear(x, f"{prefix}.query"), sequence, n_head, width)

        distance = b.linear(sinusoids(b), f"{prefix}.relative_position")
        distance = graph.op("Transpose", graph.reshape(distance, -1, n_head, width), perm=(1, 2, 0))
        by_content = graph.op(
            "MatMul",
            self._biased(query, f"{prefix}.content_bias", n_head, width),
            graph.op("Transpose", key, perm=(0, 1, 3, 2)),
        )
        by_distance = graph.op("MatMul", self._biased(query, f"{prefix}.position_bias", n_head, width), distance)
        if sequence != 1:
            by_distance = self._shift(by_distance, n_head)
        scores = graph.op("Add", graph.op("Add", by_content, by_distance), self.mask)
        mixed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
        return b.linear(merge_heads(b, mixed, sequence, n_head * width), f"{prefix}.attention_output")

    def _biased(self, query: str, name: str, n_head: int, width: int) -> str:
        graph = self.builder.graph
        bias = graph.reshape(self.builder.weight(f"{name}.bias"), n_head, 1, width)
        return graph.op("Mul", graph.op("Add", query, bias), graph.number(1 / math.sqrt(width)))

    def _shift(self, scores: str, n_head: int) -> str:
        """Column j of row i becomes the score of the distance of tokens i and j (Dai et al. 2019, appendix B).

        With one new token, the columns are in place already.

        Parameters
        ----------
        scores
            [batch, n_head, sequence, total], columns by falling distance.
        """
        b, graph = self.builder, self.builder.graph
        padded = graph.op("Pad", scores, graph.constant([0, 0, 0, 1, 0, 0, 0, 0]))
        flat = graph.reshape(padded, b.batch, n_head, -1)
        last = graph.constant([np.iinfo(np.int64).max])
        flat = graph.op("Slice", flat, graph.size(b.sequence), last, graph.constant([2]))
        return graph.reshape(flat, b.batch, n_head, b.sequence, b.total)


def split_heads(builder: Builder, x: str, length: Dim, n_head: int, width: int) -> str:
    """[batch * length, n_head * width] as [batch, n_head, length, width]."""
    if length == 1:
        return builder.graph.reshape(x, builder.batch, n_head, 1, width)
    x = builder.graph.reshape(x, builder.batch, length, n_head, width)
    return builder.graph.op("Transpose", x, perm=(0, 2, 1, 3))


def merge_heads(builder: Builder, x: str, length: Dim, width: int) -> str:
    """[batch, n_head, length, width of a head] as [batch * length, width]."""
    if length != 1:
        x = builder.graph.op("Transpose", x, perm=(0, 2, 1, 3))
    return builder.graph.reshape(x, -1, width)
