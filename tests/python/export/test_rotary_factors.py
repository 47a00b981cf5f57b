"""Factors of rotary wavelengths against those of transformers, and the rules found from them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lts.export.rotary_factors import rotary_factors, scaling_of

LLAMA_3_2 = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 8192}


def test_as_transformers_has_them() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    said = {"rope_type": "llama3", "rope_theta": 500000.0, "original_max_position_embeddings": 8192, "factor": 32.0}
    said |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    config = transformers.LlamaConfig(
        hidden_size=2048, num_attention_heads=32, max_position_embeddings=131072, rope_parameters=said
    )
    scaled, factor = ROPE_INIT_FUNCTIONS["llama3"](config, device="cpu")
    assert factor == 1.0
    plain = 500000.0 ** (-np.arange(0, 64, 2) / 64)
    np.testing.assert_allclose(rotary_factors(LLAMA_3_2, 500000.0, 64), plain / scaled.numpy(), rtol=1e-5)


def test_the_rule_is_found() -> None:
    assert scaling_of(rotary_factors(LLAMA_3_2, 500000.0, 64), 500000.0) == LLAMA_3_2
    source = random.Random(3)
    for _ in range(50):
        theta, width, low = source.choice([1e4, 5e5]), source.choice([64, 128]), source.choice([0.5, 1.0, 2.0])
        given = {
            "factor": source.choice([2.0, 4.0, 8.0]),
            "low_freq_factor": low,
            "high_freq_factor": low * source.choice([3.0, 4.0, 6.0]),
            "original_positions": source.choice([2048, 4096, 8192]),
        }
        factors = rotary_factors(given, theta, width)
        assert scaling_of(factors, theta, given["original_positions"]) == given
        without = scaling_of(factors, theta)  # any with the same factors
        assert without is not None
        np.testing.assert_allclose(rotary_factors(without, theta, width), factors, rtol=2e-4)


@pytest.mark.parametrize("factors", [np.full(32, 4.0), np.linspace(1, 8, 32), np.linspace(1, 0.5, 32), [1, np.nan]])
def test_factors_of_other_rules(factors: np.ndarray) -> None:
    assert scaling_of(np.asarray(factors, np.float32), 1e4) is None
