"""What makes two studies the same, and populations for small budgets."""

from __future__ import annotations

from lts.study.arguments import differences, population_for


def test_differences_are_named() -> None:
    assert differences({"a": 1}, {"a": 1}) == []
    assert differences({"a": 1, "b": [1]}, {"a": 2, "b": []}) == [
        "a is 1 there and 2 here",
        "b is 1 there and none here",
    ]
    assert differences({"a": 1}, {}) == ["a is 1 there and absent here"]
    assert differences({"space": {"name": "x", "d": 1}}, {"space": {"name": "x", "d": 2}}) == ["the space differs in d"]


def test_a_target_that_says_something_else_is_another_study() -> None:
    before, now = (
        {"device": "none", "profile": {"cores": 4, "l2_kib": 512}},
        {"device": "none", "profile": {"cores": 8}},
    )
    assert differences(before, now) == ["the profile of the target differs in cores, l2_kib"]
    here = {"device": "local", "profile": {"name": "host", "memory_mib": 1}}
    assert differences(here, {**here, "profile": {"name": "host", "memory_mib": 2}}) == []
    assert differences({**here, "profile": {"name": "mine"}}, {**here, "profile": {"name": "mine", "cores": 2}}) != []
    assert differences({"device": "none"}, now) == [], "of an earlier version"


def test_populations_fit_small_budgets() -> None:
    for algorithm in ("lts", "nsga2"):
        assert population_for(algorithm, None) == population_for(algorithm, 300) == {}
        assert population_for(algorithm, 60)["population_size"] == 20
        assert population_for(algorithm, 1)["population_size"] == 8
    assert population_for("random", 10) == {}
