"""One model file on one device: a file that lts-engine has not made, and what is wrong with one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lts.backends.backend import load_backend
from lts.devices.local import LocalDevice
from lts.errors import UsageError
from lts.measure.run import run_model
from lts.targets.target import detect_target
from lts.targets.workload import Step

TARGET = detect_target()
STEP = Step("prefill", {"rows": 8}, vocab_size=2)


def own_model(path: Path, *, op: str = "MatMul") -> Path:
    """A network of somebody else's: one product of [rows, 64] with given weights."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [64, 32], np.ones((64, 32), np.float32).tobytes(), raw=True)
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"])],
        "own",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 32])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.alone
def test_a_model_file_of_ones_own_is_timed(tmp_path: Path) -> None:
    model = own_model(tmp_path / "own.onnx")
    with LocalDevice() as device:
        found = run_model(model, STEP, TARGET, device, load_backend("onnxruntime"), min_time=0.02)
    assert found.error is None
    assert set(found.values) == {"latency_ms", "peak_memory_mib"}
    low, high = found.interval["latency_ms"]
    assert 0 < low <= found.values["latency_ms"] <= high
    assert len(found.samples_ns["latency"]) >= 10
    assert found.provenance == {"latency_ms": "measured", "peak_memory_mib": "measured"}
    assert found.environment
    assert model.is_file(), "what was given stays"
    assert list(tmp_path.iterdir()) == [model]


def test_only_what_is_asked_for_is_measured(tmp_path: Path) -> None:
    model = own_model(tmp_path / "own.onnx")
    with LocalDevice() as device:
        found = run_model(model, STEP, TARGET, device, load_backend("onnxruntime"), costs=["peak_memory_mib"])
        assert set(found.values) == {"peak_memory_mib"}
        with pytest.raises(UsageError, match="the device does not give the cost 'beauty'; expected one of latency_ms"):
            run_model(model, STEP, TARGET, device, load_backend("onnxruntime"), costs=["beauty"])


@pytest.mark.parametrize(
    ("op", "dims", "reason"),
    [
        ("Wrong", {"rows": 8}, "prefill: .*Wrong"),
        ("MatMul", {"columns": 8}, "prefill: input 'x' has the dimension 'rows', which is not one of columns"),
    ],
)
def test_a_model_that_does_not_run_has_a_reason(tmp_path: Path, op: str, dims: dict[str, int], reason: str) -> None:
    model = own_model(tmp_path / "own.onnx", op=op)
    with LocalDevice() as device:
        found = run_model(model, Step("prefill", dims, 2), TARGET, device, load_backend("onnxruntime"))
    assert found.values == {}
    assert re.search(reason, found.error or ""), found.error
