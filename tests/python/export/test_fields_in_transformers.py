"""Every field of an architecture in transformers: its own classes, the per-layer form, and what comes back."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runner import arrays, relative_error, tokens

import lts
from lts.export import export
from lts.export.checkpoint import read_checkpoint
from lts.measure.pretrained import read_pretrained

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers_models import load, own_modules  # noqa: E402, F401

N_RANDOM = 2
LENGTH = 40  # tokens, some of which are beyond the positions that scaled wavelengths were trained on
GREEDY: dict[str, Any] = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None, "max_new_tokens": 12}
CLASSES = {
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
}
NO_BIAS = {"qkv_bias": False, "attention_output_bias": False, "feed_forward_bias": False}


def scaling(source: random.Random) -> dict[str, Any] | None:
    """Llama 3's rule, in which some of the wavelengths of a few channels are long, some short, and some between."""
    if source.random() < 0.3:
        return None
    low = source.choice([0.5, 1.0, 2.0])
    return {
        "factor": source.choice([2.0, 8.0, 32.0]),
        "low_freq_factor": low,
        "high_freq_factor": low * source.choice([2.0, 4.0]),
        "original_positions": source.choice([16, 64, 500]),
    }


def drawn(kind: str, source: random.Random) -> lts.Architecture:
    """Equal layers that a class of transformers has, with values of all fields that it can have."""
    n_head = source.choice([2, 4, 6])
    head_dim = source.choice([8, 12])
    bias = source.random() < 0.5
    fields: dict[str, Any] = {
        "vocab_size": 97,
        "n_positions": 64,
        "d_model": n_head * head_dim,
        "n_head": n_head,
        "n_layer": source.randint(1, 3),
        "d_ff": source.randint(20, 40),
        "tie_embedding": source.random() < 0.5,
        "norm_epsilon": source.choice([1e-6, 1e-5, 1e-3, 0.05]),
    }
    if kind != "gpt2":
        fields |= {"rotary_theta": source.choice([100.0, 1e4, 1e5, 5e5]), "rotary_scaling": scaling(source)}
    if kind == "gpt_neox":
        fields |= {"rotary_dim": source.choice([0, 2, 4, 6]), "qkv_bias": bias, "attention_output_bias": bias}
    if kind in ("llama", "mistral", "qwen2"):
        fields["n_kv_head"] = source.choice([k for k in range(1, n_head + 1) if n_head % k == 0])
    if kind == "llama":
        feed_forward = not bias or source.random() < 0.5  # without any bias it may also be a Mistral
        fields |= {"qkv_bias": bias, "attention_output_bias": bias, "feed_forward_bias": feed_forward}
    elif kind == "mistral":
        fields |= {"head_dim": 10, "d_model": 35}
    elif kind == "qwen2":
        fields |= {"qkv_bias": True, "head_dim": source.choice([0, 10])}
    return lts.Architecture(kind if kind.startswith("gpt") else "llama", **fields)


def per_layer(patch: pytest.MonkeyPatch, architecture: lts.Architecture, folder: Path, weights: Any) -> Any:
    """The architecture in the per-layer form, whatever class transformers has for it."""
    with patch.context() as within:
        within.setattr("lts.export.huggingface.FORMS", {})
        export(architecture, folder, ["hf"], weights=weights)
    model = load(folder)
    assert type(model).__name__ == "LtsForCausalLM"
    return model


def logits(model: Any, ids: Any) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        found: np.ndarray[Any, Any] = model(ids).logits.numpy()
    return found


def check_came_back(folder: Path, architecture: lts.Architecture, weights: Any) -> None:
    read = read_pretrained(folder)
    assert read.architecture == architecture
    assert read.weights.keys() == weights.keys()
    assert all(np.array_equal(read.weights[name], array) for name, array in weights.items())


def check_generates(model: Any, ids: Any) -> None:
    """Tokens with a cache are those without."""
    cached = model.generate(ids[:, :7], **GREEDY)
    assert cached.tolist() == model.generate(ids[:, :7], use_cache=False, **GREEDY).tolist()


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("seed", range(N_RANDOM))
def test_random_fields(kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class computes at every position what the per-layer form does, and both give every field and weight back."""
    architecture = drawn(kind, random.Random(f"{kind} {seed}"))
    weights, ids = arrays(architecture), torch.tensor(tokens(architecture, 2, LENGTH))
    export(architecture, tmp_path / "class", ["hf"], weights=weights)
    theirs = load(tmp_path / "class", trust_remote_code=False)
    assert type(theirs).__name__ == CLASSES[kind]
    ours = per_layer(monkeypatch, architecture, tmp_path / "ours", weights)
    assert relative_error(logits(ours, ids), logits(theirs, ids)) < 1e-5, architecture
    check_generates(ours, ids)
    for name, model in (("class", theirs), ("ours", ours)):
        check_came_back(tmp_path / name, architecture, weights)
        model.save_pretrained(tmp_path / f"saved {name}")
        check_came_back(tmp_path / f"saved {name}", architecture, weights)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama", "qwen2"])
def test_layers_that_lack_parts(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer without heads or feed-forward network is one of transformers' whose output projections are zero."""
    source = random.Random(kind)
    for attempt in range(2):
        uniform = drawn(kind, source)
        n_head, n_kv_head, d_ff = uniform.n_head[0], uniform.n_kv_head[0], uniform.d_ff[0]
        parts = [(False, True), (True, False), (True, True), (False, False)]
        source.shuffle(parts)
        fields = {
            name: getattr(uniform, name)
            for name in (
                *(
                    "vocab_size",
                    "n_positions",
                    "d_model",
                    "tie_embedding",
                    "norm_epsilon",
                    "rotary_theta",
                    "rotary_dim",
                ),
                *("rotary_scaling", "qkv_bias", "attention_output_bias", "feed_forward_bias"),
            )
        }
        widths = {"head_dim": uniform.head_dims[0]}
        whole = lts.Architecture(
            uniform.family, **fields, **widths, n_head=n_head, n_kv_head=n_kv_head, d_ff=d_ff, n_layer=4
        )
        lacking = lts.Architecture(
            uniform.family,
            **fields,
            **widths,
            n_head=[n_head * attention for attention, _ in parts],
            n_kv_head=[n_kv_head * attention for attention, _ in parts],
            d_ff=[d_ff * feed_forward for _, feed_forward in parts],
        )
        weights = arrays(whole)
        kept = {weight.name: weights[weight.name] for weight in lts.weights(lacking)}
        for layer, has in enumerate(parts):
            for role, there in zip(("attention_output", "down"), has, strict=True):
                for ending in ("weight", "bias"):
                    name = f"layers.{layer}.{role}.{ending}"
                    if not there and name in weights:
                        weights[name] = np.zeros_like(weights[name])
        folder = tmp_path / str(attempt)
        export(whole, folder / "masked", ["hf"], weights=weights)
        export(lacking, folder / "lacking", ["hf"], weights=kept)
        ids = torch.tensor(tokens(whole, 2, LENGTH))
        model, masked = load(folder / "lacking"), load(folder / "masked", trust_remote_code=False)
        assert type(masked).__name__ == CLASSES[kind]
        assert relative_error(logits(model, ids), logits(masked, ids)) < 1e-5, lacking
        assert sum(parameter.numel() for parameter in model.parameters()) == lts.total_params(lacking)
        check_generates(model, ids)
        with torch.no_grad():
            cache = model(ids, use_cache=True).past_key_values
        filled = [layer.keys for layer in cache.layers if layer.get_seq_length() > 0]
        assert [tuple(keys.shape[1:]) for keys in filled] == 2 * [(n_kv_head, LENGTH, uniform.head_dims[0])]
        # The layer that has neither is left out of files.
        moved = {with_layers_moved(name, parts.index((False, False))): array for name, array in kept.items()}
        check_came_back(folder / "lacking", lts.without_empty_layers(lacking), moved)


def with_layers_moved(name: str, gone: int) -> str:
    """The name of a weight in an architecture without one of its layers."""
    if not name.startswith("layers."):
        return name
    _, layer, rest = name.split(".", 2)
    return f"layers.{int(layer) - (int(layer) > gone)}.{rest}"


def test_no_layer_has_attention(tmp_path: Path) -> None:
    """Generating still counts positions, and each token depends on the one before alone."""
    architecture = lts.Architecture("gpt2", 97, 64, 24, n_head=0, head_dim=8, d_ff=[30, 20], n_layer=2)
    export(architecture, tmp_path, ["hf"], weights=arrays(architecture))
    model, ids = load(tmp_path), torch.tensor(tokens(architecture, 2, LENGTH))
    check_generates(model, ids)
    beams = model.generate(ids[:, :7], num_beams=3, **GREEDY)
    assert beams.tolist() == model.generate(ids[:, :7], num_beams=3, use_cache=False, **GREEDY).tolist()
    other = ids.clone()
    other[:, :-1] = 0
    assert relative_error(logits(model, other)[:, -1], logits(model, ids)[:, -1]) < 1e-6


SCALED = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
COMMON: dict[str, Any] = {"vocab_size": 97, "initializer_range": 0.2, "max_position_embeddings": 64}
WIDTHS: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    **COMMON,
}
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "SmolLM2": ("llama", {"num_key_value_heads": 2, "rope_theta": 1e5, "rms_norm_eps": 1e-6}),
    "Llama 3": ("llama", {"rope_scaling": {**SCALED, "rope_type": "llama3"}, "rope_theta": 5e5, "head_dim": 20}),
    "biases": ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    "Mistral": ("mistral", {"sliding_window": None, "num_key_value_heads": 1, "rms_norm_eps": 1e-2}),
    "Qwen2": ("qwen2", {"num_key_value_heads": 2, "rope_theta": 1e6, "tie_word_embeddings": True}),
    "Pythia": ("gpt_neox", {"rotary_pct": 0.5, "layer_norm_eps": 1e-3, "rotary_emb_base": 5000}),
    "GPT-NeoX without biases": ("gpt_neox", {"rotary_pct": 1.0, "attention_bias": False}),
}


@pytest.mark.parametrize("name", THEIRS)
def test_what_transformers_writes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its models, with biases and norms that are not those they begin with, are read and compute the same as ours."""
    kind, fields = THEIRS[name]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **{**WIDTHS, **fields})
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    read = read_pretrained(tmp_path / "theirs")
    ours = per_layer(monkeypatch, read.architecture, tmp_path / "ours", read.weights)
    ids = torch.tensor(tokens(read.architecture, 2, LENGTH))
    assert relative_error(logits(ours, ids), logits(model, ids)) < 1e-5
    assert sum(parameter.numel() for parameter in model.parameters()) == lts.total_params(read.architecture)
    # The same from what a training loop of one's own saves.
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "state.safetensors")
    again = read_checkpoint(read.architecture, tmp_path / "state.safetensors")
    assert all(np.array_equal(again[name], read.weights[name]) for name in read.weights)


def test_masks_of_older_checkpoints_are_no_weights(tmp_path: Path) -> None:
    """Pythia's files have buffers that newer releases make themselves."""
    architecture = drawn("gpt_neox", random.Random(1))
    weights = arrays(architecture)
    export(architecture, tmp_path, ["hf"], weights=weights)
    path = tmp_path / "model.safetensors"
    buffers = {
        "gpt_neox.layers.0.attention.bias": torch.ones(1, 1, 64, 64, dtype=torch.bool),
        "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9),
        "gpt_neox.layers.0.attention.rotary_emb.inv_freq": torch.ones(4),
    }
    save_file(load_file(path) | buffers, path)
    check_came_back(tmp_path, architecture, weights)


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("gpt2", {"qkv_bias": False}),
        ("gpt2", {"feed_forward_bias": False}),
        ("gpt2", {"head_dim": 6}),
        ("gpt_neox", {"attention_output_bias": False}),
        ("gpt_neox", {"feed_forward_bias": False}),
        ("gpt_neox", {"head_dim": 6}),
        ("llama", {"attention_output_bias": True}),
        ("llama", {"rotary_dim": 4}),
        ("llama", {"qkv_bias": True, "feed_forward_bias": True}),
        ("llama", {"feed_forward_bias": True, "head_dim": 6, "n_head": 5}),
    ],
)
def test_what_no_class_has(family: str, fields: dict[str, Any], tmp_path: Path) -> None:
    """Equal layers of which a class of transformers would ignore a field have the per-layer form."""
    architecture = lts.Architecture(family, 97, 64, 32, **{"n_head": 4, "d_ff": 30, "n_layer": 2, **fields})
    weights = arrays(architecture)
    export(architecture, tmp_path, ["hf"], weights=weights)
    assert type(load(tmp_path)).__name__ == "LtsForCausalLM"
    check_came_back(tmp_path, architecture, weights)
