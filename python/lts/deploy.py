"""An architecture as files for a target: models in ONNX, compiled, and checked where that is possible."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts import machine
from lts._core import Architecture
from lts.backends import Backend, BuildError, Workload, backend
from lts.device import MANIFEST, Device, RunnerJob
from lts.device import device as open_device
from lts.devices.local import runs_here
from lts.errors import LtsError, UsageError
from lts.export import export
from lts.measure import INSTRUCTIONS, OUTPUT_ERROR
from lts.reference import Reference
from lts.target import Target
from lts.toolchain import cxx

if TYPE_CHECKING:
    from lts.trial import Provenance

PHASES = ("prefill", "decode")
_CHECK_REPEATS = 1


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


def deploy(
    architecture: Architecture,
    folder: Path,
    target: Target,
    backend: Backend,
    *,
    device: Device | None = None,
    reference: Reference | None = None,
    n_prompt: int = 128,
    timeout: float = 300.0,
    phases: Sequence[str] = PHASES,
    formats: Iterable[str] = ("json",),
    weights: bool = True,
    seed: int = 0,
) -> Deployment:
    """Write an architecture with random weights, compile it for the target, and check the result on a device.

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
    n_prompt
        Tokens of the prompt pass, tokens before the decode step: a compiled model has fixed sizes.
    timeout
        Seconds for all of it.
    phases
        Which models.
    formats
        What else to write, see `lts.export.export`.
    seed
        Of the random weights.
    weights
        Whether the weights stay when ``onnx`` is not among the formats. Without them the compiled models do not run;
        `lts-engine export` writes the same ones again.

    Raises
    ------
    UsageError
        For what cannot be written.
    MeasurementError
        When nothing can be compiled, or run on the device.
    """
    start = time.monotonic()
    result = Deployment(folder)
    formats = tuple(formats)
    before = {path for path in folder.glob("*") if path.suffix in (".onnx", ".bin")}
    written = export(architecture, folder, tuple(dict.fromkeys(("onnx", *formats))), seed=seed)
    try:
        for phase in phases:
            workload = Workload.of(architecture, phase, n_prompt)
            model = folder / f"{phase}.onnx"
            left = timeout - (time.monotonic() - start)
            try:
                built = _placed(backend.build(model, target, workload, max(0.1, left)), folder / target.name / phase)
            except BuildError as error:
                result.error = f"the {phase} model cannot be built: {error}"
                return result
            result.files.append(built)
            job = backend.job(built, workload, threads=target.threads, min_time=0.0, min_repeats=_CHECK_REPEATS)
            if device is not None and reference is not None and isinstance(job, RunnerJob):
                try:
                    expected = reference.write(model, workload)
                except BuildError as error:
                    result.error = f"{phase}: {error}"
                    return result
                left = timeout - (time.monotonic() - start)
                try:
                    result.error = _check(result, job, expected, phase, device, reference, max(0.1, left))
                finally:
                    expected.unlink(missing_ok=True)
                if result.error is not None:
                    return result
        result.checked = device is not None and reference is not None
    finally:
        if "onnx" not in formats:
            for path in set(written) - before:  # what was there stays
                if path.suffix == ".onnx" or (path.suffix == ".bin" and not weights):
                    path.unlink(missing_ok=True)
    return result


def _placed(built: Path, place: Path) -> Path:
    """Move what a backend has built to its place, instead of what was there; it finds the weights from there."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            shutil.rmtree(place)
        shutil.move(built, place)
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


def _check(
    result: Deployment, job: RunnerJob, expected: Path, phase: str, device: Device, reference: Reference, timeout: float
) -> str | None:
    """Run a compiled model and keep what that gives. Returns what is wrong with it."""
    ended = device.run(reference.attach(job, expected), timeout)
    if ended.error is not None:
        return f"{phase}: {ended.error}"
    kind: Provenance = "emulated" if set(INSTRUCTIONS) & set(device.costs) else "measured"
    error = float(ended.value[OUTPUT_ERROR])
    result.values[OUTPUT_ERROR] = max(error, result.values.get(OUTPUT_ERROR, 0.0))
    result.provenance[OUTPUT_ERROR] = kind
    if "instructions" in ended.value:
        name = INSTRUCTIONS[PHASES.index(phase)]
        result.values[name] = ended.value["instructions"]
        result.provenance[name] = kind
    if not ended.value["correct"]:
        return f"{phase}: the output differs from ONNX Runtime's by {error:.2g} of its largest value"
    return None


class Deployer:
    """Deploys the architectures of a study: what is needed for it, opened once.

    Parameters
    ----------
    target
        What is compiled for.
    device
        Where the compiled models are checked, when it has lts-runner; otherwise this machine or the emulator do.
    n_prompt
        See `deploy`.
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

    def __init__(self, target: Target, device: Device | None = None, *, n_prompt: int = 128, **options: Any) -> None:
        self.target = target
        self.n_prompt = n_prompt
        self.unchecked: str | None = None
        self.backend = backend("tvm", **options)
        self.backend.check(target)
        cxx(target.triple)
        self._own: Device | None = None
        self._device: Device | None = None
        self._reference: Reference | None = None
        try:
            if device is None or "runner" not in device.runs:
                device = self._own = open_device("local" if runs_here(target) else "emulated")
            device.check(target)
            self._device, self._reference = device, Reference()
        except LtsError as error:
            self.unchecked = str(error)

    @property
    def parallel(self) -> int:
        """How many architectures may be deployed at the same time."""
        return self._device.parallel if self._device is not None else len(machine.allowed_cpus())

    @property
    def where(self) -> str:
        """Where the models are checked, for people."""
        emulated = self._device is not None and set(INSTRUCTIONS) & set(self._device.costs)
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
            n_prompt=self.n_prompt,
            **options,
        )

    def close(self) -> None:
        """Release what was opened here."""
        for held in (self.backend, self._own, self._reference):
            if held is not None:
                held.close()
