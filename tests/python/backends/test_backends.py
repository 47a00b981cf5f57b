"""The registry of backends, timing and peak memory, and ONNX Runtime's runner; see also `lts.testing.BackendSuite`."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lts.backends import backend as backends
from lts.backends import timing
from lts.backends.backend import backend_names, load_backend
from lts.backends.inputs import make_inputs
from lts.backends.onnxruntime import OnnxRuntime
from lts.devices.local import LocalDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult
from lts.targets.target import detect_target

pytestmark = pytest.mark.alone

TIMEOUT = 60.0
FLOAT, INT64 = np.dtype(np.float32), np.dtype(np.int64)


def test_backends_by_name() -> None:
    assert load_backend("onnxruntime").name == "onnxruntime"
    assert "onnxruntime" in backend_names()
    with pytest.raises(UsageError, match="unknown backend 'abacus'; expected one of onnxruntime"):
        load_backend("abacus")


def test_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    with pytest.raises(MeasurementError, match="'onnxruntime' is not installed; install it with: pip install onnx"):
        load_backend("onnxruntime")


def test_a_backend_of_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class Abacus(OnnxRuntime):
        name = "abacus"

    class Entry:
        name = "abacus"

        def load(self) -> type[Abacus]:
            return Abacus

    monkeypatch.setattr(backends, "entry_points", lambda group: [Entry()] if group == "lts.backends" else [])
    assert isinstance(load_backend("abacus"), Abacus)
    assert backend_names() == ["onnxruntime", "llamacpp", "tvm", "abacus"]


def test_targets_that_onnxruntime_refuses() -> None:
    OnnxRuntime().check(detect_target())
    with pytest.raises(UsageError, match="runs on the cpu; target 'host' is a gpu"):
        OnnxRuntime().check(replace(detect_target(), kind="gpu"))
    OnnxRuntime().check(replace(detect_target(), precision="int8"))
    with pytest.raises(UsageError, match="emulates float16 with float32 on x86_64 processors"):
        OnnxRuntime().check(replace(detect_target(), precision="float16", triple="x86_64-linux-gnu"))


def test_inputs_follow_names_shapes_and_types() -> None:
    inputs = make_inputs(
        [
            ("input_ids", ["batch", "sequence"], INT64),
            ("attention_mask", ["batch", "total"], INT64),
            ("position_ids", ["batch", "sequence"], INT64),
            ("past_key_values.0.key", ["batch", 2, "past", 8], FLOAT),
            ("half", [3], np.dtype(np.float16)),
            ("flag", [], np.dtype(np.bool_)),
        ],
        {"batch": 1, "sequence": 4, "past": 6, "total": 10},
        50,
    )
    assert {name: (array.shape, array.dtype.name) for name, array in inputs.items()} == {
        "input_ids": ((1, 4), "int64"),
        "attention_mask": ((1, 10), "int64"),
        "position_ids": ((1, 4), "int64"),
        "past_key_values.0.key": ((1, 2, 6, 8), "float32"),
        "half": ((3,), "float16"),
        "flag": ((), "bool"),
    }
    assert 0 <= inputs["input_ids"].min() <= inputs["input_ids"].max() < 50
    assert inputs["attention_mask"].all()
    assert inputs["position_ids"].tolist() == [[6, 7, 8, 9]]
    assert 0 < np.abs(inputs["past_key_values.0.key"]).mean() < 1


def test_inputs_are_the_same_every_time_and_may_be_empty() -> None:
    specification = [("input_ids", ["n"], INT64), ("mems.0", ["n", "past"], FLOAT)]
    first, second = (make_inputs(specification, {"n": 5, "past": 0}, 1000) for _ in range(2))
    assert (first["input_ids"] == second["input_ids"]).all()
    assert first["mems.0"].shape == (5, 0)


@pytest.mark.parametrize("dim", ["beam", None])
def test_inputs_with_a_dimension_that_nobody_knows(dim: str | None) -> None:
    with pytest.raises(MeasurementError, match=r"input 'x' has the dimension .*, which is not one of batch, past"):
        make_inputs([("x", ["batch", dim], INT64)], {"batch": 1, "past": 2}, 10)


@pytest.mark.parametrize(("min_repeats", "max_repeats", "expected"), [(7, 1000, 7), (3, 1000, 3), (10, 5, 5)])
def test_how_often_it_samples(min_repeats: int, max_repeats: int, expected: int) -> None:
    calls = []
    found = timing.time_runs(
        lambda: calls.append(1), threads=1, min_time=0.0, min_repeats=min_repeats, max_repeats=max_repeats
    )
    assert len(found.samples_ns) == len(found.wall_ns) == expected
    assert len(calls) > expected  # and has warmed up
    assert all(sample > 0 for sample in found.samples_ns)


def test_it_samples_for_the_time_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def call(seconds: float) -> None:
        now[0] += seconds

    def count(seconds: float, **options: Any) -> int:
        return len(timing.time_runs(lambda: call(seconds), threads=1, **options).samples_ns)

    assert count(0.01, min_time=0.5) == 50
    assert count(0.1, min_time=0.3) == 10
    assert count(0.25, min_time=0.3, max_time=1.0) == 6  # never fewer than give an interval
    assert count(0.15, min_time=0.3, max_time=1.0) == 7
    assert count(0.0001, min_time=0.5, max_repeats=300) == 300
    assert count(0.125, min_time=5.0, max_time=1.0) == 40


def test_waiting_is_part_of_the_time() -> None:
    found = timing.time_runs(lambda: time.sleep(0.01), threads=1, min_time=0.0, min_repeats=5)
    assert min(found.samples_ns) >= 10_000_000
    assert all(sample <= wall for sample, wall in zip(found.samples_ns, found.wall_ns, strict=True))


def test_garbage_collection_rests_meanwhile_and_is_back_afterwards() -> None:
    seen = []
    timing.time_runs(lambda: seen.append(gc.isenabled()), threads=1, min_time=0.0, min_repeats=3)
    assert not any(seen[-3:])
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        timing.time_runs(lambda: 1 / 0, threads=1)
    assert gc.isenabled()


def test_peak_memory_is_what_comes_on_top() -> None:
    with LocalDevice() as local:
        found = local.run(Job("device_jobs:peak_of", {"mib": 64}), TIMEOUT).value
    assert found["before"] < 2
    assert 63 < found["after"] < 68
    assert found["warnings"] == []


def test_peak_memory_without_help_from_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_status_kib", lambda name: None)
    memory = timing.PeakMemory()
    assert memory.mib() > 1
    assert "ru_maxrss" in memory.warnings[-1]


def run(model: Path, **arguments: Any) -> JobResult:
    given = {"phase": "prefill", "dims": {"batch": 1, "sequence": 8}, "vocab_size": 64, "min_time": 0.0}
    with LocalDevice() as local:
        return local.run(Job("lts.backends.onnxruntime:run", {"model": str(model), **given, **arguments}), TIMEOUT)


def matmul(folder: Path, dtype: int = TensorProto.FLOAT, name: str = "x") -> Path:
    """[batch, sequence, 64] times a matrix of 32 MiB."""
    weight = np.random.default_rng(0).standard_normal((64, 1 << 17), dtype=np.float32)
    if dtype == TensorProto.FLOAT16:
        weight = weight.astype(np.float16)
    graph = helper.make_graph(
        [helper.make_node("MatMul", [name, "weight"], ["logits"])],
        "matmul",
        [helper.make_tensor_value_info(name, dtype, ["batch", "sequence", 64])],
        [helper.make_tensor_value_info("logits", dtype, ["batch", "sequence", 1 << 17])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    file = folder / "matmul.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def test_a_run_says_what_it_took(tmp_path: Path) -> None:
    result = run(matmul(tmp_path), min_repeats=4, max_repeats=6)
    assert result.error is None
    assert 4 <= len(result.value["samples_ns"]) <= 6
    # The weight of 32 MiB was there, and maybe a packed copy, the file, and the runtime's own code.
    assert 32 < result.value["peak_memory_mib"] < 200
    assert result.value["warnings"] == []
    assert result.value["disturbed"] is False


def test_threads_compute_the_same(tmp_path: Path) -> None:
    file = matmul(tmp_path)
    one, two = run(file, threads=1), run(file, threads=2)
    assert one.error is None
    assert two.error is None
    assert two.value["rms"] == pytest.approx(one.value["rms"], rel=1e-6)
    assert len(two.value["samples_ns"]) == len(two.value["wall_ns"])


def test_half_precision_is_fed(tmp_path: Path) -> None:
    result = run(matmul(tmp_path, TensorProto.FLOAT16))
    assert result.error is None
    assert result.value["rms"] > 0


def test_a_type_that_cannot_be_fed(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["words"], ["logits"])],
        "words",
        [helper.make_tensor_value_info("words", TensorProto.STRING, ["batch"])],
        [helper.make_tensor_value_info("logits", TensorProto.STRING, ["batch"])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "words.onnx"
    )
    assert "input 'words' has the type tensor(string)" in (run(tmp_path / "words.onnx").error or "")


def test_a_missing_model(tmp_path: Path) -> None:
    error = run(tmp_path / "missing.onnx").error or ""
    assert "missing.onnx" in error
    assert "\n" not in error
