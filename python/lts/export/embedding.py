"""From tokens and positions to vectors, and back to tokens: plain and adaptive embeddings, tied or not."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from lts.export.builder import Builder
from lts.export.weights import Piece, Tensor


def embed(builder: Builder, input_ids: str) -> str:
    """Token embeddings; those of an adaptive embedding are multiplied by ``sqrt(d_model)``.

    Parameters
    ----------
    input_ids
        int64 [batch, sequence].

    Returns
    -------
    str
        [tokens, d_model].
    """
    ids = builder.graph.reshape(input_ids, -1)
    return (_embed_adaptive if builder.architecture.adaptive else _embed_plain)(builder, ids)


def head(builder: Builder, x: str) -> str:
    """Logits over the vocabulary, or for an adaptive embedding log-probabilities; [tokens, vocab_size].

    Parameters
    ----------
    x
        Hidden states, [tokens, d_model].
    """
    return (_head_adaptive if builder.architecture.adaptive else _head_plain)(builder, x)


def embed_positions(builder: Builder, position_ids: str) -> str:
    """Learned position embeddings, [tokens, d_model], of `position_ids`, int64 [batch, sequence]."""
    graph = builder.graph
    return graph.op("Gather", builder.weight("position_embedding.weight"), graph.reshape(position_ids, -1))


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


def _embed_plain(builder: Builder, ids: str) -> str:
    return builder.matrices.lookup(builder.tensor("token_embedding.0.weight"), ids)


def _head_plain(builder: Builder, x: str) -> str:
    if "head.weight" in builder.inventory:
        return builder.linear(x, "head")
    return builder.matrices.product_by_rows(x, builder.tensor("token_embedding.0.weight"))


def _clusters(builder: Builder) -> list[tuple[int, int]]:
    """First and past-last token of each cluster."""
    return list(pairwise([0, *builder.architecture.clean_cutoffs]))


def _table(builder: Builder, cluster: int) -> Tensor:
    """The embeddings of a cluster's tokens; behind the first cluster's, the softmax's vectors of the other clusters.

    Returns
    -------
    Tensor
        [tokens of the cluster (+ n_clusters - 1), width of the cluster].
    """
    clusters = _clusters(builder)
    if builder.architecture.div_val == 1 and len(clusters) > 1:  # one table for all
        pieces = [Piece(builder.inventory["token_embedding.0.weight"], rows=clusters[cluster])]
    else:
        pieces = [Piece(builder.inventory[f"token_embedding.{cluster}.weight"])]
    if cluster == 0 and len(clusters) > 1:
        pieces.append(Piece(builder.inventory["cluster.weight"], transposed=True))
    return Tensor(f"token_embedding.cluster.{cluster}", tuple(pieces))


def _embed_adaptive(builder: Builder, ids: str) -> str:
    """Adaptive input (Baevski and Auli 2019), as Transformer-XL has it.

    Every cluster is looked up for every token, with indices clipped to it, and the right one kept. That is cheap, has
    fixed shapes, and reads the tables that the softmax uses. What is no token is looked up behind the end of the last
    cluster, which the runtime refuses as it does for a plain embedding.
    """
    graph = builder.graph
    shared = builder.architecture.div_val == 1
    x = ""
    clusters = _clusters(builder)
    for i, (begin, end) in enumerate(clusters):
        last = i == len(clusters) - 1
        index = graph.op("Sub", ids, graph.constant(begin)) if begin else ids
        index = graph.op("Clip", index, graph.constant(0), graph.constant(end - begin - (not last)))
        if last:  # an index below 0 would count from the end of the table
            is_token = graph.op("GreaterOrEqual", ids, graph.constant(0))
            index = graph.op("Where", is_token, index, graph.constant(end - begin))
        vectors = builder.matrices.lookup(_table(builder, i), index)
        if not shared:
            vectors = builder.linear(vectors, f"embedding_projection.{i}")
        if i == 0:
            x = vectors
            continue
        here = graph.op("GreaterOrEqual", ids, graph.constant(begin))
        x = graph.op("Where", graph.op("Unsqueeze", here, graph.constant([1])), vectors, x)
    if shared and "embedding_projection.0.weight" in builder.inventory:
        x = builder.linear(x, "embedding_projection.0")
    return graph.op("Mul", x, graph.number(math.sqrt(builder.architecture.d_model)))


def _projected(builder: Builder, cluster: int, x: str) -> str:
    """Hidden states in the width of a cluster: by its own projection, or by the embedding's, transposed."""
    if f"head_projection.{cluster}.weight" in builder.inventory:
        return builder.linear(x, f"head_projection.{cluster}")
    tied = f"embedding_projection.{cluster if builder.architecture.div_val != 1 else 0}.weight"
    if tied in builder.inventory:
        return builder.matrices.product_by_rows(x, builder.tensor(tied))
    return x


def _head_adaptive(builder: Builder, x: str) -> str:
    """Adaptive softmax (Grave et al. 2017) as `ProjectedAdaptiveLogSoftmax` of Transformer-XL has it.

    The first cluster's softmax also decides for or against each other cluster: column ``len + i - 1`` for cluster i.
    """
    graph = builder.graph
    clusters = _clusters(builder)
    bias = builder.inventory["head_bias.bias"]

    def log_softmax(i: int) -> str:
        pieces = [Piece(bias, rows=clusters[i])]
        if i == 0 and len(clusters) > 1:
            pieces.append(Piece(builder.inventory["cluster.bias"]))
        biases = Tensor(f"head_bias.cluster.{i}", tuple(pieces))
        scores = builder.matrices.product_by_rows(_projected(builder, i, x), _table(builder, i), biases)
        return graph.op("LogSoftmax", scores, axis=-1)

    first = log_softmax(0)
    if len(clusters) == 1:
        return first
    first, *chosen = graph.split(first, [clusters[0][1]] + [1] * (len(clusters) - 1), axis=1)
    rest = [graph.op("Add", log_softmax(i), chosen[i - 1]) for i in range(1, len(clusters))]
    return graph.op("Concat", first, *rest, axis=1)
