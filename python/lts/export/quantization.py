"""What a precision makes of weights: how far rounding moves each matrix."""

from __future__ import annotations

from dataclasses import dataclass

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
