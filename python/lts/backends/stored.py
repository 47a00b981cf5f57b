"""Matrices that a model stores in half precision or as integers, and products with them, in an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from lts.errors import MeasurementError

_FLOAT, _FLOAT16 = 1, 10  # types in onnx.proto
INLINE_BYTES = 1024
"""Bigger initializers are weights, which stay outside of a compiled library."""
BLOCK_PRODUCT = "MatMulNBits"
"""The product with integers in blocks, an operation that ONNX Runtime adds to the standard."""


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
    """Replace products with stored matrices by products of float32, with placeholders; these by name.

    What is left of the graph computes in float32. The placeholders are not yet inputs of it.

    Raises
    ------
    MeasurementError
        For a product with blocks in a form that is not understood.
    """
    stored: dict[str, Stored] = {}

    def placeholder(matrix: Stored) -> str:
        name = f"{matrix.values}.float32_matrix"
        stored[name] = matrix
        return name

    found = {output: (x, matrix) for output, x, matrix in column_products(graph)}
    nodes = []
    for node in graph.node:
        if node.output[0] in found:
            x, matrix = found[node.output[0]]
            nodes.append(_node("MatMul", [x, placeholder(matrix)], node.output[0]))
        elif node.op_type == BLOCK_PRODUCT:
            nodes += _float32_of_blocks(node, placeholder(_blocks_of(node, graph)))
        else:
            nodes.append(node)
    if stored:
        _replace(graph, _needed(nodes, (value.name for value in graph.output)))
    _compute_in_float32(graph, stored, placeholder)
    return stored


def column_products(graph: Any) -> Iterator[tuple[str, str, Stored]]:
    """Products of float32 rows, rounded to integers as they come, with an int8 matrix.

    Where the rows are divided by their largest magnitudes before, and multiplied with these behind, that belongs to it.

    Yields
    ------
    tuple
        The output of the last node, a `Mul` of the integers' sums and both scales, or of that and the largest
        magnitudes; the rows; and the matrix.
    """
    from onnx import TensorProto, numpy_helper

    initializers: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
    producers: dict[str, Any] = {name: node for node in graph.node for name in node.output}

    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def made_by(kind: str, name: str) -> Any:
        node = producers.get(name)
        return node if node is not None and node.op_type == kind else None

    def with_largest(output: str, rows: str) -> tuple[str, str]:
        """Output and rows of all that belongs to a product."""
        divided, after = made_by("Div", rows), users.get(output, [])
        if divided is None or len(after) != 1 or after[0].op_type != "Mul" or divided.input[1] not in after[0].input:
            return output, rows
        # Only what is one number for all of a row is the same before and behind a product.
        bounded = made_by("Max", divided.input[1])
        largest = bounded and made_by("ReduceMax", bounded.input[0])
        attributes = {entry.name: entry for entry in largest.attribute} if largest else {}
        of_row = "axes" in attributes and list(attributes["axes"].ints) == [-1]
        of_row = of_row and ("keepdims" not in attributes or attributes["keepdims"].i == 1)
        least = [initializers.get(name) for name in bounded.input[1:]] if bounded else []
        of_row = of_row and all(bound is not None and prod(bound.dims) == 1 for bound in least)
        return (after[0].output[0], divided.input[0]) if of_row else (output, rows)

    for node in graph.node:
        if node.op_type != "Mul":
            continue
        for sums, factor in (node.input, node.input[::-1]):
            cast, scales = made_by("Cast", sums), made_by("Mul", factor)
            product = cast and made_by("MatMulInteger", cast.input[0])
            rows = product and made_by("DynamicQuantizeLinear", product.input[0])
            if scales is None or product is None or rows is None:
                continue
            values = initializers.get(product.input[1])
            own = [initializers.get(name) for name in scales.input if name != rows.output[1]]
            zero = initializers.get([*product.input, "", ""][3])
            if values is None or len(own) != 1 or own[0] is None:
                continue
            fits = (
                values.data_type == TensorProto.INT8
                and len(values.dims) == 2
                and list(own[0].dims) == [values.dims[1]]
                and (zero is None or not numpy_helper.to_array(zero).any())
            )
            if fits:
                whole, x = with_largest(node.output[0], rows.input[0])
                yield whole, x, Stored("int8", values.name, own[0].name, tuple(values.dims))


def _blocks_of(node: Any, graph: Any) -> Stored:
    attributes = {entry.name: entry.i for entry in node.attribute}
    values, scales, zeros, order = [*node.input, "", ""][1:5]
    block, n, k = (attributes.get(key, 0) for key in ("block_size", "N", "K"))
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    known = values in initializers and scales in initializers
    if not known or attributes.get("bits", 4) != 4 or zeros or order or block < 16 or block % 16:
        raise MeasurementError(
            f"{BLOCK_PRODUCT} is understood with 4 bits and blocks of a multiple of 16, without zero points or an "
            f"order; node '{node.name}' has another form"
        )
    # Some tools write the scales, or the values, in fewer dimensions.
    for name, shape in ((values, (n, -(-k // block), block // 2)), (scales, (n, -(-k // block)))):
        if prod(initializers[name].dims) != prod(shape):
            raise MeasurementError(
                f"node '{node.name}': '{name}' has {list(initializers[name].dims)}, not {list(shape)}"
            )
        del initializers[name].dims[:]
        initializers[name].dims.extend(shape)
    return Stored("int4", values, scales, (n, k))


def _float32_of_blocks(node: Any, matrix: str) -> list[Any]:
    x, bias, name = node.input[0], [*node.input, "", "", ""][5], node.output[0]
    product = f"{name}.product" if bias else name
    nodes = [
        _node("Transpose", [matrix], f"{name}.transposed", perm=[1, 0]),
        _node("MatMul", [x, f"{name}.transposed"], product),
    ]
    return [*nodes, _node("Add", [product, bias], name)] if bias else nodes


def _compute_in_float32(graph: Any, stored: dict[str, Stored], placeholder: Any) -> None:
    """Let a graph with float16 compute in float32: inputs are converted, and outputs converted back."""
    from onnx import numpy_helper

    halves = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == _FLOAT16}
    inputs = [value.name for value in graph.input if value.type.tensor_type.elem_type == _FLOAT16]
    if not halves and not inputs:
        return
    for name, tensor in list(halves.items()):
        if len(tensor.raw_data) <= INLINE_BYTES and not tensor.external_data:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), name))
            del halves[name]
    casts = {name: f"{name}.float32" for name in inputs}
    nodes = [_cast(name, cast, _FLOAT) for name, cast in casts.items()]
    for node in graph.node:
        after = []
        for entry in node.attribute:
            if node.op_type == "Cast" and entry.name == "to" and entry.i == _FLOAT16:
                entry.i = _FLOAT
        for position, name in enumerate(node.input):
            if name in halves and node.op_type == "Gather" and position == 0:
                # Rows of a table are converted after they are looked up.
                after.append(_cast(f"{node.output[0]}.float16", node.output[0], _FLOAT))
                node.output[0] = f"{node.output[0]}.float16"
            elif name in halves and node.op_type in ("MatMul", "Gemm") and position == 1:
                rows, columns = halves[name].dims
                node.input[1] = placeholder(Stored("float16", name, None, (rows, columns)))
            elif name in halves or name in casts:
                if name not in casts:
                    casts[name] = f"{name}.float32"
                    nodes.append(_cast(name, casts[name], _FLOAT))
                node.input[position] = casts[name]
        nodes += [node, *after]
    for value in graph.output:
        if value.type.tensor_type.elem_type == _FLOAT16:
            for node in nodes:
                for place in (node.input, node.output):
                    for position, name in enumerate(place):
                        if name == value.name:
                            place[position] = f"{name}.float32"
            nodes.append(_cast(f"{value.name}.float32", value.name, _FLOAT16))
    _replace(graph, nodes)


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, [output], **attributes)


def _cast(value: str, output: str, to: int) -> Any:
    return _node("Cast", [value], output, to=to)


def _replace(graph: Any, nodes: list[Any]) -> None:
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _needed(nodes: list[Any], outputs: Iterable[str]) -> list[Any]:
    """The nodes that outputs depend on, in their order."""
    wanted = set(outputs)
    left = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted.update(node.input)
            left.append(node)
    return left[::-1]


def without_rounding(graph: Any) -> bool:
    """Let products with integers take their rows as they are; whether there are any.

    What the rounding of weights makes of a model, without the rounding of activations, which every runtime does in a
    way of its own.
    """
    from onnx import helper

    found = {output: (x, matrix) for output, x, matrix in column_products(graph)}
    changed = bool(found)
    nodes = []
    for node in graph.node:
        if node.output[0] in found:
            x, matrix = found[node.output[0]]
            name = f"{node.output[0]}.matrix"
            # Not DequantizeLinear, which ONNX Runtime joins with the product to one that rounds again.
            nodes.append(_cast(matrix.values, f"{name}.units", _FLOAT))
            nodes.append(_node("Mul", [f"{name}.units", matrix.scales or ""], name))
            nodes.append(_node("MatMul", [x, name], node.output[0]))
            continue
        if node.op_type == BLOCK_PRODUCT:
            changed = True
            kept = [entry for entry in node.attribute if entry.name != "accuracy_level"]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("accuracy_level", 1)])  # rows of float32
        nodes.append(node)
    if changed:
        _replace(graph, _needed(nodes, (value.name for value in graph.output)))
    return changed
