"""Finds matrices that a model stores in half precision or as integers, and products with them, in an ONNX graph.

Each product becomes a ``MatMul`` of float32 with a placeholder, an input of the graph that stands for the matrix. What
is left of the graph computes in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lts.errors import MeasurementError

_FLOAT, _FLOAT16 = 1, 10  # types in onnx.proto
_DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class Stored:
    """A matrix that is stored in another form than float32.

    Attributes
    ----------
    kind
        ``float16``; ``int8``, with a scale for each output; ``int4``, two numbers in a byte, low bits first, plus 8,
        with a scale for each block of inputs.
    values
        The initializer: [inputs, outputs] of float16 (or the other way around) and int8; [outputs, blocks,
        block / 2] of int4.
    scales
        The initializer of the scales: [outputs] of int8, [outputs, blocks] of int4.
    shape
        Of the matrix that it stands for, as its products use it; [outputs, inputs] of int4.
    """

    kind: str
    values: str
    scales: str | None
    shape: tuple[int, int]


def find_stored(graph: Any) -> dict[str, Stored]:
    """Replace products with stored matrices in a graph; the placeholders by name.

    The placeholders are not yet inputs of the graph.

    Raises
    ------
    MeasurementError
        For a product of `MatMulNBits` in a form that is not compiled.
    """
    finder = _Finder(graph)
    finder.integers()
    finder.halves()
    return finder.stored


class _Finder:
    def __init__(self, graph: Any) -> None:
        import onnx

        self.onnx = onnx
        self.graph = graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.producers = {name: node for node in graph.node for name in node.output}
        self.stored: dict[str, Stored] = {}

    def integers(self) -> None:
        """Products of `DynamicQuantizeLinear` and `MatMulInteger`, and of `MatMulNBits`."""
        nodes = []
        for node in self.graph.node:
            if node.op_type == "MatMulNBits" and node.domain == _DOMAIN:
                nodes += self._of_blocks(node)
            else:
                nodes += self._of_columns(node) or [node]
        if self.stored:
            self._replace(_needed(nodes, (value.name for value in self.graph.output)))

    def _of_columns(self, node: Any) -> list[Any] | None:
        """The float32 product for the last node of an int8 product: `Mul` of integer sums and both scales."""
        if node.op_type != "Mul":
            return None
        cast, scales = (self.producers.get(name) for name in node.input)
        if cast is None or scales is None:
            return None
        if cast.op_type != "Cast":
            cast, scales = scales, cast
        product = self.producers.get(cast.input[0]) if cast.op_type == "Cast" else None
        if product is None or product.op_type != "MatMulInteger" or scales.op_type != "Mul":
            return None
        values = self.initializers.get(product.input[1])
        rows = self.producers.get(product.input[0])
        if rows is None or rows.op_type != "DynamicQuantizeLinear" or values is None:
            return None
        own = [name for name in scales.input if name != rows.output[1]]
        if len(own) != 1 or own[0] not in self.initializers:
            return None
        scale = self.initializers[own[0]]
        if values.data_type != self.onnx.TensorProto.INT8 or len(values.dims) != 2:
            return None
        if list(scale.dims) != [values.dims[1]] or not self._is_zero([*product.input, "", ""][3]):
            return None
        matrix = self._placeholder(Stored("int8", values.name, scale.name, (values.dims[0], values.dims[1])))
        return [self._node("MatMul", [rows.input[0], matrix], node.output[0])]

    def _is_zero(self, name: str) -> bool:
        """Whether a zero point is absent or zero."""
        if not name:
            return True
        return name in self.initializers and not self.onnx.numpy_helper.to_array(self.initializers[name]).any()

    def _of_blocks(self, node: Any) -> list[Any]:
        attributes = {entry.name: entry.i for entry in node.attribute}
        x, values, scales, zeros, order, bias = [*node.input, "", "", ""][:6]
        block, n, k = (attributes.get(key, 0) for key in ("block_size", "N", "K"))
        if (
            attributes.get("bits", 4) != 4
            or zeros
            or order
            or block % 8
            or not {values, scales} <= {*self.initializers}
        ):
            raise MeasurementError(
                f"TVM compiles MatMulNBits with 4 bits and blocks of a multiple of 8, without zero points or an order; "
                f"node '{node.name}' has another form"
            )
        matrix = self._placeholder(Stored("int4", values, scales, (n, k)))
        name = node.output[0]
        nodes = [self._node("Transpose", [matrix], f"{name}.transposed", perm=[1, 0])]
        if not bias:
            return [*nodes, self._node("MatMul", [x, f"{name}.transposed"], name)]
        return [
            *nodes,
            self._node("MatMul", [x, f"{name}.transposed"], f"{name}.product"),
            self._node("Add", [f"{name}.product", bias], name),
        ]

    def halves(self) -> None:
        """Let a graph with float16 compute in float32: inputs are converted, and outputs converted back."""
        halves = {name for name, tensor in self.initializers.items() if tensor.data_type == _FLOAT16}
        inputs = [value for value in self.graph.input if value.type.tensor_type.elem_type == _FLOAT16]
        if not halves and not inputs:
            return
        small = {name for name in halves if not self.initializers[name].external_data and self._is_small(name)}
        for name in small:
            array = self.onnx.numpy_helper.to_array(self.initializers[name]).astype(np.float32)
            self.initializers[name].CopyFrom(self.onnx.numpy_helper.from_array(array, name))
        halves -= small
        casts = {value.name: f"{value.name}.float32" for value in inputs}
        nodes = [self._cast(name, cast, _FLOAT) for name, cast in casts.items()]
        for node in self.graph.node:
            if node.op_type == "Cast":
                for entry in node.attribute:
                    if entry.name == "to" and entry.i == _FLOAT16:
                        entry.i = _FLOAT
            after = []
            for position, name in enumerate(node.input):
                if name in halves and node.op_type == "Gather" and position == 0:
                    # Rows of a table are converted after they are looked up.
                    row = f"{node.output[0]}.float16"
                    after.append(self._cast(row, node.output[0], _FLOAT))
                    node.output[0] = row
                elif name in halves and node.op_type in ("MatMul", "Gemm") and position == 1:
                    node.input[1] = self._placeholder(Stored("float16", name, None, self._shape(name)))
                elif name in halves:
                    if name not in casts:
                        casts[name] = f"{name}.float32"
                        nodes.append(self._cast(name, casts[name], _FLOAT))
                    node.input[position] = casts[name]
                elif name in casts:
                    node.input[position] = casts[name]
            nodes += [node, *after]
        for value in self.graph.output:
            if value.type.tensor_type.elem_type == _FLOAT16:
                for node in nodes:
                    for place in (node.input, node.output):
                        for position, name in enumerate(place):
                            if name == value.name:
                                place[position] = f"{value.name}.float32"
                nodes.append(self._cast(f"{value.name}.float32", value.name, _FLOAT16))
        self._replace(nodes)

    def _is_small(self, name: str) -> bool:
        return len(self.initializers[name].dims) == 0

    def _shape(self, name: str) -> tuple[int, int]:
        rows, columns = self.initializers[name].dims
        return rows, columns

    def _placeholder(self, stored: Stored) -> str:
        name = f"{stored.values}.float32_matrix"
        self.stored[name] = stored
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return self.onnx.helper.make_node(kind, inputs, [output], **attributes)

    def _cast(self, value: str, output: str, to: int) -> Any:
        return self._node("Cast", [value], output, to=to)

    def _replace(self, nodes: list[Any]) -> None:
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(copies)


def _needed(nodes: list[Any], outputs: Iterable[str]) -> list[Any]:
    """The nodes that outputs depend on, in their order."""
    wanted = set(outputs)
    left = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted.update(node.input)
            left.append(node)
    return left[::-1]
