"""Runs what `lts.backends.tvm.compile.build` wrote with TVM in this process, and the same model with ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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

    weights = [_tensor(folder, files, entry) for entry in manifest["weights"]]
    if manifest["prepare"] is not None:
        weights = list(machine[manifest["prepare"]](*weights))
    result = machine[manifest["function"]](*(_tensor(folder, files, entry) for entry in manifest["inputs"]), *weights)
    return [result.numpy()] if hasattr(result, "numpy") else [output.numpy() for output in result]


def _tensor(folder: Path, files: Mapping[str, Path], entry: Mapping[str, Any]) -> Any:
    """What an entry of a manifest names."""
    import tvm

    data = files.get(entry["file"], folder / entry["file"]).read_bytes()
    count = int(np.prod(entry["shape"]))
    return tvm.runtime.tensor(np.frombuffer(data, entry["dtype"], count, entry["offset"]).reshape(entry["shape"]))


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


class Generator:
    """A model that was compiled to generate, run by TVM in this process, as lts-runner runs it."""

    def __init__(self, folder: Path, files: Mapping[str, Path]) -> None:
        import tvm

        self._manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        library = tvm.runtime.load_module(str(folder / self._manifest["library"]))
        self._machine = tvm.relax.VirtualMachine(library, tvm.cpu())
        self._tensors = {entry["name"]: _tensor(folder, files, entry) for entry in self._manifest["weights"]}
        if self._manifest["packed"]:
            self._tensors |= zip(self._manifest["packed"], self._run("prepare"), strict=True)
        for cache in self._manifest["caches"]:
            self._tensors[cache["name"]] = tvm.runtime.tensor(np.zeros(cache["shape"], np.float32))
        self._length = 0

    def step(self, tokens: Sequence[int]) -> Array:
        """Logits of the last of new tokens, at most a chunk, [vocab_size]."""
        import tvm

        function, size = ("decode", 1) if len(tokens) == 1 else ("prefill", self._manifest["chunk"])
        ids = np.zeros((1, size), np.int64)
        ids[0, : len(tokens)] = tokens
        numbers = {"input_ids": ids, "past_length": np.array([self._length]), "row": np.array([len(tokens) - 1])}
        hidden = self._run(function, **{name: tvm.runtime.tensor(array) for name, array in numbers.items()})
        self._length += len(tokens)
        logits: Array = self._run("head", hidden=hidden).numpy()
        return logits[0]

    def _run(self, function: str, **own: Any) -> Any:
        known = {**self._tensors, **own}
        return self._machine[function](*(known[name] for name in self._manifest["functions"][function]))
