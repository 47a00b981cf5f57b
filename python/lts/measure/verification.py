"""Whether an exported folder is whole, and whether all of its formats are the same model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lts._core import Architecture, total_params
from lts.errors import LtsError, MeasurementError, UsageError
from lts.export import RandomWeights, export
from lts.export.files import MODEL_FILE
from lts.export.gguf import GGUF_FILE
from lts.export.gguf_weights import read_gguf_weights
from lts.export.manifest import MANIFEST_FILE, FileEntry, Manifest, entry_of, read_manifest
from lts.export.weights import Weights
from lts.measure.deployer import Deployer
from lts.measure.logits import OnnxLogits
from lts.measure.models.compiled import read_compiled
from lts.measure.models.exported import is_exported, read_exported
from lts.measure.pretrained import computed, read_pretrained
from lts.system.progress import Observer, Work, unobserved
from lts.system.text import number
from lts.system.workdir import WorkDirectory
from lts.targets.target import Target
from lts.targets.workload import Workload

TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "int8": 0.15, "int4": 0.7}
"""How far logits of each precision may be from those in float32: root mean square of the difference, relative to their
spread. Random weights are off by 0.032 in int8 and 0.29 in int4 at most; another model by 1.4."""
ROUNDED = {"int8": 0.01, "int4": 0.05}
"""The same, from those of weights that are known and were rounded in the same way. How far rounding moves the logits of
trained weights is no error: those of SmolLM2-135M, of random tokens, by 0.4 in int8 and 0.8 in int4."""
_N_IDS = 24

Logits = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    about
        A file, or a format.
    right
        Whether it is as it must be; None where that could not be seen.
    says
        What was found, for people.
    """

    about: str
    right: bool | None
    says: str


def verify(folder: Path, *, observe: Observer = unobserved) -> list[Finding]:
    """Look at every file and format of an exported folder.

    Files are compared with the manifest by their hashes. Each format is read: its architecture is compared with the
    manifest's, its parameters are counted, and its logits for random token ids are compared with those of the
    weights, rounded as the format does it, as ONNX Runtime computes them on this machine. No Python in the folder is
    run; compiled models are, by lts-runner in a process of its own: verify only folders whose libraries you would
    run.

    Raises
    ------
    UsageError
        When the folder has no manifest, or one that cannot be read.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise UsageError(f"{folder} has no {MANIFEST_FILE}; expected a folder that lts-engine export has written")
    findings = []
    for done, (name, entry) in enumerate(manifest.files.items()):
        observe(Work("verifying", done, len(manifest.files) + len(manifest.forms), name))
        findings.append(_file(folder, name, entry))
    damaged = {manifest.files[each.about].format for each in findings if not each.right}
    work = WorkDirectory()
    try:
        look = _Look(folder, manifest, work.path, "hf" in manifest.forms and "hf" not in damaged)
        for done, form in enumerate(manifest.forms):
            observe(Work("verifying", len(manifest.files) + done, len(manifest.files) + len(manifest.forms), form))
            if form in damaged:
                findings.append(Finding(form, None, "not read, as its files are not those that were exported"))
            else:
                findings += look.at(form)
    finally:
        work.close()
    return findings


def _file(folder: Path, name: str, entry: FileEntry) -> Finding:
    path = folder / name
    try:
        found = entry_of(path, entry.format)
    except FileNotFoundError:
        return Finding(name, False, "is missing")
    except OSError as error:
        return Finding(name, False, f"cannot be read: {error.strerror}")
    if found.bytes != entry.bytes:
        return Finding(name, False, f"has {number(found.bytes)} bytes; {number(entry.bytes)} were exported")
    if found.sha256 != entry.sha256:
        return Finding(name, False, "was changed since it was exported: its SHA-256 is another one")
    return Finding(name, True, f"{number(found.bytes)} bytes, as exported")


class _Look:
    """Looks at one format after the other, and compares each with the weights."""

    def __init__(self, folder: Path, manifest: Manifest, scratch: Path, has_weights: bool) -> None:
        self.folder = folder
        self.manifest = manifest
        self.architecture = manifest.architecture
        self._scratch = scratch
        self._has_weights = has_weights
        self.ids = np.random.default_rng(0).integers(
            0, self.architecture.vocab_size, min(_N_IDS, self.architecture.n_positions)
        )
        self._reference: tuple[str, Logits] | None = None
        self._coarsest = "float32"  # the precision of the reference
        self._known: Weights = None  # weights that it is of

    def at(self, form: str) -> Iterator[Finding]:
        """What is found of a format."""
        kind = form.partition("/")[0]
        if kind == "tvm":
            yield self._compiled(form)
            return
        look = _LOOKS.get(kind)
        if look is None:
            yield Finding(form, None, f"nothing here reads the format {kind}")
            return
        try:
            found = look(self, self.manifest.forms[form])
        except MeasurementError as error:
            yield Finding(form, None, f"not run: {error}")
            return
        except LtsError as error:
            yield Finding(form, False, str(error))
            return
        if found.architecture != self.architecture:
            yield Finding(form, False, "is of another architecture than the manifest's")
            return
        if found.n_params is not None and found.n_params != total_params(self.architecture):
            expected = number(total_params(self.architecture))
            yield Finding(form, False, f"has {number(found.n_params)} parameters; the architecture has {expected}")
            return
        yield self._compared(form, found)

    def _compared(self, form: str, found: _Format) -> Finding:
        if found.precision not in TOLERANCE:
            return Finding(form, False, f"says that its precision is {found.precision!r}, which there is not")
        counted = "" if found.n_params is None else f"{number(found.n_params)} parameters; "
        if found.logits is None:
            return Finding(form, True, f"{counted}the architecture of the manifest")
        reference = self.reference()
        most = max(TOLERANCE[found.precision], TOLERANCE[self._coarsest])
        if reference is None:
            reference = self._reference = (form, found.logits)
            self._coarsest = found.precision
        elif found.precision in ROUNDED and self._known is not None:
            rounded = _LOOKS[form](self.anew(form, found.precision, self._known), {"precision": found.precision}).logits
            assert rounded is not None
            reference, most = (f"{reference[0]}, rounded in the same way", rounded), ROUNDED[found.precision]
        if reference[0] == form:
            return Finding(form, True, f"{counted}its logits are what the others are compared with")
        name, expected = reference
        rows = expected[len(expected) - len(found.logits) :]
        error = float(np.sqrt(np.mean((found.logits - rows) ** 2)) / rows.std())
        says = f"{counted}logits are {error:.2g} of their spread from those of {name}; at most {most:g} in "
        return Finding(form, error <= most, says + found.precision)

    def _compiled(self, form: str) -> Finding:
        """A compiled model, run here or in the emulator."""
        said = self.manifest.forms[form]
        try:
            target, workload = Target.from_dict(said["profile"]), Workload.of(said)
            read_compiled(self.folder / target.name)  # which checks what it names
        except (KeyError, TypeError, ValueError, LtsError) as error:
            return Finding(form, False, f"the manifest does not say what was compiled: {error}")
        try:
            if (weights := self.weights()) is None:
                return Finding(form, None, "there are no weights to compare it with; export the format hf, too")
            deployer = Deployer(target, workload=workload)
            try:
                if deployer.unchecked is not None:
                    return Finding(form, None, f"not run: {deployer.unchecked}")
                found = deployer.check(self.architecture, self.folder, weights, self._scratch)
            finally:
                deployer.close()
        except LtsError as error:
            return Finding(form, None, f"not run: {error}")
        if found.error is not None:
            return Finding(form, False, found.error)
        where = "in the emulator" if deployer.emulated else "on this machine"
        off = found.values["output_error"]
        return Finding(form, True, f"{where}, outputs are {off:.1g} of their largest value from ONNX Runtime's")

    def weights(self) -> Weights:
        """The weights that all formats have to have; None where nothing says them."""
        if self._has_weights:
            return read_pretrained(self.folder).weights
        return None if self.manifest.seed is None else RandomWeights(self.manifest.seed)

    def reference(self) -> tuple[str, Logits] | None:
        """Logits of the weights in float32, and where these are from; None where nothing says them."""
        if self._reference is None and self.architecture.traits.encoder is False:
            try:
                if (weights := self.weights()) is not None:
                    self._reference = "hf" if self._has_weights else "the random weights", self.computed(weights)
                    self._known = weights
            except LtsError:  # which is a finding of its own
                return None
        return self._reference

    def computed(self, weights: Weights) -> Logits:
        """Logits of weights, (positions, vocab_size), in float32."""
        export(self.architecture, self._scratch, ["onnx"], weights=weights, logits="all")
        return self.of_file(self._scratch / MODEL_FILE)

    def anew(self, form: str, precision: str, weights: Weights) -> _Look:
        """The same format, written in a precision from weights, to be looked at."""
        export(self.architecture, self._scratch, [form], precision=precision, logits="all", weights=weights)
        return _Look(self._scratch, self.manifest, self._scratch / form, self._has_weights)

    def of_file(self, model: Path) -> Logits:
        """Logits of an ONNX model without the rounding of activations, which every runtime does in a way of its own."""
        return np.asarray(OnnxLogits(model, rounds=False)(self.ids), np.float64)


@dataclass(frozen=True)
class _Format:
    architecture: Architecture
    n_params: int | None = None
    logits: Logits | None = None
    precision: str = "float32"


def _json(look: _Look, form: Mapping[str, Any]) -> _Format:
    try:
        return _Format(Architecture.from_json((look.folder / "architecture.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(f"architecture.json cannot be read: {error}") from None


def _hf(look: _Look, form: Mapping[str, Any]) -> _Format:
    model = read_pretrained(look.folder)
    size = sum(array.size for array in model.weights.values())
    same = same_model(model.architecture, look.architecture)
    logits = None if look.architecture.traits.encoder else look.computed(model.weights)
    return _Format(look.architecture if same else model.architecture, size, logits)


def _onnx(look: _Look, form: Mapping[str, Any]) -> _Format:
    if not is_exported(look.folder):
        raise UsageError(f"there is no {MODEL_FILE}")
    architecture, _, said = read_exported(look.folder)
    return _Format(architecture, None, look.of_file(look.folder / MODEL_FILE), said.get("precision", "float32"))


def _gguf(look: _Look, form: Mapping[str, Any]) -> _Format:
    if find_spec("gguf") is None:
        raise MeasurementError("the package gguf is not installed: pip install gguf")
    arrays = read_gguf_weights(look.architecture, look.folder / GGUF_FILE)
    size = sum(array.size for array in arrays.values())
    return _Format(look.architecture, size, look.computed(arrays), str(form.get("precision")))


def same_model(one: Architecture, other: Architecture) -> bool:
    """Whether two architectures compute the same, however they are written: a head width may be said or follow."""
    embedding = ("n_positions", "embedding_width", "div_val", "tie_embedding")
    same = all(getattr(one, name) == getattr(other, name) for name in embedding)
    return same and computed(one) == computed(other)


_LOOKS: dict[str, Callable[[_Look, Mapping[str, Any]], _Format]] = {
    "json": _json,
    "hf": _hf,
    "onnx": _onnx,
    "gguf": _gguf,
}
