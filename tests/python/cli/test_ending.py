"""What is said for a search in which no trial was completed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lts.cli.ending import why_nothing
from lts.errors import InfeasibleError, MeasurementError


def study(errors: list[str | None], hopeless: str = "") -> Any:
    trials = [SimpleNamespace(state="failed" if error else "running", error=error) for error in errors]
    return SimpleNamespace(trials=trials, hopeless=hopeless)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (["killed for memory"], "no trial was completed: the only trial failed: killed for memory"),
        (["x", "x", None], "no trial was completed: all 2 trials failed: x"),
        (["x", "y", "y"], "no trial was completed: all 3 trials failed, 2 of them because: y"),
        ([None], "no trial was completed; allow more time (--timeout)"),
        ([], "no trial was completed; allow more time (--timeout)"),
    ],
)
def test_the_commonest_reason_is_said(errors: list[str | None], said: str) -> None:
    error = why_nothing(study(errors))
    assert isinstance(error, MeasurementError)
    assert str(error) == said


def test_nothing_feasible_is_the_answer_no() -> None:
    error = why_nothing(study([], "none was run"))
    assert isinstance(error, InfeasibleError)
    assert "none was run" in str(error)


def test_a_complete_trial_is_something() -> None:
    assert why_nothing(SimpleNamespace(trials=[SimpleNamespace(state="complete", error=None)])) is None  # type: ignore[arg-type]
