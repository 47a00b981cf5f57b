"""Rotary positions (Su et al. 2021)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lts._core import Architecture
from lts.export.builder import Builder
from lts.export.rotary_factors import rotary_factors


def rotary_frequencies(architecture: Architecture, width: int) -> npt.NDArray[np.float32]:
    """Radians per position of the pairs of a head that is `width` wide, [rotated numbers / 2].

    ``theta ** (-2 i / rotated numbers)``, in float32 as transformers computes them, over `rotary_factors` where they
    are scaled.
    """
    rotated = architecture.rotary_dim or width
    exponents = np.arange(0, rotated, 2, dtype=np.float32) / np.float32(rotated)
    frequencies = 1 / np.float32(architecture.rotary_theta) ** exponents
    if (scaling := architecture.rotary_scaling) is not None:
        frequencies = frequencies / rotary_factors(scaling, architecture.rotary_theta, rotated)
    return np.asarray(frequencies, np.float32)


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
