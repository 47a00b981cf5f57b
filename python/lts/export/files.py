"""Writes an architecture as files, which appear whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.builder import attending
from lts.export.decoder import ANY, PHASES, check_decoder, decoder_graph, finish
from lts.export.empty_layers import leave_out
from lts.export.genai import genai_config
from lts.export.gguf import GGUF_FILE, Tokenizer, stored, write_gguf
from lts.export.gguf_form import check_gguf_form
from lts.export.gguf_package import package
from lts.export.gguf_tokenizer import copied_tokenizer
from lts.export.huggingface import CODE, code_files, config, safetensors_header, tensors
from lts.export.manifest import MANIFEST_FILE, WEIGHTS_FILE, Manifest, earlier_manifest, entry_of
from lts.export.precision import check_precision
from lts.export.vocabulary import read_vocabulary
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

MODEL_FILE = "model.onnx"


def export(
    architecture: Architecture,
    directory: str | Path,
    formats: Iterable[str] = ("onnx", "hf", "json"),
    *,
    precision: str = "float32",
    logits: str = "all",
    cache: str = "copied",
    position_ids: bool = False,
    weights: Weights = None,
    seed: int = 0,
    tokenizer: str | Path | None = None,
    origin: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write the architecture as files, which ``docs/formats.md`` describes, and `manifest.json`, which names them.

    Parameters
    ----------
    architecture
        What to write. Layers with neither attention nor a feed-forward network are left out.
    directory
        Where to write them; created if absent. Files of the same names are replaced, others stay.
    formats
        ``onnx``: `model.onnx` with its `weights.bin`, and for the programs that load it `config.json` and, where keys
        and values are cached, `genai_config.json`; `prefill.onnx` and `decode.onnx` of earlier versions, whose
        `weights.bin` is replaced, are removed. ``hf``: `config.json` and `model.safetensors`; what has equal layers and
        a class in `transformers` is of that class, others bring their code along, `modeling_lts.py` and what it
        imports. ``json``: `architecture.json`. ``gguf``: `model.gguf` for llama.cpp, of the architectures that it
        runs. Of encoders there are ``hf`` and ``json``.
    precision, logits, cache, position_ids
        Of the ONNX model, as for `lts.export.onnx_model`; the precision also of the GGUF file.
    weights
        Arrays by the names of `lts.weights`; by default random ones.
    seed
        Seed of the random weights.
    tokenizer
        Folder with the `tokenizer.json` that the GGUF file gets, or another GGUF file whose tokenizer it gets as it is;
        by default it has none.
    origin
        What else the manifest says, see `lts.export.manifest.Manifest`.

    Returns
    -------
    list of Path
        The files, in the order of the formats.

    Raises
    ------
    UsageError
        For an unknown format, precision or cache, an architecture without the form, weights or a tokenizer that do not
        fit, or a file that cannot be written. Then no file is changed.
    """
    formats = tuple(dict.fromkeys(formats))
    for name in formats:
        if name not in FILES:
            raise UsageError(f"unknown format '{name}'; expected any of {', '.join(FILES)}")
    if {"onnx", "gguf"} & {*formats}:
        check_decoder(architecture)
    check_precision(precision)
    writers: dict[str, _Writer] = {
        **_WRITERS,
        "gguf": partial(_write_gguf, vocabulary=_vocabulary(architecture, formats, tokenizer)),
    }
    source = array_source(architecture, RandomWeights(seed) if weights is None else weights, "export")
    architecture, source = leave_out(architecture, source)
    form = _OnnxForm(precision, logits, cache, position_ids)
    with _staged(Path(directory)) as stage:
        for name in formats:
            stage.format = name
            writers[name](architecture, source, stage, form)
        if formats:
            _write_manifest(architecture, source, stage, form, origin or {})
    if "onnx" in formats:
        for phase in PHASES:
            (stage.directory / f"{phase}.onnx").unlink(missing_ok=True)
    return [path for path in stage.paths if path.name != MANIFEST_FILE]


class _OnnxForm(NamedTuple):
    precision: str
    logits: str
    cache: str
    position_ids: bool


class _Stage:
    """Files under temporary names in their directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.drafts: list[Draft] = []
        self.format = ""
        self.formats: dict[str, str] = {}

    @property
    def paths(self) -> list[Path]:
        return [draft.path for draft in self.drafts]

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self.directory / name
        if path.is_dir():
            raise UsageError(f"cannot write {path}: it is a directory")
        self.formats[name] = self.format
        try:
            self.drafts.append(Draft(path))
            yield self.drafts[-1].file
            self.drafts[-1].file.flush()
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None

    def write(self, name: str, content: bytes) -> None:
        with self.open(name) as file:
            file.write(content)

    def once(self, name: str, content: bytes) -> None:
        """A file that is the same in every format that has it; it is said to be of the last one."""
        self.formats[name] = self.format
        if self.directory / name not in self.paths:
            self.write(name, content)


@contextmanager
def _staged(directory: Path) -> Iterator[_Stage]:
    """Give all files their names at the end, or remove them when something goes wrong."""
    stage = _Stage(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for names in (*FILES.values(), (MANIFEST_FILE,)):  # what killed exports left, whatever formats they wrote
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
    graph, tensors = decoder_graph(architecture, ANY, **form._asdict())
    with stage.open(WEIGHTS_FILE) as file:
        initializers = placed(tensors, source, file)
    said = {"precision": form.precision, "logits": form.logits, "cache": form.cache}
    stage.write(MODEL_FILE, finish(graph, architecture, ANY, initializers, said).SerializeToString())
    _write_configuration(architecture, stage)
    if architecture.traits.position != "relative" and attending(architecture):
        genai = genai_config(architecture, form.cache, position_ids=form.position_ids)
        stage.write("genai_config.json", _json(genai))


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
    _write_configuration(architecture, stage)
    parts: Sequence[Tensor] = tensors(architecture)
    with stage.open("model.safetensors") as file:
        file.write(safetensors_header(parts))
        for tensor in parts:
            file.write(source.assemble(tensor).data.cast("B"))


def _write_configuration(architecture: Architecture, stage: _Stage) -> None:
    """What transformers, and programs that load ONNX models by it, read first: `config.json` and the code it names."""
    stage.once("config.json", _json(config(architecture)))
    for name, content in code_files(architecture).items():
        stage.once(name, content)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _write_json(architecture: Architecture, source: ArrayWeights, stage: _Stage, form: _OnnxForm) -> None:
    stage.write("architecture.json", (architecture.to_json() + "\n").encode())


def _vocabulary(architecture: Architecture, formats: Sequence[str], tokenizer: str | Path | None) -> Tokenizer | None:
    """The tokenizer of a GGUF file. Raises `UsageError` also when there is no such file for the architecture."""
    if "gguf" not in formats:
        if tokenizer is not None:
            raise UsageError("a tokenizer is put into GGUF files; add gguf to the formats, or leave it out")
        return None
    package()
    check_gguf_form(architecture)
    if tokenizer is None:
        return None
    path = Path(tokenizer)
    is_gguf = path.suffix == Path(GGUF_FILE).suffix and not path.is_dir()  # a folder may be called so
    read = copied_tokenizer if is_gguf else read_vocabulary
    return read(path, architecture.vocab_size)


def _write_gguf(
    architecture: Architecture, source: ArrayWeights, stage: _Stage, form: _OnnxForm, vocabulary: Tokenizer | None
) -> None:
    with stage.open(GGUF_FILE) as file:
        write_gguf(file, architecture, form.precision, partial(stored, source), vocabulary)


def _write_manifest(
    architecture: Architecture, source: ArrayWeights, stage: _Stage, form: _OnnxForm, origin: Mapping[str, Any]
) -> None:
    """Beside files of other formats that an earlier export of the same model wrote."""
    forms = {name: _FORMS.get(name, _fixed)(form) for name in {*stage.formats.values()}}
    files = {draft.path.name: entry_of(draft.temporary, stage.formats[draft.path.name]) for draft in stage.drafts}
    seed = source.seed if isinstance(source, RandomWeights) else None
    new = Manifest(architecture, "given" if seed is None else "random", seed, forms, files, origin)
    stage.write(MANIFEST_FILE, new.goes_on(earlier_manifest(stage.directory)).text().encode())


def _fixed(form: _OnnxForm) -> dict[str, Any]:
    return {"precision": "float32"}


_FORMS: dict[str, Callable[[_OnnxForm], dict[str, Any]]] = {
    "onnx": lambda form: form._asdict(),
    "gguf": lambda form: {"precision": form.precision},
}
_Writer: TypeAlias = Callable[[Architecture, ArrayWeights, _Stage, _OnnxForm], None]
_WRITERS: dict[str, _Writer] = {"onnx": _write_onnx, "hf": _write_hf, "json": _write_json}
FILES = {
    "onnx": (MODEL_FILE, WEIGHTS_FILE, "config.json", *CODE, "genai_config.json"),
    "hf": ("config.json", "model.safetensors", *CODE),
    "json": ("architecture.json",),
    "gguf": (GGUF_FILE,),
}
