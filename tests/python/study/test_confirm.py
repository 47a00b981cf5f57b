"""What a study measures again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lts
from lts.measure.evaluator import Evaluator
from lts.measure.outcome import Outcome
from lts.spaces.space import load_space
from lts.study.confirm import SHARE, n_further
from lts.study.loop import Progress
from lts.study.spread import CONFIRMED, n_processes, spread_of
from lts.study.stored import read_study
from lts.study.study import Study

SPACE = load_space("gpt2-tiny")


class Noisy(Evaluator):
    """A device whose processes differ by 2 %; `says` changes answers, by their number; `again` is what all processes
    beyond the first say."""

    varies = True
    surrogate = "additive"
    costs = ("latency_ms",)
    default_objectives = ("decoder_params:max", "latency_ms:min")

    def __init__(
        self, scale: float = 0.02, says: dict[int, Outcome] | None = None, again: Outcome | None = None
    ) -> None:
        self._again = again
        self._random = np.random.default_rng(3)
        self._scale = scale
        self._says = says or {}
        self.calls: list[lts.Architecture] = []

    def evaluate(self, architecture: lts.Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        self.calls.append(architecture)
        if self._again is not None and architecture in self.calls[:-1]:
            return self._again
        if (said := self._says.get(len(self.calls) - 1)) is not None:
            return said
        size = lts.analytic("decoder_params", architecture)
        latency = (1 + size / 1e4) * float(np.exp(self._scale * self._random.standard_normal()))
        return Outcome(
            values={"decoder_params": size, "latency_ms": latency},
            provenance={"decoder_params": "exact", "latency_ms": "measured"},
            interval={"latency_ms": (latency * 0.999, latency * 1.001)},
            samples_ns={"latency": [int(latency * 1e6)] * 3},
        )

    def describe(self) -> dict[str, Any]:
        return {"target": "noisy"}


def test_references_are_measured_over_the_whole_length_and_doubtful_ones_at_the_end() -> None:
    evaluator = Noisy()
    told: list[Progress] = []
    with Study(SPACE, evaluator) as study:
        front = study.run(trials=40, progress=told.append)
        trials = study.trials
    assert len(trials) == 40
    assert n_further(trials) <= SHARE * 40
    assert len(evaluator.calls) == 40 + n_further(trials)
    again = [(place, p.trial.id) for place, p in enumerate(told) if p.again]
    before_the_end = [key for place, key in again if told[place].n_finished < 40]
    assert set(before_the_end) == {0, 1, 2}
    assert min(place for place, _ in again) < 10
    assert max(place for place, key in again if key in (0, 1, 2)) > 30
    assert n_processes(front.knee()) == CONFIRMED
    spread = spread_of(trials, "latency_ms")
    assert spread is not None
    assert 0.012 < spread.relative < 0.03
    for trial in front:
        low, high = trial.interval["latency_ms"]
        assert high / low > 1.02


def test_a_stored_study_says_the_same(tmp_path: Path) -> None:
    with Study(SPACE, Noisy(), store=tmp_path / "study.db") as study:
        front = study.run(trials=20)
        notes = study.notes
    stored = read_study(tmp_path / "study.db")
    assert [(t.id, t.values, t.interval) for t in stored.front] == [(t.id, t.values, t.interval) for t in front]
    assert stored.front.indistinguishable == front.indistinguishable
    assert notes[-1] in stored.notes
    first = next(trial for trial in stored.trials if trial.rounds)
    n = n_processes(first)
    assert set(first.samples_ns) == {"latency", *(f"latency_{k}" for k in range(2, n + 1))}


def test_a_resumed_study_proposes_the_same_and_measures_no_more_than_its_share(tmp_path: Path) -> None:
    def run(store: Path, *budgets: int) -> list[lts.Architecture]:
        for budget in budgets:
            with Study(SPACE, Noisy(scale=1e-9), store=store) as study:
                study.run(trials=budget)
        found = read_study(store)
        assert n_further(found.trials) <= SHARE * len(found.trials)
        return [trial.architecture for trial in found.trials]

    assert run(tmp_path / "a.db", 12)[:12] == run(tmp_path / "b.db", 12, 12)[:12]


def test_nothing_is_measured_again_where_it_does_not_vary_or_nobody_wants_it() -> None:
    steady = Noisy()
    steady.varies = False  # type: ignore[misc]
    with Study(SPACE, steady) as study:
        study.run(trials=12)
    assert len(steady.calls) == 12
    counted = Noisy()
    with Study(SPACE, counted, objectives=["decoder_params:max"]) as study:
        study.run(trials=12)
    assert len(counted.calls) <= 12
    unwanted = Noisy()
    with Study(SPACE, unwanted) as study:
        study.run(trials=12, confirm=False)
    assert len(unwanted.calls) == 12


@pytest.mark.parametrize("wrong", [Outcome(error="no"), Outcome(values={"latency_ms": 1.0}), "disturbed"])
def test_a_further_process_that_fails_changes_nothing_and_ends(wrong: Outcome | str) -> None:
    good = Noisy().evaluate(SPACE.sample(1, 0)[0], ())
    said = replace(good, disturbed=True) if isinstance(wrong, str) else wrong
    evaluator = Noisy(again=said)
    with Study(SPACE, evaluator) as study:
        study.run(trials=12)
        assert study.n_finished == 12
        assert all(trial.state == "complete" and not trial.rounds for trial in study.trials)
    assert 12 < len(evaluator.calls) <= 24


def test_what_was_killed_for_memory_is_run_again() -> None:
    killed = Outcome(error="prefill: killed by signal 9 (SIGKILL): probably out of memory")
    evaluator = Noisy(says={2: killed})
    with Study(SPACE, evaluator) as study:
        study.run(trials=12)
        trial = study.trials[2]
    assert trial.state == "complete"
    assert any("killed by signal 9" in warning for warning in trial.warnings)


def test_what_the_predictions_call_an_outlier_is_measured_again() -> None:
    with Study(SPACE, Noisy(scale=0.001)) as study:
        study.run(trials=1)
        usual = study.trials[0]
    wild = Outcome(
        values={**usual.values, "latency_ms": 40 * usual.values["latency_ms"]}, provenance=dict(usual.provenance)
    )
    evaluator = Noisy(scale=0.001, says={7: wild})
    with Study(SPACE, evaluator) as study:
        study.run(trials=30)
        (found,) = [trial for trial in study.trials if max(trial.rounds.get("latency_ms", [0])) > 30 * 1.5]
    assert n_processes(found) == CONFIRMED
    assert found.values["latency_ms"] < wild.values["latency_ms"] / 5
