"""Architectures as files that run: ONNX, Hugging Face and JSON. See ``docs/formats.md``."""

from lts.export.decoder import onnx_model
from lts.export.files import export
from lts.export.gguf_read import StoredModel, read_gguf
from lts.export.gguf_tokenizer import StoredTokenizer
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
    "StoredModel",
    "StoredTokenizer",
    "StructureOnly",
    "error_report",
    "export",
    "onnx_model",
    "quantization_errors",
    "read_gguf",
]
