"""One candidate's cost: export it, run it on the device, and say what came out or why nothing did."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts._core import Architecture, weight_bytes
from lts.backends.backend import BuildError, Workload
from lts.backends.reference import difference
from lts.devices.device import Job, RunnerJob
from lts.errors import LtsError, UsageError
from lts.measure.statistics import advice, summary
from lts.system.environment import environment_hash
from lts.system.workdir import WorkDirectory

if TYPE_CHECKING:
    from lts.backends.backend import Backend
    from lts.backends.reference import Reference
    from lts.devices.device import Device
    from lts.measure.trial import Provenance
    from lts.targets.target import Target

# Which run gives which cost. The prompt pass holds more than any decode step after it: all activations of the prompt,
# its logits, and the same keys and values; so its peak is the peak, whether decoding is measured or not.
_PHASE_OF = {
    "latency_ms": "prefill",
    "decode_ms_per_token": "decode",
    "peak_memory_mib": "prefill",
    "instructions": "prefill",
    "decode_instructions": "decode",
}
COSTS = tuple(_PHASE_OF)
INSTRUCTIONS = {"prefill": "instructions", "decode": "decode_instructions"}
OUTPUT_ERROR = "output_error"
_TIME_OF = {"prefill": "latency_ms", "decode": "decode_ms_per_token"}
# Samples have nanoseconds, so their names leave the unit of the cost out.
_SAMPLES_OF = {"latency_ms": "latency", "decode_ms_per_token": "decode"}

_REPEATS = 10
# The peak is reached when loading, or in the second run, which works with the memory plan that the first one made.
_REPEATS_FOR_MEMORY = 2
# What a model file takes besides its weights: the graph and the small tensors.
_MODEL_BYTES = 2 << 20

_SLOW = "exporting and building it took longer"

# Share of samples during which other programs had the core, from which on a measurement says so.
_MANY_DISTURBED = 0.1

Export = Callable[[Architecture, str, Path], Path]
"""Writes the model of an architecture and a phase into a directory, and returns its path."""


@dataclass(frozen=True)
class Measurement:
    """What was measured, or the reason why not.

    `values` has milliseconds and MiB by cost; `interval` bounds the median times with 95 %, `mad` is their median
    absolute deviation. `samples_ns` has every sample of ``latency`` and ``decode``, and where other programs had the
    processor meanwhile, so that some are processor time, all times on the wall beside them, as ``latency_wall``.
    `seconds` says what the measuring itself took. `environment` is the hash of the fingerprint.
    """

    values: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    mad: dict[str, float] = field(default_factory=dict)
    samples_ns: dict[str, list[int]] = field(default_factory=dict)
    provenance: dict[str, Provenance] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    environment: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


def measure(
    architecture: Architecture,
    target: Target,
    device: Device,
    backend: Backend,
    *,
    costs: Iterable[str] | None = None,
    n_prompt: int = 128,
    timeout: float = 60.0,
    min_time: float = 0.3,
    workdir: Path | None = None,
    export: Export | None = None,
    reference: Reference | None = None,
) -> Measurement:
    """Measure the costs of an architecture; nothing is run for costs that are not asked for.

    ``latency_ms`` is the median time of the prompt pass over `n_prompt` tokens, ``decode_ms_per_token`` that of one
    decode step with `n_prompt` tokens before it, and ``peak_memory_mib`` the most that loading and running the prompt
    pass adds to the resident memory of a process. Prefill and decode run in a process each, at batch 1.
    ``instructions`` and ``decode_instructions`` are those that an emulated processor executes in one such run.

    Parameters
    ----------
    architecture
        What to measure. Its weights are random, which changes neither time nor memory.
    target
        Threads and precision to run with.
    device, backend
        Where, and by what.
    costs
        Of `COSTS`; by default all that the device gives.
    n_prompt
        Tokens.
    timeout
        Seconds for the candidate in all.
    min_time
        Seconds of samples to take for each time.
    workdir
        Where the models are written, and the random weights that all of them share: keep it for a whole study. By
        default a temporary directory for this measurement alone.
    export
        Writes a model; for tests and for other formats.
    reference
        Where the first output of every run is compared: an `output_error` beyond its tolerance is a failure. Only for
        backends that need lts-runner.

    Raises
    ------
    UsageError
        For an argument that is wrong or a combination that cannot be measured, and when the disk is full.
    MeasurementError
        When the device runs nothing at all. A candidate that fails is a `Measurement` with an `error`.
    """
    costs = list(dict.fromkeys(device.costs if costs is None else costs))
    for cost in costs:
        if cost not in device.costs:
            raise UsageError(f"the device does not give the cost '{cost}'; expected one of {', '.join(device.costs)}")
    if n_prompt < 1:
        raise UsageError(f"n_prompt is {n_prompt}; it must be at least 1")
    if not timeout > 0:
        raise UsageError(f"the timeout is {timeout} s; it must be above 0")
    check_together(target, device, backend)
    with ExitStack() as stack:
        if workdir is None:
            workdir = stack.enter_context(closing(WorkDirectory())).path
        candidate = _Candidate(
            architecture, target, device, backend, n_prompt, min_time, workdir, export or export_pooled, reference
        )
        return candidate.measure(costs, timeout)


def check_together(target: Target, device: Device, backend: Backend) -> None:
    """Raise `UsageError` when the device does not run what the backend compiles for the target."""
    device.check(target)
    backend.check(target)
    if backend.needs not in device.runs:
        what = {"python": "runs in Python", "runner": "needs lts-runner"}
        raise UsageError(
            f"backend '{backend.name}' {what[backend.needs]}, which this device does not have; "
            f"use --backend {'tvm' if backend.needs == 'python' else 'onnxruntime'} or another device"
        )


def provenance_of(device: Device) -> Provenance:
    """Of what comes from a device: "emulated" where instructions are counted instead of time, else "measured"."""
    return "emulated" if INSTRUCTIONS["prefill"] in device.costs else "measured"


class _Candidate:
    """The arguments of `measure`, and what has come out so far."""

    def __init__(
        self,
        architecture: Architecture,
        target: Target,
        device: Device,
        backend: Backend,
        n_prompt: int,
        min_time: float,
        workdir: Path,
        export: Export,
        reference: Reference | None,
    ) -> None:
        self.architecture = architecture
        self.target = target
        self.device = device
        self.backend = backend
        self.n_prompt = n_prompt
        self.min_time = min_time
        self.workdir = workdir
        self.export = export
        self.reference = reference
        self.seconds = {"export": 0.0, "load": 0.0, "run": 0.0}
        self.values: dict[str, float] = {}
        self.interval: dict[str, tuple[float, float]] = {}
        self.mad: dict[str, float] = {}
        self.samples_ns: dict[str, list[int]] = {}
        self.warnings: list[str] = []

    def measure(self, costs: Sequence[str], timeout: float) -> Measurement:
        start = time.monotonic()
        error = None
        for phase in dict.fromkeys(_PHASE_OF[cost] for cost in costs):
            if error is None:
                error = self._measure_phase(phase, [c for c in costs if _PHASE_OF[c] == phase], timeout, start)
        # What is left is the worker: starting it, its imports, its end, or all of its time when it gave no result.
        self.seconds["worker"] = max(0.0, time.monotonic() - start - sum(self.seconds.values()))
        return Measurement(
            values=self.values,
            interval=self.interval,
            mad=self.mad,
            samples_ns=self.samples_ns,
            provenance=dict.fromkeys(self.values, provenance_of(self.device)),
            warnings=self.warnings,
            error=error,
            environment=environment_hash(self.device.environment(self.target.threads)),
            seconds=self.seconds,
        )

    def _measure_phase(self, phase: str, costs: Sequence[str], timeout: float, start: float) -> str | None:
        """Export, build and run one phase. Returns the reason when that fails."""
        begun = time.monotonic()
        workload = Workload.of(self.architecture, phase, self.n_prompt)
        files: list[Path] = []
        try:
            try:
                files.append(self._exported(phase))
                left = timeout - (time.monotonic() - start)
                if left <= 0:
                    return f"no result within {timeout:.3g} s: {_SLOW}"
                files.append(self.backend.build(files[0], self.target, workload, left))
                job = self._job(files[-1], workload, costs)
                if self.reference is not None and isinstance(job, RunnerJob):
                    files.append(self.reference.write(files[0], workload))
                    job = self.reference.attach(job, files[-1])
            except LtsError:
                raise
            except BuildError as error:
                return f"the {phase} model cannot be built: {error}"
            except Exception as error:  # whatever a compiler raises, it is this candidate that failed
                return f"the {phase} model cannot be built: {type(error).__name__}: {error}"
            finally:
                self.seconds["export"] += time.monotonic() - begun
            left = timeout - (time.monotonic() - start)
            if left <= 0:
                return f"no result within {timeout:.3g} s: {_SLOW}"
            result = self.device.run(job, left)
        finally:
            for file in files:
                if file.is_dir():
                    shutil.rmtree(file, ignore_errors=True)
                else:
                    file.unlink(missing_ok=True)
        if result.error is not None:
            return f"{phase}: {result.error}"
        return self._keep(phase, costs, result.value)

    def _exported(self, phase: str) -> Path:
        try:
            return self.export(self.architecture, phase, self.workdir)
        except (OSError, UsageError) as error:
            if not self.workdir.is_dir():
                raise UsageError(f"cannot write in {self.workdir}: there is no such directory") from None
            needed = weight_bytes(self.architecture) + _MODEL_BYTES
            free = shutil.disk_usage(self.workdir).free
            if free < needed or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
                raise UsageError(
                    f"no space left in {self.workdir}: need {needed >> 20} MiB, {free >> 20} MiB are free; "
                    "set TMPDIR to a directory with more"
                ) from None
            if isinstance(error, OSError):
                raise UsageError(f"cannot write in {self.workdir}: {error.strerror or error}") from None
            raise

    def _job(self, built: Path, workload: Workload, costs: Sequence[str]) -> Job | RunnerJob:
        timed = _TIME_OF[workload.phase] in costs
        return self.backend.job(
            built,
            workload,
            threads=self.target.threads,
            min_time=self.min_time if timed else 0.0,
            min_repeats=_REPEATS if timed else _REPEATS_FOR_MEMORY,
        )

    def _keep(self, phase: str, costs: Sequence[str], result: Mapping[str, Any]) -> str | None:
        """Take over what the runner of a backend returned. Returns what is wrong with it."""
        samples: list[int] = result.get("samples_ns") or []
        if _TIME_OF[phase] in costs and (not samples or min(samples) <= 0):
            return f"{phase}: backend '{self.backend.name}' gave no times"
        self.seconds["load"] += result.get("load_seconds", 0.0)
        self.seconds["run"] += result.get("run_seconds", 0.0)
        self.warnings += [f"{phase}: {warning}" for warning in result.get("warnings", ())]
        if (error := result.get(OUTPUT_ERROR)) is not None:
            self.values[OUTPUT_ERROR] = max(error, self.values.get(OUTPUT_ERROR, 0.0))
            if not result["correct"]:
                return f"{phase}: {difference(error)}"
        for cost in costs:
            if cost == "peak_memory_mib":
                self._keep_peak(float(result["peak_memory_mib"]))
                continue
            if cost in INSTRUCTIONS.values():
                self.values[cost] = result["instructions"]
                continue
            found = summary(samples)
            self.values[cost] = found.median / 1e6
            self.interval[cost] = (found.low / 1e6, found.high / 1e6)
            self.mad[cost] = found.mad / 1e6
            self.samples_ns[_SAMPLES_OF[cost]] = list(samples)
            self.warnings += [f"{cost}: {sentence}" for sentence in advice(samples)]
            wall = list(result.get("wall_ns", samples))
            n = sum(a != b for a, b in zip(samples, wall, strict=True))
            if n > 0:
                self.samples_ns[f"{_SAMPLES_OF[cost]}_wall"] = wall
            if n > _MANY_DISTURBED * len(samples):
                self.warnings.append(
                    f"{cost}: other programs had the processor during {n} of {len(samples)} samples; "
                    "the processor time of the model stands for those"
                )
        return None

    def _keep_peak(self, peak: float) -> None:
        self.values["peak_memory_mib"] = peak
        limit = self.target.memory_mib
        if limit is not None and peak > limit:
            self.warnings.append(
                f"peak_memory_mib: {peak:.0f} MiB are more than the {limit} MiB of target '{self.target.name}'"
            )


def export_pooled(architecture: Architecture, phase: str, directory: Path) -> Path:
    """Write a model whose weights lie in ``weights.bin`` there, random numbers that all candidates share."""
    from lts.export import PooledWeights, onnx_model

    model = onnx_model(architecture, phase, weights=PooledWeights(directory / "weights.bin"))
    handle, name = tempfile.mkstemp(prefix=f"{phase}-", suffix=".onnx", dir=directory)
    with os.fdopen(handle, "wb") as file:
        file.write(model.SerializeToString())
    return Path(name)
