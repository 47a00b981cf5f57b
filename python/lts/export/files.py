"""Writes an architecture as files, which appear whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.decoder import PHASES, check_decoder, decoder_graph, finish
from lts.export.huggingface import config, safetensors_header, tensors
from lts.export.precision import check_precision
from lts.export.weights import (
    INLINE_BYTES,
    ArrayWeights,
    RandomWeights,
    Tensor,
    Weights,
    array_source,
    external,
    inline,
    offsets,
)
from lts.system.files import Draft, remove_abandoned

WEIGHTS_FILE = "weights.bin"


def export(
    architecture: Architecture,
    directory: str | Path,
    formats: Iterable[str] = ("onnx", "hf", "json"),
    *,
    precision: str = "float32",
    logits: str = "all",
    cache: str = "copied",
    weights: Weights = None,
    seed: int = 0,
) -> list[Path]:
    """Write the architecture as files; their forms are described in ``docs/formats.md``.

    Parameters
    ----------
    architecture
        What to write.
    directory
        Where to write them; created if absent. Files of the same names are replaced, others stay.
    formats
        ``onnx``: `prefill.onnx` and `decode.onnx` with their common `weights.bin`. ``hf``: `config.json` and
        `model.safetensors`; GPT-2 and LLaMA with equal layers and a plain embedding load in `transformers`, others get
        the per-layer form, with ``"model_type": "lts"``. ``json``: `architecture.json`.
    precision, logits, cache
        Of the ONNX models, as for `lts.export.onnx_model`.
    weights
        Arrays by the names of `lts.weights`; by default random ones.
    seed
        Seed of the random weights.

    Returns
    -------
    list of Path
        The files, in the order of the formats.

    Raises
    ------
    UsageError
        For an unknown format, precision or cache, weights that do not fit, or a file that cannot be written. Then no
        file is changed.
    """
    formats = tuple(dict.fromkeys(formats))
    for name in formats:
        if name not in _WRITERS:
            raise UsageError(f"unknown format '{name}'; expected any of {', '.join(_WRITERS)}")
    if formats != ("json",):
        check_decoder(architecture)
    check_precision(precision)
    source = array_source(architecture, RandomWeights(seed) if weights is None else weights, "export")
    form = _OnnxForm(precision, logits, cache)
    with _staged(Path(directory)) as stage:
        for name in formats:
            _WRITERS[name](architecture, source, stage, form)
    return stage.paths


class _OnnxForm(NamedTuple):
    precision: str
    logits: str
    cache: str


class _Stage:
    """Files under temporary names in their directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.drafts: list[Draft] = []

    @property
    def paths(self) -> list[Path]:
        return [draft.path for draft in self.drafts]

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self.directory / name
        if path.is_dir():
            raise UsageError(f"cannot write {path}: it is a directory")
        try:
            self.drafts.append(Draft(path))
            yield self.drafts[-1].file
            self.drafts[-1].file.flush()
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None

    def write(self, name: str, content: bytes) -> None:
        with self.open(name) as file:
            file.write(content)


@contextmanager
def _staged(directory: Path) -> Iterator[_Stage]:
    """Give all files their names at the end, or remove them when something goes wrong."""
    stage = _Stage(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for names in _FILES.values():  # what killed exports left, whatever formats they wrote
            for name in names:
                remove_abandoned(directory / name)
        yield stage
        for draft in stage.drafts:
            draft.finish()
    except OSError as error:
        where = stage.paths[-1] if stage.paths else directory
        raise UsageError(f"cannot write {where}: {error.strerror}") from None
    finally:
        for draft in stage.drafts:
            draft.discard()


def _write_onnx(architecture: Architecture, source: ArrayWeights, stage: _Stage, form: _OnnxForm) -> None:
    graphs = {phase: decoder_graph(architecture, phase, **form._asdict()) for phase in PHASES}
    tensors = graphs[PHASES[0]][1]
    with stage.open(WEIGHTS_FILE) as file:
        initializers = placed(tensors, source, file)
    for phase, (graph, needed) in graphs.items():
        assert [(t.name, t.shape) for t in needed] == [(t.name, t.shape) for t in tensors], "weights are shared"
        model = finish(graph, architecture, phase, initializers, form._asdict())
        stage.write(f"{phase}.onnx", model.SerializeToString())


def placed(tensors: Sequence[Tensor], source: ArrayWeights, file: BinaryIO | None = None) -> list[Any]:
    """Initializers of which the larger ones lie in `WEIGHTS_FILE`; they are written to it where it is given."""
    outside = [tensor for tensor in tensors if tensor.n_bytes >= INLINE_BYTES]
    place_of = dict(zip((tensor.name for tensor in outside), offsets(outside)[0], strict=True))
    initializers: list[Any] = []
    for tensor in tensors:
        if tensor.name not in place_of:
            initializers.append(inline(tensor, source.assemble(tensor)))
            continue
        if file is not None:
            file.seek(place_of[tensor.name])
            file.write(source.assemble(tensor).data.cast("B"))
        initializers.append(external(tensor, WEIGHTS_FILE, place_of[tensor.name]))
    return initializers


def _write_hf(architecture: Architecture, source: ArrayWeights, stage: _Stage, form: _OnnxForm) -> None:
    stage.write("config.json", (json.dumps(config(architecture), indent=2) + "\n").encode())
    parts: Sequence[Tensor] = tensors(architecture)
    with stage.open("model.safetensors") as file:
        file.write(safetensors_header(parts))
        for tensor in parts:
            file.write(source.assemble(tensor).data.cast("B"))


def _write_json(architecture: Architecture, source: ArrayWeights, stage: _Stage, form: _OnnxForm) -> None:
    stage.write("architecture.json", (architecture.to_json() + "\n").encode())


_Writer: TypeAlias = Callable[[Architecture, ArrayWeights, _Stage, _OnnxForm], None]
_WRITERS: dict[str, _Writer] = {"onnx": _write_onnx, "hf": _write_hf, "json": _write_json}
_FILES = {
    "onnx": ("prefill.onnx", "decode.onnx", WEIGHTS_FILE),
    "hf": ("config.json", "model.safetensors"),
    "json": ("architecture.json",),
}
