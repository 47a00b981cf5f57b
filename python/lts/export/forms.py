"""Architectures with equal layers as classes of transformers have them: fields of `config.json`, names of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lts._core import Architecture


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
    by_head
        Endings of the names of tensors whose rows are grouped by head: those of all its weights for the first head, and
        so on.
    """

    name: str
    fits: Callable[[Architecture], bool]
    config: Callable[[Architecture], dict[str, Any]]
    names: Mapping[str, str] = field(default_factory=dict)
    transposed: tuple[str, ...] = ()
    by_head: tuple[str, ...] = ()


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
        "layer_norm_epsilon": a.norm_epsilon,
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
        "rms_norm_eps": a.norm_epsilon,
        **_rotary(a, "rope_theta"),
        "attention_bias": a.qkv_bias,
        "mlp_bias": a.feed_forward_bias,
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


def _qwen2_config(a: Architecture) -> dict[str, Any]:
    """A LLaMA with biases of queries, keys and values alone."""
    return {**_mistral_config(a), "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": False}


def _gpt_neox_config(a: Architecture) -> dict[str, Any]:
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "vocab_size": a.vocab_size,
        "max_position_embeddings": a.n_positions,
        "hidden_size": a.d_model,
        "num_hidden_layers": a.n_layer,
        "num_attention_heads": a.n_head[0],
        "intermediate_size": a.d_ff[0],
        "hidden_act": "gelu",
        "layer_norm_eps": a.norm_epsilon,
        **_rotary(a, "rotary_emb_base"),
        "rotary_pct": a.rotary_dim / a.head_dims[0] if a.rotary_dim else 1.0,
        "attention_bias": a.qkv_bias,
        "use_parallel_residual": True,
        "tie_word_embeddings": a.tie_embedding,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def _rotary(a: Architecture, theta: str) -> dict[str, Any]:
    """Rotary positions as releases of transformers before 5 say them, which later ones understand."""
    said: dict[str, Any] = {theta: a.rotary_theta}
    if (scaling := a.rotary_scaling) is not None:
        original = {"original_max_position_embeddings": scaling["original_positions"]}
        factors = {name: value for name, value in scaling.items() if name != "original_positions"}
        said["rope_scaling"] = {"rope_type": "llama3", **factors, **original}
    return said


def _square(a: Architecture) -> bool:
    return a.n_head[0] * a.head_dims[0] == a.d_model


def _rotates_all(a: Architecture) -> bool:
    return a.rotary_dim in (0, a.head_dims[0])


_GPT2 = Form(
    "gpt2",
    lambda a: _square(a) and a.qkv_bias and a.attention_output_bias and a.feed_forward_bias,
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
    lambda a: a.d_model % a.n_head[0] == 0 and a.qkv_bias == a.attention_output_bias and _rotates_all(a),
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
        **{
            f"model.layers.{{}}.{part}.{name}_proj.bias": f"layers.{{}}.{role}.bias"
            for part, name, role in (
                ("self_attn", "q", "query"),
                ("self_attn", "k", "key"),
                ("self_attn", "v", "value"),
                ("self_attn", "o", "attention_output"),
                ("mlp", "gate", "gate"),
                ("mlp", "up", "up"),
                ("mlp", "down", "down"),
            )
        },
    },
    transposed=("_proj.weight", "lm_head.weight"),
)

_MISTRAL = replace(
    _LLAMA,
    name="mistral",
    fits=lambda a: not (a.qkv_bias or a.attention_output_bias or a.feed_forward_bias) and _rotates_all(a),
    config=_mistral_config,
)

_QWEN2 = replace(
    _LLAMA,
    name="qwen2",
    fits=lambda a: a.qkv_bias and not (a.attention_output_bias or a.feed_forward_bias) and _rotates_all(a),
    config=_qwen2_config,
)

_GPT_NEOX = Form(
    "gpt_neox",
    # The class computes the rotated channels from their fraction of a head, which does not give every number back.
    lambda a: (
        _square(a)
        and a.qkv_bias == a.attention_output_bias
        and a.feed_forward_bias
        and int(a.head_dims[0] * (a.rotary_dim / a.head_dims[0])) == a.rotary_dim
    ),
    _gpt_neox_config,
    {
        "gpt_neox.embed_in.weight": "token_embedding.0.weight",
        "gpt_neox.layers.{}.input_layernorm.weight": "layers.{}.attention_norm.scale",
        "gpt_neox.layers.{}.input_layernorm.bias": "layers.{}.attention_norm.bias",
        "gpt_neox.layers.{}.attention.query_key_value.weight": "layers.{}.query.weight layers.{}.key.weight "
        "layers.{}.value.weight",
        "gpt_neox.layers.{}.attention.query_key_value.bias": "layers.{}.query.bias layers.{}.key.bias "
        "layers.{}.value.bias",
        "gpt_neox.layers.{}.attention.dense.weight": "layers.{}.attention_output.weight",
        "gpt_neox.layers.{}.attention.dense.bias": "layers.{}.attention_output.bias",
        "gpt_neox.layers.{}.post_attention_layernorm.weight": "layers.{}.feed_forward_norm.scale",
        "gpt_neox.layers.{}.post_attention_layernorm.bias": "layers.{}.feed_forward_norm.bias",
        "gpt_neox.layers.{}.mlp.dense_h_to_4h.weight": "layers.{}.up.weight",
        "gpt_neox.layers.{}.mlp.dense_h_to_4h.bias": "layers.{}.up.bias",
        "gpt_neox.layers.{}.mlp.dense_4h_to_h.weight": "layers.{}.down.weight",
        "gpt_neox.layers.{}.mlp.dense_4h_to_h.bias": "layers.{}.down.bias",
        "gpt_neox.final_layer_norm.weight": "final_norm.scale",
        "gpt_neox.final_layer_norm.bias": "final_norm.bias",
        "embed_out.weight": "head.weight",
    },
    transposed=("query_key_value.weight", "dense.weight", "4h.weight", "to_h.weight", "embed_out.weight"),
    by_head=("query_key_value.weight", "query_key_value.bias"),
)

FORMS = {"gpt2": (_GPT2,), "gpt_neox": (_GPT_NEOX,), "llama": (_LLAMA, _MISTRAL, _QWEN2)}
"""By family; the first that fits."""
