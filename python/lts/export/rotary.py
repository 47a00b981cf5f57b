"""Rotary positions (Su et al. 2021)."""

from __future__ import annotations

import numpy as np

from lts.export.builder import Builder
from lts.export.frequencies import rotary_frequencies


def rotate(builder: Builder, x: str, positions: str, width: int) -> str:
    """Rotary positions (Su et al. 2021), pairing the halves of what is rotated of a head as Hugging Face does.

    Parameters
    ----------
    x
        [batch, heads, sequence, width]; behind the first `rotary_dim` numbers of each head, nothing changes.
    positions
        int64 [batch, sequence].
    """
    graph = builder.graph
    frequencies = rotary_frequencies(builder.architecture, width)
    half, kept = len(frequencies), []
    if 2 * half < width:
        x, *kept = graph.split(x, [2 * half, width - 2 * half], axis=3)
    angles = graph.op("Unsqueeze", graph.cast(positions, np.float32), graph.constant([1, 3]))
    angles = graph.op("Mul", angles, graph.constant(frequencies, np.float32))
    cos, sin = graph.as_real(graph.op("Cos", angles)), graph.as_real(graph.op("Sin", angles))
    first, second = graph.split(x, [half, half], axis=3)
    straight = graph.op("Mul", x, graph.op("Concat", cos, cos, axis=3))
    crossed = graph.op("Concat", second, first, axis=3)
    crossed = graph.op("Mul", crossed, graph.op("Concat", graph.op("Neg", sin), sin, axis=3))
    turned = graph.op("Add", straight, crossed)
    return graph.op("Concat", turned, *kept, axis=3) if kept else turned
