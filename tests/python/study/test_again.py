"""Members of a stored front measured anew: on the same device, on another one, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lts import Architecture
from lts.errors import UsageError
from lts.measure.evaluator import TargetEvaluator
from lts.measure.outcome import Outcome
from lts.spaces.space import load_space
from lts.study.again import columns_again, measure_members, open_again
from lts.study.stored import StoredStudy, read_study
from lts.study.study import Study
from lts.targets.target import load_target

SPACE = load_space("gpt2-tiny")
OBJECTIVES = ("decoder_params:max", "latency_ms:min")


class Board(TargetEvaluator):
    """A device that is slower by a factor, and one percent more so with every process."""

    provenance = "measured"
    varies = True

    def __init__(self, factor: float = 1.0, name: str = "board") -> None:
        super().__init__(load_target("host"), name, "onnxruntime")
        self.costs = ("latency_ms",)
        self.factor = factor
        self.n: dict[Architecture, int] = {}
        self.broken: set[Architecture] = set()

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        self.n[architecture] = self.n.get(architecture, 0) + 1
        if architecture in self.broken:
            return Outcome(error="it crashed")
        value = self.factor * sum(architecture.d_ff) * architecture.d_model * (1 + 0.01 * self.n[architecture])
        return Outcome(
            values={"latency_ms": value, "decoder_params": float(architecture.n_layer * architecture.d_model)},
            provenance={"latency_ms": "measured", "decoder_params": "exact"},
            interval={"latency_ms": (0.99 * value, 1.01 * value)},
        )


@pytest.fixture
def stored(tmp_path: Path) -> StoredStudy:
    with Study(SPACE, Board(), objectives=OBJECTIVES, store=tmp_path / "study.db", surrogate="none") as study:
        study.run(trials=20)
    return read_study(tmp_path / "study.db")


def test_the_same_device_says_whether_intervals_hold(stored: StoredStudy) -> None:
    members = stored.front.trials
    board = Board()
    told: list[tuple[int, int]] = []
    found = measure_members(stored, members, board, ["latency_ms"], 3, lambda n, trial: told.append((n, trial.id)))
    assert told[: len(members) + 1] == [*((1, trial.id) for trial in members), (2, members[0].id)]
    assert [each.stored for each in found] == members
    for each in found:
        assert each.same
        assert len(each.now.rounds["latency_ms"]) == 3
        assert each.ratio("latency_ms") == pytest.approx(1.0, abs=0.02)
        assert each.holds("latency_ms") is True
    slower = measure_members(stored, members, Board(2.0), ["latency_ms"], 3)
    assert all(each.holds("latency_ms") is False for each in slower)
    assert slower[0].ratio("latency_ms") == pytest.approx(2.0, abs=0.05)


def test_on_another_device_intervals_are_no_question(stored: StoredStudy) -> None:
    (found,) = measure_members(stored, stored.front.trials[:1], Board(3.0, "other"), ["latency_ms"], 1)
    assert not found.same
    assert found.holds("latency_ms") is None
    assert found.ratio("latency_ms") == pytest.approx(3.0, abs=0.1)


def test_one_that_fails_has_no_ratio_and_a_later_process_counts(stored: StoredStudy) -> None:
    board = Board()
    board.broken = {stored.front[0].architecture}
    found = measure_members(stored, stored.front.trials[:2], board, ["latency_ms"], 2)
    assert found[0].now.state == "failed"
    assert found[0].now.error == "it crashed"
    assert found[0].ratio("latency_ms") is found[0].holds("latency_ms") is None
    assert found[1].now.state == "complete"


def test_what_is_refused(stored: StoredStudy) -> None:
    board = Board()
    with pytest.raises(UsageError, match="processes is 0; it must be at least 1"):
        measure_members(stored, stored.front.trials, board, ["latency_ms"], 0)
    board.costs = ("instructions",)
    with pytest.raises(UsageError, match=r"'board' measures nothing that the study optimizes \(latency_ms\)"):
        columns_again(stored, board)
    for configuration, said in (
        ({"device": "function"}, "do not come from a device; name one"),
        ({}, "do not come from a device; name one"),
        ({"device": "none", "target": "arm64"}, "are estimates; name a device"),
        ({"device": "nonsense", "target": "host"}, "nonsense"),
    ):
        with pytest.raises(UsageError, match=said):
            open_again(configuration)


def test_a_table_is_opened_with_the_workload_of_the_study(stored: StoredStudy, tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    records = [
        {"architecture": trial.architecture.to_dict(), "values": {"latency_ms": 2 * trial.values["latency_ms"]}}
        for trial in stored.front
    ]
    table.write_text("\n".join(map(json.dumps, records)))
    configuration: dict[str, Any] = {**stored.configuration, "n_prompt": 64, "n_gen": 8}
    with open_again(configuration, f"table:{table}") as evaluator:
        assert (evaluator.workload.n_prompt, evaluator.workload.n_gen) == (64, 8)
        assert columns_again(stored, evaluator) == (["latency_ms"], [])
        found = measure_members(stored, stored.front.trials, evaluator, ["latency_ms"], 3)
    assert all(each.ratio("latency_ms") == 2.0 for each in found)
    assert not any(each.now.rounds for each in found), "what always says the same is asked once"
