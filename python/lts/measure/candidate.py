"""One architecture on one device: export each phase that a cost needs, and run it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from lts._core import Architecture, weight_bytes
from lts.backends.backend import Backend, BuildError, environment_of, runs_open_sizes
from lts.backends.reference import Reference
from lts.devices.device import Device
from lts.errors import LtsError, UsageError
from lts.export.decoder import ANY
from lts.export.phases import one_phase
from lts.jobs.job import GENERATION
from lts.measure.costs import PHASE_OF, check_costs, default_costs
from lts.measure.generation import export_generation, is_generated, measure_generated
from lts.measure.outcome import Outcome
from lts.measure.request import joined, needed_for, together, with_request
from lts.measure.run import check_together, remove, run_model
from lts.system.environment import environment_hash
from lts.system.workdir import WorkDirectory
from lts.targets.target import Target
from lts.targets.workload import Workload

# What a model file takes besides its weights: the graph and the small tensors.
_MODEL_BYTES = 2 << 20

_SLOW = "exporting and building it took longer"

Export = Callable[[Architecture, str, Path, Workload], Path]
"""Writes the model of an architecture, a phase or ``any``, and a workload into a directory, and returns its path."""


def measure(
    architecture: Architecture,
    target: Target,
    device: Device,
    backend: Backend,
    *,
    costs: Iterable[str] | None = None,
    workload: Workload | None = None,
    timeout: float = 60.0,
    min_time: float = 0.3,
    workdir: Path | None = None,
    export: Export | None = None,
    models: Mapping[str, Path] | None = None,
    reference: Reference | None = None,
) -> Outcome:
    """Measure the costs of an architecture; nothing is run for costs that are not asked for.

    ``latency_ms`` is the median time of the prompt pass, which gives the first token; ``decode_ms_per_token`` the mean
    of the median times of a decode step at both ends of the request, ``request_ms`` the time of all of it, and
    ``tokens_per_second`` the speed of generating. ``peak_memory_mib`` is the most that loading and running any of these
    adds to the resident memory of a process. Each runs in a process of its own. ``instructions`` and
    ``decode_instructions`` are those that an emulated processor executes in one such run. ``prefill_energy_mj`` and
    ``decode_energy_mj_per_token`` are what the machine as a whole takes in one, ``energy_mj`` in all of the request.

    Parameters
    ----------
    architecture
        What to measure. Its weights are random, which changes neither time nor memory.
    target
        Threads and precision to run with.
    device, backend
        Where, and by what.
    costs
        Of `lts.measure.costs.COSTS` and `lts.measure.request.DERIVED`; by default those of
        `lts.measure.costs.default_costs`.
    workload
        What is run; by default the default one, with precision and threads of the target.
    timeout
        Seconds for the candidate in all.
    min_time
        Seconds of samples to take for each time.
    workdir
        Where the models are written, and the random weights that all of them share: keep it for a whole study. By
        default a temporary directory for this measurement alone.
    export
        Writes a model; for tests and for other formats.
    models
        ONNX files by phase that are run in place of exported ones, and stay; one file may be both.
    reference
        As in `lts.measure.run.run_model`.

    Raises
    ------
    UsageError
        For an argument that is wrong or a combination that cannot be measured, and when the disk is full.
    MeasurementError
        When the device runs nothing at all. A candidate that fails is an `Outcome` with an `error`.
    """
    workload = Workload.on(target.precision, target.threads, workload)
    asked = needed_for(default_costs(device) if costs is None else costs, workload)
    check_costs(device, backend, asked)
    if not timeout > 0:
        raise UsageError(f"the timeout is {timeout} s; it must be above 0")
    check_together(target, device, backend)
    start = time.monotonic()
    outcome = Outcome(
        seconds={"export": 0.0, "load": 0.0, "run": 0.0},
        environment=environment_hash(environment_of(backend, device, target.threads)),
    )
    with ExitStack() as stack:
        if workdir is None:
            workdir = stack.enter_context(closing(WorkDirectory())).path
        files = stack.enter_context(closing(_Files(architecture, backend, workdir, workload, export, models or {})))
        phases: Iterable[str] = dict.fromkeys(PHASE_OF[cost] for cost in asked)
        if export is None and not models and is_generated(architecture, workload, target, backend, device):
            phases = ()
            model = files.generated()
            prompt = None if reference is None or isinstance(model, str) else files.of("prefill")
            outcome |= Outcome(seconds={"export": time.monotonic() - start})
            if isinstance(model, str) or isinstance(prompt, str):
                why = model if isinstance(model, str) else prompt
                outcome |= Outcome(error=f"the model cannot be built: {why}")
            else:
                found = measure_generated(
                    architecture,
                    model,
                    workload,
                    target,
                    device,
                    backend,
                    asked,
                    timeout=timeout - (time.monotonic() - start),
                    min_time=min_time,
                    reference=reference,
                    prompt=prompt,
                )
                outcome = joined(outcome, found)
        for phase in phases:
            begun = time.monotonic()
            model = files.of(phase)
            if isinstance(model, str):
                outcome |= Outcome(error=f"the {phase} model cannot be built: {model}")
                break
            outcome |= Outcome(seconds={"export": time.monotonic() - begun})
            steps: list[Outcome] = []
            planned = workload.steps(architecture, phase)
            for step in planned:
                if (left := timeout - (time.monotonic() - start)) <= 0:
                    steps.append(Outcome(error=f"no result within {timeout:.3g} s: {_SLOW}"))
                    break
                found = run_model(
                    model,
                    step,
                    target,
                    device,
                    backend,
                    costs=asked,
                    timeout=left,
                    min_time=min_time / len(planned),
                    reference=reference,
                )
                steps.append(found)
                if found.error is not None:
                    break
            outcome = joined(outcome, together(steps))
            if outcome.error is not None:
                break
    outcome = with_request(outcome, workload)
    # What is left is the worker: starting it, its imports, its end, or all of its time when it gave no result.
    worker = max(0.0, time.monotonic() - start - sum(outcome.seconds.values()))
    return replace(outcome, seconds={**outcome.seconds, "worker": worker})


class _Files:
    """The model files of a candidate: of a phase each, or one for all; closing removes those that were written."""

    def __init__(
        self,
        architecture: Architecture,
        backend: Backend,
        directory: Path,
        workload: Workload,
        export: Export | None,
        given: Mapping[str, Path],
    ) -> None:
        self._arguments = export or _export_for(backend), architecture, directory, workload
        self._together = runs_open_sizes(backend)
        self._given = given
        self._written: dict[str, Path | str] = {}

    def of(self, phase: str) -> Path | str:
        """The file of a phase, or why this candidate cannot be exported."""
        if phase in self._given:
            model = self._given[phase]
            if self._together:
                return model
            if phase not in self._written:
                self._written[phase] = one_phase(model, phase) or model
            return self._written[phase]
        form = ANY if self._together else phase
        if form not in self._written:
            export, architecture, directory, workload = self._arguments
            self._written[form] = _exported(export, architecture, form, directory, workload)
        return self._written[form]

    def generated(self) -> Path | str:
        """The file of the form that generates, or why there is none."""
        _, architecture, directory, workload = self._arguments
        written = _exported(_export_generation, architecture, GENERATION, directory, workload)
        self._written[GENERATION] = written
        return written

    def close(self) -> None:
        """Remove what was written."""
        for file in self._written.values():
            if isinstance(file, Path) and file not in self._given.values():
                remove(file)


def _export_generation(architecture: Architecture, phase: str, directory: Path, workload: Workload) -> Path:
    return export_generation(architecture, directory, workload)


def export_pooled(architecture: Architecture, phase: str, directory: Path, workload: Workload) -> Path:
    """Write a model whose weights lie in ``weights.bin`` there, random numbers that all candidates share."""
    from lts.export import PooledWeights, onnx_model

    model = onnx_model(
        architecture,
        phase,
        logits=workload.logits,
        precision=workload.precision,
        cache=workload.cache,
        weights=PooledWeights(directory / "weights.bin"),
    )
    handle, name = tempfile.mkstemp(prefix=f"{phase}-", suffix=".onnx", dir=directory)
    with os.fdopen(handle, "wb") as file:
        file.write(model.SerializeToString())
    return Path(name)


def export_gguf(architecture: Architecture, phase: str, directory: Path, workload: Workload) -> Path:
    """Write a GGUF file with random numbers; it is the same in both phases.

    Raises
    ------
    BuildError
        When llama.cpp does not run that architecture.
    """
    from lts.export.gguf_form import check_gguf_form
    from lts.export.gguf_random import write_random_gguf

    try:
        check_gguf_form(architecture)
    except UsageError as error:
        raise BuildError(str(error)) from None
    handle, name = tempfile.mkstemp(prefix=f"{phase}-", suffix=".gguf", dir=directory)
    os.close(handle)
    try:
        write_random_gguf(Path(name), architecture, workload.precision)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _export_for(backend: Backend) -> Export:
    """What writes models for a backend."""
    return export_gguf if getattr(backend, "form", "onnx") == "gguf" else export_pooled


def _exported(
    export: Export, architecture: Architecture, phase: str, directory: Path, workload: Workload
) -> Path | str:
    """The model file, or why this candidate cannot be exported. Raises `UsageError` when none could be."""
    try:
        return export(architecture, phase, directory, workload)
    except (OSError, UsageError) as error:
        if not directory.is_dir():
            raise UsageError(f"cannot write in {directory}: there is no such directory") from None
        needed = weight_bytes(architecture, precision=workload.precision) + _MODEL_BYTES
        free = shutil.disk_usage(directory).free
        if free < needed or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
            raise UsageError(
                f"no space left in {directory}: need {needed >> 20} MiB, {free >> 20} MiB are free; "
                "set TMPDIR to a directory with more"
            ) from None
        if isinstance(error, OSError):
            raise UsageError(f"cannot write in {directory}: {error.strerror or error}") from None
        raise
    except LtsError:
        raise
    except BuildError as error:
        return str(error)
    except Exception as error:  # whatever an exporter raises, it is this candidate that failed
        return f"{type(error).__name__}: {error}"
