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
from lts.jobs.toolchain import cxx
from lts.measure.deployment import Deployment, deploy
from lts.measure.generation import is_generated
from lts.measure.run import provenance_of
from lts.system import machine
from lts.system.progress import Observer, unobserved
from lts.targets.target import Target
from lts.targets.workload import Workload


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
        return is_generated(architecture, self.workload, self.target, self.backend)

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

    def close(self) -> None:
        """Release what was opened here; what is being deployed in other threads stops soon."""
        self._closed.set()
        for held in (self.backend, self._own, self._reference):
            if held is not None:
                held.close()
