"""What a precision makes of weights: how far rounding moves each matrix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np

from lts._core import Architecture
from lts.export.decoder import decoder_graph
from lts.export.weights import Weights, array_source


@dataclass(frozen=True)
class MatrixError:
    """How far the stored form of a matrix or table is from its weights.

    Attributes
    ----------
    name
        The matrix, as the initializer is called in float32.
    relative
        Frobenius norm of the difference, divided by that of the matrix; 0 for a matrix of zeros.
    maximum
        Largest magnitude in the difference.
    """

    name: str
    relative: float
    maximum: float


def quantization_errors(architecture: Architecture, precision: str, weights: Weights = None) -> list[MatrixError]:
    """The error of every matrix and table in a precision, in the order of the model; the larger one of two forms.

    Parameters
    ----------
    architecture
        What the weights belong to.
    precision
        ``float32``, ``float16``, ``int8`` or ``int4``.
    weights
        Arrays by the names of `lts.weights`, or a source of them; by default ``RandomWeights(0)``.

    Raises
    ------
    UsageError
        For an encoder, an unknown precision, or weights that do not fit or cannot be quantized.
    """
    source = array_source(architecture, weights, "quantize")
    errors: dict[str, MatrixError] = {}
    for tensor in decoder_graph(architecture, "prefill", precision=precision)[1]:
        if tensor.encoding.rounded is None or len(tensor.shape_of_weights) == 1:
            continue
        array = source.joined(tensor)
        difference = source.rounded(tensor) - array
        norm = float(np.linalg.norm(array))
        relative = float(np.linalg.norm(difference)) / norm if norm else 0.0
        error = MatrixError(tensor.matrix, relative, float(np.abs(difference).max()))
        if error.name not in errors or errors[error.name].relative < relative:
            errors[error.name] = error
    return list(errors.values())


def error_report(errors: Iterable[MatrixError], n: int = 10) -> str:
    """A table of the matrices that rounding moves most, the worst first, with the median of all.

    Parameters
    ----------
    errors
        Of `quantization_errors`.
    n
        How many matrices to show, at most.
    """
    worst = sorted(errors, key=lambda error: -error.relative)
    if not worst:
        return "no matrices"
    shown = worst[: max(0, n)]
    rows = [(error.name, f"{100 * error.relative:.3g} %", f"{error.maximum:.3g}") for error in shown]
    rows.append(
        (
            f"median of {len(worst)}",
            f"{100 * median(e.relative for e in worst):.3g} %",
            f"{median(e.maximum for e in worst):.3g}",
        )
    )
    header = ("matrix", "relative", "maximum")
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(3)]
    return "\n".join(
        f"{name:<{widths[0]}}  {relative:>{widths[1]}}  {maximum:>{widths[2]}}"
        for name, relative, maximum in (header, *rows)
    )
