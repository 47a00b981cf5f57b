"""Rotary positions (Su et al. 2021)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lts.export.builder import Builder


def rotary_frequencies(theta: float, width: int) -> npt.NDArray[np.float32]:
    """Radians per position of the pairs of a head, [width / 2]."""
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    return (1 / np.float32(theta) ** exponents).astype(np.float32)


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
    frequencies = rotary_frequencies(builder.traits.rotary_theta, width)
    angles = graph.op("Unsqueeze", graph.cast(positions, np.float32), graph.constant([1, 3]))
    angles = graph.op("Mul", angles, graph.constant(frequencies, np.float32))
    cos, sin = graph.as_real(graph.op("Cos", angles)), graph.as_real(graph.op("Sin", angles))
    first, second = graph.split(x, [width // 2, width // 2], axis=3)
    straight = graph.op("Mul", x, graph.op("Concat", cos, cos, axis=3))
    crossed = graph.op("Concat", second, first, axis=3)
    crossed = graph.op("Mul", crossed, graph.op("Concat", graph.op("Neg", sin), sin, axis=3))
    return graph.op("Add", straight, crossed)
