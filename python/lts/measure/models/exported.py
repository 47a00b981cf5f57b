"""What `lts.export` wrote: the ONNX models themselves, with the weights that they have.

That is one model, which is both phases; earlier versions wrote a pair, one for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.decoder import ANY, PHASES
from lts.export.files import MODEL_FILE
from lts.measure.costs import PEAK, PHASE_OF
from lts.measure.measured import MeasuredEvaluator
from lts.measure.models.architecture import ArchitectureModel
from lts.measure.models.model import SIZE
from lts.measure.models.onnx_file import OnnxFile, read_onnx
from lts.measure.outcome import Outcome
from lts.measure.request import needed_for


def is_exported(folder: Path) -> bool:
    """Whether a folder has the ONNX models of an architecture."""
    return (folder / MODEL_FILE).is_file() or _of_phase(folder, PHASES[0]).is_file()


def read_exported(folder: Path) -> tuple[Architecture, dict[str, OnnxFile], dict[str, str]]:
    """The architecture in a folder, the files of its phases, and their precision, logits and cache, as far as they say.

    Raises
    ------
    UsageError
        When a file cannot be read, was not written by us, or does not belong to the others.
    """
    one = folder / MODEL_FILE
    if one.is_file():
        file = read_onnx(one)
        if file.architecture is not None and is_both(file):
            return file.architecture, dict.fromkeys(PHASES, file), file.form
        if not _of_phase(folder, PHASES[0]).is_file():
            raise UsageError(f"{one} says no architecture; name the file itself, with the shapes of its inputs")
    files = {phase: read_onnx(path) for phase in PHASES if (path := _of_phase(folder, phase)).is_file()}
    first = files[PHASES[0]]
    architecture = first.architecture
    if architecture is None:
        raise UsageError(f"{first.path} says no architecture; name the file itself, with the shapes of its inputs")
    for phase, file in files.items():
        if file.architecture != architecture:
            raise UsageError(f"{file.path} is not of the same architecture as {first.path}; export both together")
        if file.said.get("phase", phase) != phase:
            raise UsageError(f"{file.path} says it is the phase {file.said['phase']!r}; expected {phase}")
    # The cache is the decode step's, the positions with logits are the prompt pass's.
    last = files.get(PHASES[-1], first).form
    cache = {"cache": last["cache"]} if "cache" in last else {}
    return architecture, files, {**last, **first.form, **cache}


def is_both(file: OnnxFile) -> bool:
    """Whether a file is the prompt pass and the decode step."""
    return file.said.get("phase") == ANY


def _of_phase(folder: Path, phase: str) -> Path:
    return folder / f"{phase}.onnx"


class ExportedModel(ArchitectureModel):
    """The ONNX models of an architecture: what is deployed, so these files are run and nothing is exported anew."""

    kind = "exported"

    def __init__(
        self, name: str, architecture: Architecture, files: Mapping[str, OnnxFile], evaluator: MeasuredEvaluator
    ) -> None:
        super().__init__(name, architecture, evaluator)
        self._runs = evaluator
        self._files = dict(files)

    @property
    def costs(self) -> tuple[str, ...]:
        def there(cost: str) -> bool:
            needed = needed_for([cost], self._evaluator.workload)
            return all(name == PEAK or PHASE_OF[name] in self._files for name in needed)

        return tuple(name for name in super().costs if name == SIZE or there(name))

    @property
    def default_costs(self) -> tuple[str, ...]:
        return tuple(name for name in super().default_costs if name in self.costs) or self.costs

    def check(self, costs: Sequence[str]) -> None:  # type: ignore[override]
        super().check(costs)
        needed = needed_for(costs, self._runs.workload)
        phases = {PHASE_OF[name] for name in needed if name in PHASE_OF}
        for phase in phases:
            for step in self._runs.workload.steps(self.architecture, phase):
                self._files[phase].check_step(step)

    def measure(self, costs: Sequence[str], timeout: float | None = None) -> Outcome:
        # The phases share their weights: of each file besides the models once.
        files = {file.path: file for file in self._files.values()}.values()
        models = [file.path.stat().st_size for file in files]
        beside = max(file.size_bytes - own for file, own in zip(files, models, strict=True))
        found = super().measure(costs, timeout)
        return replace(found, values={**found.values, SIZE: sum(models) + beside})

    def _measure(self, costs: Sequence[str], timeout: float | None) -> Outcome:
        models = {phase: file.path for phase, file in self._files.items()}
        return self._runs.evaluate_files(self.architecture, models, costs, timeout)
