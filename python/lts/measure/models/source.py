"""What a user names as a model, before it is known where and with what it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.decoder import PHASES
from lts.jobs.job import MANIFEST
from lts.measure.evaluator import TargetEvaluator
from lts.measure.measured import MeasuredEvaluator
from lts.measure.models.architecture import ArchitectureModel
from lts.measure.models.compiled import CompiledModel, is_compiled, is_library, read_compiled
from lts.measure.models.exported import ExportedModel, is_both, is_exported, read_exported
from lts.measure.models.gguf import AS_STORED, GgufModel
from lts.measure.models.gguf_file import GGUF_SUFFIX
from lts.measure.models.model import Model
from lts.measure.models.onnx_file import BELOW, OnnxModel, read_onnx

ONNX_SUFFIX = ".onnx"
FILE_SUFFIXES = (ONNX_SUFFIX, GGUF_SUFFIX)
"""Of files that are a model each."""


@dataclass(frozen=True)
class Source:
    """A model that was read, or is known to be there.

    Parameters
    ----------
    name, kind
        What the user calls it, and what it is.
    form
        Precision, logits and cache that its files have, as far as they say; others are as the user wants.
    workload
        Values of the workload that it was searched with, for where a comparison is not told otherwise.
    backend
        What runs it, where that is given by what it is.
    content
        What was read of it; what that is depends on the kind.
    """

    name: str
    kind: str
    form: Mapping[str, str] = field(default_factory=dict)
    workload: Mapping[str, Any] = field(default_factory=dict)
    backend: str | None = None
    content: Any = None


def source_of(architecture: Architecture, name: str) -> Source:
    """An architecture as a source."""
    return Source(name, ArchitectureModel.kind, content=architecture)


def read_files(path: Path, name: str) -> Source | None:
    """The ONNX or GGUF file, the exported or the compiled models at a path; None where there is none of these.

    Raises
    ------
    UsageError
        When it is one of these and cannot be read.
    """
    if path.suffix == ONNX_SUFFIX:
        file = read_onnx(path)
        if file.architecture is not None and is_both(file):
            both = dict.fromkeys(PHASES, file)
            return Source(name, ExportedModel.kind, file.form, content=(file.architecture, both))
        return Source(name, OnnxModel.kind, file.form, content=file)
    if path.suffix == GGUF_SUFFIX:
        return Source(name, GgufModel.kind, {"precision": AS_STORED, "cache": "in_place"}, content=path)
    if is_library(path) and path.is_file():
        if not (path.parent / MANIFEST).is_file():
            raise UsageError(f"{path} is code without a model; expected {MANIFEST} beside it, which says its inputs")
        path = path.parent
    if not path.is_dir():
        return None
    if is_compiled(path):
        return Source(name, CompiledModel.kind, backend="tvm", content=read_compiled(path))
    if is_exported(path):
        architecture, files, form = read_exported(path)
        return Source(name, ExportedModel.kind, form, content=(architecture, files))
    return None


def model_of(
    source: Source,
    evaluator: TargetEvaluator,
    shapes: Mapping[str, Sequence[int]] | None = None,
    below: int = BELOW,
    timeout: float | None = None,
) -> Model:
    """The model on the device, with the backend and the workload of an evaluator.

    Parameters
    ----------
    shapes, below
        Of the inputs of an ONNX file, see `OnnxModel`.
    timeout
        Seconds for one process of a model that no backend runs, see `GgufModel`; of others it is the evaluator's.

    Raises
    ------
    UsageError
        When it does not run there.
    """
    if source.kind == ArchitectureModel.kind:
        return ArchitectureModel(source.name, source.content, evaluator)
    if not isinstance(evaluator, MeasuredEvaluator):
        raise UsageError(f"{source.name} is a file, and files are run on a device: name one, as in --device local")
    if source.kind == GgufModel.kind:
        load, target, device = evaluator.workload, evaluator.target.name, evaluator.device
        return GgufModel(
            source.name,
            source.content,
            load,
            target=target,
            device=device,
            flash_attention=evaluator.flash_attention or "auto",
            min_time=evaluator.min_time,
            timeout=timeout,
        )
    if source.kind == OnnxModel.kind:
        return OnnxModel(source.name, source.content, evaluator, shapes, below)
    if source.kind == ExportedModel.kind:
        architecture, files = source.content
        return ExportedModel(source.name, architecture, files, evaluator)
    return CompiledModel(source.name, source.content, evaluator)
