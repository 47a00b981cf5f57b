"""An architecture as files for a target: models in ONNX, compiled, and checked where that is possible."""

from __future__ import annotations

import json
import shutil
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
from lts.export import export
from lts.export.files import FILES, MODEL_FILE, WEIGHTS_FILE
from lts.export.phases import one_phase
from lts.export.weights import Weights
from lts.jobs.job import MANIFEST
from lts.jobs.toolchain import cxx
from lts.measure.costs import INSTRUCTIONS
from lts.measure.outcome import Outcome, Provenance
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
    weights: Weights = None,
    keep_weights: bool = True,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Deployment:
    """Write an architecture, compile it for the target, and check the result on a device.

    Parameters
    ----------
    architecture
        What to deploy.
    folder
        Where; `lts.export.export` writes here, the compiled models go to ``TARGET/prefill`` and ``TARGET/decode``.
    target, backend
        What is compiled for, and by what.
    device, reference
        Where the compiled models are run and with what outputs they are compared; nothing is run without both.
    workload
        Tokens of the prompt pass, and before the decode step, precision and logits: a compiled model has fixed sizes.
    timeout
        Seconds for all of it.
    formats
        What else to write, see `lts.export.export`.
    weights, seed
        As for `lts.export.export`: by default random ones of that seed.
    keep_weights
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
    before = set(folder.glob("*"))
    written = export(
        architecture,
        folder,
        tuple(dict.fromkeys(("onnx", *formats))),
        precision=workload.precision,
        logits=workload.logits,
        weights=weights,
        seed=seed,
    )
    made: list[Path] = []
    try:
        for phase in phases_of(architecture, workload.n_prompt):
            if stop():
                result.error = _STOPPED
                return result
            step = Step.of(architecture, phase, workload.n_prompt, workload.batch)
            model = one_phase(folder / MODEL_FILE, phase)
            assert model is not None
            made.append(model)
            try:
                built = build_model(model, step, target, backend, _left(end))
            except BuildError as error:
                result.error = str(error)
                return result
            result.files.append(_placed(built, folder / target.name / phase))
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
                )
                result.take(outcome)
                if result.error is not None:
                    return result
        result.checked = device is not None and reference is not None
    finally:
        for path in made:
            path.unlink(missing_ok=True)
        kept = {name for each in formats for name in FILES[each]} | ({WEIGHTS_FILE} if keep_weights else set())
        for path in set(written) - before:  # what was there stays
            if path.name not in kept:
                path.unlink(missing_ok=True)
    return result


def _placed(built: Path, place: Path) -> Path:
    """Move what a backend has built to its place, instead of what was there; it finds the weights from there."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            shutil.rmtree(place)
        shutil.move(built, place)
        place.chmod(0o755)  # a temporary folder is for its owner alone
        manifest = place / MANIFEST
        description = json.loads(manifest.read_text(encoding="utf-8"))
        for weight in description["weights"]:
            if not (place / weight["file"]).exists():
                weight["file"] = f"../../{weight['file']}"
        manifest.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        shutil.rmtree(built, ignore_errors=True)
        raise UsageError(f"cannot write {place}: {error.strerror or error}") from None
    return place


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
