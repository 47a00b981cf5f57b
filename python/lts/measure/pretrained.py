"""A trained model in the form of Hugging Face: a folder with `config.json` and `model.safetensors`."""

from __future__ import annotations

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

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
_MOST = 16 << 20
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
    weights = folder / WEIGHTS
    if not weights.exists():
        parts = (folder / f"{WEIGHTS}.index.json").exists()
        why = "its weights are in several files" if parts else "only that form of weights is read"
        raise UsageError(f"{folder} has no {WEIGHTS}: {why}; save the model as one file with save_pretrained")
    return Pretrained(folder, architecture, read_checkpoint(architecture, weights))


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
    elif kind == "llama":
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
