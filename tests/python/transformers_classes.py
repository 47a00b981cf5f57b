"""Architectures and their weights in the classes of transformers, made without `lts.export`: an oracle for exports.

These classes have the same parts in every layer. Where an architecture lacks one, it is there, and what it gives out is
multiplied with zeros.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
from export_runner import arrays

import lts

KINDS = ("llama", "qwen2", "gpt_neox")
Arrays = Mapping[str, np.ndarray]


def draw(kind: str, source: random.Random, missing: float = 0.3) -> lts.Architecture:
    """A small architecture that a class computes, but for parts that are missing, each with a probability."""
    n_layer, width = source.randint(1, 4), source.choice([8, 12, 16])
    n_head, d_ff = source.choice([2, 4, 6]), source.choice([24, 40])
    n_kv_head = n_head if kind == "gpt_neox" else source.choice([k for k in (1, 2, n_head) if n_head % k == 0])
    options: dict[str, Any] = {
        "norm_epsilon": source.choice([1e-6, 1e-5, 1e-3]),
        "rotary_theta": source.choice([10_000.0, 100_000.0, 500_000.0]),
        "tie_embedding": source.random() < 0.5,
    }
    if kind == "llama":
        options["qkv_bias"] = options["attention_output_bias"] = source.random() < 0.3
        options["feed_forward_bias"] = source.random() < 0.3
        if source.random() < 0.6:
            options["rotary_scaling"] = {
                "factor": source.choice([4.0, 8.0]),
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_positions": source.choice([16, 64]),  # of 8,192, few positions would tell nothing
            }
    elif kind == "qwen2":
        options["qkv_bias"] = True
    else:
        options["rotary_dim"] = source.choice([0, 2, 4, width])
        options["qkv_bias"] = options["attention_output_bias"] = source.random() < 0.8
    there = [[source.random() >= missing for _ in range(2)] for _ in range(n_layer)]
    there[source.randrange(n_layer)][source.randrange(2)] = True  # not all layers are empty
    return lts.Architecture(
        "gpt_neox" if kind == "gpt_neox" else "llama",
        vocab_size=131,
        n_positions=96,
        d_model=48 if kind == "llama" else n_head * width,
        n_head=[n_head * attention for attention, _ in there],
        n_kv_head=[n_kv_head * attention for attention, _ in there],
        d_ff=[d_ff * feed_forward for _, feed_forward in there],
        head_dim=width,
        **options,
    )


def whole(architecture: lts.Architecture) -> lts.Architecture:
    """The same with all parts in every layer, each like the others of its kind."""
    parts = {name: max(getattr(architecture, name)) or 2 for name in ("n_head", "n_kv_head", "d_ff")}
    described = {**architecture.to_dict(), **{name: [value] * architecture.n_layer for name, value in parts.items()}}
    return lts.Architecture.from_dict(described)


def masked(architecture: lts.Architecture, weights: Arrays) -> dict[str, np.ndarray]:
    """The weights of `whole`: those given, and random ones where a part is missing, whose output is zero."""
    result = {**arrays(whole(architecture), seed=1), **weights}
    for layer in range(architecture.n_layer):
        for last, size in (("attention_output", architecture.n_head[layer]), ("down", architecture.d_ff[layer])):
            for name in (f"layers.{layer}.{last}.weight", f"layers.{layer}.{last}.bias"):
                if size == 0 and name in result:
                    result[name] = np.zeros_like(result[name])
    return result


def model(kind: str, architecture: lts.Architecture, weights: Arrays) -> Any:
    """The class with weights of the architecture, by the names of the inventory."""
    import torch

    a, given = whole(architecture), masked(architecture, weights)
    own = (_neox if kind == "gpt_neox" else _llama)(kind, a)
    names = _NEOX if kind == "gpt_neox" else _LLAMA
    state = {}
    for key, value in own.state_dict().items():
        layer = next((part for part in key.split(".") if part.isdigit()), "")
        generic = key.replace(f".{layer}.", ".{}.", 1)
        if generic.startswith("gpt_neox.layers.{}.attention.query_key_value."):
            ending = key.rpartition(".")[2]
            array = _joined(a, [given.get(f"layers.{layer}.{name}.{ending}") for name in ("query", "key", "value")])
        elif key in ("lm_head.weight", "embed_out.weight") and a.tie_embedding:
            array = given["token_embedding.0.weight"]
        else:
            name = names[generic.rpartition(".")[0]].replace("{}", layer)
            array = _one(given, name, generic.rpartition(".")[2], value.shape)
        state[key] = torch.tensor(array)
        assert state[key].shape == value.shape, key
    own.load_state_dict(state)
    return own.eval()


def logits(network: Any, ids: np.ndarray) -> np.ndarray:
    """Logits at every position, [batch, length, vocab_size], of a pass without a cache."""
    import torch

    torch.set_num_threads(1)
    with torch.no_grad():
        result: np.ndarray = network(torch.tensor(ids), use_cache=False).logits.numpy()
    return result


def _one(given: Arrays, name: str, ending: str, shape: Any) -> np.ndarray:
    if ending == "bias":
        return given.get(f"{name}.bias", np.zeros(shape, np.float32))
    scale = given.get(f"{name}.scale")
    array = given[f"{name}.weight"] if scale is None else scale
    return array.T.copy() if array.ndim > 1 and "embedding" not in name else array


def _joined(a: lts.Architecture, parts: list[Any]) -> np.ndarray:
    """Queries, keys and values as GPT-NeoX has them: of each head all three, one after the other."""
    heads = [part.T.reshape(a.n_head[0], a.head_dim, -1) for part in parts]
    joined = np.concatenate(heads, axis=1).reshape(3 * a.n_head[0] * a.head_dim, -1)
    return joined if parts[0].ndim > 1 else joined[:, 0]


def _llama(kind: str, a: lts.Architecture) -> Any:
    import transformers

    scaling = a.rotary_scaling and {
        "rope_type": "llama3",
        "factor": a.rotary_scaling["factor"],
        "low_freq_factor": a.rotary_scaling["low_freq_factor"],
        "high_freq_factor": a.rotary_scaling["high_freq_factor"],
        "original_max_position_embeddings": a.rotary_scaling["original_positions"],
    }
    options = {
        "vocab_size": a.vocab_size,
        "hidden_size": a.d_model,
        "intermediate_size": a.d_ff[0],
        "num_hidden_layers": a.n_layer,
        "num_attention_heads": a.n_head[0],
        "num_key_value_heads": a.n_kv_head[0],
        "head_dim": a.head_dim,
        "rms_norm_eps": a.norm_epsilon,
        "max_position_embeddings": a.n_positions,
        "tie_word_embeddings": a.tie_embedding,
        "rope_theta": a.rotary_theta,
        **({"rope_scaling": scaling} if scaling else {}),
    }
    if kind == "qwen2":
        return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**options))
    options |= {"attention_bias": a.qkv_bias, "mlp_bias": a.feed_forward_bias}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**options))


def _neox(kind: str, a: lts.Architecture) -> Any:
    import transformers

    return transformers.GPTNeoXForCausalLM(
        transformers.GPTNeoXConfig(
            vocab_size=a.vocab_size,
            hidden_size=a.d_model,
            intermediate_size=a.d_ff[0],
            num_hidden_layers=a.n_layer,
            num_attention_heads=a.n_head[0],
            layer_norm_eps=a.norm_epsilon,
            max_position_embeddings=a.n_positions,
            tie_word_embeddings=a.tie_embedding,
            rotary_emb_base=a.rotary_theta,
            rope_theta=a.rotary_theta,
            rotary_pct=(a.rotary_dim or a.head_dim) / a.head_dim,
            attention_bias=a.qkv_bias,
            use_parallel_residual=True,
            hidden_act="gelu",
        )
    )


_LLAMA = {
    "model.embed_tokens": "token_embedding.0",
    "model.layers.{}.self_attn.q_proj": "layers.{}.query",
    "model.layers.{}.self_attn.k_proj": "layers.{}.key",
    "model.layers.{}.self_attn.v_proj": "layers.{}.value",
    "model.layers.{}.self_attn.o_proj": "layers.{}.attention_output",
    "model.layers.{}.mlp.gate_proj": "layers.{}.gate",
    "model.layers.{}.mlp.up_proj": "layers.{}.up",
    "model.layers.{}.mlp.down_proj": "layers.{}.down",
    "model.layers.{}.input_layernorm": "layers.{}.attention_norm",
    "model.layers.{}.post_attention_layernorm": "layers.{}.feed_forward_norm",
    "model.norm": "final_norm",
    "lm_head": "head",
}
_NEOX = {
    "gpt_neox.embed_in": "token_embedding.0",
    "gpt_neox.layers.{}.attention.dense": "layers.{}.attention_output",
    "gpt_neox.layers.{}.mlp.dense_h_to_4h": "layers.{}.up",
    "gpt_neox.layers.{}.mlp.dense_4h_to_h": "layers.{}.down",
    "gpt_neox.layers.{}.input_layernorm": "layers.{}.attention_norm",
    "gpt_neox.layers.{}.post_attention_layernorm": "layers.{}.feed_forward_norm",
    "gpt_neox.final_layer_norm": "final_norm",
    "embed_out": "head",
    "lm_head": "head",  # as newer versions of transformers call it
}
