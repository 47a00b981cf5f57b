"""Architectures measured in the form that generates: built once, for the prompt pass and for all decode steps."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from lts._core import Architecture
from lts.backends.backend import Backend, BuildError
from lts.backends.reference import Reference
from lts.devices.device import Device
from lts.export.generation import generates, generation_model
from lts.jobs.job import GENERATION
from lts.measure.costs import PEAK, PHASE_OF
from lts.measure.outcome import Outcome
from lts.measure.request import joined, together
from lts.measure.run import build_model, remove, run_built
from lts.targets.target import Target
from lts.targets.workload import Step, Workload


def is_generated(
    architecture: Architecture, workload: Workload, target: Target, backend: Backend, device: Device | None = None
) -> bool:
    """Whether the backend compiles it to generate: one sequence, with logits of the last position, on a processor, for
    a device that runs such models, as all with lts-runner do."""
    able = getattr(backend, "generates", False) and target.kind == "cpu" and generates(architecture)
    able = able and getattr(device, "generates", True)
    return able and workload.batch == 1 and workload.logits == "last"


def one_pass(step: Step) -> Step:
    """The prompt pass with the logits that a step has to give: over its tokens, and those before them."""
    past = step.dims["past"] if step.phase == "decode" else 0
    return Step.at("prefill", past + step.dims["sequence"], step.vocab_size)


def export_generation(architecture: Architecture, directory: Path, workload: Workload) -> Path:
    """Write the model with random weights, which lie in ``weights.bin`` there and which all candidates share."""
    from lts.export import PooledWeights

    weights = PooledWeights(directory / "weights.bin")
    handle, name = tempfile.mkstemp(prefix=f"{GENERATION}-", suffix=".onnx", dir=directory)
    with os.fdopen(handle, "wb") as file:
        model = generation_model(architecture, precision=workload.precision, weights=weights)
        file.write(model.SerializeToString())
    return Path(name)


def measure_generated(
    architecture: Architecture,
    model: Path,
    workload: Workload,
    target: Target,
    device: Device,
    backend: Backend,
    costs: Iterable[str],
    *,
    timeout: float,
    min_time: float,
    reference: Reference | None,
    prompt: Path | None,
) -> Outcome:
    """Build the model, and run what the costs need; arguments as of `lts.measure.candidate.measure`.

    `prompt` is the ONNX file of the prompt pass that `reference` runs.
    """
    end = time.monotonic() + timeout
    asked = list(costs)
    begun = time.monotonic()
    built: Path | None = None
    try:
        built = build_model(model, Step(GENERATION, {}, architecture.vocab_size), target, backend, timeout)
        outcome = Outcome(seconds={"export": time.monotonic() - begun})
        for phase in dict.fromkeys(PHASE_OF[cost] for cost in asked):
            steps = workload.steps(architecture, phase)
            found: list[Outcome] = []
            for step in steps:
                outcome_of_step = run_built(
                    built,
                    step,
                    target,
                    device,
                    backend,
                    costs=[cost for cost in asked if cost == PEAK or PHASE_OF[cost] == phase],
                    timeout=end - time.monotonic(),
                    min_time=min_time / len(steps),
                    reference=reference,
                    model=prompt,
                    expected=one_pass(step),
                )
                found.append(outcome_of_step)
                if outcome_of_step.error is not None:
                    break
            outcome = joined(outcome, together(found))
            if outcome.error is not None:
                break
    except BuildError as error:
        return Outcome(error=str(error), seconds={"export": time.monotonic() - begun})
    finally:
        if built is not None:
            remove(built)
    return outcome
