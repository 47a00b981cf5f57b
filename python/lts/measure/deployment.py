"""An architecture as files for a target: models in ONNX, compiled, and checked where that is possible."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lts._core import Architecture, family
from lts.backends.backend import Backend, BuildError
from lts.backends.reference import Reference
from lts.devices.device import Device
from lts.errors import UsageError
from lts.export import RandomWeights, export
from lts.export.empty_layers import leave_out
from lts.export.files import MODEL_FILE
from lts.export.generation import write_generation
from lts.export.manifest import COMPILED_FOR, MANIFEST_FILE, WEIGHTS_FILE, Manifest, earlier_manifest, entry_of
from lts.export.phases import one_phase
from lts.export.weights import Weights, array_source
from lts.jobs.job import GENERATION, MANIFEST
from lts.measure.costs import INSTRUCTIONS
from lts.measure.generation import is_generated, one_pass
from lts.measure.outcome import Outcome, Provenance
from lts.measure.placing import placed
from lts.measure.request import joined
from lts.measure.run import build_model, run_built
from lts.measure.trial import COMPILED, CORRECT
from lts.system.files import replace_file
from lts.system.progress import Observer, Work, unobserved
from lts.targets.target import Target
from lts.targets.workload import Step, Workload

_CHECK_REPEATS = 1
_STOPPED = "stopped before the end"


@dataclass
class Deployment:
    """What was written for an architecture and found out about it.

    `files` are the folders of the compiled models, `values` what checking them gave: executed instructions, and
    `output_error`, the largest difference from ONNX Runtime's output relative to its largest value. `checked` says
    whether every model was run and right; `error` why one was not compiled, did not run, or was wrong. Neither is so
    where the time was over before every model had run.
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
    origin: Mapping[str, Any] | None = None,
    known: Collection[str] = (),
    reserve: Callable[[], float] = lambda: 0.0,
    observe: Observer = unobserved,
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
    weights, seed, origin
        As for `lts.export.export`: by default random ones of that seed.
    keep_weights
        Whether the weights stay when ``onnx`` is not among the formats. Without them the compiled models do not run;
        `lts-engine export` writes the same ones again.
    known
        Phases whose models have run and were right: they are compiled and not run again.
    reserve
        Asked before a model runs for the seconds at the end of the time that it may not use.
    observe, stop
        Told before every step what it is; asked whether to give up.

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
    phases = phases_of(architecture, workload.n_prompt)
    observe(Work("exporting", 0, len(phases)))
    given = array_source(architecture, RandomWeights(seed) if weights is None else weights, "export")
    architecture, given = leave_out(architecture, given)
    form: dict[str, Any] = {"precision": workload.precision, "logits": workload.logits, "weights": given}
    export(architecture, folder, formats, **form, origin=origin)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch, added = Path(tempfile.mkdtemp(prefix=".deploying-", dir=folder)), False
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror or error}") from None
    steps = {each: Step.of(architecture, each, workload.n_prompt, workload.batch) for each in phases}
    generated = is_generated(architecture, workload, target, backend, device)
    # What is compiled, by the phases that it runs: the file, its step, its place; and what the reference runs of each.
    parts: dict[str, tuple[Path, Step, Path]] = {}
    references: dict[str, Path] = {}

    def begin(what: str, done: int, total: int, phase: str) -> bool:
        if stop():
            result.error = _STOPPED
            return False
        observe(Work(what, done, total, phase))
        return True

    try:
        export(architecture, scratch, ("onnx",), **form)
        added = _share_weights(scratch / WEIGHTS_FILE, folder / WEIGHTS_FILE)
        if generated:
            model, prompt = write_generation(architecture, scratch, workload.precision, given)
            parts[GENERATION] = model, Step(GENERATION, {}, architecture.vocab_size), folder / target.name
            references = dict.fromkeys(phases, prompt)
        elif (folder / target.name / MANIFEST).is_file():
            shutil.rmtree(folder / target.name)  # one that generates, which would be taken for these
        for phase in () if generated else phases:
            one = one_phase(scratch / MODEL_FILE, phase)
            assert one is not None
            parts[phase] = one, steps[phase], folder / target.name / phase
            references[phase] = one
        for done, (phase, (model, step, place)) in enumerate(parts.items()):
            if not begin("compiling", done, len(parts), phase):
                return result
            try:
                built = build_model(model, step, target, backend, _left(end))
            except BuildError as error:
                result.error = str(error)
                return result
            result.files.append(placed(built, folder, place))
        if device is None or reference is None:
            return result
        for done, (phase, step) in enumerate(steps.items()):
            if phase in known:
                continue
            if not begin("checking", done, len(steps), phase):
                return result
            cut_off = end - reserve()
            if time.monotonic() >= cut_off:
                return result
            outcome = run_built(
                parts[GENERATION if generated else phase][2],
                step,
                target,
                device,
                backend,
                costs=[cost for cost in device.costs if cost == INSTRUCTIONS[phase]],
                timeout=_left(cut_off),
                repeats=_CHECK_REPEATS,
                reference=reference,
                model=references[phase],
                expected=one_pass(step) if generated else step,
            )
            if outcome.error is not None and time.monotonic() >= cut_off:
                return result
            result.take(outcome)
            if result.error is not None:
                return result
        result.checked = True
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if added and not keep_weights:
            (folder / WEIGHTS_FILE).unlink(missing_ok=True)
        _note_files(folder, result, target, workload, architecture, given, origin)
    return result


def _share_weights(written: Path, place: Path) -> bool:
    """Put weights where compiled models find them; whether they were not there before.

    Raises
    ------
    UsageError
        When other ones are there, which other files need.
    """
    if place.is_file():
        if not filecmp.cmp(written, place, shallow=False):
            raise UsageError(
                f"{place} has other weights, or these in another precision, which other files there need; compile into "
                "another folder"
            )
        return False
    try:
        os.link(written, place)
    except OSError:  # a file system without links
        shutil.copyfile(written, place)
    return True


def _note_files(
    folder: Path,
    result: Deployment,
    target: Target,
    workload: Workload,
    architecture: Architecture,
    weights: Weights,
    origin: Mapping[str, Any] | None,
) -> None:
    """Put what is compiled into the manifest of the folder."""
    name = f"{COMPILED_FOR}{target.name}"
    there = [path for place in result.files for path in place.rglob("*") if path.is_file()]
    if not there:
        return
    form = {"profile": target.to_dict(), **workload.describe()}
    try:
        files = {path.relative_to(folder).as_posix(): entry_of(path, name) for path in there}
        known = earlier_manifest(folder)
        if (folder / WEIGHTS_FILE).is_file() and (known is None or WEIGHTS_FILE not in known.files):
            files[WEIGHTS_FILE] = entry_of(folder / WEIGHTS_FILE, name)
        seed = weights.seed if isinstance(weights, RandomWeights) else None
        new = Manifest(architecture, "given" if seed is None else "random", seed, {name: form}, files, origin or {})
        replace_file(folder / MANIFEST_FILE, new.goes_on(known).text())
    except OSError as error:
        raise UsageError(f"cannot write {folder / MANIFEST_FILE}: {error.strerror or error}") from None


def _left(end: float) -> float:
    return max(0.1, end - time.monotonic())
