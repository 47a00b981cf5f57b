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
# What has to agree for the same weights to be the same model; the shapes of tensors do not show all of it.
_SHAPE = ("family", "vocab_size", "d_model", "n_layer", "n_head", "n_kv_head", "head_dims", "d_ff", "clean_cutoffs")
_SHORT = 40
_GELU = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")  # three spellings of the approximation by tanh


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
    """The model in a folder: GPT-2, LLaMA, or the per-layer form that `lts.export.export` writes.

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
        if different := [
            f"{name} {_short(theirs)}, not {_short(ours)}" for name, theirs, ours in pairs if theirs != ours
        ]:
            raise UsageError(f"{path} is a model of another architecture: {'; '.join(different[:3])}")
    return read_checkpoint(architecture, path)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _architecture_in(folder: Path) -> Architecture:
    """The architecture that the `config.json` of a folder describes, which must compute what an export does."""
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
        architecture = architecture_of(config)
        _check_same(config, architecture)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return architecture


def _check_same(config: Mapping[str, Any], architecture: Architecture) -> None:
    """Raise `UsageError` for a model with other outputs than what an export of these weights computes.

    That depends on fields that change neither parameters nor costs; a missing one has the default of transformers.
    """
    traits = architecture.traits
    kind = config["model_type"]
    # Newer versions of transformers write one table in place of two fields.
    table = config.get("rope_parameters")
    rope = table if isinstance(table, dict) else {}
    given: dict[str, tuple[Any, tuple[Any, ...]]] = {}
    if kind == "gpt2":
        given = {
            "activation_function": (config.get("activation_function", _GELU[0]), _GELU),
            "layer_norm_epsilon": (config.get("layer_norm_epsilon", 1e-5), (traits.norm_epsilon,)),
            "scale_attn_weights": (config.get("scale_attn_weights", True), (True,)),
            "scale_attn_by_inverse_layer_idx": (config.get("scale_attn_by_inverse_layer_idx", False), (False,)),
        }
    elif kind in ("llama", "mistral"):
        scaling = config.get("rope_scaling") or rope
        scaling = scaling.get("rope_type", scaling.get("type", "default")) if isinstance(scaling, dict) else scaling
        given = {
            "rms_norm_eps": (config.get("rms_norm_eps", 1e-6), (traits.norm_epsilon,)),
            "rope_theta": (rope.get("rope_theta", config.get("rope_theta", 10000.0)), (traits.rotary_theta,)),
            "rope_scaling": (scaling, ("default",)),
        }
    elif kind == "lts":
        given = {
            "norm_epsilon": (config.get("norm_epsilon", traits.norm_epsilon), (traits.norm_epsilon,)),
            "rotary_theta": (config.get("rotary_theta", traits.rotary_theta), (traits.rotary_theta,)),
        }
    for name, (value, allowed) in given.items():
        if value not in allowed:
            expected = " or ".join(map(str, allowed))
            raise UsageError(
                f"its {name} is {str(value)[:60]}, and exported models of this family have {expected}: with these "
                "weights they would compute something else"
            )
