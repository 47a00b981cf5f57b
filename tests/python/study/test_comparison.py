"""A front beside a baseline: which members, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lts import Architecture, parse_objective
from lts.measure.trial import Trial
from lts.study.baselines import Baseline
from lts.study.comparison import compare
from lts.study.front import Front, front_of

ARCHITECTURE = Architecture("gpt2", 512, 64, 64, n_head=2, d_ff=64, n_layer=1)
OBJECTIVES = ("decoder_params:max", "request_ms:min", "peak_memory_mib:min")


def trial_of(key: int, values: tuple[float, ...], spread: float = 0.01, names: tuple[str, ...] = OBJECTIVES) -> Trial:
    known: Mapping[str, float] = dict(zip((name.split(":")[0] for name in names), values, strict=True))
    measured = [name for name in known if name != "decoder_params"]
    return Trial(
        id=key,
        state="complete",
        architecture=ARCHITECTURE,
        values=dict(known),
        provenance={"decoder_params": "exact", **dict.fromkeys(measured, "measured")},
        interval={name: (known[name] * (1 - spread), known[name] * (1 + spread)) for name in measured},
        feasible=True,
    )


def front(*points: tuple[float, ...], names: tuple[str, ...] = OBJECTIVES) -> Front:
    trials = [trial_of(key, point, names=names) for key, point in enumerate(points)]
    return front_of(trials, [parse_objective(name) for name in names], [])


def baseline(*values: float, names: tuple[str, ...] = OBJECTIVES) -> Baseline:
    return Baseline("gpt2.json", trial_of(0, values, names=names))


def test_the_members_at_the_same_size_and_at_the_same_cost() -> None:
    found = compare(front((200, 150, 9), (103, 80, 5), (120, 92, 6), (50, 30, 3)), baseline(100, 100, 6))
    assert found.same_size is not None
    assert found.same_size.id == 1
    assert found.same_cost is not None
    assert found.same_cost.id == 2
    first, second = found.sentences()
    assert first == (
        "at the same size or better, trial 1: 20 % faster at 3.0 % more parameters than baseline gpt2.json "
        "(request_ms 80 ±0.8 against 100 ±1, peak_memory_mib 5 ±0.05 against 6 ±0.06)"
    )
    assert second.startswith("at the same cost or less, trial 2: 20 % more parameters and 8.0 % faster than baseline")


def test_one_member_for_both_is_said_once() -> None:
    found = compare(front((103, 80, 5)), baseline(100, 100, 6))
    assert found.same_size is found.same_cost
    assert len(found.sentences()) == 1


def test_what_the_intervals_cannot_tell_is_said() -> None:
    (sentence,) = compare(front((100, 99.9, 5)), baseline(100, 100, 6)).sentences()
    assert ": the same request_ms within the intervals at the same decoder_params as baseline" in sentence


def test_a_baseline_that_nothing_reaches() -> None:
    first, second = compare(front((50, 120, 3)), baseline(100, 100, 2)).sentences()
    assert first == "no member of the front has at least the decoder_params of baseline gpt2.json, 100"
    assert second == "no member of the front has at most the request_ms of baseline gpt2.json, 100 ±1"


def test_a_slower_front_is_called_slower() -> None:
    found = compare(front((130, 150, 3)), baseline(100, 100, 2))
    assert "50 % slower at 30 % more parameters than" in found.sentences()[0]


@pytest.mark.parametrize(
    ("names", "member", "own", "said"),
    [
        (("decoder_params:max",), (120.0,), (100.0,), "trial 0: 20 % more parameters than baseline"),
        (("cost:min",), (0.0,), (4.0,), "trial 0: 4 less cost than baseline"),
        (
            ("decoder_params:max", "peak_memory_mib:min"),
            (100.0, 2.0),
            (100.0, 4.0),
            "less memory at the same decoder",
        ),
        (
            ("tokens_per_second:max", "cost:min"),
            (30.0, 1.0),
            (10.0, 2.0),
            "cost at 200 % more tokens_per_second",
        ),
    ],
)
def test_other_objectives(names: tuple[str, ...], member: tuple[float, ...], own: tuple[float, ...], said: str) -> None:
    assert said in compare(front(member, names=names), baseline(*own, names=names)).sentences()[0]


def test_one_that_failed_says_why() -> None:
    failed = Trial(id=0, state="failed", architecture=ARCHITECTURE, error="killed\x1b[2J for memory")
    found = compare(front((1, 1, 1)), Baseline("mine", failed))
    assert found.sentences() == ["baseline mine could not be measured: killed [2J for memory"]
