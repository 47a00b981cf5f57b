"""`SearchSpace` against enumeration with itertools."""

from __future__ import annotations

import itertools
import json
import math
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lts
from lts import Architecture, SearchSpace

SMALL: dict[str, Any] = {"n_layer": [1, 2], "d_model": [8, 16], "n_head": [1, 2], "d_ff": [8, 24]}
LARGE: dict[str, Any] = {
    "n_layer": range(2, 17),
    "d_model": range(128, 1025, 64),
    "n_head": [2, 4, 8],
    "d_ff": range(256, 4097, 64),
}


def three(bias: bool | tuple[bool, ...]) -> tuple[bool, ...]:
    """What all three biases are."""
    return bias if isinstance(bias, tuple) else (bias,) * 3


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    """Options of small spaces, not all of which hold an architecture."""

    def choices(values: list[int], most: int = 2) -> list[int]:
        return draw(st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True))

    family = draw(st.sampled_from(["gpt2", "transformer_xl", "llama", "hw_gpt"]))
    o: dict[str, Any] = {
        "family": family,
        "vocab_size": 50,
        "n_positions": 8,
        "n_layer": choices([1, 2, 3]),
        "d_model": choices([4, 6, 8, 12]),
        "n_head": choices([1, 2, 3, 4]),
        "d_ff": choices([4, 6, 8, 16, 24], 3),
        "shared_n_head": draw(st.booleans()),
        "shared_d_ff": draw(st.booleans()),
        "min_ff_ratio": draw(st.sampled_from([0.0, 1.0, 1.5])),
        "max_ff_ratio": draw(st.sampled_from([None, None, 1.5, 3.0])),
        "head_dims": draw(st.sampled_from([[], [], [4], [6, 2, 3]])),
        "head_dim": draw(st.sampled_from([0, 0, 4])),
    }
    if draw(st.booleans()):
        o["d_ff_ratio"] = draw(st.lists(st.sampled_from([0.5, 1, 2, 2.5]), min_size=1, max_size=3, unique=True))
        o["d_ff"] = []
    if draw(st.booleans()):
        o["head_dim"] = choices([2, 4, 6])
    if family != "transformer_xl":
        biases = st.booleans() | st.tuples(st.booleans(), st.booleans(), st.booleans())
        o["bias"] = draw(st.lists(biases, max_size=2, unique_by=three))
    if family == "llama":
        o["n_kv_head"] = draw(st.sampled_from([[], [1], [1, 2]]))
        o["shared_n_kv_head"] = draw(st.booleans())
    else:
        o["d_embed"] = choices([-1, 2, 4])
        o["div_val"] = choices([1, 2])
        o["cutoffs"] = draw(st.sampled_from([[], [10, 30, 99]]))
    bounds = st.none() | st.integers(0, 3000)
    for key in ("decoder_params", "total_params"):
        low, high = draw(bounds), draw(bounds)
        if low is not None and high is not None and low > high:
            low, high = high, low
        o[key] = draw(st.sampled_from([(None, None), (low, high)]))
    return o


def enumerate_all(o: dict[str, Any]) -> list[Architecture]:
    """Every architecture of the space, by trying all combinations."""

    def within(bounds: tuple[int | None, int | None], value: int) -> bool:
        low, high = bounds
        return (low is None or value >= low) and (high is None or value <= high)

    found = []
    pairs = [(h, k) for h in o["n_head"] for k in (o.get("n_kv_head") or [h])]
    head_dims = o["head_dim"] if isinstance(o["head_dim"], list) else [o["head_dim"]]
    names = ("qkv_bias", "attention_output_bias", "feed_forward_bias")
    biases = [dict(zip(names, three(bias), strict=True)) for bias in o.get("bias", [])] or [{}]
    embeddings = itertools.product(o.get("d_embed", [-1]), o.get("div_val", [1]))
    outer = itertools.product(o["d_model"], head_dims, biases, embeddings, o["n_layer"])
    for d_model, head_dim, bias, (d_embed, div_val), n_layer in outer:
        widths = [int(ratio * d_model) for ratio in o.get("d_ff_ratio", [])] or o["d_ff"]
        layers = [(h, k, f) for h, k in pairs for f in widths]
        for chosen in itertools.product(layers, repeat=n_layer):
            n_head, n_kv_head, d_ff = (list(column) for column in zip(*chosen, strict=True))
            # Without choices of its own, n_kv_head follows n_head, and there is nothing to share.
            own_kv = n_kv_head if o.get("n_kv_head") else []
            shared = (("shared_n_head", n_head), ("shared_n_kv_head", own_kv), ("shared_d_ff", d_ff))
            if any(o.get(key) and len(set(values)) > 1 for key, values in shared):
                continue
            if min(d_ff) < o["min_ff_ratio"] * d_model:
                continue
            if o["max_ff_ratio"] is not None and max(d_ff) > o["max_ff_ratio"] * d_model:
                continue
            if o["head_dims"] and any((head_dim or d_model // heads) not in o["head_dims"] for heads in n_head):
                continue
            try:
                a = Architecture(
                    o["family"],
                    o["vocab_size"],
                    o["n_positions"],
                    d_model,
                    n_head,
                    d_ff,
                    n_kv_head,
                    head_dim=head_dim,
                    d_embed=d_embed,
                    div_val=div_val,
                    **bias,
                    cutoffs=o.get("cutoffs", []),
                )
            except ValueError:
                continue
            if within(o["decoder_params"], lts.decoder_params(a)) and within(o["total_params"], lts.total_params(a)):
                found.append(a)
    return found


class TestAgainstEnumeration:
    @settings(max_examples=200, deadline=None)
    @given(options(), st.integers(0, 2**64 - 1))
    def test_size_index_and_members(self, o: dict[str, Any], seed: int) -> None:
        expected = enumerate_all(o)
        if not expected:
            with pytest.raises(ValueError, match="leave no architecture"):
                SearchSpace(**o)
            return
        space = SearchSpace(**o)
        assert space.size == len(space) == len(expected)
        members = list(space)
        assert len(members) == len(expected)
        assert set(members) == set(expected)
        for i, a in enumerate(members):
            assert space.at(i) == a
            assert space.index(a) == i
            assert a in space
            assert space.why_not(a) is None
        for method in ("uniform", "choices"):
            assert set(space.sample(20, seed, method)) <= set(expected)

    @settings(max_examples=100, deadline=None)
    @given(options(), options())
    def test_members_of_another_space(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        second |= {"family": first["family"], "n_kv_head": first.get("n_kv_head", [])}
        if first["family"] == "transformer_xl":
            second |= {"bias": []}
        if first["family"] == "llama":
            second = {k: v for k, v in second.items() if k not in ("d_embed", "div_val", "cutoffs")}
        elif "shared_n_kv_head" in second:
            second = {k: v for k, v in second.items() if k != "shared_n_kv_head"}
        try:
            space = SearchSpace(**first)
        except ValueError:
            return
        inside = set(enumerate_all(first))
        for a in enumerate_all(second)[:300]:
            assert (a in space) == space.contains(a) == (a in inside) == (space.why_not(a) is None)
            if a not in inside:
                with pytest.raises(ValueError, match="not in the space"):
                    space.index(a)

    @settings(max_examples=100, deadline=None)
    @given(options())
    def test_text_and_copies(self, o: dict[str, Any]) -> None:
        try:
            space = SearchSpace(**o)
        except ValueError:
            return
        for other in (
            SearchSpace.from_json(space.to_json()),
            SearchSpace(**space.options),
            pickle.loads(pickle.dumps(space)),
        ):
            assert other == space
            assert hash(other) == hash(space)
            assert other.to_json() == space.to_json()
            assert other.size == space.size


class TestLarge:
    def test_size_in_closed_form(self) -> None:
        space = SearchSpace(**LARGE)
        assert space.size == 15 * sum((3 * 61) ** n for n in range(2, 17))
        assert repr(space).startswith("<SearchSpace 'unnamed' gpt2: ")

    def test_bijection(self) -> None:
        space = SearchSpace(**LARGE, min_ff_ratio=2.0, decoder_params=(4_000_000, 100_000_000))
        for i in (0, 1, 2**32, 2**64, 10**25, space.size // 3, space.size - 1):
            a = space.at(i)
            assert space.index(a) == i
            assert 4_000_000 <= lts.decoder_params(a) <= 100_000_000
            assert min(a.d_ff) >= 2 * a.d_model

    def test_len_says_why_not(self) -> None:
        space = SearchSpace(**LARGE)
        with pytest.raises(OverflowError, match="use its size"):
            len(space)
        assert space
        assert len(list(itertools.islice(space, 5))) == 5

    def test_thousands_of_digits(self) -> None:
        space = SearchSpace(**{**LARGE, "n_layer": [4000], "d_model": [128]})
        assert space.size == (3 * 61) ** 4000
        i = space.size - 12345
        assert space.index(space.at(i)) == i
        with pytest.raises(IndexError):
            space.at(space.size)


class TestIndexErrors:
    @pytest.mark.parametrize("index", [-1, -(10**50), 6 * 6, 10**50])
    def test_out_of_range(self, index: int) -> None:
        space = SearchSpace(n_layer=[1, 2], d_model=[8], n_head=[1], d_ff=[8, 16, 24, 32, 40])
        with pytest.raises(IndexError, match=r"index .* it must be at least 0|is out of range; the space has 30"):
            space.at(index)

    @pytest.mark.parametrize("index", [1.0, "1", None, True])
    def test_wrong_type(self, index: Any) -> None:
        with pytest.raises(TypeError, match="index must be an integer"):
            SearchSpace(**SMALL).at(index)

    def test_numpy_index(self) -> None:
        space = SearchSpace(**SMALL)
        assert space.at(np.int64(3)) == space.at(3)


class TestSampling:
    def test_uniform(self) -> None:
        space = SearchSpace(n_layer=[1, 2], d_model=[8], n_head=[1], d_ff=[8, 16], decoder_params=(0, None))
        for bounds in ((None, None), (0, None)):
            space = SearchSpace(n_layer=[1, 2], d_model=[8], n_head=[1], d_ff=[8, 16], decoder_params=bounds)
            counts = Counter(space.sample(6000, seed=5))
            assert len(counts) == 6
            chi2 = sum((n - 1000) ** 2 / 1000 for n in counts.values())
            assert chi2 < 25  # 5 degrees of freedom: exceeded once in 7,000

    def test_choices_are_uniform_over_depths(self) -> None:
        counts = Counter(a.n_layer for a in SearchSpace(**LARGE).sample(3000, seed=1, method="choices"))
        assert len(counts) == 15
        assert min(counts.values()) > 130
        deep = Counter(a.n_layer for a in SearchSpace(**LARGE).sample(300, seed=1))
        assert deep[16] > 280

    def test_seeds(self) -> None:
        space = SearchSpace(**LARGE)
        assert space.sample(5, seed=3) == space.sample(5, seed=3)
        assert space.sample(5, seed=3) == space.sample(9, seed=3)[:5]
        assert space.sample(5, seed=3) != space.sample(5, seed=2**64 - 1)
        assert space.sample(0) == []

    def test_errors(self) -> None:
        space = SearchSpace(**SMALL)
        with pytest.raises(ValueError, match="unknown method 'sobol'; expected uniform or choices"):
            space.sample(1, method="sobol")  # type: ignore[arg-type, unused-ignore]
        with pytest.raises(ValueError, match="n is out of range; it must be from 0"):
            space.sample(-1)
        with pytest.raises(ValueError, match="seed is out of range"):
            space.sample(1, seed=2**64)


class TestOptions:
    def test_defaults(self) -> None:
        o = SearchSpace(**SMALL).options
        assert (o["name"], o["family"], o["vocab_size"], o["n_positions"]) == ("unnamed", "gpt2", 50257, 1024)
        assert (o["d_embed"], o["div_val"], o["n_kv_head"], o["tie_embedding"]) == ([-1], [1], [], None)
        assert o["decoder_params"] == o["total_params"] == (None, None)

    def test_order_of_choices_does_not_matter(self) -> None:
        assert SearchSpace(**SMALL) == SearchSpace(**{**SMALL, "d_ff": (24, 8), "n_layer": np.array([2, 1])})
        assert SearchSpace(**SMALL) != SearchSpace(**SMALL, name="other")
        assert SearchSpace(**SMALL) != 5

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"family": "bert"}, "unknown family 'bert'"),
            ({"n_layer": []}, "n_layer has no choices"),
            ({"n_head": [2, 2]}, "n_head has the choice 2 twice"),
            ({"d_model": [0]}, "d_model has the choice 0; it must be at least 1"),
            ({"d_embed": [0]}, "d_embed has the choice 0"),
            ({"n_kv_head": [1]}, "gpt2 has no grouped-query attention"),
            ({"min_ff_ratio": math.nan}, "min_ff_ratio must be a finite number"),
            ({"min_ff_ratio": -1.0}, "min_ff_ratio must be a finite number that is not negative"),
            ({"min_ff_ratio": 100.0}, "no d_ff is at least min_ff_ratio"),
            ({"max_ff_ratio": math.inf}, "max_ff_ratio must be a finite number that is not below min_ff_ratio"),
            ({"max_ff_ratio": 1.0, "min_ff_ratio": 2.0}, "max_ff_ratio must be a finite number that is not below"),
            ({"max_ff_ratio": 0.25}, "no d_ff is from min_ff_ratio"),
            ({"head_dims": [-4]}, "head_dims has the choice -4; it must be at least 1"),
            ({"head_dims": [3]}, "no n_head makes heads as wide as head_dims says"),
            ({"decoder_params": (2, 1)}, "bounds of decoder_params: min 2 is above max 1"),
            ({"decoder_params": (None, 5)}, r"decoder_params \[-, 5\].*while the choices reach from"),
            ({"n_head": [3]}, "n_head of layer 0 is 3; it must divide d_model"),
            ({"vocab_size": 0}, "vocab_size is 0"),
        ],
    )
    def test_errors(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            SearchSpace(**{**SMALL, **changes})

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"n_layer": 2}, "n_layer must be a sequence of integers, not int"),
            ({"d_ff": [8.0]}, r"d_ff\[0\] must be an integer, not float"),
            ({"head_dims": 64}, "head_dims must be a sequence of integers, not int"),
            ({"d_ff": "88"}, "d_ff must be a sequence of integers, not str"),
            ({"decoder_params": 5}, r"decoder_params must be a tuple \(min, max\)"),
            ({"decoder_params": (1, 2, 3)}, r"decoder_params must be a tuple \(min, max\)"),
            ({"total_params": (1.5, None)}, "min of total_params must be an integer, not float"),
            ({"d_ff": [], "d_ff_ratio": 2}, "d_ff_ratio must be a sequence of numbers"),
            ({"d_ff": [], "d_ff_ratio": ["2"]}, r"d_ff_ratio\[0\] must be a number, not str"),
            ({"bias": True}, "bias must be a sequence of bools or of"),
            ({"bias": [0]}, r"bias\[0\] must be a sequence of bools, not int"),
            ({"bias": [(True, False, 1)]}, r"bias\[0\]\[2\] must be True or False, not int"),
            ({"head_dim": [4.0, 8]}, "head_dim.* must be an integer, not float"),
        ],
    )
    def test_types(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(TypeError, match=message):
            SearchSpace(**{**SMALL, **changes})

    def test_unknown_and_missing(self) -> None:
        with pytest.raises(TypeError):
            SearchSpace(**SMALL, depth=[1])
        with pytest.raises(TypeError):
            SearchSpace(n_layer=[1], n_head=[1], d_ff=[8])  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="d_ff has no choices; give at least one"):
            SearchSpace(n_layer=[1], d_model=[8], n_head=[1])  # or d_ff_ratio


class TestMembership:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"family": "llama"}, "family is llama, the space is of gpt2"),
            ({"vocab_size": 7}, "vocab_size is 7, the space has 50257"),
            ({"n_positions": 7}, "n_positions is 7, the space has 1024"),
            ({"n_layer": 3}, "n_layer 3 is not among the choices"),
            ({"d_model": 32}, "d_model 32 is not among the choices"),
            ({"n_head": [1, 4]}, "n_head 4 is not among the choices in layer 1"),
            ({"d_ff": 9}, "d_ff 9 is not among the choices in layer 0"),
            ({"d_embed": 4}, "d_embed 4 is not among the choices"),
            ({"tie_embedding": False}, "tie_embedding differs"),
        ],
    )
    def test_why_not(self, changes: dict[str, Any], message: str) -> None:
        fixed = {"family": "gpt2", "vocab_size": 50257, "n_positions": 1024, "d_model": 8, "n_head": 1, "d_ff": 8}
        space = SearchSpace(**SMALL)
        assert Architecture(**fixed, n_layer=2) in space
        a = Architecture(**{**fixed, "n_layer": 2, **changes})
        assert a not in space
        assert (space.why_not(a) or "").startswith(message)

    def test_other_objects(self) -> None:
        assert "gpt2" not in SearchSpace(**SMALL)
        assert None not in SearchSpace(**SMALL)


def test_iterator_outlives_the_name() -> None:
    iterator = iter(SearchSpace(**SMALL))
    assert iter(iterator) is iterator
    assert sum(1 for _ in iterator) == SearchSpace(**SMALL).size
    with pytest.raises(StopIteration):
        next(iterator)


def test_from_json_is_strict() -> None:
    values = json.loads(SearchSpace(**SMALL).to_json())
    with pytest.raises(ValueError, match="search space: unknown key 'depth'; allowed: name, family"):
        SearchSpace.from_json(json.dumps({**values, "depth": 1}))
    with pytest.raises(ValueError, match="n_layer has no choices"):
        SearchSpace.from_json(json.dumps({**values, "n_layer": []}))
