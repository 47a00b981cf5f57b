"""Prepares an ONNX model for a compiler: all sizes fixed, what follows from them folded, and weights as inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lts.backends.inputs import size_of
from lts.backends.stored import INLINE_BYTES, Stored, find_stored
from lts.errors import MeasurementError, first_line

Array = npt.NDArray[Any]

# Nothing bigger than this is computed ahead of time.
_FOLD_BYTES = 4 << 20
CONSTANTS_FILE = "constants.bin"
_ALIGNMENT = 64


@dataclass(frozen=True)
class Weight:
    """A weight and the place of its numbers: a file's name and an offset in bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    file: str
    offset: int


@dataclass
class FixedModel:
    """A model without symbolic dimensions.

    Attributes
    ----------
    proto
        The `onnx.ModelProto`; its weights are inputs of the graph, after the model's own inputs, and the placeholders
        of `stored` come last.
    inputs
        Names, shapes and types of the model's own inputs.
    weights
        The inputs of the graph that are weights, in order.
    stored
        Matrices that are stored in another form than float32, by their placeholders.
    constants
        Content of the file ``constants.bin``: weights that the model file holds itself.
    outputs
        Names of the outputs.
    """

    proto: Any
    inputs: list[tuple[str, tuple[int, ...], np.dtype[Any]]]
    weights: list[Weight]
    outputs: list[str]
    stored: dict[str, Stored]
    constants: bytes = field(repr=False, default=b"")


def fixed_model(path: Path, dims: Mapping[str, int]) -> FixedModel:
    """Load a model, but not its external data, and fix its dimensions.

    Parameters
    ----------
    path
        An ONNX file.
    dims
        As for `lts.backends.inputs.make_inputs`.

    Raises
    ------
    MeasurementError
        When the file is not an ONNX model, or has a dimension that `dims` does not have.
    """
    return fixed(read_model(path), path, dims)


def read_model(path: Path) -> Any:
    """The `onnx.ModelProto` of a file, without its external data. Raises `MeasurementError` when there is none."""
    import onnx

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # of the protocol buffers, which onnx does not wrap
        raise MeasurementError(f"{path} is not an ONNX model that can be read: {error}") from None
    if not model.graph.node or not model.graph.output:
        raise MeasurementError(f"{path} is not an ONNX model: it has no nodes or no outputs")
    return model


def fixed(model: Any, path: Path, dims: Mapping[str, int]) -> FixedModel:
    """The same for a model in memory, which is changed; `path` is for messages."""
    import onnx

    _fix(model.graph, dims)
    inputs = []
    for value in model.graph.input:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        inputs.append((value.name, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim), dtype))
    stored = find_stored(model.graph)
    weights, constants = _separate(model.graph, stored)
    try:
        _fold(onnx, model)
    except Exception as error:
        raise MeasurementError(f"{path} is not a correct ONNX model: {first_line(error)}") from None
    outputs = [value.name for value in model.graph.output]
    return FixedModel(model, inputs, weights, outputs, stored, constants)


def _fix(graph: Any, dims: Mapping[str, int]) -> None:
    """Give every dimension of inputs its size. Outputs lose their shapes, which follow from the inputs."""
    weights = {tensor.name for tensor in graph.initializer}
    for value in [value for value in graph.input if value.name in weights]:  # allowed up to IR version 3
        graph.input.remove(value)
    for value in graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                dim.dim_value = size_of(value.name, axis, dim.dim_param, dims)
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    del graph.value_info[:]


def _separate(graph: Any, stored: Mapping[str, Stored]) -> tuple[list[Weight], bytes]:
    """Take the weights out of the initializers; what is left is small."""
    import onnx

    parts = {name for matrix in stored.values() for name in (matrix.values, matrix.scales) if name}
    weights = []
    constants = bytearray()
    left = []
    for tensor in graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        shape = tuple(tensor.dims)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            place = {entry.key: entry.value for entry in tensor.external_data}
            weights.append(Weight(tensor.name, shape, dtype.name, place["location"], int(place.get("offset", 0))))
        elif tensor.name in parts or (
            prod(shape) * dtype.itemsize > INLINE_BYTES and tensor.name not in _shapes_of_operators(graph)
        ):
            constants.extend(b"\0" * (-len(constants) % _ALIGNMENT))
            weights.append(Weight(tensor.name, shape, dtype.name, CONSTANTS_FILE, len(constants)))
            constants.extend(onnx.numpy_helper.to_array(tensor).tobytes())
        else:
            left.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(left)
    used = {name for node in graph.node for name in node.input} | parts
    weights = [weight for weight in weights if weight.name in used]
    for weight in weights:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(weight.dtype))
        graph.input.append(onnx.helper.make_tensor_value_info(weight.name, kind, weight.shape))
    for name, matrix in stored.items():
        graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, matrix.shape))
    return weights, bytes(constants)


def _shapes_of_operators(graph: Any) -> set[str]:
    """Initializers that operators need to know when they are compiled, such as the shape of a Reshape."""
    return {
        name for node in graph.node if node.op_type != "Gather" for name in node.input[1:] if _is_integer(graph, name)
    }


def _is_integer(graph: Any, name: str) -> bool:
    return any(tensor.name == name and tensor.data_type in (6, 7) for tensor in graph.initializer)


def _fold(onnx: Any, model: Any) -> None:
    """Replace shapes, and what is computed from shapes and constants alone, by their values."""
    from onnx import numpy_helper

    graph = model.graph
    while True:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
        shapes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in [*inferred.value_info, *inferred.input, *inferred.output]
            if value.type.tensor_type.HasField("shape")
            and all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
        }
        known = {tensor.name for tensor in graph.initializer}
        outputs = {value.name for value in graph.output}
        values: dict[str, Array] = {}
        nodes = []
        for node in graph.node:
            if node.op_type == "Shape" and node.input[0] in shapes:
                begin, end = (next((a.i for a in node.attribute if a.name == key), None) for key in ("start", "end"))
                values[node.output[0]] = np.array(shapes[node.input[0]][begin:end], np.int64)
                known.update(node.output)
            elif all(name in known or not name for name in node.input) and not outputs & set(node.output):
                nodes.append(node)
                known.update(node.output)
        values.update(_evaluate(onnx, graph, nodes, values))
        values = {name: value for name, value in values.items() if value.nbytes <= _FOLD_BYTES}
        left = [node for node in graph.node if not all(name in values for name in node.output)]
        changed = len(left) < len(graph.node)
        used = {name for node in left for name in node.input} | outputs
        tensors = [tensor for tensor in graph.initializer if tensor.name in used]
        tensors += [numpy_helper.from_array(value, name) for name, value in values.items() if name in used]
        for place, content in ((graph.node, left), (graph.initializer, tensors)):
            copies = [type(part).FromString(part.SerializeToString()) for part in content]
            del place[:]
            place.extend(copies)
        if not changed:
            return


def _evaluate(onnx: Any, graph: Any, nodes: list[Any], shapes: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of nodes that depend on initializers and the given values alone."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    if not nodes:
        return {}
    names = _unique(name for node in nodes for name in node.output if name)
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    constants += [numpy_helper.from_array(value, name) for name, value in shapes.items() if name in used]
    part = onnx.GraphProto(name="constants", node=nodes, initializer=constants)
    part.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    model = onnx.ModelProto(ir_version=8, graph=part, opset_import=[onnx.OperatorSetIdProto(domain="", version=17)])
    results = ReferenceEvaluator(model).run(None, {})
    return dict(zip(names, (np.asarray(result) for result in results), strict=True))


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
