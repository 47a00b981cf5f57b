"""`Architecture` and `Family`."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lts
from lts import Architecture

SMALL: dict[str, Any] = {"family": "gpt2", "vocab_size": 100, "n_positions": 16, "d_model": 8, "n_head": 2, "d_ff": 32}


def small(**changes: Any) -> Architecture:
    return Architecture(**{**SMALL, "n_layer": 2, **changes})


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Valid architectures of all families."""
    family = draw(st.sampled_from([family.name for family in lts.families() if not family.mixed]))
    n_layer = draw(st.integers(1, 6))
    powers = st.sampled_from([1, 2, 4])
    n_kv_head = draw(st.lists(powers, min_size=n_layer, max_size=n_layer))
    factor = draw(st.lists(powers, min_size=n_layer, max_size=n_layer))
    arguments: dict[str, Any] = {
        "family": family,
        "vocab_size": draw(st.integers(1000, 300_000)),
        "n_positions": draw(st.integers(1, 4096)),
        "d_model": 64 * draw(st.integers(1, 8)),
        "n_head": [k * f for k, f in zip(n_kv_head, factor, strict=True)],
        "d_ff": draw(st.lists(st.integers(1, 4096), min_size=n_layer, max_size=n_layer)),
        "head_dim": draw(st.sampled_from([0, 0, 2, 64])),
    }
    if family == "llama":
        arguments["n_kv_head"] = n_kv_head
        arguments["tie_embedding"] = draw(st.sampled_from([None, True, False]))
    elif lts.family(family).adaptive_allowed and draw(st.booleans()):
        arguments |= {
            "d_embed": draw(st.sampled_from([-1, 32, 128])),
            "div_val": draw(st.sampled_from([1, 2])),
            "cutoffs": draw(st.sampled_from([(), (200, 500, 999_999, 4)])),
            "tie_projs": draw(st.sampled_from([(), (True, False, True, True)])),
        }
    return Architecture(**arguments, **draw(details(family)))


@st.composite
def details(draw: st.DrawFn, family: str) -> dict[str, Any]:
    """What an architecture may have other than its family; the fields that its family has."""
    traits = lts.family(family)
    given: dict[str, Any] = {"norm_epsilon": draw(st.none() | st.floats(1e-12, 1.0))}
    if traits.position == "rotary":
        given["rotary_theta"] = draw(st.none() | st.floats(1.0, 1e9))
        given["rotary_dim"] = draw(st.sampled_from([0, 2]))
        factors = {"factor": draw(st.floats(1, 64)), "low_freq_factor": 1.5, "high_freq_factor": 4}
        given["rotary_scaling"] = draw(st.sampled_from([None, {**factors, "original_positions": 8192}]))
    if traits.position != "relative":
        for name in ("qkv_bias", "attention_output_bias", "feed_forward_bias"):
            given[name] = draw(st.sampled_from([None, False, True]))
    return given


SCALING = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 8192}


class TestDetails:
    """What pretrained models have other than their family."""

    def test_given_and_of_the_family(self) -> None:
        plain = small(family="llama")
        assert (plain.rotary_theta, plain.norm_epsilon, plain.rotary_dim, plain.rotary_scaling) == (1e4, 1e-5, 0, None)
        assert not plain.qkv_bias
        assert not plain.attention_output_bias
        assert not plain.feed_forward_bias
        a = small(family="llama", rotary_theta=5e5, norm_epsilon=1e-6, rotary_dim=2, rotary_scaling=SCALING)
        assert (a.rotary_theta, a.norm_epsilon, a.rotary_dim, a.rotary_scaling) == (5e5, 1e-6, 2, SCALING)
        for name in ("qkv_bias", "attention_output_bias", "feed_forward_bias"):
            assert getattr(small(family="llama", **{name: True}), name)
            assert not getattr(small(family="gpt_neox", **{name: False}), name)
            assert getattr(small(family="gpt_neox"), name)

    def test_what_the_family_has_says_nothing(self) -> None:
        plain = small(family="llama")
        same = small(family="llama", rotary_theta=10_000, norm_epsilon=1e-5, rotary_dim=0, qkv_bias=False)
        assert same == plain
        assert hash(same) == hash(plain)
        assert same.to_json() == plain.to_json()
        assert repr(same) == repr(plain)
        assert not {"rotary_theta", "norm_epsilon", "qkv_bias"} & set(plain.to_dict())

    def test_numpy_scalars(self) -> None:
        a = small(family="llama", rotary_theta=np.float32(5e5), rotary_dim=np.int64(2), norm_epsilon=np.float64(1e-6))
        assert (a.rotary_theta, a.rotary_dim, a.norm_epsilon) == (5e5, 2, 1e-6)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"rotary_theta": 0}, "rotary_theta is 0; it must be from 1 to 1e12"),
            ({"rotary_theta": float("nan")}, "rotary_theta is nan; it must be from 1 to 1e12"),
            ({"norm_epsilon": 2}, "norm_epsilon is 2; it must be above 0 and at most 1"),
            ({"rotary_dim": 3}, "rotary_dim is 3; it must be even"),
            ({"rotary_dim": 6}, "rotary_dim is 6; it must be at most the width of heads, 4 in layer 0"),
            ({"rotary_scaling": {"factor": 8}}, "rotary_scaling must be a mapping with factor, low_freq_factor"),
            ({"rotary_scaling": {**SCALING, "factor": 0}}, "factor of rotary_scaling is 0; it must be from 1"),
            ({"family": "gpt2", "rotary_theta": 5e5}, "rotary_theta: gpt2 has no rotary positions; leave it out"),
            ({"family": "transformer_xl", "qkv_bias": True}, "the biases of transformer_xl cannot be chosen"),
        ],
    )
    def test_refused(self, given: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            small(**{"family": "llama", **given})

    @pytest.mark.parametrize(
        "given",
        [{"rotary_theta": "1e5"}, {"norm_epsilon": True}, {"rotary_dim": 2.0}, {"rotary_scaling": 8}, {"qkv_bias": 1}],
    )
    def test_types(self, given: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            small(family="llama", **given)

    def test_layers_without_parts(self) -> None:
        a = small(n_layer=None, n_head=[2, 0, 0], d_ff=[0, 0, 16])
        assert a.n_kv_head == [2, 0, 0]
        assert a.head_dims == [4, 0, 0]
        assert {(w.layer, w.sublayer) for w in lts.weights(a) if w.sublayer} == {(0, "attention"), (2, "feed_forward")}
        rest = lts.without_empty_layers(a)
        assert (rest.n_head, rest.d_ff) == ([2, 0], [0, 16])
        assert lts.total_params(rest) == lts.total_params(a)
        for family in ("transformer_xl", "flexibert"):
            with pytest.raises(ValueError, match="d_ff of layer 0 is 0; it must be from 1"):
                small(family=family, d_ff=0)
        with pytest.raises(ValueError, match="n_head and d_ff are 0 in every layer"):
            small(n_head=0, d_ff=0)


class TestConstruction:
    def test_positions_follow_the_signature(self) -> None:
        a = Architecture("gpt2", 100, 16, 8, 2, 32, n_layer=3)
        assert (a.family, a.vocab_size, a.n_positions, a.d_model) == ("gpt2", 100, 16, 8)
        assert (a.n_layer, a.n_head, a.n_kv_head, a.d_ff) == (3, [2] * 3, [2] * 3, [32] * 3)

    def test_defaults(self) -> None:
        a = small()
        assert (a.head_dim, a.d_embed, a.div_val, a.cutoffs, a.tie_projs) == (0, -1, 1, [], [])
        assert a.tie_embedding
        assert not small(family="llama").tie_embedding
        assert a.uniform
        assert not a.adaptive
        assert a.embedding_width == 8

    def test_lists_give_the_depth(self) -> None:
        a = small(n_layer=None, n_head=[2, 4, 1], d_ff=16)
        assert a.n_layer == 3
        assert a.d_ff == [16, 16, 16]
        assert a.head_dims == [4, 2, 8]
        assert not a.uniform

    def test_grouped_query_attention(self) -> None:
        a = small(family="llama", n_head=[4, 2], n_kv_head=[2, 1])
        assert a.n_kv_head == [2, 1]
        assert small(family="llama", n_head=4, n_kv_head=1).n_kv_head == [1, 1]

    def test_heads_of_transformer_xl_are_rounded_down(self) -> None:
        assert small(family="transformer_xl", d_model=10, n_head=[3, 4]).head_dims == [3, 2]

    def test_adaptive_embedding(self) -> None:
        a = small(vocab_size=50264, d_model=8, d_embed=4, div_val=2, cutoffs=[19997, 39997, 199997, 50264])
        assert a.adaptive
        assert a.embedding_width == 4
        assert a.cutoffs == [19997, 39997, 199997, 50264]
        assert a.clean_cutoffs == [19997, 39997, 50264]

    @pytest.mark.parametrize("kind", [np.int8, np.int32, np.int64, np.uint16])
    def test_numpy_integers(self, kind: type) -> None:
        assert small(d_model=kind(8), n_head=kind(2), n_layer=kind(2)) == small()

    @pytest.mark.parametrize("kind", [tuple, np.array, lambda v: range(2, 6, 2)])
    def test_sequences(self, kind: Any) -> None:
        assert small(n_head=kind([2, 4])).n_head == [2, 4]

    def test_numpy_bools(self) -> None:
        a = small(cutoffs=[10, 100], tie_projs=np.array([True, False]), tie_embedding=np.True_)
        assert a.tie_projs == [True, False]


class TestErrors:
    @pytest.mark.parametrize(
        "name", ["vocab_size", "n_positions", "d_model", "n_layer", "head_dim", "d_embed", "div_val"]
    )
    @pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float64(2), "2", [2], np.array([2]), 1j])
    def test_only_integers(self, name: str, value: Any) -> None:
        with pytest.raises(TypeError, match=rf"^{name} must be an integer, not "):
            small(**{name: value})

    @pytest.mark.parametrize("name", ["n_head", "d_ff", "n_kv_head"])
    @pytest.mark.parametrize("value", [True, 2.0, "22", b"22", {2: 2}, {2}])
    def test_only_integers_per_layer(self, name: str, value: Any) -> None:
        with pytest.raises(TypeError, match=rf"^{name} must be "):
            small(**{name: value})
        with pytest.raises(TypeError, match=rf"^{name}\[1\] must be an integer, not "):
            small(**{name: [2, value]})

    @pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**100])
    def test_64_bits(self, value: int) -> None:
        with pytest.raises(ValueError, match="vocab_size is out of range; it must be a 64-bit integer"):
            small(vocab_size=value)

    def test_lists_of_different_lengths(self) -> None:
        with pytest.raises(ValueError, match="d_ff has 3 entries, but n_head has 2; there must be one per layer"):
            small(n_layer=None, n_head=[2, 2], d_ff=[8, 8, 8])
        with pytest.raises(ValueError, match="n_head has 3 entries, but n_layer is 2; there must be one per layer"):
            small(n_head=[2, 2, 2])
        with pytest.raises(ValueError, match="n_kv_head has 1 entries, but n_head has 2"):
            small(n_layer=None, n_head=[2, 2], n_kv_head=[2])

    def test_depth_is_needed(self) -> None:
        with pytest.raises(ValueError, match="n_layer is missing"):
            Architecture(**SMALL)
        with pytest.raises(ValueError, match="n_layer is 99999999999; it must be from 1 to 4096"):
            small(n_layer=99999999999)
        with pytest.raises(ValueError, match="n_layer is 0"):
            small(n_layer=None, n_head=[], d_ff=[])

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"family": "gpt3"}, "unknown family 'gpt3'; expected one of gpt2, transformer_xl, llama, hw_gpt, "),
            ({"vocab_size": 0}, "vocab_size is 0; it must be from 1"),
            ({"n_positions": -1}, "n_positions is -1"),
            ({"n_head": 3}, "n_head of layer 0 is 3; it must divide d_model, 8"),
            ({"d_ff": [8, -1]}, "d_ff of layer 1 is -1"),
            ({"n_kv_head": 1}, "gpt2 has no grouped-query attention"),
            ({"family": "llama", "n_head": 4, "n_kv_head": 3}, "n_kv_head of layer 0 is 3; it must divide n_head, 4"),
            ({"family": "llama", "n_head": 8}, "rotary positions need an even width"),
            ({"family": "llama", "div_val": 2}, "llama has no adaptive embedding"),
            ({"d_embed": 0}, "d_embed is 0"),
            ({"cutoffs": [50, 20, 100]}, "cutoffs: 20 follows 50"),
            ({"cutoffs": [50, 100], "tie_projs": [True]}, "tie_projs has 1 entries"),
            ({"cutoffs": [50, 100], "tie_embedding": False}, "an adaptive embedding is always tied"),
            ({"cutoffs": [20, 50, 100], "div_val": 4}, "div_val is 4; it leaves no width for cluster 2"),
        ],
    )
    def test_validated(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            small(**changes)

    def test_bools_are_strict(self) -> None:
        with pytest.raises(TypeError, match=r"tie_projs\[0\] must be True or False, not int"):
            small(cutoffs=[50, 100], tie_projs=[1, 0])
        with pytest.raises(TypeError):
            small(tie_embedding=1)

    def test_read_only(self) -> None:
        with pytest.raises(AttributeError):
            small().d_model = 16  # type: ignore[misc]


class TestValue:
    @given(architectures())
    def test_text_comes_back(self, a: Architecture) -> None:
        text = a.to_json()
        assert Architecture.from_json(text) == a
        assert Architecture.from_json(text).to_json() == text
        assert json.loads(text) == a.to_dict()
        assert Architecture.from_dict(a.to_dict()) == a

    @given(architectures())
    def test_repr_evaluates_back(self, a: Architecture) -> None:
        assert eval(repr(a)) == a

    @given(architectures())
    def test_copies_are_equal(self, a: Architecture) -> None:
        for other in (copy.copy(a), copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
            assert other == a
            assert hash(other) == hash(a)
            assert repr(other) == repr(a)

    def test_repr_is_short(self) -> None:
        assert repr(small()) == (
            "Architecture('gpt2', vocab_size=100, n_positions=16, d_model=8, n_head=2, d_ff=32, n_layer=2)"
        )
        assert repr(small(n_head=[2, 4])) == (
            "Architecture('gpt2', vocab_size=100, n_positions=16, d_model=8, n_head=[2, 4], d_ff=32)"
        )

    def test_equality(self) -> None:
        assert small() == small(n_layer=None, n_head=[2, 2])
        assert small() != small(d_ff=33)
        assert small() != "gpt2"
        assert len({small(), small(), small(d_ff=8)}) == 2

    def test_lists_are_copies(self) -> None:
        a = small()
        a.n_head.append(1)
        assert a.n_head == [2, 2]

    def test_dictionaries_may_hold_numpy(self) -> None:
        values = {**SMALL, "d_model": np.int64(8), "n_head": np.array([2, 2]), "tie_embedding": np.True_}
        assert Architecture.from_dict(values) == small()
        with pytest.raises(TypeError, match="an architecture cannot hold a <class 'object'>"):
            Architecture.from_dict({**SMALL, "d_ff": object()})


class TestFamilies:
    def test_names(self) -> None:
        names = [f.name for f in lts.families()]
        assert names == [
            *("gpt2", "transformer_xl", "llama", "hw_gpt", "hw_gpt_gated", "hw_gpt_gated_bias", "flexibert"),
            *("flexibert_official", "gpt_neox"),
        ]
        assert lts.family("llama").name == "llama"
        known = ", ".join(names)
        with pytest.raises(ValueError, match=f"unknown family 'bert'; expected one of {known}"):
            lts.family("bert")

    def test_traits(self) -> None:
        expected = {
            "gpt2": ("multi_head", "gelu", "layer_norm", "before", True, "learned", "exact", True, True, "plain", True),
            "hw_gpt": (
                *("multi_head", "gelu", "layer_norm", "before", True, "learned", "exact", False, False, "plain"),
                True,
            ),
            "hw_gpt_gated": (
                *("multi_head", "swiglu", "layer_norm", "before", True, "learned", "exact", False, False, "plain"),
                True,
            ),
            "hw_gpt_gated_bias": (
                *("multi_head", "swiglu", "layer_norm", "before", True, "learned", "exact", True, True, "plain"),
                True,
            ),
            **dict.fromkeys(
                ("flexibert", "flexibert_official"),
                (
                    *("multi_head", "gelu", "layer_norm", "after", False, "learned", "exact", True, True, "plain"),
                    False,
                ),
            ),
            "transformer_xl": (
                *("multi_head", "relu", "layer_norm", "after", False, "relative", "floor", False, True, "adaptive"),
                True,
            ),
            "gpt_neox": (
                *("multi_head", "gelu_erf", "layer_norm", "before", True, "rotary", "exact", True, True, "plain"),
                False,
            ),
            "llama": (
                *("grouped_query", "swiglu", "rms_norm", "before", True, "rotary", "exact", False, False, "plain"),
                False,
            ),
        }
        for f in lts.families():
            assert expected[f.name] == (
                *(f.attention, f.feed_forward, f.norm, f.norm_placement, f.final_norm, f.position, f.head_width),
                *(f.attention_bias, f.feed_forward_bias, f.embedding, f.adaptive_allowed),
            )
            assert f.norm_epsilon == (1e-12 if f.mixed else 1e-5)
            assert (f.encoder, f.mixed) == ("flexibert" in f.name, "flexibert" in f.name)
            assert (f.only_d_model, f.only_d_ff) == ((256, 1024) if f.name == "flexibert_official" else (0, 0))
            assert f.rotary_theta == 10000.0
            assert f.parallel == (f.name == "gpt_neox")

    def test_mixed_layers(self) -> None:
        a = Architecture("flexibert", 100, 16, 128, 2, 64, mixer=["fourier", "convolution_5"], n_ff=[1, 3])
        assert (a.mixer, a.n_ff, a.n_layer) == (["fourier", "convolution_5"], [1, 3], 2)
        for same in (eval(repr(a), {"Architecture": Architecture}), Architecture.from_dict(a.to_dict())):
            assert same == a
        assert small().mixer == ["attention"] * small().n_layer
        assert "mixer" not in small().to_dict()
        for changes, message in (
            ({"mixer": "mamba"}, "unknown mixer 'mamba'; expected one of attention"),
            ({"mixer": ["fourier"] * 3}, "n_ff has 2 entries, but mixer has 3"),
            ({"n_ff": [1, 65]}, "n_ff of layer 1 is 65; it must be from 1 to 64"),
            ({"family": "gpt2"}, "mixer of layer 0 is fourier; every layer of gpt2 has attention"),
        ):
            with pytest.raises(ValueError, match=message):
                Architecture(**{**a.to_dict(), "n_layer": None, "n_head": 2, "d_ff": 64, "n_kv_head": None, **changes})
        with pytest.raises(TypeError, match="mixer must be text"):
            Architecture("flexibert", 100, 16, 128, 2, 64, n_layer=1, mixer=3)
        plain = {k: v for k, v in a.to_dict().items() if k not in ("mixer", "n_ff")}
        for extra, message in (
            ({"mixer": "rnn"}, "unknown mixer 'rnn'"),
            ({"mixer": 3}, "mixer must be"),
            ({"mixer": ["fourier"] * 3}, "mixer has 3 entries"),
            ({"n_ff": "x"}, "n_ff must be"),
        ):
            with pytest.raises(ValueError, match=message):
                Architecture.from_dict({**plain, **extra})
        assert Architecture.from_dict({**plain, "mixer": "fourier", "n_ff": 3}).mixer == ["fourier", "fourier"]

    def test_operations_are_those_of_decoders(self) -> None:
        a = Architecture("flexibert", 100, 16, 128, 2, 64, n_layer=2)
        assert lts.analytic("decoder_params", a) == lts.decoder_params(a)
        for name in ("flops_prefill", "flops_decode", "kv_cache_mib", "peak_memory_estimate_mib"):
            with pytest.raises(ValueError, match="family is flexibert, an encoder; operations and memory are known"):
                lts.analytic(name, a)

    def test_of_an_architecture(self) -> None:
        a = small(family="llama")
        assert a.traits == lts.family("llama")
        assert hash(a.traits) == hash(lts.family("llama"))
        assert a.traits != lts.family("gpt2")
        traits = small().traits
        assert traits.tie_embedding
        assert repr(traits) == "<Family gpt2>"
