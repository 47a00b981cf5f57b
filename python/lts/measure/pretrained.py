"""A trained model in the form of Hugging Face: a folder with `config.json` and weights in the safetensors format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.checkpoint import read_checkpoint
from lts.export.encodings import Array
from lts.spaces.huggingface import architecture_of
from lts.system.outside import parse_json, read_bytes

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
_MOST = 16 << 20
# What has to agree for the same weights to be the same model, of which the shapes of tensors do not show all.
_SHAPE = (
    *("family", "vocab_size", "d_model", "n_layer", "n_head", "n_kv_head", "d_ff", "clean_cutoffs"),
    *("norm_epsilon", "rotary_theta", "rotary_scaling"),
    *("qkv_bias", "attention_output_bias", "feed_forward_bias"),
)
_SHORT = 40


@dataclass(frozen=True)
class Pretrained:
    """A trained model.

    Attributes
    ----------
    folder
        Where it was read.
    architecture
        What it is.
    weights
        Arrays by the names of `lts.weights`.
    """

    folder: Path
    architecture: Architecture
    weights: Mapping[str, Array]

    @property
    def tokenizer(self) -> Path | None:
        """The file of its tokenizer, where it has one."""
        path = self.folder / TOKENIZER
        return path if path.is_file() else None


def is_pretrained(path: Path) -> bool:
    """Whether a path is the folder of a model."""
    return path.is_dir() and (path / CONFIG).is_file()


def read_pretrained(folder: Path) -> Pretrained:
    """The model in a folder: of a class that `lts.spaces.huggingface` reads, or the per-layer form that
    `lts.export.export` writes.

    Raises
    ------
    UsageError
        When the folder lacks a file, one of them cannot be read, or the model computes something else than an export
        with the same weights would.
    """
    architecture = _architecture_in(folder)
    return Pretrained(folder, architecture, read_checkpoint(architecture, folder))


def read_weights(architecture: Architecture, path: Path) -> Mapping[str, Array]:
    """The weights of an architecture in a safetensors file, or in a folder; a `config.json` there must agree.

    Raises
    ------
    UsageError
        When they cannot be read, do not fit, or were trained in a model that computes something else.
    """
    if path.is_dir() and (path / CONFIG).is_file():
        found = _architecture_in(path)
        pairs = [(name, getattr(found, name), getattr(architecture, name)) for name in _SHAPE]
        pairs.append(("head_dims", _head_dims(found), _head_dims(architecture)))
        pairs.append(("rotary_dim", _head_dims(found, rotated=True), _head_dims(architecture, rotated=True)))
        if different := [
            f"{name} {_short(theirs)}, not {_short(ours)}" for name, theirs, ours in pairs if theirs != ours
        ]:
            raise UsageError(f"{path} is a model of another architecture: {'; '.join(different[:3])}")
    return read_checkpoint(architecture, path)


def _head_dims(architecture: Architecture, *, rotated: bool = False) -> list[int]:
    """The widths of heads, or of what is rotated of them, in layers that have any."""
    heads = zip(architecture.head_dims, architecture.n_head, strict=True)
    return [(rotated and architecture.rotary_dim) or width for width, n_head in heads if n_head]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _architecture_in(folder: Path) -> Architecture:
    """The architecture that the `config.json` of a folder describes."""
    path = folder / CONFIG
    try:
        config = parse_json(read_bytes(path, _MOST).decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; expected the folder of a model") from None
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path} is no JSON object")
    try:
        return architecture_of(config)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
