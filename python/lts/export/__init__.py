"""Architectures as files that run: ONNX, Hugging Face and JSON. See ``docs/formats.md``."""

from lts.export.decoder import onnx_model
from lts.export.files import export
from lts.export.pool import PooledWeights
from lts.export.precision import PRECISIONS
from lts.export.quantization import MatrixError, error_report, quantization_errors
from lts.export.weights import ArrayWeights, GivenWeights, RandomWeights, StructureOnly

__all__ = [
    "PRECISIONS",
    "ArrayWeights",
    "GivenWeights",
    "MatrixError",
    "PooledWeights",
    "RandomWeights",
    "StructureOnly",
    "error_report",
    "export",
    "onnx_model",
    "quantization_errors",
]
