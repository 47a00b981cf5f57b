"""What a compiled model must compute: the outputs of ONNX Runtime on this machine, for the same weights and inputs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from lts.backends.backend import BuildError
from lts.backends.onnxruntime import PRELOAD
from lts.jobs.job import Job, RunnerJob
from lts.jobs.pool import Workers
from lts.targets.workload import Step

# Largest difference, relative to the output's largest value, by the precision of the model. Compilers reorder sums and
# approximate functions, which makes errors of some 1e-6. In integers, they also round activations to 8 bits, which
# moves logits by some hundredths, and by a tenth in deep models; a wrong product moves them by as much as they are.
TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "int8": 0.25, "int4": 0.25}
_TIMEOUT = 120.0


def difference(error: float) -> str:
    """The message for an output that differs by more than the tolerance; `error` is relative to the largest value."""
    return f"the output differs from ONNX Runtime's by {error:.2g} of its largest value"


class Reference:
    """Runs ONNX models in a worker process and keeps their first output in a file for lts-runner to compare with.

    Parameters
    ----------
    precision
        Precision of the models, which says how much an output may differ.
    """

    def __init__(self, precision: str = "float32") -> None:
        self.tolerance = TOLERANCE[precision]
        self._workers = Workers()

    def write(self, model: Path, step: Step) -> Path:
        """The file with the first output, float32, beside the model.

        Raises
        ------
        BuildError
            When ONNX Runtime does not run the model.
        """
        handle, name = tempfile.mkstemp(prefix="expected-", suffix=".f32", dir=model.parent)
        os.close(handle)
        arguments = {"model": str(model), **asdict(step), "file": name}
        result = self._workers.run(
            Job("lts.backends.onnxruntime:reference", arguments, preload=(*PRELOAD, "onnx")), _TIMEOUT
        )
        if result.error is not None:
            Path(name).unlink(missing_ok=True)
            raise BuildError(f"ONNX Runtime gives no outputs to compare with: {result.error}")
        return Path(name)

    def attach(self, job: RunnerJob, expected: Path) -> RunnerJob:
        """The job, comparing its first output with what `write` has written."""
        options: Mapping[str, object] = {**job.options, "expected": {"file": "expected", "tolerance": self.tolerance}}
        return replace(job, options=options, files={**job.files, "expected": expected})

    def close(self) -> None:
        """End the worker process. Harmless when repeated."""
        self._workers.close()
