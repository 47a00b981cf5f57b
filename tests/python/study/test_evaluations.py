"""Several candidates at once: as many as the device has room for, none twice, none lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest

import lts
from lts import Architecture, SearchSpace, Study
from lts.errors import MeasurementError, UsageError
from lts.measure.evaluator import Evaluator
from lts.measure.outcome import Outcome
from lts.measure.trial import Trial
from lts.study.evaluations import Evaluations


class Farm(Evaluator):
    """An evaluator with room for several; counts how many it has at once."""

    def __init__(self, parallel: int, together: int | None = None) -> None:
        self.parallel = parallel
        self.most = 0
        self.closed = threading.Event()
        self._now = 0
        self._lock = threading.Lock()
        self._meeting = threading.Barrier(together) if together else None

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return {"device": "farm"}

    def environment(self) -> dict[str, Any]:
        return {"machine": "farm"}

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        if self._meeting is not None:
            self._meeting.wait(30)
        values = {"decoder_params": lts.decoder_params(architecture), "latency_ms": architecture.d_model * 1.5}
        with self._lock:
            self._now -= 1
        return Outcome(values=values)

    def stop(self) -> None:
        self.closed.set()


def study_of(evaluator: Any, **options: Any) -> Study:
    objectives = {"decoder_params": "max", "latency_ms": "min"}
    return Study(SearchSpace.load("gpt2-tiny"), evaluator, objectives=objectives, **options)


def test_as_many_at_once_as_there_is_room_for() -> None:
    farm = Farm(3, together=3)  # nobody goes on before three are there
    with study_of(farm) as study:
        study.run(trials=12)
    assert farm.most == 3
    assert [trial.id for trial in study.trials] == list(range(12))
    assert all(trial.state == "complete" for trial in study.trials)


def test_a_budget_is_kept_and_a_resumed_study_goes_on(tmp_path: Any) -> None:
    for trials in (5, 9):
        with study_of(Farm(4), store=tmp_path / "study.db") as study:
            study.run(trials=trials)
            assert study.n_finished == trials
    assert len({trial.architecture.to_json() for trial in study.trials}) == 9


def test_the_calling_thread_does_the_work_when_there_is_room_for_one() -> None:
    threads = set()

    def function(a: Architecture) -> dict[str, float]:
        threads.add(threading.get_ident())
        return {"latency_ms": float(a.d_model)}

    with study_of(function) as study:
        study.run(trials=3)
    assert threads == {threading.get_ident()}


def test_an_interrupt_ends_what_runs_and_keeps_what_is_done(tmp_path: Any) -> None:
    class Stubborn(Farm):
        def evaluate(self, *arguments: Any) -> Outcome:
            assert self.closed.wait(60), "nobody has ended this"
            return Outcome(error="the device was closed")

    class Interrupted(Farm):
        """Two candidates are done; then comes Ctrl-C, while the third and fourth run."""

        n = 0

        def evaluate(self, *arguments: Any) -> Outcome:
            with self._lock:
                self.n += 1
                first = self.n <= 2
            return super().evaluate(*arguments) if first else Stubborn.evaluate(self, *arguments)  # type: ignore[arg-type]

    def progress(state: Any) -> None:
        if state.n_finished == 2:
            raise KeyboardInterrupt

    farm = Interrupted(2)
    with study_of(farm, store=tmp_path / "study.db") as study:
        with pytest.raises(KeyboardInterrupt):
            study.run(trials=20, progress=progress)
        assert farm.closed.is_set()
        assert study.n_finished == 2
        with pytest.raises(UsageError, match="the study is closed"):
            study.run(trials=20)
    with study_of(Farm(2), store=tmp_path / "study.db") as study:
        study.run(trials=6)
        assert [trial.id for trial in study.trials] == list(range(6))
        assert all(trial.state == "complete" for trial in study.trials)


def test_an_exception_of_one_ends_the_others() -> None:
    class Gone(Farm):
        def evaluate(self, architecture: Architecture, *rest: Any) -> Outcome:
            with self._lock:
                self.most += 1
                first = self.most == 1
            if first:
                raise MeasurementError("the device is gone")
            assert self.closed.wait(60)
            return Outcome(error="closed")

    farm = Gone(2)
    with study_of(farm) as study, pytest.raises(MeasurementError, match="the device is gone"):
        study.run(trials=4)
    assert farm.closed.is_set()


def test_the_first_to_end_comes_first() -> None:
    class Uneven(Farm):
        def evaluate(self, architecture: Architecture, *rest: Any) -> Outcome:
            if architecture.d_model == 64:
                assert self.closed.wait(60)
            return Outcome(values={"a": float(architecture.d_model)})

    slow, fast = (
        lts.Architecture("gpt2", vocab_size=9, n_positions=9, d_model=d, n_head=[2], d_ff=[8]) for d in (64, 32)
    )
    farm = Uneven(2)
    evaluations = Evaluations(farm, ["a"])
    evaluations.start(Trial(0, "running", slow), None)
    evaluations.start(Trial(1, "running", fast), 5.0)
    first = evaluations.next()
    assert (first.trial.id, first.allowed) == (1, 5.0)
    assert evaluations.trials == {0}
    begun = time.monotonic()
    evaluations.close()
    assert time.monotonic() - begun < 60
