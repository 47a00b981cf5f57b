"""What models are run with."""

from __future__ import annotations

from typing import Any

import pytest

import lts
from lts.errors import UsageError
from lts.targets.workload import Workload

GPT2 = lts.Architecture("gpt2", 100, 256, 32, n_head=[2], d_ff=[64])


def test_the_steps_of_a_request() -> None:
    load = Workload(100, n_gen=51, batch=3)
    assert load.n_steps == 50
    assert load.contexts == (100, 149)
    (prompt,) = load.steps(GPT2, "prefill")
    assert prompt.dims == {"batch": 3, "sequence": 100, "past": 0, "memory": 0, "total": 100, "capacity": 100}
    first, last = load.steps(GPT2, "decode")
    assert first.dims == {"batch": 3, "sequence": 1, "past": 100, "memory": 100, "total": 101, "capacity": 101}
    assert last.dims["past"] == 149
    assert load.positions(decodes=True) == 150
    assert load.positions(decodes=False) == 100


@pytest.mark.parametrize("n_gen", [0, 1, 2])
def test_contexts_that_hardly_differ_are_measured_once(n_gen: int) -> None:
    assert Workload(100, n_gen=n_gen).contexts == (100,)
    assert Workload(1000, n_gen=10).contexts == (1000,)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"n_prompt": 0}, "n_prompt is 0; it must be at least 1"),
        ({"n_gen": -1}, "n_gen is -1; it must be at least 0"),
        ({"batch": 2**21}, "batch is 2097152; it must be at least 1 and at most"),
        ({"logits": "first"}, "unknown logits 'first'; expected all or last"),
        ({"cache": "moved"}, "unknown cache 'moved'; expected copied or in_place"),
    ],
)
def test_workloads_that_do_not_exist(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Workload(**given)


def test_what_earlier_versions_did_not_say_is_as_it_was() -> None:
    assert Workload.of(
        {"n_prompt": 64, "precision": "float32", "threads": 2, "seed": 0, "device": "local"}
    ) == Workload(64, 0, 1, "float32", "all", 2)
    load = Workload(64, 8, 2, "int8", "last", 4, "in_place")
    assert Workload.of(load.describe()) == load


def test_it_is_said_in_words() -> None:
    assert str(Workload()) == "128 tokens of prompt, 32 generated, logits of the last position, float32, 1 thread"
    assert str(Workload(8, 0, 2, "int4", "all", 3)) == (
        "8 tokens of prompt, batch 2, logits of all positions, int4, 3 threads"
    )
    assert str(Workload(cache="in_place")).endswith(", float32, 1 thread, keys and values in place")
    assert str(Workload(n_gen=0, cache="in_place")).endswith(", 1 thread"), "no step is run"
