"""Architectures in the form of Hugging Face: `config.json` and the tensors of `model.safetensors`.

GPT-2, LLaMA, Qwen2 and GPT-NeoX with equal layers load in `transformers` as they are. All others get the per-layer
form, ``"model_type": "lts"``, with the code that `transformers` builds it with beside it, `code_files`. It is
documented in ``docs/formats.md``, and `form_of` tells which form an architecture gets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lts._core import Architecture, Weight, weights
from lts.export.forms import FORMS, Form
from lts.export.weights import Piece, Tensor

CODE = ("attention_lts.py", "configuration_lts.py", "modeling_lts.py")
"""What stands beside a `config.json` in the per-layer form. Nothing here ever imports it."""


def form_of(architecture: Architecture) -> Form:
    """The form that the architecture is written in."""
    whole = architecture.n_head[0] > 0 and architecture.d_ff[0] > 0
    if architecture.uniform and whole and not architecture.adaptive:
        for form in FORMS.get(architecture.family, ()):
            if form.fits(architecture):
                return form
    return _PER_LAYER


def config(architecture: Architecture) -> dict[str, Any]:
    """The content of `config.json`."""
    form = form_of(architecture)
    return {"model_type": form.name, **form.config(architecture), "dtype": "float32"}


def tensors(architecture: Architecture) -> list[Tensor]:
    """The tensors of `model.safetensors`."""
    return _tensors_of(architecture, form_of(architecture))


def layouts(architecture: Architecture) -> list[list[Tensor]]:
    """Every way in which a checkpoint of Hugging Face may hold the weights: its own form first."""
    forms = {id(form.names): form for form in (form_of(architecture), *FORMS.get(architecture.family, ()), _PER_LAYER)}
    found = [_tensors_of(architecture, form) for form in forms.values()]
    every = len(weights(architecture))
    return [layout for layout in found if sum(len(tensor.pieces) for tensor in layout) == every]


def _tensors_of(architecture: Architecture, form: Form) -> list[Tensor]:
    inventory = {weight.name: weight for weight in weights(architecture)}
    if not form.names:
        return [_tensor(weight) for weight in inventory.values()]
    result = []
    for name, parts, layer in _of_layers(form.names, architecture.n_layer):
        transposed = name.endswith(form.transposed)
        pieces = tuple(Piece(inventory[part], transposed=transposed) for part in parts.split() if part in inventory)
        if pieces and name.endswith(form.by_head):
            result.append(Tensor(name, pieces, interleaved=architecture.n_head[layer]))
        elif pieces:
            result.append(Tensor(name, pieces, axis=len(pieces[0].shape) - 1))
    return result


def code_files(architecture: Architecture) -> dict[str, bytes]:
    """The files of code that the `config.json` refers to, by name; none where transformers has the classes."""
    if form_of(architecture) is not _PER_LAYER:
        return {}
    return {name: (Path(__file__).parent / "remote" / name).read_bytes() for name in CODE}


def safetensors_header(tensors: Sequence[Tensor]) -> bytes:
    """The header of a safetensors file; the float32 numbers follow it without gaps."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.n_bytes
        header[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _of_layers(names: Mapping[str, str], n_layer: int) -> Iterator[tuple[str, str, int]]:
    for name, parts in names.items():
        for layer in range(n_layer if "{}" in name else 1):
            yield name.replace("{}", str(layer)), parts.replace("{}", str(layer)), layer


def _tensor(weight: Weight) -> Tensor:
    """A weight as a parameter of `LtsForCausalLM`: by the path of its module, matrices as (outputs, inputs)."""
    path = _MODULES.get(weight.role, weight.role)
    if weight.layer is not None:
        path = f"layers.{weight.layer}.{path}"
    if weight.role in _LISTS:
        path = f"{path}.{weight.index}"
    if not path.startswith("lm_head"):
        path = f"model.{path}"
    linear = weight.kind == "matrix" or weight.role == "pointwise"
    if weight.role not in _PARAMETERS:
        path += ".bias" if weight.kind == "bias" else ".weight"
    return Tensor(path, (Piece(weight, transposed=linear),))


def _per_layer_config(a: Architecture) -> dict[str, Any]:
    traits = a.traits
    head = "LtsForMaskedLM" if traits.encoder else "LtsForCausalLM"
    classes = {"AutoConfig": "configuration_lts.LtsConfig", "AutoModel": "modeling_lts.LtsModel"}
    per_layer = ["n_head", "n_kv_head", "head_dim", "d_ff", *(["n_ff", "mixer"] if traits.mixed else [])]
    values = {**{name: getattr(a, name) for name in per_layer if name != "head_dim"}, "head_dim": a.head_dims}
    return {
        "architectures": [head],
        "auto_map": {**classes, f"AutoModel{head.removeprefix('Lts')}": f"modeling_lts.{head}"},
        "family": a.family,
        "vocab_size": a.vocab_size,
        "n_positions": a.n_positions,
        "d_model": a.d_model,
        "n_layer": a.n_layer,
        "layers": [{name: values[name][layer] for name in per_layer} for layer in range(a.n_layer)],
        "encoder": traits.encoder,
        "attention": traits.attention,
        "qkv_bias": a.qkv_bias,
        "attention_output_bias": a.attention_output_bias,
        "feed_forward": traits.feed_forward,
        "feed_forward_bias": a.feed_forward_bias,
        "norm": traits.norm,
        "norm_placement": traits.norm_placement,
        "norm_epsilon": a.norm_epsilon,
        "final_norm": traits.final_norm,
        "parallel": traits.parallel,
        "position": traits.position,
        "rotary_theta": a.rotary_theta,
        "rotary_dim": a.rotary_dim,
        "rotary_scaling": a.rotary_scaling,
        "adaptive": a.adaptive,
        "d_embed": a.embedding_width,
        "div_val": a.div_val,
        "cutoffs": a.clean_cutoffs if a.adaptive else [],
        "tie_projs": a.tie_projs,
        "tie_embedding": a.tie_embedding,
    }


# Where the modules of the per-layer form have other names than the roles of the inventory.
_MODULES = {
    **{role: f"attention.{role}" for role in ("query", "key", "value", "relative_position", "score", "depthwise")},
    **{role: f"attention.{role}" for role in ("content_bias", "position_bias", "pointwise", "kernel", "convolution")},
    "attention_output": "attention.output",
    **{role: f"feed_forward.{role}" for role in ("gate", "up", "middle", "down")},
    "head": "lm_head",
    "head_bias": "lm_head",
    "cluster": "lm_head.cluster",
    "head_projection": "lm_head.projection",
}
_LISTS = ("token_embedding", "embedding_projection", "middle", "head_projection")  # one module for each index
_PARAMETERS = ("content_bias", "position_bias", "depthwise")  # in no module of their own

_PER_LAYER = Form("lts", lambda a: True, _per_layer_config)
