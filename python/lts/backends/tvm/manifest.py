"""What lies beside the library of a compiled model: see ``docs/runner.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lts.backends.inputs import make_inputs
from lts.backends.tvm.generation import CHUNK, Generation
from lts.backends.tvm.library import Library
from lts.backends.tvm.onnx_model import CONSTANTS_FILE, FixedModel, Weight
from lts.jobs.job import GENERATION, MANIFEST
from lts.targets.target import Target

SCHEMA, GENERATION_SCHEMA = 1, 2
LIBRARY = "model.so"
INPUTS_FILE = "inputs.bin"
_ALIGNMENT = 64


def write_fixed(
    folder: Path,
    fixed: FixedModel,
    target: Target,
    phase: str,
    dims: Mapping[str, int],
    vocab_size: int,
    prepare: bool,
) -> dict[str, Any]:
    """Write the inputs, the constants and the manifest of a model of fixed sizes; returns the manifest."""
    arrays = make_inputs(fixed.inputs, dims, vocab_size)
    inputs = []
    with (folder / INPUTS_FILE).open("wb") as file:
        for name, array in arrays.items():
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            place = {"file": INPUTS_FILE, "offset": file.tell()}
            inputs.append({"name": name, "shape": list(array.shape), "dtype": array.dtype.name, **place})
            file.write(array.tobytes())
    if fixed.constants:
        (folder / CONSTANTS_FILE).write_bytes(fixed.constants)
    return _written(
        folder,
        SCHEMA,
        phase,
        target,
        {
            "function": "main",
            "prepare": "prepare" if prepare else None,
            "inputs": inputs,
            "weights": [_entry(weight) for weight in fixed.weights],
            "outputs": fixed.outputs,
        },
    )


def write_generation(folder: Path, generation: Generation, library: Library, target: Target) -> dict[str, Any]:
    """Write the constants and the manifest of a model that generates; returns the manifest."""
    weights: dict[str, dict[str, Any]] = {}
    constants = bytearray()
    for part in generation.parts.values():
        for weight in part.model.weights:
            if weight.name in weights:
                continue
            weights[weight.name] = _entry(weight)
            if weight.file == CONSTANTS_FILE:
                constants.extend(b"\0" * (-len(constants) % _ALIGNMENT))
                weights[weight.name]["offset"] = len(constants)
                size = prod(weight.shape) * np.dtype(weight.dtype).itemsize
                constants.extend(part.model.constants[weight.offset : weight.offset + size])
    if constants:
        (folder / CONSTANTS_FILE).write_bytes(constants)
    used = {name for arguments in library.arguments.values() for name in arguments}
    return _written(
        folder,
        GENERATION_SCHEMA,
        GENERATION,
        target,
        {
            "vocab_size": generation.vocab_size,
            "n_positions": generation.n_positions,
            "chunk": CHUNK,
            "caches": [{"name": name, "shape": list(shape)} for name, shape in generation.caches.items()],
            "functions": library.arguments,
            "packed": library.packed,
            "weights": [entry for name, entry in weights.items() if name in used],
        },
    )


def _entry(weight: Weight) -> dict[str, Any]:
    return {
        "name": weight.name,
        "shape": list(weight.shape),
        "dtype": weight.dtype,
        "file": weight.file,
        "offset": weight.offset,
    }


def _written(folder: Path, schema: int, phase: str, target: Target, rest: Mapping[str, Any]) -> dict[str, Any]:
    import tvm

    manifest = {
        "schema": schema,
        "phase": phase,
        "triple": target.triple,
        "device": "cuda" if target.kind == "gpu" else "cpu",
        "threads": target.threads,
        "tvm": tvm.__version__,
        "library": LIBRARY,
        **rest,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest
