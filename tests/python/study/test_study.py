"""Studies with a function as evaluator: bounds, failures, resuming, kills."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lts
from lts.errors import InfeasibleError, MeasurementError, UsageError
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.measure.outcome import Outcome
from lts.measure.trial import CORRECT
from lts.spaces.space import load_space
from lts.study.core import CoreSampler
from lts.study.loop import Progress
from lts.study.store import Store
from lts.study.stored import read_study
from lts.study.study import Study

OBJECTIVES = {"decoder_params": "max", "cost": "min"}
N_KILLS = 20

Architecture = lts.Architecture


def cost(a: Architecture) -> dict[str, float]:
    return {"cost": float(sum(a.d_ff) * a.d_model + 7 * sum(a.n_head))}


@pytest.fixture(scope="module")
def space() -> lts.SearchSpace:
    return load_space("gpt2-tiny")


def study_of(space: lts.SearchSpace, function: Any = cost, **options: Any) -> Study:
    return Study(space, function, **{"objectives": OBJECTIVES, "seed": 3, **options})


def finished(store: Path) -> list[dict[str, Any]]:
    """Records of the finished trials, without what differs between runs."""
    with Store(store) as opened:
        records = [trial.record() for trial in opened.trials() if trial.state in ("complete", "failed")]
    for record in records:
        del record["time"]
    return records


# running


def test_a_study_in_memory(space: lts.SearchSpace) -> None:
    with study_of(space) as study:
        front = study.run(trials=30)
        assert not study.resumed
        assert study.n_finished == len(study.trials) == 30
        assert [trial.id for trial in study.trials] == sorted(trial.id for trial in study.trials)
        assert len({trial.architecture for trial in study.trials}) == 30
        assert {trial.id for trial in front} == {trial.id for trial in study.front()}
        assert len(front) > 0
        for trial in study.trials:
            assert trial.state == "complete"
            assert trial.architecture in space
            assert trial.values["cost"] == cost(trial.architecture)["cost"]
            assert trial.values["decoder_params"] == lts.decoder_params(trial.architecture)
            assert trial.provenance == {"cost": "given", "decoder_params": "exact"}
            assert trial.feasible is True
            assert trial.seed == 3
            assert trial.lts_version == lts.__version__
            assert trial.environment
            assert trial.time.endswith("Z")


def test_the_front_of_a_study_is_that_of_its_search(space: lts.SearchSpace) -> None:
    with study_of(space, constraints=["cost<=20000"]) as study:
        front = study.run(trials=60)
        assert {trial.id for trial in front} == {member.id for member in study.sampler.search.front()}


def test_a_seed_gives_one_study(space: lts.SearchSpace) -> None:
    def architectures(seed: int) -> list[Architecture]:
        with study_of(space, seed=seed) as study:
            study.run(trials=25)
            return [trial.architecture for trial in study.trials]

    assert architectures(3) == architectures(3)
    assert architectures(3) != architectures(4)


@pytest.mark.parametrize("algorithm", ["lts", "nsga2", "local", "random", "exhaustive"])
def test_every_algorithm(space: lts.SearchSpace, algorithm: str) -> None:
    with study_of(space, algorithm=algorithm) as study:
        study.run(trials=20)
        assert study.n_finished == 20


def test_more_trials_go_on(space: lts.SearchSpace) -> None:
    with study_of(space) as study:
        study.run(trials=5)
        study.run(trials=5)
        assert study.n_finished == 5
        study.run(trials=8)
        assert study.n_finished == 8


def test_progress_is_told_after_every_trial(space: lts.SearchSpace) -> None:
    told: list[Progress] = []
    with study_of(space) as study:
        study.run(trials=6, progress=told.append)
    assert [p.n_finished for p in told] == [1, 2, 3, 4, 5, 6]
    assert {p.trials for p in told} == {6}
    assert [p.trial.state for p in told] == ["complete"] * 6


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"trials": 0}, "trials is 0; it must be at least 1"),
        ({"trials": -1}, "trials is -1"),
        ({"timeout": 0}, "the timeout is 0 s; it must be above 0"),
        ({"timeout": float("nan")}, "the timeout is nan s"),
    ],
)
def test_a_run_without_an_end_is_refused(space: lts.SearchSpace, options: dict[str, Any], sentence: str) -> None:
    with study_of(space) as study, pytest.raises(UsageError, match=sentence):
        study.run(**options)


def test_a_run_without_bounds_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lts.study.plan.MEASURED", 7)
    with study_of(load_space("gpt2-tiny")) as study:
        study.run()
        assert study.n_finished == 7


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        for module in ("lts.study.loop", "lts.study.evaluations"):
            monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=lambda: self.now))

    def spend(self, seconds: float) -> Any:
        def function(a: Architecture) -> dict[str, float]:
            self.now += seconds
            return cost(a)

        return function


def test_a_timeout_begins_nothing_that_it_would_cut_off(
    space: lts.SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    with study_of(space, clock.spend(2.0)) as study:
        study.run(timeout=11.0)
        assert study.n_finished == 5, "a sixth would have needed 12 s"
        study.run(trials=6, timeout=100.0)
        assert study.n_finished == 6
        study.run(trials=100, timeout=1.0)
        assert study.n_finished == 7, "how long one takes is not known at first"


class CutOff(Evaluator):
    """An evaluator with a limit of its own, which stops at the end of the time."""

    def __init__(self) -> None:
        self.limits: list[float | None] = []
        self.closed = False

    def check(self, space: lts.SearchSpace, columns: Iterable[str]) -> None:
        if "nonsense" in columns:
            raise UsageError("unknown objective 'nonsense'")

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        self.limits.append(timeout)
        if timeout is not None and timeout < 5:
            return Outcome(error="took too long", seconds={"run": timeout})
        values = {"decoder_params": lts.decoder_params(architecture), **cost(architecture), "extra": np.float32(1.5)}
        return Outcome(
            values=values,
            provenance=dict.fromkeys(values, "measured"),
            interval={"cost": (1.0, 2.0)},
            samples_ns={"cost": [1, 2]},
            warnings=["only a test"],
            seconds={"run": 0.5},
            environment="feed",
        )

    def describe(self) -> dict[str, Any]:
        return {"target": "t", "device": "d", "backend": "b", "limit": 5}

    def environment(self) -> dict[str, Any]:
        return {"machine": "imagined"}

    def close(self) -> None:
        self.closed = True


def test_any_object_of_the_protocol_evaluates(space: lts.SearchSpace, tmp_path: Path) -> None:
    evaluator = CutOff()
    with study_of(space, evaluator, store=tmp_path / "study.db") as study:
        study.run(trials=3, timeout=1000.0)
        trial = study.trials[0]
        assert (trial.target, trial.device, trial.backend, trial.environment) == ("t", "d", "b", "feed")
        assert trial.interval == {"cost": (1.0, 2.0)}
        assert trial.samples_ns == {"cost": [1, 2]}
        assert trial.warnings == ["only a test"]
        assert trial.seconds == {"run": 0.5}
        assert trial.values["extra"] == 1.5
    assert not evaluator.closed, "a study closes only what it opened"
    assert all(limit is not None and 0 < limit <= 1000 for limit in evaluator.limits)
    with Store(tmp_path / "study.db") as store:
        assert store.trials()[0] == trial
        assert store.environments() == {"feed": {"machine": "imagined"}}
        assert store.meta("study")["limit"] == 5
    with pytest.raises(UsageError, match="nonsense"):
        study_of(space, CutOff(), objectives=["nonsense:min"])


def test_what_the_end_of_the_time_cuts_off_is_taken_up_again(space: lts.SearchSpace, tmp_path: Path) -> None:
    store = tmp_path / "study.db"
    with study_of(space, CutOff(), store=store) as study:
        study.run(trials=10, timeout=3.0)
        assert [trial.state for trial in study.trials] == ["running"]
        cut_off = study.trials[0].architecture
    with study_of(space, CutOff(), store=store) as study:
        assert study.resumed
        study.run(trials=2)
        assert [trial.state for trial in study.trials] == ["complete", "complete"]
        assert study.trials[0].architecture == cut_off


def test_a_choice_that_takes_all_the_time_is_cut_off(space: lts.SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    evaluator = CutOff()
    with study_of(space, evaluator) as study:
        ask = study.sampler.ask

        def slow(*arguments: Any) -> Any:
            clock.now += 7.0
            return ask(*arguments)

        monkeypatch.setattr(study.sampler, "ask", slow)
        study.run(trials=10, timeout=3.0)
        assert [trial.state for trial in study.trials] == ["running"]
    (limit,) = evaluator.limits
    assert limit is not None
    assert limit > 0


def test_a_used_up_space_ends_the_study(tmp_path: Path) -> None:
    space = lts.SearchSpace(n_layer=[1, 2], d_model=[32], n_head=[2], d_ff=[64, 128], vocab_size=512, n_positions=64)
    for algorithm in ("lts", "random", "exhaustive"):
        with study_of(space, algorithm=algorithm) as study:
            study.run(trials=100)
            assert study.n_finished == space.size == 6
            study.run(trials=100)
            assert study.n_finished == 6


def test_constraints(space: lts.SearchSpace) -> None:
    with study_of(space, constraints=["cost<=9000", "total_params>=40000"]) as study:
        front = study.run(trials=60)
        assert {trial.feasible for trial in study.trials} == {True, False}
        for trial in study.trials:
            holds = trial.values["cost"] <= 9000 and trial.values["total_params"] >= 40000
            assert trial.feasible is holds
        assert all(trial.feasible for trial in front)
    with study_of(space, constraints=["cost<=1"]) as study:
        front = study.run(trials=20)
        assert len(front) == 0
        with pytest.raises(InfeasibleError, match="no feasible trial"):
            front.knee()


# failures


def sometimes(result: Any) -> Any:
    """A function that does it right for one layer or two, and otherwise gives the result, or raises it."""

    def function(a: Architecture) -> Any:
        if a.n_layer < 3:
            return cost(a)
        if isinstance(result, Exception):
            raise result
        return result

    function.__qualname__ = "sometimes"
    return function


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (RuntimeError("the board is on fire"), "sometimes raised RuntimeError: the board is on fire"),
        ({"cost": math.nan}, "the value of 'cost' is nan; it must be finite"),
        ({"cost": math.inf}, "the value of 'cost' is inf; it must be finite"),
        ({"cost": -math.inf}, "the value of 'cost' is -inf; it must be finite"),
        ({}, "no value for 'cost'"),
        ({"price": 3}, "no value for 'cost'"),
        ({"cost": "cheap"}, "sometimes gave 'cheap' for 'cost'; expected a number"),
        ({"cost": None}, "sometimes gave None for 'cost'; expected a number"),
        (3, "sometimes raised TypeError: "),
    ],
)
def test_a_failed_trial_has_its_reason(space: lts.SearchSpace, tmp_path: Path, result: Any, reason: str) -> None:
    store = tmp_path / "study.db"
    with study_of(space, sometimes(result), store=store, algorithm="random") as study:
        study.run(trials=40)
        states = Counter(trial.state for trial in study.trials)
        assert states["complete"] > 0
        assert states["failed"] > 0
        assert sum(states.values()) == 40
        for trial in study.trials:
            assert (trial.state == "failed") == (trial.architecture.n_layer == 3)
            if trial.state == "failed":
                assert trial.error is not None
                assert trial.error.startswith(reason)
                assert trial.feasible is None
        assert all(trial.state == "complete" for trial in study.front())
        assert study.sampler.search.n_failed == states["failed"]
        trials = study.trials
    with study_of(space, sometimes(result), store=store, algorithm="random") as study:
        assert study.trials == trials


def test_a_value_beside_the_columns_may_be_anything(space: lts.SearchSpace, tmp_path: Path) -> None:
    def function(a: Architecture) -> dict[str, float]:
        return {**cost(a), "ratio": math.inf if a.n_layer == 1 else math.nan if a.n_layer == 2 else np.float32(0.5)}

    with study_of(space, function, store=tmp_path / "study.db", algorithm="random") as study:
        study.run(trials=30)
        for trial in study.trials:
            assert trial.state == "complete"
            assert ("ratio" in trial.values) == (trial.architecture.n_layer == 3)
            assert set(trial.provenance) == set(trial.values)


def test_ten_failures_before_any_success_end_the_study(space: lts.SearchSpace, tmp_path: Path) -> None:
    def function(a: Architecture) -> dict[str, float]:
        raise OSError("no such board")

    store = tmp_path / "study.db"
    with study_of(space, function, store=store) as study:
        sentence = "the first 10 trials all failed, the last one because: .*OSError: no such board"
        with pytest.raises(MeasurementError, match=sentence):
            study.run(trials=100)
        assert study.n_finished == 10
    assert [record["state"] for record in finished(store)] == ["failed"] * 10


def test_ten_failures_after_a_success_do_not(space: lts.SearchSpace) -> None:
    n_calls = 0

    def function(a: Architecture) -> dict[str, float]:
        nonlocal n_calls
        n_calls += 1
        if n_calls > 1:
            raise OSError("gone")
        return cost(a)

    with study_of(space, function) as study:
        study.run(trials=15)
        assert study.n_finished == 15


# stores


def test_a_resumed_study_equals_an_uninterrupted_one(space: lts.SearchSpace, tmp_path: Path) -> None:
    function = sometimes(RuntimeError("no"))
    sizes = {"population_size": 8}  # otherwise the first budget sets it
    with study_of(space, function, store=tmp_path / "whole.db", algorithm_options=sizes) as study:
        study.run(trials=40)
    for n in (1, 2, 7, 20, 33, 40):
        with study_of(space, function, store=tmp_path / "parts.db", algorithm_options=sizes) as study:
            assert study.resumed == (n > 1)
            study.run(trials=n)
            assert study.n_finished == n
    assert finished(tmp_path / "parts.db") == finished(tmp_path / "whole.db")


def test_an_unused_store_resumes(space: lts.SearchSpace, tmp_path: Path) -> None:
    study_of(space, store=tmp_path / "study.db").close()
    with study_of(space, store=tmp_path / "study.db") as study:
        assert not study.resumed
        study.run(trials=3)


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"seed": 4}, "seed is 3 there and 4 here"),
        ({"objectives": ["cost:min"]}, "objectives is decoder_params:max, cost:min there and cost:min here"),
        ({"constraints": ["cost<=5"]}, "constraints is none there and cost<=5 here"),
        ({"algorithm": "random"}, "algorithm is lts there and random here"),
        ({"algorithm_options": {"population_size": 20}}, "algorithm_options is .* there and .*20.* here"),
        ({"function": FunctionEvaluator(cost, name="other")}, "backend is cost there and other here"),
        (
            {"space": load_space("transformer-xl-tiny")},
            r"the space differs in .*family.*\(gpt2-tiny there, transformer-xl-tiny here\)",
        ),
    ],
)
def test_another_study_in_the_store_is_told_with_what_differs(
    space: lts.SearchSpace, tmp_path: Path, options: dict[str, Any], phrase: str
) -> None:
    store = tmp_path / "study.db"
    with study_of(space, store=store) as study:
        study.run(trials=3)
    before = finished(store)
    with pytest.raises(UsageError, match=f"holds another study: .*{phrase}.*use another --store"):
        study_of(**{"space": space, "store": store, **options})
    assert finished(store) == before
    with study_of(space, store=store) as study:
        assert study.n_finished == 3


def test_a_store_in_use_is_refused(space: lts.SearchSpace, tmp_path: Path) -> None:
    with study_of(space, store=tmp_path / "study.db") as study:
        study.run(trials=2)
        with pytest.raises(UsageError, match="in use by another search"):
            study_of(space, store=tmp_path / "study.db")
        study.run(trials=4)


@pytest.mark.parametrize("state", ["", "no json", "{}", "3"])
def test_a_damaged_search_is_told(space: lts.SearchSpace, tmp_path: Path, state: str) -> None:
    store = tmp_path / "study.db"
    with study_of(space, store=store) as study:
        study.run(trials=2)
    with Store(store, writable=True) as opened:
        opened.write(meta={"sampler": {"state": state, "begun": 2, "ended": 2}})
    with pytest.raises(UsageError, match="state of the search"):
        study_of(space, store=store)


def test_a_refused_study_releases_its_store(space: lts.SearchSpace, tmp_path: Path) -> None:
    study_of(space, store=tmp_path / "study.db").close()
    with pytest.raises(UsageError):
        study_of(space, store=tmp_path / "study.db", seed=4)
    with pytest.raises(UsageError):
        study_of(space, store=tmp_path / "study.db", objectives=["cost:fast"])
    study_of(space, store=tmp_path / "study.db").close()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"objectives": {"cost": "fast"}}, "fast"),
        ({"objectives": ["cost"]}, "cost"),
        ({"objectives": ["cost:min", "cost:min"]}, "cost"),
        ({"constraints": ["cost<5"]}, "cost<5"),
        ({"algorithm": "gradient"}, "gradient"),
        ({"algorithm_options": {"n_wings": 2}}, "n_wings"),
        ({"algorithm_options": {"population_size": 0}}, "population_size"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_a_wrong_argument_is_told(space: lts.SearchSpace, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as raised:
        study_of(space, **options)
    assert "\n" not in str(raised.value)


def test_resuming_with_another_budget_is_the_same_study(space: lts.SearchSpace, tmp_path: Path) -> None:
    for n in (5, 20, 400):
        with study_of(space, store=tmp_path / "study.db") as study:
            study.run(trials=min(n, 30))
            assert study.sampler.search.algorithm_options["population_size"] == 8, "as the first run was given"


def test_a_small_budget_is_not_all_random(space: lts.SearchSpace) -> None:
    with study_of(space) as study:
        study.run(trials=60)
        assert study.sampler.search.algorithm_options["population_size"] == 20
    with study_of(space, algorithm_options={"population_size": 30}) as study:
        study.run(trials=60)
        assert study.sampler.search.algorithm_options["population_size"] == 30


@pytest.mark.parametrize("method", ["tell", "put"])
def test_an_interrupt_between_result_and_store_loses_nothing(
    space: lts.SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    owner = CoreSampler if method == "tell" else Store
    with study_of(space, store=tmp_path / "study.db") as study:
        study.run(trials=3)
        whole = getattr(owner, method)

        def interrupted(self: Any, given: Any) -> None:
            if getattr(given, "trial", given).state == "complete":
                monkeypatch.undo()
                os.kill(os.getpid(), signal.SIGINT)
            whole(self, given)

        monkeypatch.setattr(owner, method, interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.run(trials=6)
        assert study.n_finished == 4
        study.run(trials=8)
        assert study.n_finished == 8 == study.sampler.search.n_told  # type: ignore[attr-defined]
        assert [trial.state for trial in study.trials] == ["complete"] * 8
    with study_of(space, store=tmp_path / "study.db") as study:
        assert study.n_finished == 8


def test_a_closed_study_does_not_run(space: lts.SearchSpace) -> None:
    study = study_of(space)
    study.close()
    with pytest.raises(UsageError, match="closed"):
        study.run(trials=1)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM meta",
        "DELETE FROM trial WHERE id = 1",
        "UPDATE meta SET value = '[1]' WHERE key = 'study'",
        "UPDATE meta SET value = '{}' WHERE key = 'sampler'",
    ],
)
def test_a_store_that_contradicts_itself_is_refused(space: lts.SearchSpace, tmp_path: Path, damage: str) -> None:
    with study_of(space, store=tmp_path / "study.db") as study:
        study.run(trials=4)
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(UsageError, match="damaged"):
        study_of(space, store=tmp_path / "study.db")


# interrupts and kills


def test_an_interrupt_passes_through_and_resumes(space: lts.SearchSpace, tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    with study_of(space, store=whole) as study:
        study.run(trials=12)
    parts = tmp_path / "parts.db"
    moments = iter((3, 1, 4))
    for n_calls in moments:
        left = n_calls

        def function(a: Architecture) -> dict[str, float]:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return cost(a)

        with study_of(space, FunctionEvaluator(function, name="cost"), store=parts) as study:
            with pytest.raises(KeyboardInterrupt):
                study.run(trials=12)
            assert [trial.state for trial in study.trials].count("running") == 1
            assert len(study.front()) >= (study.n_finished > 0)
    with study_of(space, store=parts) as study:
        assert study.n_finished == 2 + 0 + 3
        study.run(trials=12)
    assert finished(parts) == finished(whole)


def test_a_study_goes_on_in_the_same_process_after_an_interrupt(space: lts.SearchSpace) -> None:
    interrupt = True

    def function(a: Architecture) -> dict[str, float]:
        if interrupt:
            raise KeyboardInterrupt
        return cost(a)

    with study_of(space, function) as study:
        with pytest.raises(KeyboardInterrupt):
            study.run(trials=3)
        interrupt = False
        study.run(trials=3)
        assert [trial.state for trial in study.trials] == ["complete"] * 3


CHILD = """
import sys, time
import lts
from lts.measure.function import FunctionEvaluator
from lts.spaces.space import load_space
from lts.study.study import Study

def cost(a):
    with open(sys.argv[2], "a") as log:
        log.write(a.to_json() + "\\n")
    time.sleep(0.012)  # a result that took as long is stored at once
    return {"cost": float(sum(a.d_ff) * a.d_model + 7 * sum(a.n_head))}

with Study(load_space("gpt2-tiny"), FunctionEvaluator(cost, name="cost"), seed=3, store=sys.argv[1],
           objectives={"decoder_params": "max", "cost": "min"}) as study:
    print("ready", flush=True)
    study.run(trials=int(sys.argv[3]), progress=lambda p: print(p.trial.id, flush=True))
"""


def test_kills_at_random_moments_lose_and_repeat_nothing(space: lts.SearchSpace, tmp_path: Path) -> None:
    store, log = tmp_path / "study.db", tmp_path / "log"
    log.touch()
    moments = random.Random(5)
    known: list[dict[str, Any]] = []
    n_logged = 0
    for _ in range(N_KILLS):
        command = [sys.executable, "-c", CHILD, store, log, "400"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(moments.randrange(0, 12)):
                assert process.stdout.readline()
            time.sleep(moments.uniform(0, 0.02))
            process.kill()
            told = [int(line) for line in process.stdout if line.strip().isdigit()]
        logged = [json.loads(line) for line in log.read_text().splitlines()]
        begun = [json.dumps(architecture) for architecture in logged[n_logged:]]
        n_logged = len(logged)
        complete_before = {json.dumps(record["architecture"]) for record in known}
        assert complete_before.isdisjoint(begun), "a completed trial was measured again"
        if not store.exists() or store.stat().st_size == 0:
            continue
        with Store(store, writable=True, create=True):
            pass  # as the next search does: whatever the kill left is recovered
        now = finished(store)
        assert now[: len(known)] == known, "a completed trial was lost or changed"
        assert {record["trial"] for record in now} >= set(told), "a reported trial was lost"
        known = now
    n_final = len(known) + 5
    subprocess.run([sys.executable, "-c", CHILD, store, log, str(n_final)], check=True, capture_output=True)
    with study_of(space, store=tmp_path / "whole.db", algorithm_options={"population_size": 100}) as study:
        study.run(trials=n_final)
    assert finished(store) == finished(tmp_path / "whole.db")
    counts = Counter(log.read_text().splitlines())
    assert sum(counts.values()) - len(counts) <= N_KILLS, "more than the trials in flight were begun again"


def test_a_study_of_an_earlier_version_resumes_as_it_would_have(
    space: lts.SearchSpace, tmp_path: Path, golden: Path
) -> None:
    store = tmp_path / "study.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.executescript((golden / "study_schema_1.sql").read_text())
    assert len(finished(store)) == 10, "it can be read as it is"
    assert "without checksums" in read_study(store).notes[0]
    with study_of(space, store=store) as study:
        assert study.n_finished == 10
        study.run(trials=14)
        # What that version has proposed next.
        proposed = [(t.architecture.n_head, t.architecture.d_ff) for t in study.trials[10:]]
    assert read_study(store).notes == [], "it has its checksums now"
    assert proposed == [([4, 4], [64, 128]), ([2, 4], [128, 64]), ([2], [64]), ([4, 2], [128, 64])]
    with study_of(space, store=store) as study:
        assert study.n_finished == 14


def test_what_is_found_out_later_is_stored(space: lts.SearchSpace, tmp_path: Path) -> None:
    store = tmp_path / "study.db"
    with study_of(space, store=store) as study:
        study.run(trials=4)
        state = study.sampler.search.save()
        done = study.annotate(2, {"instructions": 12.0}, {"instructions": "emulated"}, "decode: it crashed")
        assert study.annotate(2, {}, {}).deployed == "decode: it crashed"
        done = study.annotate(2, {}, {}, CORRECT)
        assert done.values["instructions"] == 12.0
        assert study.sampler.search.save() == state
        with pytest.raises(UsageError, match="trial 2 has its value of 'cost'"):
            study.annotate(2, {"cost": 1.0}, {"cost": "measured"})
        with pytest.raises(UsageError, match="trial 9 is not a complete trial"):
            study.annotate(9, {}, {})
    with study_of(space, store=store) as study:
        (found,) = (trial for trial in study.trials if trial.id == 2)
        assert found.values["instructions"] == 12.0
        assert found.provenance["instructions"] == "emulated"
        assert found.provenance["cost"] == "given"
        assert found.deployed == CORRECT
        study.run(trials=6)
        assert study.n_finished == 6
