"""Architectures in the form of Hugging Face: `config.json` and the tensors of `model.safetensors`.

GPT-2 and LLaMA with equal layers load in `transformers` as they are. Every other architecture gets the per-layer form,
``"model_type": "lts"``, with the code that `transformers` builds it with beside it, `code_files`. It is documented in
``docs/formats.md``, and `form_of` tells which form an architecture gets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lts._core import Architecture, Weight, weights
from lts.export.weights import Piece, Tensor

CODE = ("configuration_lts.py", "modeling_lts.py")
"""What stands beside a `config.json` in the per-layer form. Nothing here ever imports it."""


@dataclass(frozen=True)
class Form:
    """How Hugging Face writes architectures of one kind.

    Attributes
    ----------
    name
        `model_type` of the configuration.
    fits
        Whether an architecture of the family, with equal layers and a plain embedding, can be written so.
    config
        Fields of `config.json`.
    names
        Maps the name of a tensor to the weights that it holds side by side; ``{}`` is the layer. Weights that an
        architecture does not have are left out.
    transposed
        Endings of the names of matrices that are stored (outputs, inputs).
    """

    name: str
    fits: Callable[[Architecture], bool]
    config: Callable[[Architecture], dict[str, Any]]
    names: Mapping[str, str] = field(default_factory=dict)
    transposed: tuple[str, ...] = ()


def form_of(architecture: Architecture) -> Form:
    """The form that the architecture is written in."""
    if architecture.uniform and not architecture.adaptive:
        for form in _FORMS.get(architecture.family, ()):
            if form.fits(architecture):
                return form
    return _PER_LAYER


def config(architecture: Architecture) -> dict[str, Any]:
    """The content of `config.json`."""
    form = form_of(architecture)
    return {"model_type": form.name, **form.config(architecture), "dtype": "float32"}


def tensors(architecture: Architecture) -> list[Tensor]:
    """The tensors of `model.safetensors`."""
    inventory = {weight.name: weight for weight in weights(architecture)}
    form = form_of(architecture)
    if not form.names:
        return [_tensor(weight) for weight in inventory.values()]
    result = []
    for name, parts in _of_layers(form.names, architecture.n_layer):
        transposed = name.endswith(form.transposed) if form.transposed else False
        pieces = tuple(Piece(inventory[part], transposed=transposed) for part in parts.split() if part in inventory)
        if pieces:
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


def _of_layers(names: Mapping[str, str], n_layer: int) -> Iterator[tuple[str, str]]:
    for name, parts in names.items():
        if "{}" not in name:
            yield name, parts
            continue
        for layer in range(n_layer):
            yield name.replace("{}", str(layer)), parts.replace("{}", str(layer))


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


def _gpt2_config(a: Architecture) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": a.vocab_size,
        "n_positions": a.n_positions,
        "n_embd": a.d_model,
        "n_layer": a.n_layer,
        "n_head": a.n_head[0],
        "n_inner": a.d_ff[0],
        "activation_function": "gelu_new",
        "layer_norm_epsilon": a.traits.norm_epsilon,
        "tie_word_embeddings": a.tie_embedding,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _llama_config(a: Architecture) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": a.vocab_size,
        "max_position_embeddings": a.n_positions,
        "hidden_size": a.d_model,
        "num_hidden_layers": a.n_layer,
        "num_attention_heads": a.n_head[0],
        "num_key_value_heads": a.n_kv_head[0],
        "head_dim": a.head_dims[0],
        "intermediate_size": a.d_ff[0],
        "hidden_act": "silu",
        "rms_norm_eps": a.traits.norm_epsilon,
        "rope_theta": a.traits.rotary_theta,
        "attention_bias": a.traits.attention_bias,
        "mlp_bias": a.traits.feed_forward_bias,
        "tie_word_embeddings": a.tie_embedding,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def _mistral_config(a: Architecture) -> dict[str, Any]:
    """A LLaMA by another name: without a sliding window they compute the same, and heads may have any width."""
    fields = _llama_config(a)
    del fields["attention_bias"], fields["mlp_bias"]
    return {**fields, "architectures": ["MistralForCausalLM"], "sliding_window": None}


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
        "attention_bias": traits.attention_bias,
        "feed_forward": traits.feed_forward,
        "feed_forward_bias": traits.feed_forward_bias,
        "norm": traits.norm,
        "norm_placement": traits.norm_placement,
        "norm_epsilon": traits.norm_epsilon,
        "final_norm": traits.final_norm,
        "position": traits.position,
        "rotary_theta": traits.rotary_theta,
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

_GPT2 = Form(
    "gpt2",
    lambda a: a.n_head[0] * a.head_dims[0] == a.d_model,
    _gpt2_config,
    {
        "transformer.wte.weight": "token_embedding.0.weight",
        "transformer.wpe.weight": "position_embedding.weight",
        "transformer.h.{}.ln_1.weight": "layers.{}.attention_norm.scale",
        "transformer.h.{}.ln_1.bias": "layers.{}.attention_norm.bias",
        "transformer.h.{}.attn.c_attn.weight": "layers.{}.query.weight layers.{}.key.weight layers.{}.value.weight",
        "transformer.h.{}.attn.c_attn.bias": "layers.{}.query.bias layers.{}.key.bias layers.{}.value.bias",
        "transformer.h.{}.attn.c_proj.weight": "layers.{}.attention_output.weight",
        "transformer.h.{}.attn.c_proj.bias": "layers.{}.attention_output.bias",
        "transformer.h.{}.ln_2.weight": "layers.{}.feed_forward_norm.scale",
        "transformer.h.{}.ln_2.bias": "layers.{}.feed_forward_norm.bias",
        "transformer.h.{}.mlp.c_fc.weight": "layers.{}.up.weight",
        "transformer.h.{}.mlp.c_fc.bias": "layers.{}.up.bias",
        "transformer.h.{}.mlp.c_proj.weight": "layers.{}.down.weight",
        "transformer.h.{}.mlp.c_proj.bias": "layers.{}.down.bias",
        "transformer.ln_f.weight": "final_norm.scale",
        "transformer.ln_f.bias": "final_norm.bias",
        "lm_head.weight": "head.weight",
    },
    transposed=("lm_head.weight",),
)

# Versions of transformers from 5 on refuse a LLaMA whose heads do not divide its width.
_LLAMA = Form(
    "llama",
    lambda a: a.d_model % a.n_head[0] == 0,
    _llama_config,
    {
        "model.embed_tokens.weight": "token_embedding.0.weight",
        "model.layers.{}.input_layernorm.weight": "layers.{}.attention_norm.scale",
        "model.layers.{}.self_attn.q_proj.weight": "layers.{}.query.weight",
        "model.layers.{}.self_attn.k_proj.weight": "layers.{}.key.weight",
        "model.layers.{}.self_attn.v_proj.weight": "layers.{}.value.weight",
        "model.layers.{}.self_attn.o_proj.weight": "layers.{}.attention_output.weight",
        "model.layers.{}.post_attention_layernorm.weight": "layers.{}.feed_forward_norm.scale",
        "model.layers.{}.mlp.gate_proj.weight": "layers.{}.gate.weight",
        "model.layers.{}.mlp.up_proj.weight": "layers.{}.up.weight",
        "model.layers.{}.mlp.down_proj.weight": "layers.{}.down.weight",
        "model.norm.weight": "final_norm.scale",
        "lm_head.weight": "head.weight",
    },
    transposed=("_proj.weight", "lm_head.weight"),
)

_MISTRAL = replace(_LLAMA, name="mistral", fits=lambda a: True, config=_mistral_config)

_FORMS = {"gpt2": (_GPT2,), "llama": (_LLAMA, _MISTRAL)}
