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
from lts.targets.target import Target
from lts.targets.workload import Workload

TARGET = Target(name="board", triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4)


class Maker:
    """What `lts.measure.deployment.Deployer` looks like to the command; `outcome` makes what it gives."""

    target = TARGET
    parallel = 2
    workload = Workload(8)
    where = "in the emulator"

    def __init__(self, outcome: Callable[[], dict[str, Any]], unchecked: str | None = None) -> None:
        self.outcome = outcome
        self.unchecked = unchecked
        self.folders: list[Path] = []
        self.closed = threading.Event()

    def deploy(self, architecture: lts.Architecture, folder: Path, **options: Any) -> Deployment:
        self.folders.append(folder)
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
