"""Runs what `lts.backends.tvm.compile.build` wrote with TVM in this process, and the same model with ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lts.backends.onnxruntime import make_feed

Array = np.ndarray[Any, Any]


def dims_of(phase: str, n_prompt: int, batch: int = 1) -> dict[str, int]:
    """Sizes of the dimensions of an exported model."""
    decode = phase == "decode"
    return {
        "batch": batch,
        "sequence": 1 if decode else n_prompt,
        "past": n_prompt * decode,
        "memory": n_prompt * decode,
        "total": n_prompt + decode,
    }


def compiled_outputs(folder: Path, files: Mapping[str, Path]) -> list[Array]:
    """Outputs of a compiled model; `files` has the paths of weight files that are not in its folder."""
    import tvm

    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    machine = tvm.relax.VirtualMachine(tvm.runtime.load_module(str(folder / manifest["library"])), tvm.cpu())

    def tensor(entry: dict[str, Any]) -> Any:
        data = files.get(entry["file"], folder / entry["file"]).read_bytes()
        count = int(np.prod(entry["shape"]))
        array = np.frombuffer(data, entry["dtype"], count, entry["offset"]).reshape(entry["shape"])
        return tvm.runtime.tensor(array)

    weights = [tensor(entry) for entry in manifest["weights"]]
    if manifest["prepare"] is not None:
        weights = list(machine[manifest["prepare"]](*weights))
    result = machine[manifest["function"]](*(tensor(entry) for entry in manifest["inputs"]), *weights)
    return [result.numpy()] if hasattr(result, "numpy") else [output.numpy() for output in result]


def expected_outputs(model: Path, dims: Mapping[str, int], vocab_size: int) -> list[Array]:
    """Outputs of ONNX Runtime for the same inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(None, make_feed(session, dims, vocab_size))
    return outputs


def error_of(outputs: list[Array], expected: list[Array]) -> float:
    """The largest difference of any output, by the largest number of that output."""
    assert [output.shape for output in outputs] == [output.shape for output in expected]
    return max(
        float(np.abs(output - right).max() / np.abs(right).max())
        for output, right in zip(outputs, expected, strict=True)
    )
