"""Compiling ONNX models with TVM: the outputs are those of ONNX Runtime, the folder is what the runner expects."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tvm_models import compiled_outputs, dims_of, error_of, expected_outputs

import lts
from lts.backends.backend import BuildError
from lts.backends.tvm.backend import Tvm
from lts.errors import MeasurementError, UsageError
from lts.export.decoder import onnx_model
from lts.export.pool import PooledWeights
from lts.jobs.job import Job, JobResult
from lts.jobs.pool import Workers
from lts.spaces.space import load_space
from lts.system import machine
from lts.targets.target import detect_target
from lts.targets.workload import Step

pytest.importorskip("tvm", reason="apache-tvm is not installed")

from lts.backends.tvm.compile import build

VOCAB_SIZE = 512
AARCH64 = 183  # e_machine of ELF
CORTEX = {"name": "pi", "triple": "aarch64-linux-gnu", "cpu": "cortex-a72", "cores": 4}


def model_file(
    folder: Path, architecture: lts.Architecture, phase: str, pooled: bool = True, logits: str = "all"
) -> Path:
    weights = PooledWeights(folder / "weights.bin") if pooled else None
    path = folder / f"{phase}.onnx"
    path.write_bytes(onnx_model(architecture, phase, logits=logits, weights=weights).SerializeToString())
    return path


def agreement(
    folder: Path,
    architecture: lts.Architecture,
    phase: str,
    n_prompt: int,
    batch: int = 1,
    logits: str = "all",
    **target: Any,
) -> float:
    """How far the outputs are from those of ONNX Runtime."""
    model = model_file(folder, architecture, phase, logits=logits)
    dims = dims_of(phase, n_prompt, batch)
    goal = {**asdict(detect_target()), **target}
    build(str(model), str(folder / "out"), goal, phase, dims, architecture.vocab_size)
    outputs = compiled_outputs(folder / "out", {"weights.bin": folder / "weights.bin"})
    return error_of(outputs, expected_outputs(model, dims, architecture.vocab_size))


@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("space", ["gpt2-tiny", "llama-tiny", "transformer-xl-tiny", "hw-gpt-tiny"])
def test_outputs_are_those_of_onnxruntime(tmp_path: Path, space: str, phase: str) -> None:
    architecture = load_space(space).sample(1, seed=3)[0]
    assert agreement(tmp_path, architecture, phase, 16) < 1e-5


ODD = {
    "gpt2": lts.Architecture("gpt2", VOCAB_SIZE, 64, 60, n_head=[3, 2], d_ff=[100, 77]),  # heads of 20 and 30
    "gpt2-17": lts.Architecture("gpt2", 300, 64, 34, n_head=2, d_ff=50, n_layer=1),
    "llama": lts.Architecture("llama", VOCAB_SIZE, 64, 60, n_head=[3, 6], d_ff=[100, 30], n_kv_head=[1, 2]),
    "llama-details": lts.Architecture(
        "llama",
        300,
        64,
        60,
        n_head=[3, 0],
        n_kv_head=[1, 0],
        d_ff=[100, 30],
        qkv_bias=True,
        rotary_theta=1e5,
        rotary_scaling={"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 16},
    ),
    "gpt_neox": lts.Architecture("gpt_neox", 300, 64, 60, n_head=[3, 2], d_ff=[100, 0], rotary_dim=6, head_dim=20),
    "gated": lts.Architecture("hw_gpt_gated_bias", 300, 64, 60, n_head=[3, 1], d_ff=[100, 30], head_dim=16),
    "transformer_xl": lts.Architecture(
        "transformer_xl", 300, 64, 68, n_head=4, d_ff=77, n_layer=1, d_embed=32, div_val=2, cutoffs=[100, 300]
    ),
}


@pytest.mark.parametrize(
    ("name", "phase", "n_prompt", "batch"),
    [
        ("gpt2", "prefill", 6, 1),
        ("gpt2", "decode", 6, 2),
        ("gpt2-17", "prefill", 17, 2),
        ("gpt2-17", "decode", 33, 1),
        ("gpt2-17", "prefill", 1, 1),
        ("llama", "prefill", 17, 2),
        ("llama", "decode", 6, 1),
        ("llama", "decode", 6, 3),
        ("llama-details", "prefill", 17, 2),
        ("llama-details", "decode", 6, 1),
        ("gpt_neox", "prefill", 17, 1),
        ("gpt_neox", "decode", 6, 2),
        ("gated", "prefill", 17, 1),
        ("gated", "decode", 6, 1),
        ("transformer_xl", "prefill", 17, 2),
        ("transformer_xl", "decode", 6, 1),
    ],
)
def test_odd_shapes(tmp_path: Path, name: str, phase: str, n_prompt: int, batch: int) -> None:
    assert agreement(tmp_path, ODD[name], phase, n_prompt, batch) < 1e-5


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", ODD)
def test_logits_of_the_last_position(tmp_path: Path, name: str, batch: int) -> None:
    assert agreement(tmp_path, ODD[name], "prefill", 17, batch, logits="last") < 1e-5


@pytest.mark.parametrize("space", ["gpt2-tiny", "llama-tiny", "transformer-xl-tiny", "hw-gpt-tiny"])
def test_logits_of_the_last_position_of_a_space(tmp_path: Path, space: str) -> None:
    assert agreement(tmp_path, load_space(space).sample(1, seed=3)[0], "prefill", 16, logits="last") < 1e-5


def test_narrow_vectors_and_threads(tmp_path: Path) -> None:
    assert agreement(tmp_path, ODD["llama"], "prefill", 17, cpu="x86-64-v2", cores=2, threads=2) < 1e-5


def test_padding_is_masked(tmp_path: Path) -> None:
    """The mask is an input: what it hides changes nothing."""
    import tvm

    architecture = ODD["gpt2-17"]
    model = model_file(tmp_path, architecture, "prefill")
    manifest = build(str(model), str(tmp_path / "out"), asdict(detect_target()), "prefill", dims_of("prefill", 8), 300)
    machine = tvm.relax.VirtualMachine(tvm.runtime.load_module(str(tmp_path / "out" / "model.so")), tvm.cpu())
    data = (tmp_path / "weights.bin").read_bytes()
    weights = [
        tvm.runtime.tensor(np.frombuffer(data, w["dtype"], int(np.prod(w["shape"])), w["offset"]).reshape(w["shape"]))
        for w in manifest["weights"]
    ]
    weights = list(machine["prepare"](*weights))
    mask = np.array([[0, 0, 0, 1, 1, 1, 1, 1]])
    logits = []
    for hidden in (1, 2):
        ids = np.array([[hidden] * 3 + [5, 6, 7, 8, 9]])
        logits.append(machine["main"](tvm.runtime.tensor(ids), tvm.runtime.tensor(mask), *weights)[0].numpy()[:, 3:])
    np.testing.assert_array_equal(*logits)


def test_manifest(tmp_path: Path) -> None:
    architecture = ODD["gpt2"]
    model = model_file(tmp_path, architecture, "decode")
    folder = tmp_path / "out"
    result = build(str(model), str(folder), asdict(detect_target()), "decode", dims_of("decode", 6), VOCAB_SIZE)
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert result == manifest
    assert sorted(path.name for path in folder.iterdir()) == ["inputs.bin", "model.json", "model.so"]
    assert manifest["schema"] == 1
    assert (manifest["phase"], manifest["device"], manifest["threads"]) == ("decode", "cpu", 1)
    assert manifest["triple"] == detect_target().triple
    assert (manifest["library"], manifest["function"], manifest["prepare"]) == ("model.so", "main", "prepare")
    proto = onnx.load_model(model, load_external_data=False)
    assert [entry["name"] for entry in manifest["inputs"]] == [value.name for value in proto.graph.input]
    assert manifest["outputs"] == [value.name for value in proto.graph.output]
    assert manifest["outputs"][0] == "logits"
    assert "past_key_values.0.key" in [entry["name"] for entry in manifest["inputs"]]
    places = {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data}
        for tensor in proto.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }
    assert {weight["name"] for weight in manifest["weights"]} == set(places)
    for weight in manifest["weights"]:
        assert weight["offset"] == int(places[weight["name"]]["offset"])
        assert weight["file"] == "weights.bin"


def test_weights_inside_the_model_go_to_a_file(tmp_path: Path) -> None:
    model = model_file(tmp_path, ODD["gpt2-17"], "prefill", pooled=False)
    dims = dims_of("prefill", 6)
    manifest = build(str(model), str(tmp_path / "out"), asdict(detect_target()), "prefill", dims, 300)
    assert {weight["file"] for weight in manifest["weights"]} == {"constants.bin"}
    assert error_of(compiled_outputs(tmp_path / "out", {}), expected_outputs(model, dims, 300)) < 1e-5


@pytest.mark.skipif(shutil.which("aarch64-linux-gnu-g++") is None, reason="needs g++-aarch64-linux-gnu")
@pytest.mark.parametrize("cpu", ["cortex-a72", "neoverse-n1"])
def test_cross_compiling(tmp_path: Path, cpu: str) -> None:
    model = model_file(tmp_path, ODD["llama"], "decode")
    manifest = build(
        str(model), str(tmp_path / "out"), {**CORTEX, "cpu": cpu}, "decode", dims_of("decode", 6), VOCAB_SIZE
    )
    header = (tmp_path / "out" / "model.so").read_bytes()[:20]
    assert header[:5] == b"\x7fELF\x02"
    assert struct.unpack_from("<H", header, 18)[0] == AARCH64
    assert manifest["triple"] == "aarch64-linux-gnu"


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
def test_compiling_for_a_gpu_without_one(tmp_path: Path) -> None:
    model = model_file(tmp_path, ODD["gpt2-17"], "prefill")
    target = {"name": "h100", "triple": detect_target().triple, "cpu": "sm_90", "cores": 1, "kind": "gpu"}
    manifest = build(str(model), str(tmp_path / "out"), target, "prefill", dims_of("prefill", 6), 300)
    assert manifest["device"] == "cuda"
    assert (tmp_path / "out" / "model.so").is_file()


def save(path: Path, nodes: list[Any]) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())
    return path


def test_a_broken_model_gives_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"this is no model")
    unknown = save(tmp_path / "unknown.onnx", [helper.make_node("Fancy", ["x"], ["y"], domain="")])
    wrong = save(tmp_path / "wrong.onnx", [helper.make_node("Relu", ["z"], ["y"])])
    for model in (broken, unknown, wrong, tmp_path / "absent.onnx"):
        with pytest.raises(MeasurementError) as caught:
            build(str(model), str(tmp_path / "out"), asdict(detect_target()), "prefill", {"batch": 1}, 10)
        assert model.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_dimension_that_is_not_given(tmp_path: Path) -> None:
    model = save(tmp_path / "model.onnx", [helper.make_node("Relu", ["x"], ["y"])])
    with pytest.raises(MeasurementError, match=r"input 'x' has the dimension 'batch', which is not one of rows"):
        build(str(model), str(tmp_path / "out"), asdict(detect_target()), "prefill", {"rows": 1}, 10)


def test_a_model_without_weights(tmp_path: Path) -> None:
    model = save(tmp_path / "model.onnx", [helper.make_node("Exp", ["x"], ["y"])])
    manifest = build(str(model), str(tmp_path / "out"), asdict(detect_target()), "prefill", {"batch": 3}, 10)
    assert manifest["prepare"] is None
    assert error_of(compiled_outputs(tmp_path / "out", {}), expected_outputs(model, {"batch": 3}, 10)) < 1e-5


@pytest.mark.parametrize("tune", [0, 8])
def test_compilers_are_not_pinned_to_one_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tune: int) -> None:
    """But what tuning measures here runs with the threads of the target."""
    jobs: list[Job] = []
    monkeypatch.setattr(Workers, "run", lambda self, job, timeout: jobs.append(job) or JobResult(error="it is not run"))
    backend = Tvm(tune=tune, database=tmp_path)
    with pytest.raises(BuildError, match="it is not run"):
        backend.build(tmp_path / "prefill.onnx", detect_target(), Step("prefill", {}, 8), 1.0)
    assert jobs[0].threads == (1 if tune else len(machine.allowed_cpus()))
    assert list(tmp_path.iterdir()) == [], "nothing is left"
    backend.close()
    with pytest.raises(BuildError, match="the backend was closed"):
        backend.build(tmp_path / "prefill.onnx", detect_target(), Step("prefill", {}, 8), 1.0)
    assert len(jobs) == 1


def test_an_unknown_processor(tmp_path: Path) -> None:
    model = save(tmp_path / "model.onnx", [helper.make_node("Exp", ["x"], ["y"])])
    with pytest.raises(UsageError, match="target 'pi': LLVM does not know the cpu 'raspberry' of aarch64-linux-gnu"):
        build(str(model), str(tmp_path / "out"), {**CORTEX, "cpu": "raspberry"}, "prefill", {"batch": 1}, 10)
