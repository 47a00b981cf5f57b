"""Exported architectures in transformers: small ones to draw, and the two releases they are tried with."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lts
from lts.export import export

OLDEST = Path(__file__).resolve().parents[2] / ".venv" / "oldest"
REASON = f"the oldest transformers is not in {OLDEST}, where ./install.sh --dev puts it"
PER_LAYER = ("n_head", "n_kv_head", "d_ff", "n_ff", "mixer")
FAMILIES = [family.name for family in lts.families() if family.name != "flexibert_official"]  # is 256 wide at least


def small(family: str, source: random.Random) -> lts.Architecture:
    """An architecture of a few thousand weights, with every option of its family; some with equal layers."""
    traits = lts.family(family)
    n_layer = source.randint(1, 3)
    alike = source.random() < 0.5
    d_model = 24 + (source.randint(0, 5) if traits.head_width == "floor" else 0)
    vocab_size = source.randint(41, 60)
    heads = [1, 2, 3, 4, 6] if traits.position != "rotary" else [1, 2, 3, 4, 6, 12]
    options: dict[str, Any] = {"n_head": [source.choice(heads) for _ in range(n_layer)]}
    if source.random() < 0.4 and not traits.encoder:
        options["head_dim"] = source.choice([4, 6, 10])
        options["n_head"] = [source.randint(1, 5) for _ in range(n_layer)]
        d_model += 2 * source.randint(0, 3)
    if traits.mixed:
        mixers = ["attention", "weighted_attention", "fourier", "cosine", "convolution_5", "convolution_9"]
        options["mixer"] = [source.choice(mixers) for _ in range(n_layer)]
        options["n_head"] = [source.choice([2, 4]) for _ in range(n_layer)]
        options["n_ff"] = [source.randint(1, 3) for _ in range(n_layer)]
    if traits.attention == "grouped_query":
        options["n_kv_head"] = [source.choice([k for k in range(1, n + 1) if n % k == 0]) for n in options["n_head"]]
    options["d_ff"] = [source.randint(8, 40) for _ in range(n_layer)]
    if traits.embedding == "adaptive" or (traits.adaptive_allowed and source.random() < 0.4):
        options["cutoffs"] = source.choice([[], [10], [10, 20], [7, 20, 40, 41]])
        options["div_val"] = source.choice([1, 1, 2])
        options["d_embed"] = source.choice([-1, 16, 40])
        options["tie_projs"] = source.choice([[], [source.random() < 0.5 for _ in range(5)]])
    elif not traits.encoder:
        options["tie_embedding"] = source.random() < 0.5
    if alike:
        options |= {name: [options[name][0]] * n_layer for name in PER_LAYER if name in options}
    if not traits.encoder and traits.position != "relative" and source.random() < 0.7:
        options |= _details(traits, source)
        if not alike:
            _lose_parts(options, source)
    return lts.Architecture(family, vocab_size=vocab_size, n_positions=32, d_model=d_model, **options)


def _details(traits: Any, source: random.Random) -> dict[str, Any]:
    """Values of fields that a family has defaults for, each of which is as likely left at that."""
    found: dict[str, Any] = {
        "norm_epsilon": source.choice([1e-6, 1e-3, 0.05]),
        **{name: source.random() < 0.5 for name in ("qkv_bias", "attention_output_bias", "feed_forward_bias")},
    }
    if traits.position == "rotary":
        found["rotary_theta"] = source.choice([50.0, 1e5])
        found["rotary_dim"] = source.choice([2, 4]) if source.random() < 0.5 else 0
        factors = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        found["rotary_scaling"] = {**factors, "original_positions": source.choice([8, 32])}
    return {name: value for name, value in found.items() if source.random() < 0.5}


def _lose_parts(options: dict[str, Any], source: random.Random) -> None:
    """Take attention or the feed-forward network from some layers; the first one tells how wide heads are."""
    options.setdefault("n_kv_head", list(options["n_head"]))
    for layer in range(1, len(options["n_head"])):
        for name in source.choice([("n_head", "n_kv_head"), ("d_ff",), ()]):
            options[name][layer] = 0


def loaded(architecture: lts.Architecture, folder: Path, weights: Any, **options: Any) -> Any:
    """The architecture, exported to a folder, as `transformers` loads it from there; nothing missing, nothing left."""
    if not (folder / "config.json").exists():
        export(architecture, folder, ["hf"], weights=weights)
    return load(folder, encoder=architecture.traits.encoder, **options)


def load(folder: Path, encoder: bool = False, **options: Any) -> Any:
    """A folder as a model with logits."""
    import transformers

    kind = transformers.AutoModelForMaskedLM if encoder else transformers.AutoModelForCausalLM
    options = {"trust_remote_code": True, "output_loading_info": True, **options}
    model, found = kind.from_pretrained(folder, **options)
    wrong = {name: keys for name, keys in found.items() if keys}
    assert not wrong, wrong
    return model.eval()


@pytest.fixture(autouse=True, scope="module")
def own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the code that transformers copies from models, and runs, out of the user's cache."""
    from transformers import dynamic_module_utils

    folder = str(tmp_path_factory.mktemp("modules"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", folder)
        patch.setattr(sys, "path", [*sys.path])
        for name in [name for name in sys.modules if name.split(".")[0] == "transformers_modules"]:
            patch.delitem(sys.modules, name)  # of another folder
        yield
        for name in [name for name in sys.modules if name.split(".")[0] == "transformers_modules"]:
            del sys.modules[name]
