"""Stored matrices in ONNX graphs: what is found, what is refused, and what a model computes without rounded rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runner import arrays, rounded
from onnx import TensorProto, helper, numpy_helper
from tvm_models import dims_of, error_of, expected_outputs

import lts
from lts.backends.onnxruntime import reference
from lts.backends.stored import column_products, find_stored, without_rounding
from lts.errors import MeasurementError
from lts.export import export, onnx_model

ARCHITECTURES = {
    "gpt2": lts.Architecture("gpt2", 131, 40, 32, n_head=[4, 2], d_ff=[64, 48]),
    "llama": lts.Architecture("llama", 131, 40, 32, n_head=[4, 2], n_kv_head=[2, 1], d_ff=[64, 48]),
}


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_without_rounding_a_model_is_that_of_the_rounded_weights(tmp_path: Path, name: str, precision: str) -> None:
    architecture = ARCHITECTURES[name]
    given, dims = arrays(architecture), dims_of("prefill", 7)
    model = onnx_model(architecture, "prefill", precision=precision, weights=given)
    assert without_rounding(model.graph)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    same = tmp_path / "float32.onnx"
    plain = onnx_model(architecture, "prefill", weights=rounded(architecture, precision, given))
    same.write_bytes(plain.SerializeToString())
    outputs = [expected_outputs(file, dims, architecture.vocab_size) for file in (path, same)]
    assert error_of(*outputs) < 1e-4
    assert not without_rounding(plain.graph)


def test_the_reference_finds_weights_outside_of_the_model(tmp_path: Path) -> None:
    architecture, dims = ARCHITECTURES["gpt2"], dims_of("prefill", 7)
    export(architecture, tmp_path, ["onnx"], precision="int8", logits="last")
    before = sorted(tmp_path.iterdir())
    count = reference(str(tmp_path / "model.onnx"), "prefill", dims, architecture.vocab_size, str(tmp_path / "out.f32"))
    assert count == architecture.vocab_size
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "out.f32"])
    expected = expected_outputs(tmp_path / "model.onnx", dims, architecture.vocab_size)[0].ravel()
    found = np.fromfile(tmp_path / "out.f32", np.float32)
    assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("precision", ["int8", "int4", "float16"])
def test_all_matrices_are_found(precision: str) -> None:
    architecture = ARCHITECTURES["llama"]
    graph = onnx_model(architecture, "decode", precision=precision).graph
    products = {"int8": "MatMulInteger", "int4": "MatMulNBits", "float16": "Gemm"}[precision]
    n = sum(node.op_type == products for node in graph.node)
    stored = find_stored(graph)
    assert {matrix.kind for matrix in stored.values()} == {precision}
    assert precision == "float16" or len(stored) == n
    gone = {"MatMulInteger", "MatMulNBits", "DynamicQuantizeLinear", "ReduceMax", "Abs"}
    assert not {node.op_type for node in graph.node} & gone
    used = {name for node in graph.node for name in node.input}
    assert set(stored) <= used


def int8_product(**changes: Any) -> Any:
    """A graph with one product as ONNX Runtime's tools make it, the scales in either order."""
    zero = numpy_helper.from_array(np.full(8 if changes.get("zeros") else 1, changes.get("zero", 0), np.int8), "zero")
    product = ["q", "w", "qz", "zero"]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
        helper.make_node("MatMulInteger", product, ["sums"]),
        helper.make_node("Cast", ["sums"], ["real"], to=1),
        helper.make_node("Mul", ["ws", "qs"], ["scales"]),
        helper.make_node("Mul", ["scales", "real"] if changes.get("swapped") else ["real", "scales"], ["y"]),
    ]
    kind = np.uint8 if changes.get("unsigned") else np.int8
    initializers = [
        numpy_helper.from_array(np.ones((64, 8), kind), "w"),
        numpy_helper.from_array(np.ones(1 if changes.get("whole") else 8, np.float32), "ws"),
        zero,
    ]
    return helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 8])],
        initializers,
    )


@pytest.mark.parametrize("changes", [{}, {"swapped": True}, {"zeros": True}])
def test_products_of_other_tools_are_found(changes: dict[str, Any]) -> None:
    (found,) = column_products(int8_product(**changes))
    assert found[1] == "x"
    assert found[2].shape == (64, 8)


@pytest.mark.parametrize("changes", [{"zero": 3}, {"unsigned": True}, {"whole": True}])
def test_products_in_another_form_stay_as_they_are(changes: dict[str, Any]) -> None:
    graph = int8_product(**changes)
    assert not list(column_products(graph))
    assert not find_stored(graph)
    assert [node.op_type for node in graph.node][1] == "MatMulInteger"


def uneven_product(**changes: Any) -> Any:
    """The same, with rows divided by their largest magnitudes before, and multiplied with these behind."""
    graph = int8_product()
    kept = changes.get("keepdims", 1)
    before = [
        helper.make_node("Abs", ["given"], ["magnitudes"]),
        helper.make_node("ReduceMax", ["magnitudes"], ["most"], axes=[changes.get("axis", -1)], keepdims=kept),
        helper.make_node("Max", ["most", "least"], ["largest"]),
        helper.make_node("Div", ["given", "largest"], ["x"]),
    ]
    after = helper.make_node("Mul", ["y", "largest"], ["whole"])
    nodes = [*before, *graph.node, after]
    least = numpy_helper.from_array(np.full(changes.get("least", 1), 1e-30, np.float32), "least")
    inputs = [helper.make_tensor_value_info("given", TensorProto.FLOAT, [3, 64])]
    outputs = [helper.make_tensor_value_info("whole", TensorProto.FLOAT, [3, 8])]
    return helper.make_graph(nodes, "g", inputs, outputs, [*graph.initializer, least])


def test_largest_magnitudes_of_rows_belong_to_a_product() -> None:
    graph = uneven_product()
    ((output, rows, _),) = column_products(graph)
    assert (output, rows) == ("whole", "given")
    find_stored(graph)
    assert [node.op_type for node in graph.node] == ["MatMul"]


@pytest.mark.parametrize("changes", [{"axis": 0}, {"keepdims": 0}, {"least": 64}])
def test_what_differs_within_a_row_does_not(changes: dict[str, int]) -> None:
    ((output, rows, _),) = column_products(uneven_product(**changes))
    assert (output, rows) == ("y", "x")


def block_product(**changes: Any) -> Any:
    """A graph with one `MatMulNBits`."""
    scales = np.ones(changes.pop("scales", (8, 2)), np.float32)
    zeros = changes.pop("zeros", False)
    attributes = {"K": 64, "N": 8, "bits": 4, "block_size": 32, **changes}
    inputs = ["x", "w", "s", *(["z"] if zeros else [])]
    node = helper.make_node("MatMulNBits", inputs, ["y"], domain="com.microsoft", name="product", **attributes)
    initializers = [
        numpy_helper.from_array(np.zeros((8, 2, 16), np.uint8), "w"),
        numpy_helper.from_array(scales, "s"),
        numpy_helper.from_array(np.zeros((8, 1), np.uint8), "z"),
    ]
    return helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 8])],
        initializers,
    )


@pytest.mark.parametrize("changes", [{"bits": 8}, {"zeros": True}, {"block_size": 24}])
def test_other_forms_of_integers_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MeasurementError, match="node 'product' has another form"):
        find_stored(block_product(**changes))


def test_scales_in_one_dimension() -> None:
    graph = block_product(scales=16)
    assert [stored.shape for stored in find_stored(graph).values()] == [(8, 64)]
    assert {tensor.name: list(tensor.dims) for tensor in graph.initializer}["s"] == [8, 2]
    with pytest.raises(MeasurementError, match=r"node 'product': 's' has \[15\], not \[8, 2\]"):
        find_stored(block_product(scales=15))
