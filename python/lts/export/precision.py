"""The precisions of exported models: how matrices and tables are stored, multiplied with and looked up in.

* ``float32``.
* ``float16``: weights and activations, inputs and outputs.
* ``int8``: a scale for each output of a matrix and each row of a table. The rows of activations are quantized while the
  model runs, with one scale for all, but with one for each row where they are uneven. Operations of the standard only.
* ``int4``: a scale for each `BLOCK` numbers. The product is an operation that ONNX Runtime adds to the standard.

With ``int8`` and ``int4``, what is no matrix (norms, biases, position embeddings) and the activations in between stay
float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from lts.errors import UsageError
from lts.export.encodings import (
    BLOCK,
    FLOAT16,
    FLOAT32,
    INT4,
    INT4_SCALES,
    INT8,
    INT8_ROWS,
    INT8_SCALES,
    Encoding,
)
from lts.export.graph import Graph
from lts.export.weights import Tensor

LEAST = 1e-30  # largest magnitude of a row below which it counts as zeros
_UNITS = [[(pair & 15) - 8, (pair >> 4) - 8] for pair in range(256)]  # what the two halves of a byte stand for in int4


class Matrices(ABC):
    """The matrices of a model: the nodes that use them, and the tensors that are stored.

    Attributes
    ----------
    graph
        Where the nodes are added.
    tensors
        The weights used so far, as initializers, in order of use.
    """

    plain: Encoding = FLOAT32

    def __init__(self) -> None:
        self.graph = Graph(self.plain.name)
        self.tensors: dict[str, Tensor] = {}

    def vector(self, tensor: Tensor) -> str:
        """Weights that are no matrix, as an initializer of the activations' type."""
        return self._stored(tensor, self.plain)

    @abstractmethod
    def product(self, x: str, matrix: Tensor, bias: Tensor | None = None) -> str:
        """``x matrix + bias``, [rows of x, outputs], with a matrix [inputs, outputs]."""

    def product_of_uneven(self, x: str, matrix: Tensor, bias: Tensor | None = None) -> str:
        """`product`, for rows of which some may be thousands of times as large as others: they share no scale."""
        return self.product(x, matrix, bias)

    @abstractmethod
    def product_by_rows(self, x: str, table: Tensor, bias: Tensor | None = None) -> str:
        """``x table^T + bias``, [rows of x, rows of the table], with a table [rows, inputs]."""

    @abstractmethod
    def lookup(self, table: Tensor, index: str) -> str:
        """Rows of a table, [n, width]; `index` is int64 [n]."""

    def _stored(self, tensor: Tensor, encoding: Encoding) -> str:
        stored = tensor.encoded(encoding)
        return self.tensors.setdefault(stored.name, stored).name


class Float32(Matrices):
    """Matrices and activations in float32."""

    def product(self, x: str, matrix: Tensor, bias: Tensor | None = None) -> str:
        weight = self._stored(matrix, self.plain)
        if bias is None:
            return self.graph.op("MatMul", x, weight)
        return self.graph.op("Gemm", x, weight, self.vector(bias))

    def product_by_rows(self, x: str, table: Tensor, bias: Tensor | None = None) -> str:
        # Gemm takes the table as it is and packs it once; a Transpose would be folded into a second copy.
        biases = [] if bias is None else [self.vector(bias)]
        return self.graph.op("Gemm", x, self._stored(table, self.plain), *biases, transB=1)

    def lookup(self, table: Tensor, index: str) -> str:
        return self.graph.op("Gather", self._stored(table, self.plain), index)


class Float16(Float32):
    """Matrices and activations in float16."""

    plain = FLOAT16


class Int8(Matrices):
    """Matrices in int8, with a scale for each output; ONNX Runtime fuses the nodes of a product into one.

    A table that is multiplied with is stored twice, because the product takes matrices as [inputs, outputs] only.
    """

    def product(self, x: str, matrix: Tensor, bias: Tensor | None = None) -> str:
        graph = self.graph
        integers, scale, zero = graph.ops(3, "DynamicQuantizeLinear", x)
        sums = graph.op("MatMulInteger", integers, self._stored(matrix, INT8), zero)
        scales = graph.op("Mul", scale, self._stored(matrix, INT8_SCALES))
        result = graph.op("Mul", graph.cast(sums, np.float32), scales)
        return result if bias is None else graph.op("Add", result, self.vector(bias))

    def product_of_uneven(self, x: str, matrix: Tensor, bias: Tensor | None = None) -> str:
        # Rows whose largest magnitudes are 1 share a scale without loss, and the fused product stays one node.
        graph = self.graph
        largest = graph.op("ReduceMax", graph.op("Abs", x), axes=(-1,), keepdims=1)
        largest = graph.op("Max", largest, graph.number(LEAST))
        result = graph.op("Mul", self.product(graph.op("Div", x, largest), matrix), largest)
        return result if bias is None else graph.op("Add", result, self.vector(bias))

    def product_by_rows(self, x: str, table: Tensor, bias: Tensor | None = None) -> str:
        return self.product(x, table.transposed(), bias)

    def lookup(self, table: Tensor, index: str) -> str:
        graph = self.graph
        rows = graph.cast(graph.op("Gather", self._stored(table, INT8_ROWS), index), np.float32)
        scales = graph.op("Gather", self._stored(table.transposed(), INT8_SCALES), index)
        return graph.op("Mul", rows, graph.op("Unsqueeze", scales, graph.constant([1])))


class Int4(Matrices):
    """Matrices in int4, with a scale for each `BLOCK` inputs of an output; activations are multiplied in int8.

    Rows of a table and outputs of a matrix have the same form, so that a table that is multiplied with is stored once.
    """

    def product(self, x: str, matrix: Tensor, bias: Tensor | None = None) -> str:
        return self._product(x, matrix.transposed(), bias)

    def product_by_rows(self, x: str, table: Tensor, bias: Tensor | None = None) -> str:
        return self._product(x, table, bias)

    def lookup(self, table: Tensor, index: str) -> str:
        graph = self.graph
        width = table.shape[1]
        pairs = graph.cast(graph.op("Gather", self._stored(table, INT4), index), np.int32)
        units = graph.op("Gather", graph.constant(_UNITS, np.float32), pairs)  # [n, blocks, BLOCK / 2, 2]
        blocks = graph.op("Reshape", units, graph.constant([0, 0, BLOCK]))
        scales = graph.op("Gather", self._stored(table, INT4_SCALES), index)
        blocks = graph.op("Mul", blocks, graph.op("Unsqueeze", scales, graph.constant([2])))
        rows = graph.reshape(blocks, -1, width + -width % BLOCK)
        return graph.split(rows, [width, -width % BLOCK], axis=1)[0] if width % BLOCK else rows

    def _product(self, x: str, matrix: Tensor, bias: Tensor | None) -> str:
        outputs, inputs = matrix.shape
        optional = [] if bias is None else ["", "", self.vector(bias)]
        return self.graph.op(
            "com.microsoft.MatMulNBits",
            x,
            self._stored(matrix, INT4),
            self._stored(matrix, INT4_SCALES),
            *optional,
            K=inputs,
            N=outputs,
            bits=4,
            block_size=BLOCK,
            accuracy_level=4,
        )


_KINDS: dict[str, type[Matrices]] = {"float32": Float32, "float16": Float16, "int8": Int8, "int4": Int4}
PRECISIONS = tuple(_KINDS)


def check_precision(precision: str) -> None:
    """Raise `UsageError` unless the precision is one of `PRECISIONS`."""
    if precision not in _KINDS:
        raise UsageError(f"unknown precision '{precision}'; expected one of {', '.join(PRECISIONS)}")


def matrices(precision: str) -> Matrices:
    """Empty matrices of a precision, with the graph that they build."""
    check_precision(precision)
    return _KINDS[precision]()
