"""The compile stage of a search with a stand-in for what compiles: what is done, done again, and told."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lts
from lts.errors import UsageError
from lts.jobs.job import MANIFEST
from lts.measure.deployment import Deployment
from lts.measure.trial import COMPILED, CORRECT
from lts.study.deploy_front import deploy_front
from lts.study.study import Study
from lts.system.progress import Work
from lts.targets.target import Target
from lts.targets.workload import Workload

TARGET = Target(name="board", triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4)


class Maker:
    """What `lts.measure.deployment.Deployer` looks like to the command; `outcome` makes what it gives."""

    target = TARGET
    parallel = 2
    workload = Workload(8)
    where = "in the emulator"
    emulated = True

    def __init__(self, outcome: Callable[[], dict[str, Any]], unchecked: str | None = None) -> None:
        self.outcome = outcome
        self.unchecked = unchecked
        self.folders: list[Path] = []
        self.known: list[set[str]] = []
        self.closed = threading.Event()

    def generates(self, architecture: lts.Architecture) -> bool:
        return False

    def deploy(self, architecture: lts.Architecture, folder: Path, **options: Any) -> Deployment:
        self.folders.append(folder)
        self.known.append(options["known"])
        for phase in ("prefill", "decode"):
            (folder / TARGET.name / phase).mkdir(parents=True, exist_ok=True)
            (folder / TARGET.name / phase / MANIFEST).write_text("{}")
        return Deployment(folder, **self.outcome())

    def close(self) -> None:
        self.closed.set()


def right() -> dict[str, Any]:
    values = {"output_error": 1e-7, "instructions": 10.0}
    return {"checked": True, "values": values, "provenance": dict.fromkeys(values, "emulated")}


def wrong() -> dict[str, Any]:
    return {**right(), "checked": False, "error": "decode: it crashed"}


@pytest.fixture
def study() -> Study:
    made = Study(lts.SearchSpace.load("gpt2-tiny"), lambda a: {"cost": a.d_model}, objectives=["cost:min"])
    made.run(trials=3)
    return made


def deployed(study: Study, maker: Maker, folder: Path, seconds: float = 60.0) -> int:
    end = time.monotonic() + seconds
    return deploy_front(study, maker, study.trials, folder, end, lambda text: print(text, file=sys.stderr))  # type: ignore[arg-type]


def test_what_is_right_is_not_done_again(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = Maker(right)
    assert deployed(study, maker, tmp_path) == 0
    assert len(maker.folders) == 3
    assert {trial.deployed for trial in study.trials} == {CORRECT}
    assert {trial.values["instructions"] for trial in study.trials} == {10.0}
    assert capsys.readouterr().err.count("correct in the emulator") == 3
    assert deployed(study, maker, tmp_path) == 0
    assert len(maker.folders) == 3
    (maker.folders[0] / TARGET.name / "decode" / MANIFEST).unlink()
    assert deployed(study, maker, tmp_path) == 0
    assert maker.folders[3:] == maker.folders[:1]


def test_what_is_wrong_is_wrong_until_it_is_right(study: Study, tmp_path: Path) -> None:
    for _ in range(2):
        assert deployed(study, Maker(wrong), tmp_path) == 3
        assert {trial.deployed for trial in study.trials} == {"decode: it crashed"}
    assert deployed(study, Maker(right), tmp_path) == 0
    assert {trial.deployed for trial in study.trials} == {CORRECT}
    assert not any(trial.warnings for trial in study.trials)


def test_what_could_not_be_run_is_run_once_it_can(study: Study, tmp_path: Path) -> None:
    blind = Maker(dict, unchecked="no emulator")
    for _ in range(2):
        assert deployed(study, blind, tmp_path) == 0
        assert {trial.deployed for trial in study.trials} == {COMPILED}
    assert len(blind.folders) == 3
    assert deployed(study, Maker(right), tmp_path) == 0
    assert {trial.deployed for trial in study.trials} == {CORRECT}


def test_what_the_search_has_emulated_is_not_run_again(study: Study, tmp_path: Path) -> None:
    emulated = {"output_error": 2e-6, "instructions": 99.0}
    study.annotate(0, emulated, dict.fromkeys(emulated, "emulated"))
    study.annotate(1, {"instructions": 98.0}, {"instructions": "emulated"})  # counted, but with nothing compared
    study.annotate(2, emulated, dict.fromkeys(emulated, "measured"))
    maker = Maker(right)
    assert deployed(study, maker, tmp_path) == 0
    known = dict(zip([folder.name for folder in maker.folders], maker.known, strict=True))
    assert known == {"0": {"prefill"}, "1": set(), "2": set()}
    assert study.trials[0].values["output_error"] == 2e-6  # that of the decode step, which ran now, is smaller


def test_a_resumed_check_continues_where_it_was_cut_off(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployed(study, Maker(lambda: {**right(), "checked": False}), tmp_path) == 0
    assert {trial.deployed for trial in study.trials} == {COMPILED}
    assert "the time was not enough to run 3 of 3 compiled members: trial 0, 1, 2" in capsys.readouterr().err
    maker = Maker(right)
    assert deployed(study, maker, tmp_path) == 0
    assert maker.known == [{"prefill"}] * 3
    assert {trial.deployed for trial in study.trials} == {CORRECT}


def test_what_is_running_is_told(study: Study, tmp_path: Path) -> None:
    """And how much time is kept for compiling the members that have not begun."""
    told: list[Work] = []
    kept: list[float] = []
    maker = Maker(right)
    maker.parallel = 1

    def deploy(architecture: lts.Architecture, folder: Path, **options: Any) -> Deployment:
        options["observe"](Work("compiling", 0, 2, "prefill"))
        time.sleep(0.01)
        options["observe"](Work("checking", 0, 2, "prefill"))
        kept.append(options["reserve"]())
        return Deployment(folder, **right())

    maker.deploy = deploy  # type: ignore[method-assign]
    deploy_front(study, maker, study.trials, tmp_path, time.monotonic() + 60, observe=told.append)  # type: ignore[arg-type]
    assert [(work.done, work.now) for work in told] == [
        each
        for done in range(3)
        for each in [
            (done, f"trial {done} compiling prefill"),
            (done, f"trial {done} checking prefill"),
            (done + 1, ""),
        ]
    ]
    assert {(work.what, work.total) for work in told} == {("compiling the front", 3)}
    assert kept[0] >= 2 * 0.01
    assert kept[1] >= 0.01
    assert kept[2] == 0


def test_without_time_nothing_is_begun(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = Maker(right)
    assert deployed(study, maker, tmp_path, seconds=0.0) == 0
    assert maker.folders == []
    assert "the time was not enough for 3 of 3 members" in capsys.readouterr().err
    assert {trial.deployed for trial in study.trials} == {None}


def test_what_ends_it_ends_everything(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the device of the search, where a model may be running."""

    def full() -> dict[str, Any]:
        raise UsageError("no space left")

    closed = []
    monkeypatch.setattr(study.evaluator, "stop", lambda: closed.append(True))
    maker = Maker(full)
    with pytest.raises(UsageError, match="no space left"):
        deployed(study, maker, tmp_path)
    assert maker.closed.is_set()
    assert closed
