"""What a user names to be written as files: members of a study, or an architecture, each with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lts._core import Architecture, without_empty_layers
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.gguf import GGUF_FILE
from lts.export.gguf_read import read_gguf
from lts.export.manifest import earlier_manifest
from lts.measure.pretrained import TOKENIZER, is_pretrained, read_pretrained, read_weights
from lts.measure.trial import Trial
from lts.study.architectures import load_architecture
from lts.study.schema import STORE_NAME, store_path
from lts.study.stored import read_study
from lts.targets.workload import Workload

MODELS = "models"


@dataclass(frozen=True)
class Exportable:
    """An architecture that is to be written as files.

    Parameters
    ----------
    architecture
        What it is.
    folder
        Where its files go unless the user says otherwise.
    weights
        Arrays by the names of `lts.weights`; None for random ones.
    trial, configuration
        The trial of a study that it comes from, and how that study was searched; None and empty for others.
    tokenizer
        The file of its tokenizer, where it has one; of a model in a GGUF file, that file.
    """

    architecture: Architecture
    folder: Path
    weights: Mapping[str, Array] | None = None
    trial: Trial | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Path | None = None

    @property
    def tokenizer_place(self) -> Path | None:
        """What the tokenizer is given by where a GGUF file is to get it: that GGUF file, or the folder of its file."""
        return (
            self.tokenizer.parent if self.tokenizer is not None and self.tokenizer.name == TOKENIZER else self.tokenizer
        )


def origin_of(trial: Trial | None, workload: Workload) -> dict[str, Any]:
    """What the manifest of an exported trial says of it: its values, without samples, and what was run."""
    if trial is None:
        return {}
    record = {name: value for name, value in trial.record().items() if name not in ("samples_ns", "architecture")}
    return {"trial": record, "workload": workload.describe()}


def read_exportables(source: str, pick: str | None = None, weights: Path | None = None) -> list[Exportable]:
    """The members of a study that `pick` chooses (see `Front.pick`; by default the knee), the one trial of
    ``STUDY#ID``, or the one model or architecture in a file or folder.

    Parameters
    ----------
    source
        A study, ``STUDY#ID``, the folder of a trained model, a GGUF file, or an architecture's file or folder.
    weights
        Trained weights in place of those that the source has, or of random ones; see `read_weights`.

    Raises
    ------
    UsageError
        When it is none of these, several members are to have the same weights, or the weights do not fit.
    """
    found = _members(source, pick) if _is_study(Path(source)) else [_one(source, pick, weights is None)]
    if weights is None:
        return found
    if len(found) > 1:
        raise UsageError(f"the weights {weights} are of one architecture, and {len(found)} members are chosen")
    (one,) = found
    left = without_empty_layers(one.architecture)  # as it was exported to be trained
    read = read_weights(left, weights)
    beside = (weights if weights.is_dir() else weights.parent) / TOKENIZER
    return [replace(one, architecture=left, weights=read, tokenizer=beside if beside.is_file() else one.tokenizer)]


def _is_random(folder: Path) -> bool:
    """Whether a folder is an export whose weights are random, and not there in the form that could be read back."""
    known = earlier_manifest(folder)
    return known is not None and known.weights == "random" and "hf" not in known.forms


def _is_study(path: Path) -> bool:
    return store_path(path).is_file() and (path.suffix == ".db" or (path / STORE_NAME).is_file())


def _members(source: str, pick: str | None) -> list[Exportable]:
    path = store_path(Path(source))
    stored = read_study(path)
    return [
        Exportable(trial.architecture, path.parent / MODELS / str(trial.id), None, trial, stored.configuration)
        for trial in stored.front.pick(pick or "knee")
    ]


def _one(source: str, pick: str | None, trained: bool) -> Exportable:
    path = Path(source)
    study, sign, key = source.rpartition("#")
    if sign and key.isdigit() and not path.exists():
        if pick is not None:
            raise UsageError(f"{source} is one trial, and --pick chooses among those of a study; leave one of them out")
        store = store_path(Path(study))
        stored = read_study(store)
        for trial in stored.trials:
            if trial.id == int(key):
                return Exportable(trial.architecture, store.parent / MODELS / key, None, trial, stored.configuration)
        raise UsageError(f"{study} has no trial {key}")
    if pick is not None:
        raise UsageError(f"--pick is about members of a study, and {source} is a model; leave it out")
    if not path.exists():
        raise UsageError(f"no study at {source}, and no model or architecture either")
    if is_pretrained(path) and trained and not _is_random(path):
        model = read_pretrained(path)
        return Exportable(model.architecture, path / MODELS, model.weights, tokenizer=model.tokenizer)
    if path.suffix == Path(GGUF_FILE).suffix and path.is_file():
        packed = read_gguf(path)
        tokenizer = None if packed.tokenizer is None else path
        return Exportable(packed.architecture, path.with_suffix(""), packed.weights, tokenizer=tokenizer)
    folder = path / MODELS if path.is_dir() else path.with_suffix("")
    return Exportable(load_architecture(source), folder)
