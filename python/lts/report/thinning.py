"""Points that a picture can do without: those that lie on others. The data stays whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST = 1000
"""Points of a kind that are drawn; more cannot be told apart, and every one takes its time to draw."""

_GRIDS = (256, 192, 128, 96, 64, 48, 32)  # cells per side of a chart


def spread(x: Sequence[float], y: Sequence[float], most: int = MOST) -> list[int]:
    """Indices of at most about `most` points that look like all of them, in their order.

    Of points in one cell of a grid over the chart the first stays; the grid is the finest that leaves few enough. The
    extremes of both axes always stay.
    """
    n = len(x)
    if n <= most:
        return list(range(n))
    places = np.column_stack([_scaled(x), _scaled(y)])
    extremes = {int(at) for column in places.T for at in (column.argmin(), column.argmax())}
    for side in _GRIDS:
        cells = np.minimum((places * side).astype(int), side - 1)
        _, first = np.unique(cells[:, 0] * side + cells[:, 1], return_index=True)
        if len(first) <= most:
            break
    return sorted({*map(int, first), *extremes})


def steps(values: Sequence[float]) -> list[int]:
    """Indices at which a line of steps changes, with both ends: its picture needs no others."""
    last = len(values) - 1
    return [i for i, value in enumerate(values) if i in (0, last) or value != values[i - 1]]


def _scaled(values: Sequence[float]) -> np.ndarray:
    """The values from 0 to 1."""
    found = np.asarray(values, dtype=np.float64)
    low, high = found.min(), found.max()
    return (found - low) / (high - low) if high > low else np.zeros(len(found))
