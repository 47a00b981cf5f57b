"""What deploys the architectures of a study: backend, device and reference, opened once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from lts._core import Architecture
from lts.backends.backend import load_backend
from lts.backends.reference import Reference
from lts.devices.device import Device, open_device
from lts.devices.local import runs_here
from lts.errors import LtsError
from lts.export import export
from lts.export.files import MODEL_FILE
from lts.export.generation import write_generation
from lts.export.phases import one_phase
from lts.export.weights import Weights
from lts.jobs.job import MANIFEST
from lts.jobs.toolchain import cxx
from lts.measure.deployment import Deployment, deploy, phases_of
from lts.measure.generation import is_generated, one_pass
from lts.measure.outcome import Outcome
from lts.measure.request import joined
from lts.measure.run import provenance_of, run_built
from lts.system import machine
from lts.system.progress import Observer, unobserved
from lts.targets.target import Target
from lts.targets.workload import Step, Workload

_CHECK_SECONDS = 300.0


class Deployer:
    """Deploys architectures for a target, several at the same time where there is room for them.

    Parameters
    ----------
    target
        What is compiled for.
    device
        Where the compiled models are checked, when it has lts-runner; otherwise this machine or the emulator do.
    workload
        See `lts.measure.deployment.deploy`; by default the default one, with precision and threads of the target.
    observe
        Told what is done once for the device.
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
        self,
        target: Target,
        device: Device | None = None,
        *,
        workload: Workload | None = None,
        observe: Observer = unobserved,
        **options: Any,
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
                device = self._own = self._open(observe)
            if device is not None:
                device.check(target)
                self._device, self._reference = device, Reference(self.workload.precision)
        except LtsError as error:
            self.unchecked = str(error)

    def _open(self, observe: Observer) -> Device | None:
        """This machine, or the emulator; None where neither runs such models, and why in `unchecked`."""
        if runs_here(self.target):
            return open_device("local", observe=observe)
        if self.target.kind != "cpu":
            self.unchecked = f"target '{self.target.name}' is a {self.target.kind}, which no device runs yet"
        elif self.target.threads > 1:
            self.unchecked = f"the emulator runs one thread, the models have {self.target.threads}"
        else:
            return open_device("emulated", observe=observe)
        return None

    def generates(self, architecture: Architecture) -> bool:
        """Whether it becomes one model that generates, see `deploy`."""
        return is_generated(architecture, self.workload, self.target, self.backend, self._device)

    @property
    def parallel(self) -> int:
        """How many architectures may be deployed at the same time."""
        return self._device.parallel if self._device is not None else len(machine.allowed_cpus())

    @property
    def emulated(self) -> bool:
        """Whether an emulator checks the models."""
        return self._device is not None and provenance_of(self._device) == "emulated"

    @property
    def where(self) -> str:
        """Where the models are checked, for people."""
        return "in the emulator" if self.emulated else "on the device"

    def deploy(self, architecture: Architecture, folder: Path, **options: Any) -> Deployment:
        """See `lts.measure.deployment.deploy`."""
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

    def check(self, architecture: Architecture, folder: Path, weights: Weights, scratch: Path) -> Outcome:
        """Run what is compiled for the target in a folder, and compare it with weights: its ``output_error``.

        Parameters
        ----------
        architecture, weights
            What it has to compute.
        folder
            Where `deploy` has put it.
        scratch
            A folder for the models that ONNX Runtime runs.
        """
        if self._device is None or self._reference is None:
            return Outcome(error=self.unchecked)
        load, place = self.workload, folder / self.target.name
        export(architecture, scratch, ["onnx"], precision=load.precision, logits=load.logits, weights=weights)
        generated = (place / MANIFEST).is_file()
        prompt = write_generation(architecture, scratch, load.precision, weights)[1] if generated else None
        outcome = Outcome()
        for phase in phases_of(architecture, load.n_prompt):
            step = Step.of(architecture, phase, load.n_prompt, load.batch)
            found = run_built(
                place if generated else place / phase,
                step,
                self.target,
                self._device,
                self.backend,
                costs=[],
                timeout=_CHECK_SECONDS,
                repeats=1,
                reference=self._reference,
                model=prompt or one_phase(scratch / MODEL_FILE, phase),
                expected=one_pass(step) if generated else step,
            )
            outcome = joined(outcome, found)
            if outcome.error is not None:
                break
        return outcome

    def close(self) -> None:
        """Release what was opened here; what is being deployed in other threads stops soon."""
        self._closed.set()
        for held in (self.backend, self._own, self._reference):
            if held is not None:
                held.close()
