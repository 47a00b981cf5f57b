"""The front that a study predicts: consistent with the models, feasible, and made of what was not measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import lts
from lts.measure.function import FunctionEvaluator
from lts.study.predicted_front import predicted_front
from lts.study.stored import StoredStudy, read_study
from lts.study.study import Study

SPACE = lts.SearchSpace.load("llama-edge")


def cost(architecture: lts.Architecture) -> dict[str, float]:
    """A cost that is a sum over layers, as the additive model assumes."""
    return {"cost_ms": 2.0 + sum(1.0 + 1e-6 * architecture.d_model * width for width in architecture.d_ff)}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    store = tmp_path_factory.mktemp("predicted") / "study.db"
    evaluator = FunctionEvaluator(cost, provenance="measured")
    goals, bounds = ["decoder_params:max", "cost_ms:min"], ["cost_ms<=60"]
    with Study(SPACE, evaluator, objectives=goals, constraints=bounds, surrogate="additive", store=store) as study:
        study.run(trials=24)
    return read_study(store)


def test_members_are_new_feasible_and_do_not_dominate_one_another(stored: StoredStudy) -> None:
    members = predicted_front(stored, SPACE, 100)
    assert 5 < len(members) <= 100
    measured = {trial.architecture for trial in stored.trials}
    for member in members:
        assert member.architecture not in measured
        assert SPACE.contains(member.architecture)
        assert member.values["cost_ms"] <= 60
        assert member.values["decoder_params"] == lts.decoder_params(member.architecture)
        low, high = member.interval["cost_ms"]
        assert low <= member.values["cost_ms"] <= high
        known = [*members, *stored.front]
        assert not any(
            each.values["decoder_params"] >= member.values["decoder_params"]
            and each.values["cost_ms"] < member.values["cost_ms"]
            for each in known
        )


def test_what_is_predicted_is_what_it_costs(stored: StoredStudy) -> None:
    for member in predicted_front(stored, SPACE, 100):
        assert member.values["cost_ms"] == pytest.approx(cost(member.architecture)["cost_ms"], rel=0.05)


def test_without_a_surrogate_or_trials_there_is_none(stored: StoredStudy, tmp_path: Path) -> None:
    other = {**stored.configuration, "surrogate": "none"}
    assert predicted_front(replace(stored, configuration=other), SPACE, 100) == []
    assert predicted_front(replace(stored, trials=stored.trials[:2]), SPACE, 100) == []
    assert len(predicted_front(stored, SPACE, 3)) <= 3
