"""Causal self-attention: with cached keys and values, or relative over a memory of layer inputs."""

from __future__ import annotations

import math

import numpy as np

from lts.export.builder import Builder
from lts.export.graph import Dim

MASKED = {"float32": -1e30, "float16": -3e4}  # added to scores; a row without any key stays finite, and uniform


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

    def __call__(self, layer: int, x: str) -> str:
        """Attention of a layer; `x` and the result are [tokens, d_model]."""
        b, graph = self.builder, self.builder.graph
        batch, sequence, total = b.batch, b.sequence, b.total
        n_head, n_kv = b.architecture.n_head[layer], b.architecture.n_kv_head[layer]
        width = b.architecture.head_dims[layer]
        prefix = f"layers.{layer}"

        joined = b.linear(x, f"{prefix}.query", f"{prefix}.key", f"{prefix}.value")
        heads = split_heads(b, joined, sequence, n_head + 2 * n_kv, width)
        if b.traits.position == "rotary":
            rotated, value = graph.split(heads, [n_head + n_kv, n_kv], axis=1)
            query, key = graph.split(rotate(b, rotated, self.positions, width), [n_head, n_kv], axis=1)
        else:
            query, key, value = graph.split(heads, [n_head, n_kv, n_kv], axis=1)
        if self.past is not None:
            cache = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
            for name in cache:
                graph.input(name, graph.real, batch, n_kv, self.past, width)
            key = graph.op("Concat", cache[0], key, axis=2)
            value = graph.op("Concat", cache[1], value, axis=2)
        graph.output(f"present.{layer}.key", key, batch, n_kv, total, width)
        graph.output(f"present.{layer}.value", value, batch, n_kv, total, width)

        # The queries of a group are rows of one product with its key: keys and values need no repetition.
        grouped = n_head != n_kv
        rows = n_head // n_kv * sequence if isinstance(sequence, int) else -1
        if grouped:
            query = graph.reshape(query, batch, n_kv, rows, width)
        query = graph.op("Mul", query, graph.number(1 / math.sqrt(width)))
        scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=(0, 1, 3, 2)))
        if grouped:
            scores = graph.reshape(scores, batch, n_head, sequence, total)
        weights = graph.op("Softmax", graph.op("Add", scores, self.mask), axis=-1)
        if grouped:
            weights = graph.reshape(weights, batch, n_kv, rows, total)
        mixed = graph.op("MatMul", weights, value)
        if grouped:
            mixed = graph.reshape(mixed, batch, n_head, sequence, width)
        return b.linear(merge_heads(b, mixed, sequence, n_head * width), f"{prefix}.attention_output")


class RelativeAttention:
    """Attention with relative positions over a memory of layer inputs: Transformer-XL (Dai et al. 2019, section 3.3).

    A score is ``(q + u) k + (q + v) W_r R``, where R are sinusoids of the distance, and u and v are learned for each
    layer. Without biases; the memory goes through the same projections of keys and values as the new tokens.

    Parameters
    ----------
    mask
        Added to scores: [batch, 1, sequence or 1, total].
    memory
        Tokens in the memory; None in a prompt pass, which begins without.
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
        if self.memory is None:
            by_distance = self._shift(by_distance, n_head)
        scores = graph.op("Add", graph.op("Add", by_content, by_distance), self.mask)
        mixed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
        return b.linear(merge_heads(b, mixed, sequence, n_head * width), f"{prefix}.attention_output")

    def _biased(self, query: str, name: str, n_head: int, width: int) -> str:
        graph = self.builder.graph
        bias = graph.reshape(self.builder.weight(f"{name}.bias"), n_head, 1, width)
        return graph.op("Mul", graph.op("Add", query, bias), graph.number(1 / math.sqrt(width)))

    def _shift(self, scores: str, n_head: int) -> str:
        """Column j of row i becomes the score of distance i - j (Dai et al. 2019, appendix B).

        With one new token, as in decoding, the columns are in place already.

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


def rotate(builder: Builder, x: str, positions: str, width: int) -> str:
    """Rotary positions (Su et al. 2021), pairing the halves of a head as Hugging Face's LLaMA does.

    Parameters
    ----------
    x
        [batch, heads, sequence, width].
    positions
        int64 [batch, sequence].
    """
    graph = builder.graph
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    frequencies = (1 / np.float32(builder.traits.rotary_theta) ** exponents).astype(np.float32)
    angles = graph.op("Unsqueeze", graph.cast(positions, np.float32), graph.constant([1, 3]))
    angles = graph.op("Mul", angles, graph.constant(frequencies, np.float32))
    cos, sin = graph.as_real(graph.op("Cos", angles)), graph.as_real(graph.op("Sin", angles))
    first, second = graph.split(x, [width // 2, width // 2], axis=3)
    straight = graph.op("Mul", x, graph.op("Concat", cos, cos, axis=3))
    crossed = graph.op("Concat", second, first, axis=3)
    crossed = graph.op("Mul", crossed, graph.op("Concat", graph.op("Neg", sin), sin, axis=3))
    return graph.op("Add", straight, crossed)


def sinusoids(builder: Builder) -> str:
    """Sines, then cosines, of the distances ``total - 1 .. 0``: [total, d_model]."""
    graph = builder.graph
    d_model = builder.architecture.d_model
    frequencies = 1 / 10000 ** (np.arange(0, d_model, 2, dtype=np.float32) / np.float32(d_model))
    last = graph.op("Sub", graph.op("Squeeze", graph.size(builder.total)), graph.constant(1))
    distances = graph.op("Range", last, graph.constant(-1), graph.constant(-1))
    distances = graph.op("Unsqueeze", graph.cast(distances, np.float32), graph.constant([1]))
    angles = graph.op("Mul", distances, graph.constant(frequencies, np.float32))
    sines, cosines = graph.as_real(graph.op("Sin", angles)), graph.as_real(graph.op("Cos", angles))
    if d_model % 2 == 1:  # one cosine too many
        cosines = graph.split(cosines, [d_model // 2, 1], axis=1)[0]
    return graph.op("Concat", sines, cosines, axis=1)
