"""Models that a user names: files, folders, and trials of studies."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from lts.errors import UsageError
from lts.measure.models.source import FILE_SUFFIXES, Source, read_files, source_of
from lts.study.architectures import is_architecture_folder, load_architecture
from lts.study.schema import STORE_NAME, store_path
from lts.study.stored import read_study
from lts.targets.workload import Workload

_MOST_MODELS = 1000
_WORKLOAD = tuple(each.name for each in fields(Workload))


def read_source(text: str) -> Source:
    """The model that a user names: an ONNX or GGUF file, a folder of exported or compiled models, or an architecture.

    Raises
    ------
    UsageError
        When it is none of these, saying why.
    """
    _check(text)
    return read_files(Path(text), text) or source_of(load_architecture(text), text)


def read_sources(text: str) -> dict[str, Source]:
    """The models that a user names, by names under which those of another place can be found: "" for a single one.

    A study has the members of its front, by their number; a folder that is no model itself the models in it, by their
    paths within it.

    Raises
    ------
    UsageError
        When there is none, or one of them cannot be read.
    """
    _check(text)
    path = Path(text)
    if path.suffix == ".db" or (path / STORE_NAME).is_file():
        study = read_study(store_path(path))
        if not study.front.trials:
            raise UsageError(f"{text} has no front: nothing was measured, or nothing is feasible")
        load = {name: study.configuration[name] for name in _WORKLOAD if name in study.configuration}
        return {
            f"#{trial.id}": replace(source_of(trial.architecture, f"{text}#{trial.id}"), workload=load)
            for trial in study.front.trials
        }
    whole = _model_at(path, text) if path.is_dir() else read_source(text)
    if whole is not None:
        return {"": whole}
    found: dict[str, Source] = {}
    for place in sorted(path.rglob("*")):
        if any(place.is_relative_to(path / known) for known in found):
            continue  # a part of a model
        if (source := _model_at(place, str(place))) is not None:
            found[str(place.relative_to(path))] = source
        if len(found) > _MOST_MODELS:
            raise UsageError(f"{text} has more than {_MOST_MODELS} models; name a smaller folder")
    if not found:
        raise UsageError(f"{text} has no model; expected ONNX or GGUF files, architectures, or folders of models")
    return found


def _check(text: str) -> None:
    if not text or "\0" in text:  # which as a path would be the current folder
        raise UsageError("the name of a model is empty; expected a file, a folder, or STUDY#ID")


def _model_at(path: Path, name: str) -> Source | None:
    """The model that a folder, or a file in one, is; None for what may lie beside models, such as other JSON.

    Raises
    ------
    UsageError
        When it is one and cannot be read.
    """
    if path.suffix in FILE_SUFFIXES or path.is_dir():
        if (source := read_files(path, name)) is not None:
            return source
        return source_of(load_architecture(name), name) if is_architecture_folder(path) else None
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        return source_of(load_architecture(name), name)
    except UsageError:
        return None
