"""What is said of a front that lies at the edge of its space; against brute force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lts
from lts._core import Objective, parse_objective
from lts.study.edges import edge_notes

LAYERED = ("n_head", "n_kv_head", "d_ff")
GPT2 = lts.SearchSpace.load("gpt2-lts")


def objectives(*texts: str) -> list[Objective]:
    return [parse_objective(text) for text in texts or ("decoder_params:max", "latency_ms:min")]


def gpt2(n_head: Sequence[int], d_ff: Sequence[int], d_model: int = 512) -> lts.Architecture:
    return lts.Architecture("gpt2", 50257, 1024, d_model, n_head=n_head, d_ff=d_ff)


def test_what_a_proxy_cannot_see_is_told() -> None:
    front = [gpt2([2, 2, 2, 2, 4], [1024, 4096, 2048, 512, 1024]) for _ in range(3)]
    assert edge_notes(front, GPT2, objectives()) == [
        "n_head is as small as the space allows in 12 of 15 layers of the front, and decoder_params cannot see it"
    ]
    assert edge_notes(front, GPT2, objectives("decoder_params:max", "geometric:max", "total_params:max")) == [
        "n_head is as small as the space allows in 12 of 15 layers of the front, and decoder_params and geometric and "
        "total_params cannot see it"
    ]


def test_what_a_proxy_sees_is_told_without_it() -> None:
    front = [gpt2([2, 8, 2, 8, 4], [4096, 4096, 4096, 4096, 4032]) for _ in range(3)]
    beyond = ["d_ff is as large as the space allows in 12 of 15 layers of the front: what is best may lie beyond"]
    assert edge_notes(front, GPT2, objectives()) == beyond
    # What is minimized is a cost, and what the core does not know is not judged.
    assert edge_notes(front, GPT2, objectives("total_params:min", "accuracy:max")) == beyond


def test_members_are_counted_where_all_layers_are_alike() -> None:
    front = [gpt2([2, 8], [1024, 2048], d_model) for d_model in (128, 128, 128, 128, 512)]
    assert edge_notes(front, GPT2, objectives()) == [
        "n_layer is as small as the space allows in 5 of 5 members of the front: what is best may lie beyond",
        "d_model is as small as the space allows in 4 of 5 members of the front: what is best may lie beyond",
    ]
    shared = lts.SearchSpace(**{**GPT2.options, "shared_n_head": True})
    front = [gpt2([8] * n, [1024, 2048] * (n // 2)) for n in (4, 6, 8)]
    assert edge_notes(front, shared, objectives()) == [
        "n_head is as large as the space allows in 3 of 3 members of the front, and decoder_params cannot see it"
    ]


def test_less_than_four_fifths_and_few_members_say_nothing() -> None:
    front = [gpt2([2, 2, 2, 4], [1024, 4096, 2048, 512]) for _ in range(50)]
    assert edge_notes(front, GPT2, objectives()) == []
    assert edge_notes([gpt2([2, 2], [256, 256])] * 2, GPT2, objectives()) == []
    assert edge_notes([], GPT2, objectives()) == []


def test_a_value_without_another_is_no_edge() -> None:
    small = lts.SearchSpace.load("gpt2-small")  # heads 64 wide: d_model says how many
    front = [gpt2([2] * 4, [256, 320, 384, 512], 128), gpt2([6] * 5, [768, 1536, 1024, 1024, 896], 384)] * 4
    assert {a for a in front if a in small} == set(front)
    assert edge_notes(front, small, objectives()) == []


def test_the_rules_make_edges_too() -> None:
    small = lts.SearchSpace.load("gpt2-small")
    front = [gpt2([d // 64] * 3, [4 * d] * 3, d) for d in (128, 256, 320, 384)]
    assert edge_notes(front, small, objectives()) == [
        "d_ff is as large as the space allows in 12 of 12 layers of the front: what is best may lie beyond"
    ]


def test_bounds_of_parameters_are_no_edges() -> None:
    bounded = lts.SearchSpace(**{**GPT2.options, "n_layer": [2, 3, 4], "decoder_params": (None, 10_000_000)})
    front = [gpt2([4, 8, 4], [1792, 1728, 1792]) for _ in range(5)]
    assert front[0] in bounded
    assert edge_notes(front, bounded, objectives()) == []


def test_the_embedding_of_transformer_xl() -> None:
    space = lts.SearchSpace.load("transformer-xl-lts")
    found = [a for a in space.sample(2000, seed=1, method="choices") if a.d_embed == 128 and a.div_val == 4][:20]
    assert len(found) == 20
    assert edge_notes(found, space, objectives()) == [
        "d_embed is as small as the space allows in 20 of 20 members of the front, and decoder_params cannot see it",
        "div_val is as large as the space allows in 20 of 20 members of the front, and decoder_params cannot see it",
    ]
    total = edge_notes(found, space, objectives("total_params:max", "latency_ms:min"))
    assert [note.rpartition(": ")[2] for note in total] == ["what is best may lie beyond"] * 2


@pytest.mark.parametrize("name", ["gpt2-small", "llama-edge", "llama-lm", "gpt2-lts", "transformer-xl-lts"])
def test_a_random_front_is_at_no_edge(name: str) -> None:
    space = lts.SearchSpace.load(name)
    assert edge_notes(space.sample(200, seed=1, method="choices"), space, objectives()) == []


@st.composite
def fronts(draw: st.DrawFn) -> tuple[lts.SearchSpace, list[lts.Architecture]]:
    family = draw(st.sampled_from(["gpt2", "llama"]))

    def choices(values: list[int]) -> list[int]:
        return draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))

    options: dict[str, Any] = {
        "family": family,
        "vocab_size": 50,
        "n_positions": 8,
        "n_layer": choices([1, 2, 3]),
        "d_model": choices([8, 12, 16, 24]),
        "n_head": choices([1, 2, 3, 4, 6]),
        "d_ff": choices([8, 16, 24, 32, 48]),
        "shared_n_head": draw(st.booleans()),
        "shared_d_ff": draw(st.booleans()),
        "max_ff_ratio": draw(st.sampled_from([None, 2.0])),
        "head_dims": draw(st.sampled_from([[], [4, 8], [2, 4, 6]])),
    }
    if family == "llama":
        options["n_kv_head"] = draw(st.sampled_from([[], [1, 2], [1, 2, 3]]))
    try:
        space = lts.SearchSpace(**options)
    except ValueError:  # the rules leave none
        space = lts.SearchSpace.load("gpt2-tiny")
    return space, space.sample(draw(st.integers(0, 6)), draw(st.integers(0, 99)))


@settings(max_examples=150, deadline=None)
@given(fronts())
def test_the_same_as_brute_force(drawn: tuple[lts.SearchSpace, list[lts.Architecture]]) -> None:
    space, front = drawn
    options = space.options
    # The values of each dimension that the layers of a d_model have; those of n_kv_head by n_head.
    layers = list(lts.SearchSpace(**{**options, "n_layer": [1]}))
    allowed: dict[tuple[str, int, int], set[int]] = defaultdict(set)
    for a in layers:
        allowed["n_head", a.d_model, 0].add(a.n_head[0])
        allowed["d_ff", a.d_model, 0].add(a.d_ff[0])
        allowed["n_kv_head", a.d_model, a.n_head[0]].add(a.n_kv_head[0])
    expected = {}
    for name in ("n_layer", "d_model", *LAYERED):
        by_layer = name in LAYERED and not options[f"shared_{name}"]
        seen = []
        for a in front:
            if name not in LAYERED:
                seen.append((a, getattr(a, name), set(options[name])))
                continue
            for i in range(a.n_layer if by_layer else 1):
                key = (name, a.d_model, a.n_head[i] if name == "n_kv_head" else 0)
                seen.append((a, getattr(a, name)[i], allowed[key]))
        seen = [place for place in seen if len(place[2]) > 1]
        members = {id(a) for a, *_ in seen}
        for size, end in (("small", min), ("large", max)):
            n = sum(value == end(values) for _, value, values in seen)
            if len(members) >= 3 and n >= 0.8 * len(seen):
                what = "layers" if by_layer else "members"
                expected[f"{name} is as {size} as the space allows in {n} of {len(seen)} {what} of the front"] = name
    found = edge_notes(front, space, objectives())
    assert [note.partition(":")[0].partition(", and")[0] for note in found] == list(expected)
    for note, name in zip(found, expected.values(), strict=True):
        # Heads that keys follow share d_model whatever their number; fewer keys are fewer parameters.
        assert note.endswith("decoder_params cannot see it") == (name == "n_head" and not options.get("n_kv_head"))
