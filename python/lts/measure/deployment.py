"""An architecture as files for a target: models in ONNX, compiled, and checked where that is possible."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lts._core import Architecture, family
from lts.backends.backend import Backend, BuildError, load_backend
from lts.backends.reference import Reference
from lts.devices.device import Device, open_device
from lts.devices.local import runs_here
from lts.errors import LtsError, UsageError
from lts.export import RandomWeights, export
from lts.export.generation import write_generation
from lts.export.weights import Weights
from lts.jobs.job import GENERATION
from lts.jobs.toolchain import cxx
from lts.measure.costs import INSTRUCTIONS
from lts.measure.generation import is_generated, one_pass
from lts.measure.outcome import Outcome, Provenance
from lts.measure.placing import placed
from lts.measure.request import joined
from lts.measure.run import build_model, provenance_of, run_built
from lts.measure.trial import COMPILED, CORRECT
from lts.system import machine
from lts.targets.target import Target
from lts.targets.workload import Step, Workload

_CHECK_REPEATS = 1
_STOPPED = "stopped before the end"


@dataclass
class Deployment:
    """What was written for an architecture and found out about it.

    `files` are the folders of the compiled models, `values` what checking them gave: executed instructions, and
    `output_error`, the largest difference from ONNX Runtime's output relative to its largest value. `checked` says
    whether every model was run and right; `error` why one was not compiled, did not run, or was wrong.
    """

    folder: Path
    files: list[Path] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Provenance] = field(default_factory=dict)
    checked: bool = False
    error: str | None = None

    def take(self, outcome: Outcome) -> None:
        """Keep what running one of the models gave; of two output errors the larger one."""
        both = joined(Outcome(values=self.values, provenance=self.provenance), outcome)
        self.values, self.provenance, self.error = both.values, both.provenance, outcome.error

    @property
    def outcome(self) -> str:
        """For the `deployed` of a trial."""
        return self.error or (CORRECT if self.checked else COMPILED)


def phases_of(architecture: Architecture, n_prompt: int) -> tuple[str, ...]:
    """The models of an architecture: no decode step where its positions end with the prompt."""
    limited = family(architecture.family).position != "relative"
    return ("prefill",) if limited and architecture.n_positions <= n_prompt else ("prefill", "decode")


def deploy(
    architecture: Architecture,
    folder: Path,
    target: Target,
    backend: Backend,
    *,
    device: Device | None = None,
    reference: Reference | None = None,
    workload: Workload | None = None,
    timeout: float = 300.0,
    formats: Iterable[str] = ("json",),
    weights: bool = True,
    seed: int = 0,
    trained: Weights = None,
    stop: Callable[[], bool] = lambda: False,
) -> Deployment:
    """Write an architecture, compile it for the target, and check the result on a device.

    Where the backend can, the model is compiled to generate: one library in ``TARGET`` for prompts and contexts of any
    length. Otherwise, or with a batch or logits of all positions, there is a model of fixed sizes for each phase.

    Parameters
    ----------
    architecture
        What to deploy.
    folder
        Where; `lts.export.export` writes here, the compiled models go to ``TARGET``, or ``TARGET/prefill`` and
        ``TARGET/decode``.
    target, backend
        What is compiled for, and by what.
    device, reference
        Where the compiled models are run and with what outputs they are compared; nothing is run without both.
    workload
        Precision, and what is run for the check: tokens of the prompt pass, and before the decode step.
    timeout
        Seconds for all of it.
    formats
        What else to write, see `lts.export.export`.
    seed
        Seed of the random weights,
    trained
        or weights as for `lts.export.export`.
    weights
        Whether the weights stay when ``onnx`` is not among the formats. Without them the compiled models do not run;
        `lts-engine export` writes the same ones again.
    stop
        Asked before every step whether to give up.

    Raises
    ------
    UsageError
        For what cannot be written.
    MeasurementError
        When nothing can be compiled, or run on the device.
    """
    limited = family(architecture.family).position != "relative"
    workload = Workload.on(target.precision, target.threads, workload)
    if limited and workload.n_prompt > architecture.n_positions:
        raise UsageError(f"n_prompt is {workload.n_prompt}; the architecture has {architecture.n_positions} positions")
    end = time.monotonic() + timeout
    result = Deployment(folder)
    formats = tuple(formats)
    given = RandomWeights(seed) if trained is None else trained
    before = {path for path in folder.glob("*") if path.suffix in (".onnx", ".bin")}
    written = export(
        architecture,
        folder,
        tuple(dict.fromkeys(("onnx", *formats))),
        precision=workload.precision,
        logits=workload.logits,
        weights=given,
    )
    temporary: list[Path] = []
    try:
        phases = phases_of(architecture, workload.n_prompt)
        generated = is_generated(architecture, workload, target, backend)
        if generated:
            temporary = write_generation(architecture, folder, workload.precision, given)
        for phase in phases:
            if stop():
                result.error = _STOPPED
                return result
            step = Step.of(architecture, phase, workload.n_prompt, workload.batch)
            model = temporary[1] if generated else folder / f"{phase}.onnx"
            if not generated or not result.files:
                what = Step(GENERATION, {}, architecture.vocab_size) if generated else step
                place = folder / target.name if generated else folder / target.name / phase
                try:
                    built = build_model(temporary[0] if generated else model, what, target, backend, _left(end))
                except BuildError as error:
                    result.error = str(error)
                    return result
                result.files.append(placed(built, folder, place))
            if device is not None and reference is not None:
                if stop():
                    result.error = _STOPPED
                    return result
                outcome = run_built(
                    result.files[-1],
                    step,
                    target,
                    device,
                    backend,
                    costs=[cost for cost in device.costs if cost == INSTRUCTIONS[phase]],
                    timeout=_left(end),
                    repeats=_CHECK_REPEATS,
                    reference=reference,
                    model=model,
                    expected=one_pass(step) if generated else step,
                )
                result.take(outcome)
                if result.error is not None:
                    return result
        result.checked = device is not None and reference is not None
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)
        if "onnx" not in formats:
            for path in set(written) - before:  # what was there stays
                if path.suffix == ".onnx" or (path.suffix == ".bin" and not weights):
                    path.unlink(missing_ok=True)
    return result


def _left(end: float) -> float:
    return max(0.1, end - time.monotonic())


class Deployer:
    """Deploys the architectures of a study: what is needed for it, opened once.

    Parameters
    ----------
    target
        What is compiled for.
    device
        Where the compiled models are checked, when it has lts-runner; otherwise this machine or the emulator do.
    workload
        See `deploy`; by default the default one, with precision and threads of the target.
    options
        Of `lts.backends.tvm.backend.Tvm`.

    Attributes
    ----------
    unchecked
        The sentence that says why nothing is checked; None when it is.

    Raises
    ------
    MeasurementError
        When TVM is not installed, or nothing links for the target.
    """

    def __init__(
        self, target: Target, device: Device | None = None, *, workload: Workload | None = None, **options: Any
    ) -> None:
        self.target = target
        self.workload = Workload.on(target.precision, target.threads, workload)
        self.unchecked: str | None = None
        self.backend = load_backend("tvm", **options)
        self.backend.check(target)
        cxx(target.triple)
        self._closed = threading.Event()
        self._own: Device | None = None
        self._device: Device | None = None
        self._reference: Reference | None = None
        try:
            if device is None or "runner" not in device.runs:
                device = self._own = self._open()
            if device is not None:
                device.check(target)
                self._device, self._reference = device, Reference(self.workload.precision)
        except LtsError as error:
            self.unchecked = str(error)

    def _open(self) -> Device | None:
        """This machine, or the emulator; None where neither runs such models, and why in `unchecked`."""
        if runs_here(self.target):
            return open_device("local")
        if self.target.kind != "cpu":
            self.unchecked = f"target '{self.target.name}' is a {self.target.kind}, which no device runs yet"
        elif self.target.threads > 1:
            self.unchecked = f"the emulator runs one thread, the models have {self.target.threads}"
        else:
            return open_device("emulated")
        return None

    def generates(self, architecture: Architecture) -> bool:
        """Whether it becomes one model that generates, see `deploy`."""
        return is_generated(architecture, self.workload, self.target, self.backend)

    @property
    def parallel(self) -> int:
        """How many architectures may be deployed at the same time."""
        return self._device.parallel if self._device is not None else len(machine.allowed_cpus())

    @property
    def where(self) -> str:
        """Where the models are checked, for people."""
        emulated = self._device is not None and provenance_of(self._device) == "emulated"
        return "in the emulator" if emulated else "on the device"

    def deploy(self, architecture: Architecture, folder: Path, **options: Any) -> Deployment:
        """See the function `deploy`."""
        return deploy(
            architecture,
            folder,
            self.target,
            self.backend,
            device=self._device,
            reference=self._reference,
            workload=self.workload,
            stop=self._closed.is_set,
            **options,
        )

    def close(self) -> None:
        """Release what was opened here; what is being deployed in other threads stops soon."""
        self._closed.set()
        for held in (self.backend, self._own, self._reference):
            if held is not None:
                held.close()
