"""Compiled models in folders, as `lts-engine export --format tvm` and `lts.measure.deployment` write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.export.decoder import PHASES
from lts.jobs.job import GENERATION, MANIFEST
from lts.measure.costs import PEAK, PHASE_OF
from lts.measure.measured import MeasuredEvaluator
from lts.measure.models.model import SIZE, Model
from lts.measure.outcome import Outcome
from lts.measure.request import joined, together
from lts.system import machine
from lts.system.outside import parse_json, printable, read_bytes
from lts.targets.workload import Step

_MOST = 16 << 20
_LIBRARY = ".so"
# Folders that weights are above a model: those of a study are shared by all that is compiled of a member.
_MOST_UP = 2


@dataclass(frozen=True)
class CompiledFolder:
    """What the manifest of a compiled model says: see ``docs/runner.md``."""

    path: Path
    phase: str
    triple: str
    threads: int
    inputs: Mapping[str, list[int]]
    sizes: Mapping[Path, int]
    """Bytes by file: the code, and the weights, which several models may share."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all of its files."""
        return sum(self.sizes.values())


def is_compiled(folder: Path) -> bool:
    """Whether a folder is a compiled model, or has one for a phase."""
    return any((place / MANIFEST).is_file() for place in (folder, *(folder / phase for phase in PHASES)))


def is_library(path: Path) -> bool:
    """Whether a file is the code of a compiled model, by its name."""
    return path.suffix == _LIBRARY


def read_compiled(folder: Path) -> list[CompiledFolder]:
    """The compiled models in a folder: its own, or those of the phases.

    Raises
    ------
    UsageError
        When a manifest cannot be read, or a file that it names is not there.
    """
    places = [folder] if (folder / MANIFEST).is_file() else [folder / phase for phase in PHASES]
    found = [_read(place) for place in places if (place / MANIFEST).is_file()]
    if len({(each.triple, each.threads) for each in found}) > 1:
        raise UsageError(f"{folder} has models for different targets; name one of them")
    return found


class CompiledModel(Model):
    """A compiled model, of one phase or of both, as lts-runner runs it."""

    kind = "compiled"

    def __init__(self, name: str, folders: Sequence[CompiledFolder], evaluator: MeasuredEvaluator) -> None:
        super().__init__(name)
        first = folders[0]
        if not machine.same_architecture(first.triple, evaluator.target.triple):
            raise UsageError(
                f"{name} is compiled for {first.triple}; target '{evaluator.target.name}' is {evaluator.target.triple}"
            )
        # One that generates does what the others do together.
        self._folders = {
            phase: each for each in folders for phase in (PHASES if each.phase == GENERATION else (each.phase,))
        }
        self._evaluator = evaluator
        self.provenance, self.varies = evaluator.provenance, evaluator.varies

    @property
    def costs(self) -> tuple[str, ...]:
        known = (name for name in self._evaluator.costs if name in PHASE_OF)
        return (*(name for name in known if name == PEAK or PHASE_OF[name] in self._folders), SIZE)

    @property
    def no_energy(self) -> str:
        return self._evaluator.no_energy

    def measure(self, costs: Sequence[str], timeout: float | None = None) -> Outcome:
        sizes = {path: size for each in self._folders.values() for path, size in each.sizes.items()}
        found = Outcome(values={SIZE: sum(sizes.values())}, provenance={SIZE: "exact"})
        for phase, folder in self._folders.items():
            run = [name for name in costs if name in PHASE_OF and (name == PEAK or PHASE_OF[name] == phase)]
            if run:
                steps = [
                    self._evaluator.run_built(folder.path, each, run, timeout) for each in self._steps(folder, phase)
                ]
                found = joined(found, together(steps))
        return found

    def _steps(self, folder: CompiledFolder, phase: str) -> list[Step]:
        """What is run of a phase: that alone for which it is compiled, or what the workload has."""
        if folder.phase != GENERATION:
            return [Step(phase, {}, 0)]
        workload = self._evaluator.workload
        contexts = (workload.n_prompt,) if phase == "prefill" else workload.contexts
        return [Step.at(phase, context, 0) for context in contexts]

    def describe(self) -> dict[str, Any]:
        known = self._evaluator.describe()
        inputs = {name: shape for each in self._folders.values() for name, shape in each.inputs.items()}
        return {**{name: known[name] for name in ("target", "device", "backend", "threads")}, "inputs": inputs}

    def environment(self) -> dict[str, Any]:
        return self._evaluator.environment()


def _read(folder: Path) -> CompiledFolder:
    path = folder / MANIFEST
    try:
        manifest = parse_json(read_bytes(path, _MOST))
        phase, triple, threads = manifest["phase"], manifest["triple"], manifest["threads"]
        given = [] if phase == GENERATION else manifest["inputs"]
        inputs = {each["name"]: [int(size) for size in each["shape"]] for each in given}
        names = {manifest["library"], *(each["file"] for each in manifest["weights"] + given)}
        if any(Path(name).is_absolute() or Path(name).parts.count("..") > _MOST_UP for name in names):
            raise ValueError
        files = [folder / name for name in names]
        if (
            phase not in (*PHASES, GENERATION)
            or not machine.is_triple(triple)
            or type(threads) is not int
            or threads < 1
        ):
            raise ValueError
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; expected the manifest of a compiled model") from None
    except UsageError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise UsageError(f"{path} is not the manifest of a compiled model; compile it again") from None
    for file in files:
        if not file.is_file():
            raise UsageError(
                f"{folder} needs {printable(str(file))}, which is not there; "
                "export the member again, with the formats onnx and tvm"
            )
    of_inputs = {each["file"] for each in given}
    sizes = {(folder / name).resolve(): (folder / name).stat().st_size for name in names - of_inputs}
    return CompiledFolder(folder, phase, triple, threads, inputs, sizes)
