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
_COMPUTED = (
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
        ours = computed(architecture)
        pairs = [(name, theirs, ours[name]) for name, theirs in computed(found).items()]
        if different := [
            f"{name} {_short(theirs)}, not {_short(value)}" for name, theirs, value in pairs if theirs != value
        ]:
            raise UsageError(f"{path} is a model of another architecture: {'; '.join(different[:3])}")
    return read_checkpoint(architecture, path)


def computed(architecture: Architecture) -> dict[str, Any]:
    """What of an architecture has to agree for the same weights to compute the same, of which shapes do not show all.

    A width of heads may be said or follow, and what has no attention has none.
    """
    heads = zip(architecture.head_dims, architecture.n_head, strict=True)
    widths = [width for width, n_head in heads if n_head]
    rotated = [architecture.rotary_dim or width for width in widths]
    return {name: getattr(architecture, name) for name in _COMPUTED} | {"head_dims": widths, "rotary_dim": rotated}


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
