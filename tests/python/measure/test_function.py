"""A user's function: what it may give, and what makes a failed trial with a sentence."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import lts
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.measure.outcome import Outcome

GPT2 = lts.Architecture("gpt2", 512, 256, 64, n_head=[2, 4], d_ff=[64, 256])


def evaluated(value: object, name: Any = "latency_ms") -> Outcome:
    return FunctionEvaluator(lambda _: {name: value}, name="mine").evaluate(GPT2, [str(name)])  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "value", [3, 1.5, 0, np.float32(2), np.int64(3), np.array(1.5), Decimal("1.5"), Fraction(1, 2)]
)
def test_numbers_of_any_kind_are_taken(value: object) -> None:
    found = evaluated(value)
    assert found.error is None
    assert type(found.values["latency_ms"]) is float
    assert found.provenance == {"latency_ms": "given"}


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        np.True_,
        "8.3",
        b"8",
        None,
        [1.0],
        np.array([1.0, 2.0]),
        10**400,
        -(10**400),
        pytest.param(10**9999, id="9999 digits"),
        1j,
        object(),
    ],
)
def test_what_is_no_number_is_a_sentence(value: object) -> None:
    error = evaluated(value).error
    assert error is not None
    assert "for 'latency_ms'; expected a number" in error
    assert len(error) < 200
    assert "\n" not in error


@pytest.mark.parametrize(
    "name", ["latency_ms", "peak_memory_mib", "energy_mj", "tokens_per_second", "decode_ms_per_token", "instructions"]
)
def test_an_amount_is_not_negative(name: str) -> None:
    assert evaluated(-0.5, name).error == f"mine gave -0.5 for '{name}'; it must not be negative"
    assert evaluated(0.0, name).error is None


@pytest.mark.parametrize("name", ["score", "reward", "change_percent", "log_likelihood"])
def test_other_columns_may_be_negative(name: str) -> None:
    assert evaluated(-0.5, name).error is None


@pytest.mark.parametrize("name", ["decoder_params", "flops_prefill", "weight_mib"])
def test_what_the_core_counts_is_not_given(name: str) -> None:
    error = evaluated(1.0, name).error
    assert error is not None
    assert f"'{name}', which is counted for every architecture" in error


@pytest.mark.parametrize("name", [3, None, ("a", "b")])
def test_a_column_has_a_name(name: object) -> None:
    assert "expected the name of a column" in str(evaluated(1.0, name).error)


def test_what_it_says_of_its_values_stays() -> None:
    evaluator = FunctionEvaluator(lambda _: {"latency_ms": 1.0}, provenance="measured")
    assert evaluator.evaluate(GPT2, ["latency_ms"]).provenance == {"latency_ms": "measured"}


@pytest.mark.parametrize("wrong", [10**400, True, "8", None, float("nan"), -3.0])
def test_a_study_goes_on_after_a_wrong_value(wrong: object) -> None:
    calls = [0]

    def function(_: lts.Architecture) -> dict[str, Any]:
        calls[0] += 1
        return {"latency_ms": wrong if calls[0] == 3 else 1.0}

    objectives = {"decoder_params": "max", "latency_ms": "min"}
    with lts.Study(lts.SearchSpace.load("gpt2-tiny"), function, objectives=objectives) as study:
        study.run(trials=6)
    assert [trial.state for trial in study.trials] == ["complete"] * 2 + ["failed"] + ["complete"] * 3
    assert study.trials[2].error


class Own(Evaluator):
    """An evaluator that gives what it likes."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def describe(self) -> dict[str, Any]:
        return {"target": "", "device": "own", "backend": "own"}

    def evaluate(self, *_: object) -> Outcome:
        return self.outcome


@pytest.mark.parametrize("wrong", [10**400, True, "8", None, float("inf")])
def test_a_wrong_value_of_any_evaluator_is_a_failed_trial(wrong: Any) -> None:
    evaluator = Own(Outcome(values={"x": wrong}, provenance={"x": "given"}))
    with lts.Study(lts.SearchSpace.load("gpt2-tiny"), evaluator, objectives=["x:min"]) as study:
        with pytest.raises(lts.MeasurementError):
            study.run(trials=12)
        assert "it must be finite" in str(study.trials[0].error)


def test_long_texts_are_cut_when_stored() -> None:
    warnings = ["w" * 3000] * 300
    evaluator = Own(Outcome(error="e" * 3000, warnings=warnings))
    with lts.Study(lts.SearchSpace.load("gpt2-tiny"), evaluator, objectives=["x:min"]) as study:
        with pytest.raises(lts.MeasurementError):
            study.run(trials=12)
        trial = study.trials[0]
    assert trial.error is not None
    assert len(trial.error) == 500
    assert trial.error.endswith("... (cut)")
    assert len(trial.warnings) == 100
    assert {len(warning) for warning in trial.warnings} == {500}
