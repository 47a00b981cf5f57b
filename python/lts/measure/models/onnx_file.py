"""Models in ONNX files of whatever origin: what a file says of itself, and measuring it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lts._core import Architecture
from lts.errors import UsageError
from lts.measure.costs import PEAK, PHASE_OF
from lts.measure.measured import MeasuredEvaluator
from lts.measure.models.model import SIZE, Model
from lts.measure.outcome import Outcome
from lts.measure.request import together
from lts.system.outside import sentence
from lts.system.text import listed
from lts.targets.workload import Step

BELOW = 2
"""Integers of inputs are below this unless it is said: whatever they index has as many entries."""

_MOST_SIZE = 2**31
_MOST_DIGITS = 20


@dataclass(frozen=True)
class OnnxFile:
    """What an ONNX file says of itself.

    Parameters
    ----------
    path
        Where it is.
    inputs
        By name the sizes of its dimensions: a number, a name, or None for one without a name.
    said
        Its metadata by name.
    size_bytes
        Of the file, and of those beside it that have its weights.
    """

    path: Path
    inputs: Mapping[str, Sequence[int | str | None]]
    said: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0

    @property
    def architecture(self) -> Architecture | None:
        """That of a file that `lts.export` wrote; None for others."""
        try:
            return Architecture.from_json(self.said["architecture"])
        except (KeyError, ValueError):
            return None

    @property
    def form(self) -> dict[str, str]:
        """The precision, logits and cache of a file that `lts.export` wrote, as far as it says; nothing of others."""
        if self.architecture is None:
            return {}
        return {key: self.said[key] for key in ("precision", "logits", "cache") if key in self.said}

    def dims(self, shapes: Mapping[str, Sequence[int]], known: Mapping[str, int] | None = None) -> dict[str, int]:
        """Sizes by the name of the dimension, or by ``INPUT.AXIS``, from shapes of inputs and sizes that are known.

        Raises
        ------
        UsageError
            For a shape that does not fit, or an input whose shape is needed.
        """
        found: dict[str, int] = dict(known or {})
        given: dict[str, int] = {}
        for name, shape in shapes.items():
            if name not in self.inputs:
                raise UsageError(f"{self.path} has no input '{name}'; its inputs are {self.described()}")
            dims = self.inputs[name]
            if len(dims) != len(shape):
                raise UsageError(
                    f"input '{name}' of {self.path} has {len(dims)} dimensions, {_shape(dims)}; "
                    f"--input gives {len(shape)}, {_shape(shape)}"
                )
            for axis, (dim, size) in enumerate(zip(dims, shape, strict=True)):
                key = dim if isinstance(dim, str) else f"{name}.{axis}"
                expected = dim if isinstance(dim, int) else given.get(key, size)
                if size != expected:
                    raise UsageError(
                        f"dimension {axis} of input '{name}' of {self.path} is {expected}; --input gives {size}"
                    )
                given[key] = size
        found |= given
        for name, dims in self.inputs.items():
            needed = [d if isinstance(d, str) else f"{name}.{i}" for i, d in enumerate(dims) if not isinstance(d, int)]
            if not found.keys() >= set(needed):
                example = "x".join(str(dim) if isinstance(dim, int) else str(found.get(str(dim), "N")) for dim in dims)
                raise UsageError(
                    f"the shape of input '{name}' of {self.path}, {_shape(dims)}, is needed: --input {name}={example}"
                )
        return found

    def check_step(self, step: Step) -> None:
        """Raise `UsageError` when sizes that a file of ours has for good are not those of a step."""
        sizes = step.dims
        rows = {"input_ids": ("batch", "sequence"), "attention_mask": ("batch", "total")}
        for name, dims in rows.items():
            for given, dim in zip(self.inputs.get(name, ()), dims, strict=False):
                if isinstance(given, int) and given != sizes[dim]:
                    raise UsageError(
                        f"input '{name}' of {self.path} is {_shape(self.inputs[name])} for good; "
                        f"the workload needs {_shape([sizes[dim] for dim in dims])}"
                    )

    def described(self) -> str:
        """Its inputs with their shapes."""
        return listed(f"'{name}' {_shape(dims)}" for name, dims in self.inputs.items())


def read_onnx(path: Path) -> OnnxFile:
    """What a file says of itself, without its weights. Raises `UsageError` when it is no ONNX model, or incomplete."""
    import onnx

    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; expected an ONNX model") from None
    except Exception as error:  # of the protocol buffers, which onnx does not wrap
        raise UsageError(f"{path} is not an ONNX model that can be read: {sentence(error, 200)}") from None
    graph = model.graph
    if not graph.node or not graph.output:
        raise UsageError(f"{path} is not an ONNX model: it has no nodes or no outputs")
    weights = {tensor.name for tensor in graph.initializer}
    inputs: dict[str, list[int | str | None]] = {}
    for value in graph.input:
        if value.name in weights:
            continue
        if not value.type.HasField("tensor_type"):
            raise UsageError(f"input '{value.name}' of {path} is no tensor; models with such inputs cannot be run here")
        if not value.type.tensor_type.HasField("shape"):
            raise UsageError(
                f"input '{value.name}' of {path} has no shape, not even a number of dimensions; "
                "export it again with one, whose sizes may be open"
            )
        inputs[value.name] = [_size_of(dim) for dim in value.type.tensor_type.shape.dim]
    return OnnxFile(
        path, inputs, {entry.key: entry.value for entry in model.metadata_props}, _size(path, graph.initializer)
    )


def _size_of(dim: Any) -> int | str | None:
    """A number, a name, or None for a dimension that is open; some programs write -1 for that."""
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return dim.dim_param or None


class OnnxModel(Model):
    """An ONNX file with inputs of given shapes: one run is its latency. Of one that we wrote its phase is run.

    Parameters
    ----------
    name
        What the user calls it.
    file
        What it says of itself.
    evaluator
        On what device, and by what, it runs.
    shapes
        Shapes of inputs by name; those of files that we wrote follow from the workload.
    below
        Integers of inputs are below this.

    Raises
    ------
    UsageError
        When a shape is missing or does not fit.
    """

    kind = "onnx"

    def __init__(
        self,
        name: str,
        file: OnnxFile,
        evaluator: MeasuredEvaluator,
        shapes: Mapping[str, Sequence[int]] | None = None,
        below: int = BELOW,
    ) -> None:
        super().__init__(name)
        self._file = file
        self._evaluator = evaluator
        self.provenance, self.varies = evaluator.provenance, evaluator.varies
        self.architecture = file.architecture
        self._shapes = dict(shapes or {})
        self._steps = [Step("prefill", {}, below)]
        if self.architecture is not None and not shapes:
            phase = "decode" if file.said.get("phase") == "decode" else "prefill"
            self._steps = evaluator.workload.steps(self.architecture, phase)
            for step in self._steps:
                file.check_step(step)
        self._steps = [replace(step, dims=file.dims(self._shapes, step.dims)) for step in self._steps]

    @property
    def costs(self) -> tuple[str, ...]:
        phase = self._steps[0].phase
        known = [name for name in self._evaluator.costs if name in PHASE_OF]
        return (*(name for name in known if name == PEAK or PHASE_OF[name] == phase), SIZE)

    @property
    def no_energy(self) -> str:
        return self._evaluator.no_energy

    def measure(self, costs: Sequence[str], timeout: float | None = None) -> Outcome:
        size = Outcome(values={SIZE: self._file.size_bytes}, provenance={SIZE: "exact"})
        run = [name for name in costs if name != SIZE]
        if not run:
            return size
        steps: list[Outcome] = []
        for step in self._steps:
            steps.append(self._evaluator.run_file(self._file.path, step, run, timeout))
            if steps[-1].error is not None:
                break
        return size | together(steps)

    def describe(self) -> dict[str, Any]:
        known = self._evaluator.describe()
        if self.architecture is not None and not self._shapes:
            return known
        sizes = self._steps[0].dims
        inputs = {
            name: [dim if isinstance(dim, int) else sizes.get(str(dim), sizes.get(f"{name}.{i}", 0)) for i, dim in dims]
            for name, dims in ((name, list(enumerate(dims))) for name, dims in self._file.inputs.items())
        }
        return {**{name: known[name] for name in ("target", "device", "backend", "threads")}, "inputs": inputs}

    def environment(self) -> dict[str, Any]:
        return self._evaluator.environment()


def parse_input(text: str) -> tuple[str, list[int]]:
    """Name and shape from "NAME=1x2048". Raises `UsageError` for something else."""
    name, equals, shape = text.rpartition("=")
    parts = shape.lower().split("x")
    if not equals or not name or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"--input is '{sentence(text)}'; expected NAME=DIMxDIM, as in --input input_ids=1x128")
    sizes = [int(part) if len(part) <= _MOST_DIGITS else _MOST_SIZE for part in parts]
    if not all(0 < size < _MOST_SIZE for size in sizes):
        raise UsageError(f"--input is '{sentence(text)}'; sizes must be at least 1 and below 2^31")
    return name, sizes


def parse_inputs(texts: Iterable[str]) -> dict[str, list[int]]:
    """Shapes by name; see `parse_input`. Raises `UsageError` also for an input that is given twice."""
    found: dict[str, list[int]] = {}
    for name, shape in map(parse_input, texts):
        if name in found:
            raise UsageError(f"--input is given twice for '{name}'; expected once")
        found[name] = shape
    return found


def _shape(dims: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]"


def _size(path: Path, initializers: Sequence[Any]) -> int:
    """Bytes of a file and of the files beside it that its weights are in."""
    import onnx

    beside: set[str] = set()
    for tensor in initializers:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            beside |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    total = path.stat().st_size
    for name in sorted(beside):
        file = path.parent / name
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise UsageError(f"{path} has weights in {name}; expected files in its own folder")
        if not file.is_file():
            raise UsageError(f"{path} has weights in {file}, which is not there")
        total += file.stat().st_size
    return total
