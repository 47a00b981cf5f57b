"""Architectures from a config.json of Hugging Face: what we write comes back, and what is another model is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lts import Architecture, total_params
from lts.errors import UsageError
from lts.export.huggingface import config
from lts.spaces.huggingface import architecture_of
from lts.spaces.space import load_space, space_names

GPT2 = {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "hidden_size": 2048,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "intermediate_size": 5632,
}


MISTRAL = {**LLAMA, "model_type": "mistral", "sliding_window": None}
OURS = {"model_type": "lts", "d_model": 8}
LAYER = {"n_head": 2, "n_kv_head": 2, "head_dim": 4, "d_ff": 9}
SCALING = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 16}


@pytest.mark.parametrize("name", space_names())
def test_what_is_written_comes_back(name: str) -> None:
    for architecture in load_space(name).sample(20, seed=1):
        written = json.loads(json.dumps(config(architecture)))
        read = architecture_of(written)
        assert config(read) == written
        assert total_params(read) == total_params(architecture)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture("llama", 97, 64, 50, n_head=4, n_kv_head=2, n_layer=2, d_ff=100, head_dim=12),
        Architecture("hw_gpt", 97, 64, 24, n_head=5, n_layer=1, d_ff=30, head_dim=4),
        Architecture("gpt_neox", 97, 64, 24, n_head=2, n_layer=1, d_ff=30, rotary_dim=4, rotary_theta=5e5),
        Architecture("gpt_neox", 97, 64, 24, n_head=[2, 0], d_ff=[0, 30], rotary_scaling=SCALING, qkv_bias=False),
        Architecture("gpt2", 97, 64, 24, n_head=0, n_layer=1, d_ff=30, head_dim=8, feed_forward_bias=False),
        Architecture("gpt2", 97, 64, 24, n_head=[0, 3], d_ff=30, head_dim=8, norm_epsilon=1e-3),
        Architecture("llama", 97, 64, 24, n_head=[0, 3], n_kv_head=[0, 1], d_ff=30, attention_output_bias=True),
        Architecture("flexibert", 97, 64, 48, n_head=2, d_ff=[30, 40], mixer=["cosine", "convolution_9"], n_ff=[1, 3]),
        Architecture(
            "transformer_xl", 97, 64, 50, n_head=[3, 4], d_ff=30, d_embed=32, cutoffs=[9, 97], tie_projs=[True, False]
        ),
    ],
    ids=lambda a: a.family,
)
def test_every_field_comes_back(architecture: Architecture) -> None:
    assert architecture_of(json.loads(json.dumps(config(architecture)))) == architecture


def test_what_earlier_versions_wrote() -> None:
    """Biases of all of the attention by one name, and no field for what families had in common."""
    new = ("qkv_bias", "attention_output_bias", "parallel", "rotary_dim", "rotary_scaling")
    for family, bias in (("gpt2", True), ("hw_gpt", False), ("llama", False)):
        architecture = Architecture(family, 97, 64, 24, n_head=[2, 3], d_ff=30)
        written = {name: value for name, value in config(architecture).items() if name not in new}
        assert architecture_of({**written, "attention_bias": bias}) == architecture


def test_published_models_have_their_published_sizes() -> None:
    assert total_params(architecture_of(GPT2)) == 124_439_808
    assert total_params(architecture_of(LLAMA)) == 1_100_048_384  # TinyLlama


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "bert"}, r"unknown model_type 'bert'; expected gpt2, gpt_neox, llama, mistral, qwen2, lts"),
        ({"model_type": None}, "unknown model_type"),
        ({"model_type": ["gpt2"]}, "unknown model_type"),
        ({**GPT2, "activation_function": "relu"}, "its activation_function is relu; only gelu_new or"),
        ({**GPT2, "n_head": 7}, "n_head"),
        ({**GPT2, "n_head": "12"}, "its n_head is 12; expected a whole number"),
        ({**GPT2, "n_layer": 10**400}, "n_layer|large|convert|incompatible"),
        ({**GPT2, "tie_word_embeddings": 1}, "its tie_word_embeddings is 1; expected true or false"),
        ({key: value for key, value in GPT2.items() if key != "n_embd"}, "has no 'n_embd', which a gpt2 needs"),
        ({**LLAMA, "attention_bias": 1}, "its attention_bias is 1; expected true or false"),
        ({**MISTRAL, "sliding_window": 1024}, "its sliding_window is 1024; only null, or all positions"),
        (
            {key: value for key, value in MISTRAL.items() if key != "sliding_window"}
            | {"max_position_embeddings": 8192},
            "its sliding_window is 4096",
        ),
        ({**LLAMA, "hidden_act": "gelu"}, "its hidden_act is gelu; only silu"),
        (
            {**OURS, "family": "gpt3", "layers": []},
            "unknown family 'gpt3'.*did you mean 'gpt2'",
        ),
        ({**OURS, "family": "gpt2", "layers": []}, "its layers must be a list of objects"),
        ({**OURS, "family": "gpt2", "layers": [{}]}, "its layer 0 lacks 'd_ff'"),
        ({**OURS, "family": "gpt2", "layers": [{**LAYER, "window": 3}]}, "its layer 0 has 'window'"),
        (
            {**OURS, "family": "gpt2", "layers": [LAYER, {**LAYER, "head_dim": 7}], "vocab_size": 9, "n_positions": 9},
            "heads of several",
        ),
        ({**OURS, "family": "gpt2", "layers": [LAYER], "parallel": True}, "its parallel is true; only false"),
        (
            {**OURS, "family": "gpt2", "layers": [LAYER], "vocab_size": 9, "n_positions": 9, "sink": 1, "softcap": 3},
            "soft",
        ),
        (
            {**OURS, "family": "gpt2", "layers": [], "norm": "rms_norm"},
            "its norm is rms_norm",
        ),
    ],
)
def test_another_model_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        architecture_of(values)
