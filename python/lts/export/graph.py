"""A small builder of ONNX graphs on plain protocol buffers: no tracing and no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

OPSET = 17  # LayerNormalization; ONNX Runtime from 1.12 and TVM's importer know it
_CASTS = {"float32": 1, "int32": 6, "float16": 10}  # numbers of types in onnx.proto
IR_VERSION = 8
Attribute: TypeAlias = int | float | str | tuple[int, ...]


class Symbol(NamedTuple):
    """A dimension that is known at run time only."""

    name: str  # as it appears in the types of inputs and outputs
    source: str  # an input of the graph that has it,
    axis: int  # and where


Dim: TypeAlias = int | Symbol


class _Node(NamedTuple):
    kind: str
    inputs: tuple[str, ...]
    outputs: list[str]
    attributes: dict[str, Attribute]
    scope: str


class Graph:
    """Nodes, constants and interface of a model; weights are added by `lts.export.weights` when it is built.

    Values are named by strings. An operation with the same inputs and attributes as an earlier one gives the earlier
    value, so masks, shapes and rotary tables need not be passed from layer to layer.

    Parameters
    ----------
    real
        Type of the activations: float32 or float16.
    """

    def __init__(self, real: npt.DTypeLike = np.float32) -> None:
        self.real = np.dtype(real)
        self.scope = "model"  # prefix of the names of nodes
        self._nodes: list[_Node] = []
        self._known: dict[tuple[Any, ...], list[str]] = {}
        self._constants: dict[tuple[bytes, str, tuple[int, ...]], str] = {}
        self._constant_values: list[npt.NDArray[Any]] = []
        self._inputs: list[tuple[str, Any, tuple[Dim, ...]]] = []
        self._outputs: list[tuple[str, str, tuple[Dim, ...]]] = []

    def op(self, kind: str, *inputs: str, **attributes: Attribute) -> str:
        """Output of an operation with one output, see `ops`."""
        return self.ops(1, kind, *inputs, **attributes)[0]

    def ops(self, outputs: int, kind: str, *inputs: str, **attributes: Attribute) -> list[str]:
        """Outputs of an operation of the ONNX standard, or of another domain: ``com.microsoft.MatMulNBits``."""
        key = (kind, inputs, tuple(attributes.items()))
        found = self._known.get(key)
        if found is None:
            first = len(self._nodes)
            found = [f"v{first}" if outputs == 1 else f"v{first}.{i}" for i in range(outputs)]
            self._known[key] = found
            self._nodes.append(_Node(kind, inputs, found, attributes, self.scope))
        return found

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        """An initializer that is not a weight; its name begins with ``const.``."""
        array = np.asarray(value, dtype)
        key = (array.tobytes(), array.dtype.str, array.shape)
        name = self._constants.get(key)
        if name is None:
            name = self._constants[key] = f"const.{len(self._constants)}"
            self._constant_values.append(array)
        return name

    def number(self, value: float) -> str:
        """A scalar of the activations' type."""
        return self.constant(value, self.real)

    def cast(self, value: str, dtype: npt.DTypeLike) -> str:
        """The value as float32, float16 or int32."""
        return self.op("Cast", value, to=_CASTS[np.dtype(dtype).name])

    def as_real(self, value: str) -> str:
        """A float32 value in the activations' type."""
        return value if self.real == np.float32 else self.cast(value, self.real)

    def input(self, name: str, dtype: npt.DTypeLike, *dims: Dim) -> str:
        self._inputs.append((name, np.dtype(dtype), dims))
        return name

    def output(self, name: str, value: str, *dims: Dim, first: bool = False) -> None:
        """Make a value of the activations' type an output of the model, under a name."""
        self._outputs.insert(0 if first else len(self._outputs), (name, value, dims))

    def size(self, dim: Dim) -> str:
        """The dimension as an int64 vector of one element."""
        if isinstance(dim, int):
            return self.constant([dim])
        return self.op("Shape", dim.source, start=dim.axis, end=dim.axis + 1)

    def reshape(self, value: str, *dims: Dim) -> str:
        """Reshape; one dimension may be -1, to be inferred."""
        symbols = sum(isinstance(dim, Symbol) for dim in dims)
        if symbols == 0 or (symbols == 1 and -1 not in dims):
            return self.op("Reshape", value, self.constant([-1 if isinstance(dim, Symbol) else dim for dim in dims]))
        parts: list[str] = []
        fixed: list[int] = []
        for dim in dims:
            if isinstance(dim, int):
                fixed.append(dim)
                continue
            if fixed:
                parts.append(self.constant(fixed))
                fixed = []
            parts.append(self.size(dim))
        if fixed:
            parts.append(self.constant(fixed))
        return self.op("Reshape", value, self.op("Concat", *parts, axis=0))

    def split(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        return self.ops(len(sizes), "Split", value, self.constant(list(sizes)), axis=axis)

    def model(self, name: str, initializers: Sequence[Any], metadata: dict[str, str]) -> Any:
        """The `onnx.ModelProto` with these initializers as weights."""
        import onnx

        renamed: dict[str, str] = {}
        for public, value, _ in self._outputs:
            if value in renamed:
                raise AssertionError(f"{value} is given out as {renamed[value]} and {public}")
            renamed[value] = public
        graph = onnx.GraphProto(name=name)
        domains = {"": OPSET}
        for number, node in enumerate(self._nodes):
            domain, _, kind = node.kind.rpartition(".")
            domains.setdefault(domain, 1)
            graph.node.append(
                onnx.NodeProto(
                    domain=domain or None,
                    op_type=kind,
                    name=f"{node.scope}/{kind}_{number}",
                    input=[renamed.get(value, value) for value in node.inputs],
                    output=[renamed.get(value, value) for value in node.outputs],
                    attribute=[_attribute(onnx, key, value) for key, value in node.attributes.items()],
                )
            )
        graph.initializer.extend(initializers)
        for constant, array in zip(self._constants.values(), self._constant_values, strict=True):
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.initializer.append(
                onnx.TensorProto(name=constant, data_type=kind, dims=array.shape, raw_data=array.tobytes())
            )
        for public, dtype, dims in self._inputs:
            graph.input.append(_value_info(onnx, public, onnx.helper.np_dtype_to_tensor_dtype(dtype), dims))
        for public, _, dims in self._outputs:
            graph.output.append(_value_info(onnx, public, onnx.helper.np_dtype_to_tensor_dtype(self.real), dims))
        model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="lts-engine", graph=graph)
        for domain, version in domains.items():
            model.opset_import.append(onnx.OperatorSetIdProto(domain=domain, version=version))
        for key, text in metadata.items():
            model.metadata_props.append(onnx.StringStringEntryProto(key=key, value=text))
        return model


def _attribute(onnx: Any, name: str, value: Attribute) -> Any:
    proto = onnx.AttributeProto
    if isinstance(value, int):
        return proto(name=name, type=proto.INT, i=value)
    if isinstance(value, float):
        return proto(name=name, type=proto.FLOAT, f=value)
    if isinstance(value, str):
        return proto(name=name, type=proto.STRING, s=value.encode())
    return proto(name=name, type=proto.INTS, ints=value)


def _value_info(onnx: Any, name: str, dtype: int, dims: Sequence[Dim]) -> Any:
    return onnx.helper.make_tensor_value_info(name, dtype, [dim if isinstance(dim, int) else dim.name for dim in dims])
