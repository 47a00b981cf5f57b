"""The inventory of weights."""

from __future__ import annotations

import math

from hypothesis import given
from test_architecture import architectures, small

import lts
from lts import Architecture


@given(architectures())
def test_sizes_sum_to_the_counts(a: Architecture) -> None:
    weights = lts.weights(a)
    counts = lts.count_parameters(a)
    assert sum(w.size for w in weights) == lts.total_params(a) == counts.total
    assert sum(w.size for w in weights if w.part == "decoder") == lts.decoder_params(a) == counts.decoder
    assert sum(w.size for w in weights if w.part == "embedding") == counts.embedding
    assert sum(w.size for w in weights if w.part == "softmax") == counts.softmax
    for role, count in counts.by_role.items():
        assert sum(w.size for w in weights if w.role == role) == count
    assert sum(counts.by_role.values()) == counts.total


@given(architectures())
def test_names_are_unique_and_shapes_agree(a: Architecture) -> None:
    weights = lts.weights(a)
    assert len({w.name for w in weights}) == len(weights)
    for w in weights:
        assert w.size == math.prod(w.shape)
        assert len(w.shape) == (2 if w.kind in ("matrix", "table") else 1)
        assert w.name.endswith({"matrix": "weight", "table": "weight", "scale": "scale", "bias": "bias"}[w.kind])
        if w.layer is None:
            assert not w.name.startswith("layers.")
        else:
            assert 0 <= w.layer < a.n_layer
            assert w.name.startswith(f"layers.{w.layer}.")


def test_of_a_layer_of_gpt2() -> None:
    a = small(d_ff=[32, 48])
    assert [(w.name, w.shape, w.kind) for w in lts.weights(a) if w.layer == 1] == [
        ("layers.1.attention_norm.scale", (8,), "scale"),
        ("layers.1.attention_norm.bias", (8,), "bias"),
        ("layers.1.query.weight", (8, 8), "matrix"),
        ("layers.1.query.bias", (8,), "bias"),
        ("layers.1.key.weight", (8, 8), "matrix"),
        ("layers.1.key.bias", (8,), "bias"),
        ("layers.1.value.weight", (8, 8), "matrix"),
        ("layers.1.value.bias", (8,), "bias"),
        ("layers.1.attention_output.weight", (8, 8), "matrix"),
        ("layers.1.attention_output.bias", (8,), "bias"),
        ("layers.1.feed_forward_norm.scale", (8,), "scale"),
        ("layers.1.feed_forward_norm.bias", (8,), "bias"),
        ("layers.1.up.weight", (8, 48), "matrix"),
        ("layers.1.up.bias", (48,), "bias"),
        ("layers.1.down.weight", (48, 8), "matrix"),
        ("layers.1.down.bias", (8,), "bias"),
    ]


def test_outside_the_layers() -> None:
    def outside(a: Architecture) -> list[tuple[str, str, tuple[int, ...]]]:
        return [(w.name, w.part, w.shape) for w in lts.weights(a) if w.layer is None]

    assert outside(small()) == [
        ("token_embedding.0.weight", "embedding", (100, 8)),
        ("position_embedding.weight", "embedding", (16, 8)),
        ("final_norm.scale", "decoder", (8,)),
        ("final_norm.bias", "decoder", (8,)),
    ]
    assert outside(small(family="llama", n_head=4, n_kv_head=2)) == [
        ("token_embedding.0.weight", "embedding", (100, 8)),
        ("final_norm.scale", "decoder", (8,)),
        ("head.weight", "softmax", (8, 100)),
    ]
    adaptive = small(family="transformer_xl", d_embed=6, div_val=2, cutoffs=[10, 30, 200])
    assert outside(adaptive) == [
        ("token_embedding.0.weight", "embedding", (10, 6)),
        ("embedding_projection.0.weight", "embedding", (6, 8)),
        ("token_embedding.1.weight", "embedding", (20, 3)),
        ("embedding_projection.1.weight", "embedding", (3, 8)),
        ("token_embedding.2.weight", "embedding", (70, 1)),
        ("embedding_projection.2.weight", "embedding", (1, 8)),
        ("head_bias.bias", "softmax", (100,)),
        ("cluster.weight", "softmax", (6, 2)),
        ("cluster.bias", "softmax", (2,)),
        ("head_projection.0.weight", "softmax", (8, 6)),
    ]
    assert [w.index for w in lts.weights(adaptive) if w.role == "token_embedding"] == [0, 1, 2]


def test_grouped_query_attention_narrows_keys_and_values() -> None:
    shapes = {w.role: w.shape for w in lts.weights(small(family="llama", n_head=4, n_kv_head=2)) if w.layer == 0}
    assert shapes["query"] == (8, 8)
    assert shapes["key"] == shapes["value"] == (8, 4)
    assert shapes["gate"] == shapes["up"] == (8, 32)


def test_repr() -> None:
    assert repr(lts.weights(small())[0]) == "<Weight token_embedding.0.weight (100, 8)>"
