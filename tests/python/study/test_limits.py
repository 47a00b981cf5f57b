"""What counting alone excludes is not run: bounds on counted columns, and the memory of the target."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import lts
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.measure.outcome import Outcome
from lts.study.core import CoreSampler
from lts.study.limits import Limits
from lts.study.loop import Progress
from lts.study.store import Store
from lts.study.study import Study

SPACE = lts.SearchSpace.load("gpt2-tiny")
BOUND = 60_000


class Recording:
    """A cost, and all architectures that it was asked for."""

    def __init__(self) -> None:
        self.seen: list[lts.Architecture] = []

    def __call__(self, a: lts.Architecture) -> dict[str, float]:
        self.seen.append(a)
        return {"cost": float(sum(a.d_ff) * a.d_model + 7 * sum(a.n_head))}


def study_of(function: Any, constraints: Sequence[str] = (f"decoder_params<={BOUND}",), **options: Any) -> Study:
    evaluator = function if isinstance(function, Evaluator) else FunctionEvaluator(function, name="cost")
    objectives = {"decoder_params": "max", "cost": "min"}
    return Study(SPACE, evaluator, objectives=objectives, constraints=constraints, **{"seed": 3, **options})


@pytest.mark.parametrize("surrogate", ["none", "additive"])
@pytest.mark.parametrize("algorithm", ["lts", "nsga2", "local", "random"])
def test_what_a_counted_constraint_excludes_is_never_run(surrogate: str, algorithm: str) -> None:
    function = Recording()
    with study_of(function, surrogate=surrogate, algorithm=algorithm) as study:
        study.run(trials=40)
        assert study.n_finished >= 10
        assert len(study.front()) > 0
        assert all(trial.feasible for trial in study.trials)
    assert all(lts.decoder_params(a) <= BOUND for a in function.seen)
    assert len({a.to_json() for a in function.seen}) == len(function.seen) == study.n_finished


def test_an_enumeration_goes_past_what_is_excluded() -> None:
    function = Recording()
    with study_of(function, surrogate="none", algorithm="exhaustive") as study:
        study.run(trials=1000)
        members = [SPACE.at(i) for i in range(SPACE.size)]
        assert study.n_finished == sum(lts.decoder_params(a) <= BOUND for a in members)


@pytest.mark.parametrize("bound", ["total_params>=100000", "embedding_params<=20000", "total_params<=60000"])
def test_every_counted_bound_holds_before(bound: str) -> None:
    function = Recording()
    with study_of(function, [bound], surrogate="additive") as study:
        study.run(trials=15)
        assert study.trials or study.hopeless
        assert all(trial.feasible for trial in study.trials)


class Few(FunctionEvaluator):
    """Only some architectures can be evaluated."""

    architectures = SPACE.sample(60, seed=1)


@pytest.mark.parametrize("surrogate", ["none", "additive"])
def test_a_pool_is_filtered(surrogate: str) -> None:
    function = Recording()
    with study_of(Few(function, name="cost"), surrogate=surrogate) as study:
        study.run(trials=30)
    assert function.seen
    assert all(lts.decoder_params(a) <= BOUND for a in function.seen)


def test_a_narrow_bound_still_has_a_first_design() -> None:
    wide = lts.SearchSpace.load("gpt2-small")
    sizes = sorted(lts.decoder_params(a) for a in wide.sample(400, seed=0))
    function = Recording()
    with Study(
        wide,
        function,
        objectives={"decoder_params": "max", "cost": "min"},
        constraints=[f"decoder_params<={sizes[0]}"],
        surrogate="additive",
    ) as study:
        study.run(trials=12)
        assert study.n_finished == 12
    assert all(lts.decoder_params(a) <= sizes[0] for a in function.seen)


@pytest.mark.parametrize("surrogate", ["none", "additive"])
def test_nothing_that_may_be_run_is_said(surrogate: str) -> None:
    function = Recording()
    with study_of(function, ["decoder_params<=1"], surrogate=surrogate) as study:
        study.run(trials=10)
        assert not study.trials
        assert "decoder_params<=1 excludes it" in study.hopeless
    assert not function.seen


def test_the_memory_of_the_target_excludes_by_estimate() -> None:
    function = Recording()
    with study_of(function, (), surrogate="none") as study:
        estimates = sorted(lts._core.analytic("peak_memory_estimate_mib", a) for a in SPACE.sample(50, seed=2))
        limits = study._problem.limits
        limits.memory_mib = estimates[20]
        study.run(trials=30)
        assert len([note for note in study.notes if "peak_memory_estimate_mib was not run" in note]) == 1
    assert all(lts._core.analytic("peak_memory_estimate_mib", a) <= estimates[20] for a in function.seen)


def test_the_proposals_of_any_sampler_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    function = Recording()
    with study_of(function, surrogate="none") as study:
        study._sampler._limits = Limits()  # type: ignore[attr-defined]
        study.run(trials=30)
        failed = [trial for trial in study.trials if trial.state == "failed"]
        assert failed
        assert {trial.error for trial in failed} == {f"not run: decoder_params<={BOUND} excludes it"}
    assert all(lts.decoder_params(a) <= BOUND for a in function.seen)


# resuming


def records(store: Path) -> list[dict[str, Any]]:
    with Store(store) as opened:
        found = [trial.record() for trial in opened.trials() if trial.state in ("complete", "failed")]
    for record in found:
        del record["time"]
    return found


SIZES = {"population_size": 8}


@pytest.mark.parametrize("algorithm", ["lts", "nsga2", "random"])
def test_a_resumed_study_equals_an_uninterrupted_one(algorithm: str, tmp_path: Path) -> None:
    options = {"algorithm": algorithm, "surrogate": "none", "algorithm_options": {} if algorithm == "random" else SIZES}
    with study_of(Recording(), store=tmp_path / "whole.db", **options) as study:
        study.run(trials=40)
        assert isinstance(study.sampler.save(), dict), "something was left out"
    for n in (1, 2, 7, 20, 33, 40):
        with study_of(Recording(), store=tmp_path / "parts.db", **options) as study:
            study.run(trials=n)
            assert study.n_finished == n
    assert records(tmp_path / "parts.db") == records(tmp_path / "whole.db")


@pytest.mark.parametrize("surrogate", ["none", "additive"])
def test_a_kill_after_any_trial_resumes_as_if_nothing_had_happened(surrogate: str, tmp_path: Path) -> None:
    """Every state in between is copied as a kill leaves it: with no state of the sampler but the first."""
    options = {"algorithm_options": SIZES, "surrogate": surrogate}
    store = tmp_path / "whole.db"

    def copy(progress: Progress) -> None:
        study._ledger.flush()
        with (
            closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(tmp_path / f"{progress.n_finished}.db")) as copied,
        ):
            source.backup(copied)

    with study_of(Recording(), store=store, **options) as study:
        study.run(trials=20, progress=copy)
    known = records(store)
    for n in (n for n in (1, 4, 9, 15, 19) if n < len(known)):  # predictions may settle before
        function = Recording()
        with study_of(function, store=tmp_path / f"{n}.db", **options) as study:
            assert study.resumed
            assert study.n_finished == n
            study.run(trials=20)
            assert len(function.seen) == study.n_finished - n, "a completed trial was run again"
        assert all(lts.decoder_params(a) <= BOUND for a in function.seen)
        if surrogate == "none":  # batches of predictions are chosen anew, from more trials
            assert records(tmp_path / f"{n}.db") == known


def test_candidates_and_trials_keep_their_places() -> None:
    sampler = CoreSampler(lts.Search(SPACE, {"decoder_params": "max"}, (), "random", 1))
    sampler._skipped = [0, 1, 4, 9]
    assert [sampler._key(trial) for trial in range(7)] == [2, 3, 5, 6, 7, 8, 10]


class Stopped(FunctionEvaluator):
    """Interrupted at the third architecture."""

    n = 0

    def evaluate(self, architecture: lts.Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        self.n += 1
        if self.n == 3:
            raise KeyboardInterrupt
        return super().evaluate(architecture, columns, timeout)


def test_a_study_goes_on_after_an_interrupt(tmp_path: Path) -> None:
    options = {"surrogate": "none", "algorithm_options": SIZES}
    with study_of(Stopped(Recording(), name="cost"), store=tmp_path / "a.db", **options) as study:
        with pytest.raises(KeyboardInterrupt):
            study.run(trials=20)
        study.run(trials=10)
    with study_of(Recording(), store=tmp_path / "a.db", **options) as study:
        study.run(trials=20)
    with study_of(Recording(), store=tmp_path / "b.db", **options) as study:
        study.run(trials=20)
    assert records(tmp_path / "a.db") == records(tmp_path / "b.db")
