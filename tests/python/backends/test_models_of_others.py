"""Models with inputs and outputs that ours do not have: integers of all sizes, texts, lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lts.backends.inputs import make_inputs
from lts.backends.onnxruntime import OnnxRuntime, make_feed, open_session, run
from lts.errors import MeasurementError
from lts.targets.workload import Step

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

helper, TensorProto = onnx.helper, onnx.TensorProto


def saved(path: Path, nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    graph = helper.make_graph(nodes, "graph", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)


def tensor(name: str, kind: int, shape: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.mark.parametrize("kind", ["INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL"])
def test_integers_of_all_sizes(tmp_path: Path, kind: str) -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    of = [tensor("x", getattr(TensorProto, kind), [None, "n"])]
    model = saved(tmp_path / "a.onnx", [node], of, [tensor("y", TensorProto.FLOAT, None)])
    dims = {"x.0": 3, "n": 50}
    feed = make_feed(open_session(model, 1), dims, 2)
    assert feed["x"].shape == (3, 50)
    assert feed["x"].dtype == np.dtype(kind.lower())
    assert set(np.unique(feed["x"])) == ({1} if kind == "BOOL" else {0, 1})
    found = run(model, "prefill", dims, 2, min_time=0.0, min_repeats=3, max_repeats=3)
    assert len(found["samples_ns"]) == 3
    assert found["rms"] == pytest.approx(np.sqrt(np.mean(feed["x"].astype(float) ** 2)))


def test_outputs_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    x = tensor("x", TensorProto.FLOAT, [4])
    text = helper.make_node("Cast", ["x"], ["text"], to=TensorProto.STRING)
    pieces = helper.make_node("SplitToSequence", ["x"], ["pieces"])
    number = helper.make_node("Abs", ["x"], ["y"])
    outputs = [
        tensor("text", TensorProto.STRING, None),
        helper.make_tensor_sequence_value_info("pieces", TensorProto.FLOAT, None),
        tensor("y", TensorProto.FLOAT, None),
    ]
    feed = make_inputs([("x", [4], np.dtype("float32"))], {}, 2)["x"]
    found = run(saved(tmp_path / "a.onnx", [text, pieces, number], [x], outputs), "prefill", {}, 2, min_time=0.0)
    assert found["rms"] == pytest.approx(np.sqrt(np.mean(feed**2)), rel=1e-6)
    found = run(saved(tmp_path / "b.onnx", [text, pieces], [x], outputs[:2]), "prefill", {}, 2, min_time=0.0)
    assert (found["checksum"], found["rms"]) == ("", 0.0)
    assert len(found["samples_ns"]) >= 10


def test_inputs_that_cannot_be_made_are_one_sentence(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    outputs = [tensor("y", TensorProto.STRING, None)]
    model = saved(tmp_path / "a.onnx", [node], [tensor("x", TensorProto.STRING, [4])], outputs)
    with pytest.raises(MeasurementError, match=r"input 'x' has the type tensor\(string\); expected one of"):
        run(model, "prefill", {}, 2)
    with pytest.raises(MeasurementError, match="input 'x' has the dimension None, which is not one of n"):
        make_inputs([("x", [None], np.dtype("float32"))], {"n": 3}, 2)


def test_an_output_that_is_not_finite_is_one_sentence(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sub", ["x", "x"], ["zero"]), helper.make_node("Div", ["x", "zero"], ["y"])]
    x, y = tensor("x", TensorProto.FLOAT, [4]), tensor("y", TensorProto.FLOAT, None)
    with pytest.raises(MeasurementError, match="the output 'y' of prefill is not finite"):
        run(saved(tmp_path / "a.onnx", nodes, [x], [y]), "prefill", {}, 2)


def test_weights_beside_a_model_go_with_it(tmp_path: Path) -> None:
    for name in ("a.onnx", "a.onnx.data", "a.onnx_data", "weights.bin", "b.onnx", "b.onnx.data", "[a].onnx"):
        (tmp_path / name).touch()
    job = OnnxRuntime().job(tmp_path / "a.onnx", Step("prefill", {}, 2), threads=1, min_time=0.1, min_repeats=3)
    assert [path.name for path in job.files] == ["a.onnx", "a.onnx.data", "a.onnx_data", "weights.bin"]
