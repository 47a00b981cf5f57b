"""How the time of a search is divided, and what a search says of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lts.study import plan

SECONDS = (0.05, 20.0, 300.0, 86_400.0)


def evaluator(provenance: str = "measured", varies: bool = True) -> Any:
    return SimpleNamespace(provenance=provenance, varies=varies)


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("confirm", [False, True])
@pytest.mark.parametrize("provenance", ["measured", "emulated", "estimated"])
def test_the_parts_are_all_of_the_time(seconds: float, compiles: bool, confirm: bool, provenance: str) -> None:
    varies = provenance == "measured"
    found = plan.split(seconds, evaluator(provenance, varies), compiles=compiles, confirm=confirm)
    assert found.search + found.again + found.front + found.end == pytest.approx(seconds)
    assert min(found.search, found.end) > 0
    assert (found.again > 0) == (confirm and varies)
    assert (found.front > 0) == compiles
    assert found.run == pytest.approx(found.search + found.again)


def test_what_is_promised_gets_time() -> None:
    """Estimates need next to none of it, so that the front does; the end needs no more for a day than for minutes."""
    found = plan.split(300, evaluator("estimated", varies=False), compiles=True, confirm=True)
    assert found.front > 4 * found.search
    assert plan.split(86_400, evaluator(), compiles=True, confirm=True).end == 10


def test_no_time_is_left_for_a_search_that_begins_too_late() -> None:
    found = plan.split(-3.0, evaluator(), compiles=True, confirm=True)
    assert (found.search, found.again, found.front, found.end) == (0, 0, 0, 0)
    assert found.run > 0


def test_it_is_said() -> None:
    assert str(plan.Split(216.0, 54.0, 0.0, 10.0)) == (
        "4 min 40 s at most: 3 min 36 s to search, 54 s to measure again what is in doubt, 10 s to write the results"
    )
    assert str(plan.Split(40.0, 0.0, 250.0, 10.0, estimated=True)) == (
        "5 min at most: 40 s to search on estimates, 4 min 10 s to compile and check the front, 10 s to write the "
        "results"
    )
