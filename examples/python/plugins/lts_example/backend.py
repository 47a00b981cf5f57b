"""The backend `onnx-reference`: ONNX's reference implementation, in NumPy. It is slow, and right by definition."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lts.backends.backend import BuildError
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, Runs
from lts.targets.target import Target
from lts.targets.workload import Step


class OnnxReference:
    """Runs an ONNX file as it is. Everything heavy is imported in the worker process."""

    name = "onnx-reference"
    needs: Runs = "python"

    def check(self, target: Target) -> None:
        if target.kind != "cpu" or target.precision != "float32":
            raise UsageError(
                f"backend '{self.name}' runs float32 on the cpu; target '{target.name}' is {target.precision} on the "
                f"{target.kind}"
            )

    def build(self, model: Path, target: Target, step: Step, timeout: float) -> Path:
        import onnx

        try:
            onnx.checker.check_model(str(model))
        except Exception as error:
            raise BuildError(f"ONNX's checker refuses it: {str(error).splitlines()[0]}") from None
        return model

    def job(self, built: Path, step: Step, *, threads: int, min_time: float, min_repeats: int) -> Job:
        arguments = {"model": str(built), **asdict(step), "min_time": min_time, "min_repeats": min_repeats}
        weights = sorted(built.parent.glob("*.bin"))  # beside the model; a remote device copies them, too
        return Job(
            "lts_example.backend:run",
            {**arguments, "threads": threads},
            threads,
            preload=("numpy", "onnx", "onnx.reference"),
            files=(built, *weights),
        )

    def close(self) -> None:
        """Nothing is held."""


def run(
    model: str,
    phase: str,
    dims: Mapping[str, int],
    vocab_size: int,
    threads: int,
    min_time: float,
    min_repeats: int,
) -> dict[str, Any]:
    """Load a model and time it, in a process of its own; what it returns is as `lts.backends.onnxruntime.run` says."""
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator

    from lts.backends.inputs import make_inputs
    from lts.backends.timing import PeakMemory, time_runs

    memory = PeakMemory()
    begun = time.perf_counter()
    loaded = onnx.load(model)
    evaluator = ReferenceEvaluator(loaded)
    specifications = []
    for value in loaded.graph.input:
        tensor = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        specifications.append((value.name, shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    inputs = make_inputs(specifications, dims, vocab_size)
    ready = time.perf_counter()
    outputs = evaluator.run(None, inputs)
    for value, output in zip(loaded.graph.output, outputs, strict=True):
        if not np.isfinite(output).all():
            raise MeasurementError(f"the output '{value.name}' of {phase} is not finite")
    timing = time_runs(lambda: evaluator.run(None, inputs), threads=threads, min_time=min_time, min_repeats=min_repeats)
    first = np.ascontiguousarray(outputs[0])
    return {
        "samples_ns": timing.samples_ns,
        "wall_ns": timing.wall_ns,
        "peak_memory_mib": memory.mib(),
        "checksum": f"{zlib.crc32(first.tobytes()):08x}",
        "rms": float(np.sqrt(np.mean(np.square(first, dtype=np.float64)))),
        "load_seconds": ready - begun,
        "run_seconds": time.perf_counter() - ready,
        "warnings": [*memory.warnings, *timing.warnings],
        "disturbed": timing.disturbed,
    }
