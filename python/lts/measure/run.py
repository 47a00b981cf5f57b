"""One model file on one device: build it, run it, and say what came out or why nothing did."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts.backends.backend import Backend, BuildError, SeveralRuns, environment_of
from lts.backends.metering import NO_ENERGY
from lts.backends.reference import Reference, difference
from lts.devices.device import ENERGY, Device
from lts.devices.local import LocalDevice
from lts.errors import LtsError, UsageError
from lts.jobs.job import RunnerJob
from lts.measure.answer import WrongAnswerError, checked
from lts.measure.costs import (
    ENERGY_OF,
    INSTRUCTIONS,
    OUTPUT_ERROR,
    PEAK,
    PHASE_OF,
    TIME_OF,
    check_costs,
    default_costs,
)
from lts.measure.outcome import Outcome, Provenance
from lts.measure.statistics import advice, shared_core, summary, waited
from lts.system import machine
from lts.system.environment import environment_hash
from lts.system.outside import sentence
from lts.targets.target import Target
from lts.targets.workload import Step

# Samples have nanoseconds, so their names leave the unit of the cost out.
_SAMPLES_OF = {"latency_ms": "latency", "decode_ms_per_token": "decode"}

_REPEATS = 10
# The peak is reached when loading, or in the second run, which works with the memory plan that the first one made.
_REPEATS_FOR_MEMORY = 2


def run_model(
    model: Path,
    step: Step,
    target: Target,
    device: Device,
    backend: Backend,
    *,
    costs: Iterable[str] | None = None,
    timeout: float = 60.0,
    min_time: float = 0.3,
    reference: Reference | None = None,
) -> Outcome:
    """Build a model file for the target and run it on the device. What was built is removed again.

    Parameters
    ----------
    model
        An ONNX file, yours or one that `lts.export` wrote.
    step
        What it is run with: sizes of the symbolic dimensions of its inputs.
    target, device, backend
        What is compiled for, where it runs, and by what.
    costs
        Costs to measure, of `lts.measure.costs.COSTS` and of the phase of the step; by default those of
        `lts.measure.costs.default_costs`.
    timeout
        Seconds for building and running.
    min_time
        Seconds of samples to take at least.
    reference
        Where the first output is compared: a larger `output_error` than its tolerance is a failure. Only for backends
        that need lts-runner.

    Raises
    ------
    UsageError
        For an argument that is wrong or a combination that cannot run.
    MeasurementError
        When the device runs nothing at all. A model that fails is an `Outcome` with an `error`.
    """
    check_together(target, device, backend)
    asked = list(dict.fromkeys(default_costs(device) if costs is None else costs))
    check_costs(device, backend, asked)
    end = time.monotonic() + timeout
    begun = time.monotonic()
    built: Path | None = None
    try:
        built = build_model(model, step, target, backend, timeout)
        building = time.monotonic() - begun
        outcome = run_built(
            built,
            step,
            target,
            device,
            backend,
            costs=[cost for cost in asked if cost == PEAK or PHASE_OF[cost] == step.phase],
            timeout=end - time.monotonic(),
            min_time=min_time,
            reference=reference,
            model=model,
        )
    except BuildError as error:
        return Outcome(error=str(error), seconds={"export": time.monotonic() - begun})
    finally:
        if built is not None and built != model:
            remove(built)
    return Outcome(seconds={"export": building}) | outcome


def build_model(model: Path, step: Step, target: Target, backend: Backend, timeout: float) -> Path:
    """What the backend makes of a model file, in at most `timeout` seconds.

    Raises
    ------
    BuildError
        When it cannot be built; the message names the phase and the reason.
    LtsError
        When nothing can be built.
    """
    try:
        return backend.build(model, target, step, timeout)
    except LtsError:
        raise
    except Exception as error:  # whatever a compiler raises, it is this model that failed
        reason = str(error) if isinstance(error, BuildError) else f"{type(error).__name__}: {error}"
        raise BuildError(f"the {step.phase} model cannot be built: {reason}") from None


def run_built(
    built: Path,
    step: Step,
    target: Target,
    device: Device,
    backend: Backend,
    *,
    costs: Sequence[str],
    timeout: float,
    min_time: float = 0.3,
    repeats: int | None = None,
    reference: Reference | None = None,
    model: Path | None = None,
    expected: Step | None = None,
) -> Outcome:
    """Run what `build_model` gave, and check what comes back; arguments as of `run_model`.

    `repeats` is the least number of samples, by default what the costs need; `model` is the ONNX file that `reference`
    runs, and `expected` the step of it that has the right outputs, by default the same one.
    """
    end = time.monotonic() + timeout
    timed = TIME_OF[step.phase] in costs
    if repeats is None:
        repeats = _REPEATS if timed else _REPEATS_FOR_MEMORY
    energy: dict[str, Any] = {"energy_time": min_time} if ENERGY_OF[step.phase] in costs else {}
    sampled = min_time if timed else 0.0
    job = backend.job(built, step, threads=target.threads, min_time=sampled, min_repeats=repeats, **energy)
    seconds = {"export": 0.0, "load": 0.0, "run": 0.0}
    outputs: Path | None = None
    begun = time.monotonic()
    try:
        if reference is not None and model is not None and isinstance(job, RunnerJob):
            try:
                outputs = reference.write(model, expected or step)
            except BuildError as error:
                return Outcome(error=f"{step.phase}: {error}", seconds={"export": time.monotonic() - begun})
            job = reference.attach(job, outputs)
        seconds["export"] = time.monotonic() - begun
        if (left := end - time.monotonic()) <= 0:
            return Outcome(error="no time was left to run it: building it took too long", seconds=seconds)
        sent = time.monotonic()
        result = job.run_on(device, left) if isinstance(job, SeveralRuns) else device.run(job, left)
        took = time.monotonic() - sent
    finally:
        if outputs is not None:
            outputs.unlink(missing_ok=True)
    if result.error is not None:
        return Outcome(error=f"{step.phase}: {sentence(result.error, 1000)}", seconds=seconds)
    tolerance = reference.tolerance if reference is not None and outputs is not None else None
    environment = environment_of(backend, device, target.threads)
    try:
        answer = checked(
            result.value,
            costs,
            repeats=repeats,
            tolerance=tolerance,
            seconds=took,
            memory_mib=memory_mib(device, environment),
        )
    except WrongAnswerError as error:
        return Outcome(error=f"{step.phase}: {error}", seconds=seconds)
    outcome = _taken_over(answer, step.phase, costs, target, backend, seconds)
    return replace(
        outcome,
        provenance=dict.fromkeys(outcome.values, provenance_of(device)),
        environment=environment_hash(environment),
        device=result.device,
    )


def check_together(target: Target, device: Device, backend: Backend) -> None:
    """Raise `UsageError` when the device does not run what the backend compiles for the target."""
    device.check(target)
    backend.check(target)
    if backend.needs not in device.runs:
        what = {"python": "runs in Python", "runner": "needs lts-runner", "program": "needs llama-bench"}
        raise UsageError(
            f"backend '{backend.name}' {what[backend.needs]}, which this device does not have; "
            f"use --backend {'onnxruntime' if backend.needs == 'runner' else 'tvm'} or another device"
        )


def provenance_of(device: Device) -> Provenance:
    """Provenance of the device's values: "emulated" if it counts instructions instead of time, else "measured"."""
    return "emulated" if INSTRUCTIONS["prefill"] in device.costs else "measured"


def remove(path: Path) -> None:
    """Remove a file or a folder that may be gone already."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def memory_mib(device: Device, environment: Mapping[str, Any]) -> float | None:
    """Memory of the machine that a device runs models on, where it is known."""
    if isinstance(device, LocalDevice):  # a control group limits what it takes, but not what it shares with others
        return machine.meminfo().get("MemTotal", 0) / 1024 or None
    known = environment.get("memory_mib")
    return float(known) if isinstance(known, int | float) and known > 0 else None


def _taken_over(
    result: Mapping[str, Any],
    phase: str,
    costs: Sequence[str],
    target: Target,
    backend: Backend,
    seconds: Mapping[str, float],
) -> Outcome:
    """What a run of a phase returned, as values of the costs; an error when it is wrong."""
    samples: list[int] = result.get("samples_ns") or []
    found = Outcome(
        warnings=[f"{phase}: {warning}" for warning in result.get("warnings", ())],
        disturbed=bool(result.get("disturbed", False)),
        seconds={
            **seconds,
            "load": result.get("load_seconds", 0.0),
            "run": result.get("run_seconds", 0.0),
        },
    )
    if TIME_OF[phase] in costs and (not samples or min(samples) <= 0):
        return replace(found, error=f"{phase}: backend '{backend.name}' gave no times")
    if (error := result.get(OUTPUT_ERROR)) is not None:
        found.values[OUTPUT_ERROR] = float(error)
        if not result["correct"]:
            return replace(found, error=f"{phase}: {difference(error)}")
    for cost in costs:
        if cost == PEAK:
            peak = float(result[PEAK])
            found.values[cost] = peak
            if target.memory_mib is not None and peak > target.memory_mib:
                found.warnings.append(
                    f"{cost}: {peak:.0f} MiB are more than the {target.memory_mib} MiB of target '{target.name}'"
                )
        elif cost in INSTRUCTIONS.values():
            found.values[cost] = result["instructions"]
        elif cost in ENERGY:
            _add_energy(found, cost, result)
        else:
            _add_time(found, cost, samples, list(result.get("wall_ns", samples)))
    return found


def _add_energy(found: Outcome, cost: str, result: Mapping[str, Any]) -> None:
    """The energy of a run, which one reading of the meter shared out, or a warning that there is none."""
    if "energy_mj" not in result:
        if not any(NO_ENERGY in warning for warning in found.warnings):
            found.warnings.append(f"{cost}: {NO_ENERGY}the device has given none")
        return
    found.values[cost] = energy = result["energy_mj"]
    if "energy_error" in result:
        found.interval[cost] = (energy * (1 - result["energy_error"]), energy * (1 + result["energy_error"]))


def _add_time(found: Outcome, cost: str, samples: Sequence[int], wall: Sequence[int]) -> None:
    """The median of the samples with its interval, and the doubts that they give rise to."""
    told = summary(samples)
    found.values[cost] = told.median / 1e6
    found.interval[cost] = (told.low / 1e6, told.high / 1e6)
    found.mad[cost] = told.mad / 1e6
    found.samples_ns[_SAMPLES_OF[cost]] = list(samples)
    found.warnings.extend(f"{cost}: {sentence}" for sentence in advice(samples))
    found.warnings.extend(f"{cost}: {sentence}" for sentence in shared_core(samples, wall))
    if any(waited(samples, wall)):
        found.samples_ns[f"{_SAMPLES_OF[cost]}_wall"] = list(wall)
