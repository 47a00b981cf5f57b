"""Configurations of published models: read as what they are, by the count of transformers, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts import Architecture, total_params
from lts.errors import UsageError
from lts.export.huggingface import config
from lts.spaces.huggingface import architecture_of


def gpt2(**fields: Any) -> dict[str, Any]:
    """As OpenAI's models say it."""
    return {
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": 50256,
        "embd_pdrop": 0.1,
        "eos_token_id": 50256,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "n_ctx": 1024,
        "n_embd": 768,
        "n_head": 12,
        "n_layer": 12,
        "n_positions": 1024,
        "resid_pdrop": 0.1,
        "summary_activation": None,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "vocab_size": 50257,
        **fields,
    }


def llama(hidden: int, layers: int, heads: int, kv_heads: int, inner: int, vocab: int, **fields: Any) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": [2, 3],
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": inner,
        "max_position_embeddings": 2048,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.40.0.dev0",
        "use_cache": True,
        "vocab_size": vocab,
        **fields,
    }


def qwen2(hidden: int, layers: int, heads: int, kv_heads: int, inner: int, **fields: Any) -> dict[str, Any]:
    return {
        **llama(hidden, layers, heads, kv_heads, inner, 151936),
        "model_type": "qwen2",
        "architectures": ["Qwen2ForCausalLM"],
        "max_position_embeddings": 32768,
        "max_window_layers": 21,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "use_sliding_window": False,
        **fields,
    }


def pythia(hidden: int, layers: int, heads: int, **fields: Any) -> dict[str, Any]:
    return {
        "model_type": "gpt_neox",
        "architectures": ["GPTNeoXForCausalLM"],
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": 4 * hidden,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "rotary_emb_base": 10000,
        "rotary_pct": 0.25,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": True,
        "use_parallel_residual": True,
        "vocab_size": 50304,
        **fields,
    }


LLAMA3 = {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192}
LLAMA2_7B = llama(4096, 32, 32, 32, 11008, 32000)
LLAMA31 = llama(4096, 32, 32, 8, 14336, 128256, rope_theta=500000.0, max_position_embeddings=131072)
MISTRAL = {**llama(4096, 32, 32, 8, 14336, 32000, rope_theta=1e6), "model_type": "mistral", "sliding_window": None}
QWEN2 = qwen2(896, 24, 14, 2, 4864, tie_word_embeddings=True)
# With the fields that the architecture must have.
READ: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gpt2": (gpt2(), {"family": "gpt2", "d_ff": [3072] * 12, "norm_epsilon": 1e-5}),
    "distilgpt2": (gpt2(n_layer=6, n_inner=None), {"n_layer": 6}),
    "SmolLM2-135M": (
        llama(
            *(576, 30, 9, 3, 1536, 49152),
            is_llama_config=True,
            rope_interleaved=False,
            rope_theta=100000,
            tie_word_embeddings=True,
            max_position_embeddings=8192,
            initializer_range=0.041666666666666664,
        ),
        {"rotary_theta": 1e5, "norm_epsilon": 1e-5, "n_kv_head": [3] * 30, "tie_embedding": True},
    ),
    "TinyLlama-1.1B": (llama(2048, 22, 32, 4, 5632, 32000), {"rotary_theta": 1e4}),
    "Llama-2-7b": (LLAMA2_7B, {"n_kv_head": [32] * 32}),
    "CodeLlama-7b": (llama(4096, 32, 32, 32, 11008, 32016, rope_theta=1000000), {"rotary_theta": 1e6}),
    "Llama-3.1-8B": (
        {**LLAMA31, "mlp_bias": False, "rope_scaling": {**LLAMA3, "factor": 8.0, "rope_type": "llama3"}},
        {
            "rotary_scaling": {
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_positions": 8192,
            },
            "rotary_theta": 5e5,
        },
    ),
    "Llama-3.2-1B": (
        llama(
            *(2048, 16, 32, 8, 8192, 128256),
            head_dim=64,
            mlp_bias=False,
            tie_word_embeddings=True,
            max_position_embeddings=131072,
            rope_parameters={**LLAMA3, "rope_type": "llama3", "rope_theta": 500000.0},
        ),
        {"rotary_theta": 5e5, "head_dim": 0},
    ),
    "Minitron-4B-Width": (llama(3072, 32, 32, 8, 9216, 128256, head_dim=128), {"head_dims": [128] * 32}),
    "with biases": (
        llama(256, 2, 4, 4, 512, 1000, attention_bias=True, mlp_bias=True),
        {"qkv_bias": True, "attention_output_bias": True, "feed_forward_bias": True},
    ),
    "Mistral-7B-v0.2": (MISTRAL, {"family": "llama", "rotary_theta": 1e6}),
    "Qwen2-0.5B": (
        QWEN2,
        {"family": "llama", "qkv_bias": True, "attention_output_bias": False, "norm_epsilon": 1e-6},
    ),
    "DeepSeek-R1-Distill-Qwen-1.5B": (
        qwen2(1536, 28, 12, 2, 8960, use_mrope=False, sliding_window=4096, max_position_embeddings=131072),
        {"qkv_bias": True},
    ),
    "Pythia-70m": (
        pythia(512, 6, 8),
        {"family": "gpt_neox", "rotary_dim": 16, "rotary_theta": 1e4, "tie_embedding": False},
    ),
    "Pythia-1b": (pythia(2048, 16, 8, attention_bias=True), {"rotary_dim": 64}),
}


@pytest.mark.parametrize("name", READ)
def test_models_that_are_read(name: str) -> None:
    config, expected = READ[name]
    found = architecture_of(config)
    assert {field: getattr(found, field) for field in expected} == expected
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    known = transformers.AutoConfig.for_model(**config)
    with torch.device("meta"):
        theirs = transformers.AutoModelForCausalLM.from_config(known)
    assert total_params(found) == theirs.num_parameters()


OWN_CODE = {"AutoConfig": "configuration_x.XConfig", "AutoModelForCausalLM": "modeling_x.XForCausalLM"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("Cerebras-GPT", gpt2(activation_function="gelu"), "its activation_function is gelu; only gelu_new or"),
    (
        "GPT-2 of Stanford's Mistral",
        gpt2(reorder_and_upcast_attn=True, scale_attn_by_inverse_layer_idx=True),
        "its scale_attn_by_inverse_layer_idx is true; only false",
    ),
    ("unscaled", gpt2(scale_attn_weights=False), "its scale_attn_weights is false; only true"),
    ("with an encoder", gpt2(add_cross_attention=True), "its add_cross_attention is true; only false"),
    ("with heads cut off", gpt2(pruned_heads={"0": [1]}), "its pruned_heads is .*, which is not known of a gpt2"),
    (
        "Vicuna 16k",
        {**LLAMA2_7B, "rope_scaling": {"factor": 4.0, "type": "linear"}},
        "its rope_scaling is linear; only",
    ),
    ("dynamic", {**LLAMA2_7B, "rope_scaling": {"factor": 4.0, "type": "dynamic"}}, "its rope_scaling is dynamic; only"),
    ("YaRN", {**QWEN2, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "its rope_scaling is yarn; only default"),
    (
        "newer YaRN",
        {**QWEN2, "rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
        "its rope_scaling is yarn; only",
    ),
    ("LongRoPE", {**LLAMA2_7B, "rope_scaling": {"type": "longrope"}}, "its rope_scaling is longrope; only default or"),
    ("half a Llama 3", {**LLAMA31, "rope_scaling": {"rope_type": "llama3"}}, "is llama3 and has no 'factor'"),
    (
        "Llama 3 and something else",
        {**LLAMA31, "rope_scaling": {**LLAMA3, "rope_type": "llama3", "attention_factor": 0.9}},
        "its attention_factor of rope_scaling is 0.9; only null",
    ),
    (
        "two bases",
        {**LLAMA31, "rope_parameters": {"rope_theta": 1e4}},
        r"its rope_theta is 500000\.0 and its rope_theta of rope_parameters is 10000\.0; expected one value",
    ),
    (
        "two scalings",
        {**LLAMA31, "rope_parameters": {"rope_theta": 5e5}, "rope_scaling": {"rope_type": "yarn"}},
        "it has rope_scaling and another rope_parameters",
    ),
    ("a base that is no number", {**LLAMA31, "rope_theta": "5e5"}, "its rope_theta is 5e5; expected a number"),
    ("no rotation", {**LLAMA31, "rope_theta": 0.5}, r"rotary_theta is 0\.5; it must be"),
    ("layers without positions", {**LLAMA31, "no_rope_layers": [1, 1, 0]}, r"its no_rope_layers is \[1, 1, 0\], which"),
    ("partly rotated", {**LLAMA2_7B, "partial_rotary_factor": 0.5}, "its partial_rotary_factor is 0.5"),
    (
        "Mistral-7B-v0.1",
        {**MISTRAL, "sliding_window": 4096, "max_position_embeddings": 32768},
        "sliding_window is 4096",
    ),
    ("a window in a LLaMA", {**LLAMA2_7B, "sliding_window": 512}, "its sliding_window is 512, which is not known"),
    (
        "windows in layers",
        {**QWEN2, "use_sliding_window": True, "sliding_window": 512},
        "its sliding_window is 512; only",
    ),
    (
        "layers of two types",
        {**QWEN2, "layer_types": ["full_attention", "sliding_attention"]},
        "its layer_types is sliding_attention; only full_attention",
    ),
    ("chunks", {**LLAMA31, "attention_chunk_size": 8192}, "its attention_chunk_size is 8192, which is not known"),
    ("an embedding model", {**LLAMA2_7B, "is_causal": False}, "its is_causal is false; only true"),
    ("another activation", {**LLAMA2_7B, "hidden_act": "relu2"}, "its hidden_act is relu2; only silu or swish"),
    ("soft caps", {**LLAMA2_7B, "final_logit_softcapping": 30.0}, "its final_logit_softcapping is 30.0, which"),
    ("soft caps of scores", {**LLAMA2_7B, "attn_logit_softcapping": 50.0}, "its attn_logit_softcapping is 50.0, which"),
    ("MiniCPM as LLaMA", {**LLAMA2_7B, "scale_emb": 12, "dim_model_base": 256}, "its scale_emb is 12, which"),
    ("Granite as LLaMA", {**LLAMA2_7B, "logits_scaling": 8.0}, "its logits_scaling is 8.0, which is not known of a"),
    ("residuals scaled", {**LLAMA2_7B, "residual_multiplier": 0.22}, "its residual_multiplier is 0.22, which"),
    ("Mixtral as LLaMA", {**LLAMA2_7B, "num_local_experts": 8}, "its num_local_experts is 8, which is not known"),
    ("norms of queries", {**LLAMA2_7B, "use_qk_norm": True}, "its use_qk_norm is true, which is not known"),
    ("clipped", {**LLAMA2_7B, "clip_qkv": 8.0}, "its clip_qkv is 8.0, which is not known of a llama here"),
    ("per layer by transformers", {**LLAMA2_7B, "per_layer_config": {"1": {}}}, "its per_layer_config is .*, which"),
    ("AWQ", {**LLAMA2_7B, "quantization_config": {"quant_method": "awq", "bits": 4}}, "its weights are quantized"),
    ("own code", {**LLAMA2_7B, "auto_map": OWN_CODE}, "its auto_map names code of its own for AutoModelForCausalLM"),
    ("GPT-NeoX-20B", pythia(6144, 44, 64, hidden_act="gelu_fast"), "its hidden_act is gelu_fast; only gelu or"),
    ("RedPajama-INCITE", pythia(2560, 32, 32, use_parallel_residual=False), "its use_parallel_residual is false; only"),
    ("no rotary part", pythia(512, 6, 8, rotary_pct=0.0), "its rotary_pct is 0.0; expected a part of a head"),
    ("an odd part", pythia(512, 6, 8, rotary_pct=0.21), "rotary_dim is 13; it must be even"),
    ("heads of a half", pythia(512, 6, 7), "n_head of layer 0 is 7; it must divide d_model"),
    ("a count that is none", pythia(512, 6, True), "its num_attention_heads is true; expected a whole number"),
    ("a table that is none", {**LLAMA2_7B, "rope_scaling": "linear"}, "its rope_scaling is linear; expected an object"),
    *[
        (
            kind,
            {**LLAMA2_7B, "model_type": kind},
            f"unknown model_type '{kind}'; expected gpt2, gpt_neox, llama, mistral",
        )
        for kind in (
            *(
                "bloom",
                "cohere",
                "deepseek_v2",
                "falcon",
                "gemma",
                "gemma2",
                "gpt_bigcode",
                "gpt_neo",
                "gptj",
                "granite",
            ),
            *("mamba", "mixtral", "mpt", "olmo2", "opt", "phi", "phi3", "qwen2_moe", "qwen3", "smollm3", "stablelm"),
            *("starcoder2", "t5", "bert", "llama4_text", "gpt_oss"),
        )
    ],
]


@pytest.mark.parametrize(("config", "said"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_models_that_would_be_others(config: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        architecture_of(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "harmless",
    [
        {"unsloth_version": "2024.9", "unsloth_fixed": True},
        {"_name_or_path": "somewhere", "_flash_attn_2_enabled": True, "_attn_implementation_autoset": True},
        {"attn_implementation": "sdpa", "use_flash_attention": True, "output_attentions": True},
        {"num_experts": 0, "sliding_window": None, "use_qk_norm": False, "embedding_multiplier": 1.0},
        {"rope_scaling": {"type": "default"}, "partial_rotary_factor": 1},
        {"layer_types": ["full_attention"] * 32, "hidden_dropout": 0.1, "pad_token_id": 0, "model_max_length": 4096},
        {"pruned_heads": {}, "id2label": {"0": "A"}, "quantization_config": None, "auto_map": {}},
        {"auto_map": {"AutoTokenizer": ["tokenization_x.XTokenizer", None]}, "repetition_penalty": 1.1, "top_k": 50},
    ],
)
def test_what_changes_nothing(harmless: dict[str, Any]) -> None:
    assert architecture_of({**LLAMA2_7B, **harmless}) == architecture_of(LLAMA2_7B)


def test_fields_that_are_missing_are_what_transformers_has() -> None:
    """Against the defaults of its classes."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    for kind in ("gpt2", "gpt_neox", "llama", "mistral", "qwen2"):
        known = transformers.AutoConfig.for_model(kind)
        written = {name: value for name, value in known.to_dict().items() if name != "transformers_version"}
        if kind == "mistral":
            written["sliding_window"] = known.sliding_window = None
        needed = (
            *("n_embd", "n_head", "n_layer", "n_positions", "vocab_size", "hidden_size", "intermediate_size"),
            *("num_attention_heads", "num_hidden_layers", "max_position_embeddings", "model_type", "sliding_window"),
        )
        short = {name: value for name, value in written.items() if name in needed}
        assert architecture_of(short) == architecture_of(written), kind


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PER_LAYER = config(Architecture("gpt_neox", 97, 64, 24, n_head=[2, 0], d_ff=[0, 30], rotary_dim=4))
ANY = [LLAMA31, QWEN2, MISTRAL, gpt2(), pythia(512, 6, 8), PER_LAYER]


@given(data=st.data())
def test_whatever_stands_in_a_field_is_read_or_told(data: st.DataObject) -> None:
    """One sentence, without what a terminal would obey."""
    known = data.draw(st.sampled_from(ANY))
    name = data.draw(st.sampled_from([*known, "rope_parameters", "layer_types", "auto_map"]))
    changed = {**known, name: data.draw(VALUES)}
    if isinstance(known.get(name), dict | list) and known[name] and data.draw(st.booleans()):
        changed = json.loads(json.dumps(known))
        inner = changed[name] if isinstance(changed[name], dict) else changed[name][0]
        if isinstance(inner, dict):
            inner[data.draw(st.sampled_from([*inner, "other"]))] = data.draw(VALUES)
    said = ""
    try:
        architecture_of(changed)
    except UsageError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 400
