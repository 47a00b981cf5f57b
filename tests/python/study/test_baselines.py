"""Baselines: measured once, kept beside a study, never a part of it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lts import Architecture
from lts.errors import UsageError
from lts.measure.evaluator import Evaluator
from lts.measure.opening import open_evaluator
from lts.measure.outcome import Outcome
from lts.spaces.space import load_space
from lts.study.baselines import KEY, from_entry
from lts.study.schema import checksum
from lts.study.store import Store
from lts.study.stored import read_study
from lts.study.study import Study

OBJECTIVES = {"decoder_params": "max", "cost_ms": "min"}
SPACE = load_space("gpt2-tiny")
A, B = SPACE.sample(2, seed=4)


class Counting:
    """A cost that knows what it was asked for; what is in `broken` fails."""

    def __init__(self) -> None:
        self.asked: list[Architecture] = []
        self.broken: set[Architecture] = set()

    def __call__(self, a: Architecture) -> dict[str, float]:
        self.asked.append(a)
        if a in self.broken:
            raise RuntimeError("it is broken")
        return {"cost_ms": float(sum(a.d_ff) * a.d_model + 7 * sum(a.n_head))}


def study_of(evaluator: Any, **options: Any) -> Study:
    return Study(SPACE, evaluator, **{"objectives": OBJECTIVES, "seed": 3, **options})


def records(study: Study) -> list[dict[str, Any]]:
    return [{key: value for key, value in trial.record().items() if key != "time"} for trial in study.trials]


def test_they_come_first_and_are_no_trials(tmp_path: Path) -> None:
    cost = Counting()
    with study_of(cost, baselines={"a": A, "b": B}, store=tmp_path / "study.db") as study:
        front = study.run(trials=12)
        assert cost.asked[:2] == [A, B]
        assert study.n_finished == len(study.trials) == 12
        assert [each.name for each in study.baselines] == ["a", "b"]
        assert [each.trial.architecture for each in study.baselines] == [A, B]
        here = records(study)
    stored = read_study(tmp_path / "study.db")
    assert len(stored.trials) == 12
    assert {trial.id for trial in stored.front} == {trial.id for trial in front}
    assert [each.trial.values for each in stored.baselines] == [each.trial.values for each in study.baselines]
    with study_of(Counting()) as without:
        without.run(trials=12)
        assert [r["architecture"] for r in records(without)] == [r["architecture"] for r in here]


def test_a_resumed_search_does_not_measure_them_again(tmp_path: Path) -> None:
    store = tmp_path / "study.db"
    with study_of(Counting(), baselines={"a": A}, store=store) as study:
        study.run(trials=5)
    cost = Counting()
    with study_of(cost, baselines={"a": A, "b": B}, store=store) as study:
        study.run(trials=6)
        assert cost.asked[0] == B
        assert A not in cost.asked[:1]
        assert len(cost.asked) == 2
    cost = Counting()
    with study_of(cost, store=store) as study:  # without the option they stay, and are said
        study.run(trials=7)
        assert len(cost.asked) == 1
        assert [each.name for each in study.baselines] == ["a", "b"]
    cost = Counting()
    with study_of(cost, baselines={"a": B}, store=store) as study:  # another model of that name
        study.run(trials=7)
        assert cost.asked == [B]
        assert study.baselines[0].trial.architecture == B


def test_one_that_fails_is_said_and_measured_again(tmp_path: Path) -> None:
    cost = Counting()
    cost.broken = {A}
    told = []
    with study_of(cost, baselines={"a": A, "b": B}, store=tmp_path / "study.db") as study:
        study.measure_baselines(told=told.append)
        assert [each.trial.state for each in told] == ["failed", "complete"]
        study.run(trials=3)
    assert "it is broken" in str(read_study(tmp_path / "study.db").baselines[0].trial.error)
    with study_of(Counting(), baselines={"a": A, "b": B}, store=tmp_path / "study.db") as study:
        study.run(trials=3)
        assert [each.trial.state for each in study.baselines] == ["complete", "complete"]


class Varying(Evaluator):
    """Measures a little more every time."""

    varies = True

    def __init__(self, wait: float = 0.0) -> None:
        self.n = 0
        self._wait = wait

    def describe(self) -> dict[str, Any]:
        return {"target": "", "device": "varying", "backend": ""}

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        self.n += 1
        if timeout is not None and self._wait > timeout:
            time.sleep(timeout)
            return Outcome(error="timed out")
        time.sleep(self._wait)
        value = architecture.d_model * (1 + 0.01 * self.n)
        return Outcome(
            values={"cost_ms": value, "decoder_params": float(sum(architecture.d_ff))},
            provenance={"cost_ms": "measured", "decoder_params": "exact"},
            interval={"cost_ms": (value * 0.999, value * 1.001)},
        )


def test_what_varies_is_confirmed_in_three_processes(tmp_path: Path) -> None:
    evaluator = Varying()
    with study_of(evaluator, baselines={"a": A}, store=tmp_path / "study.db", surrogate="none") as study:
        study.measure_baselines()
        assert evaluator.n == 3
        (baseline,) = study.baselines
        assert len(baseline.trial.rounds["cost_ms"]) == 3
        assert baseline.trial.values["cost_ms"] == pytest.approx(A.d_model * 1.02)
        low, high = baseline.trial.interval["cost_ms"]
        assert high / low > 1.02, "the interval holds from process to process"
    evaluator = Varying()
    with study_of(evaluator, baselines={"b": B}, surrogate="none") as study:
        study.measure_baselines(confirm=False)
        assert evaluator.n == 1


def test_what_the_time_cuts_off_is_left_to_the_next_run(tmp_path: Path) -> None:
    told = []
    store = tmp_path / "study.db"
    with study_of(Varying(wait=5), baselines={"a": A, "b": B}, store=store, surrogate="none") as study:
        left = study.measure_baselines(0.05, told.append)
        assert left is not None
        assert 0 < left <= 0.05
        assert [each.trial.state for each in told] == ["running", "running"]
        assert study.baselines == []
    with study_of(Varying(), baselines={"a": A, "b": B}, store=store, surrogate="none") as study:
        study.measure_baselines()
        assert len(study.baselines) == 2


CHILD = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_baselines import A, B, Varying, study_of

class Killed(Varying):
    def evaluate(self, *arguments):
        if self.n == int(sys.argv[3]):
            os.kill(os.getpid(), 9)
        return super().evaluate(*arguments)

study_of(Killed(), baselines={"a": A, "b": B}, store=sys.argv[1], surrogate="none").run(trials=2, confirm=True)
"""


@pytest.mark.parametrize("n", [0, 1, 3, 5])
def test_a_kill_loses_at_most_the_process_in_flight(n: int, tmp_path: Path) -> None:
    store = tmp_path / "study.db"
    done = subprocess.run([sys.executable, "-c", CHILD, store, Path(__file__).parent, str(n)], check=False)
    assert done.returncode == -9
    evaluator = Varying()
    with study_of(evaluator, baselines={"a": A, "b": B}, store=store, surrogate="none") as study:
        study.measure_baselines()
        assert evaluator.n == 6 - n
        assert [len(each.trial.rounds["cost_ms"]) for each in study.baselines] == [3, 3]


def test_one_that_the_memory_of_the_target_excludes_is_refused(tmp_path: Path) -> None:
    large = Architecture("llama", 32000, 4096, 8192, n_head=64, d_ff=28672, n_layer=80)
    with open_evaluator("host", n_prompt=16, n_gen=0) as evaluator:
        small = replace(evaluator.target, memory_mib=1000)
    with (
        open_evaluator(small, n_prompt=16, n_gen=0) as evaluator,
        pytest.raises(UsageError, match=r"baseline large is not run: the 1.000 MiB of the target exclude it"),
    ):
        Study(SPACE, evaluator, baselines={"large": large}, store=tmp_path / "study.db")


def test_what_cannot_be_measured_is_refused_before_anything_is(tmp_path: Path) -> None:
    encoder = Architecture("flexibert", 1000, 128, 128, n_head=2, d_ff=512, n_layer=2)
    long = open_evaluator("arm64", n_prompt=250, n_gen=32)
    short = open_evaluator("arm64", n_prompt=16, n_gen=0)
    few = Architecture("gpt2", 512, 8, 64, n_head=2, d_ff=64, n_layer=1)
    for evaluator, architecture, said in (
        (short, encoder, "baseline mine: the family flexibert is an encoder"),
        (short, few, "baseline mine: n_prompt is 16, which needs n_positions 16; it has 8"),
    ):
        with pytest.raises(UsageError, match=said):
            Study(SPACE, evaluator, baselines={"mine": architecture}, store=tmp_path / "study.db")
    with pytest.raises(UsageError, match=r"baseline nope\.json: cannot read .*nope\.json: No such file"):
        study_of(Counting(), baselines={"nope.json": tmp_path / "nope.json"})
    with pytest.raises(UsageError, match="expected 1 to 1000 printable characters"):
        study_of(Counting(), baselines={"a\x1b[2J": A})
    assert not (tmp_path / "study.db").exists()
    for evaluator in (long, short):
        evaluator.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: {},
        lambda entry: [*entry, *entry],
        lambda entry: [{"name": "a"}],
        lambda entry: [{**entry[0], "name": 3}],
        lambda entry: [{**entry[0], "name": "a\x1b[2J"}],
        lambda entry: [{**entry[0], "record": {**entry[0]["record"], "values": {}}}],
        lambda entry: [{**entry[0], "record": {**entry[0]["record"], "state": "running"}}],
        lambda entry: [{**entry[0], "record": {**entry[0]["record"], "provenance": {"x": "exact"}}}],
        lambda entry: [{**entry[0], "record": {**entry[0]["record"], "seed": "<b>"}}],
    ],
)
def test_a_damaged_entry_is_one_sentence(change: Callable[[Any], Any], tmp_path: Path) -> None:
    store = tmp_path / "study.db"
    with study_of(Counting(), baselines={"a": A}, store=store) as study:
        study.run(trials=3)
    with Store(store) as opened:
        entry = opened.meta(KEY)
    assert len(from_entry(entry, list(OBJECTIVES))) == 1
    text = json.dumps(change(entry))
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE meta SET value = ?, checksum = ? WHERE key = ?", (text, checksum(text, KEY), KEY))
    with pytest.raises(UsageError, match="is damaged"):
        read_study(store)
    with pytest.raises(UsageError, match="is damaged"):
        study_of(Counting(), store=store)
