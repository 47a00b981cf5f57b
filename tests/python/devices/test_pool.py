"""Several equal devices as one: who gets which job, and what happens when some of them die."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lts.devices import pool
from lts.devices.device import Device, open_device
from lts.devices.pool import PoolDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult, ProgramJob, RunnerJob

TIMEOUT = 60.0


class Board(Device):
    """A device that counts its jobs and may die before one, or in one."""

    runs = ("python",)
    costs: tuple[str, ...] = ("latency_ms",)

    def __init__(self, name: str, **facts: Any) -> None:
        self.uri = name
        self.facts = {"cpu": "cortex-a72", "kernel": "6.1", **facts}
        self.up = True
        self.dies_in: int | None = None
        self.hangs = False
        self.done: list[int] = []
        self.begun: list[int] = []
        self.beside = self.closed = False
        self._alone = threading.Lock()

    def beside_others(self) -> None:
        self.beside = True

    def run(self, job: Job | RunnerJob | ProgramJob, timeout: float) -> JobResult:
        assert isinstance(job, Job)
        assert self._alone.acquire(blocking=False), "two jobs at a time"
        try:
            if not self.up:
                raise MeasurementError("connection refused")
            self.begun.append(job.arguments["n"])
            if self.dies_in is not None and len(self.begun) > self.dies_in:
                self.up = False
                return JobResult(error="the connection was lost", gone=True)
            if self.hangs:
                return JobResult(error=f"no result within {timeout:.3g} s")
            time.sleep(0.002)
            self.done.append(job.arguments["n"])
            return JobResult(value=job.arguments["n"])
        finally:
            self._alone.release()

    def environment(self, threads: int) -> dict[str, Any]:
        if not self.up:
            raise MeasurementError("connection refused")
        return {**self.facts, "device": self.uri, "threads": threads}

    def close(self) -> None:
        self.closed = True


def job(n: int) -> Job:
    return Job("json:dumps", {"n": n})


def jobs(opened: PoolDevice, numbers: range) -> list[JobResult]:
    """Results of the jobs, as many at a time as the pool takes."""
    with ThreadPoolExecutor(opened.parallel) as threads:
        return list(threads.map(lambda n: opened.run(job(n), TIMEOUT), numbers))


def three(**options: Any) -> tuple[PoolDevice, list[Board]]:
    boards = [Board(name) for name in ("a", "b", "c")]
    return PoolDevice(boards, **options), boards


def test_all_devices_work() -> None:
    opened, boards = three()
    assert opened.parallel == 3
    assert all(board.beside for board in boards)
    results = jobs(opened, range(60))
    assert [result.value for result in results] == list(range(60))
    assert Counter(result.device for result in results) == {board.uri: len(board.done) for board in boards}
    assert all(board.done for board in boards)
    opened.close()
    assert all(board.closed for board in boards)
    assert opened.run(job(0), TIMEOUT).error == "the device was closed"


def test_nothing_is_lost_or_done_twice_when_one_dies_in_the_middle() -> None:
    opened, boards = three()
    opened.prepare("python")
    boards[1].dies_in = 5
    results = jobs(opened, range(60))
    assert [result.value for result in results] == list(range(60))
    assert sorted(n for board in boards for n in board.done) == list(range(60))
    assert len(boards[1].done) == 5
    assert {results[n].device for n in boards[1].done} == {"b"}


def test_a_device_that_comes_back_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_REST", 0.0)
    opened, boards = three()
    opened.prepare("python")
    boards[1].dies_in = 2
    jobs(opened, range(20))
    before = len(boards[1].done)
    boards[1].up, boards[1].dies_in = True, None
    jobs(opened, range(20, 60))
    assert len(boards[1].done) > before
    assert sorted(n for board in boards for n in board.done) == list(range(60))


def test_another_machine_in_its_place_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_REST", 0.0)
    opened, boards = three()
    opened.prepare("python")
    boards[1].dies_in = 2
    jobs(opened, range(20))
    boards[1].up, boards[1].dies_in, boards[1].facts["cpu"] = True, None, "cortex-a53"
    jobs(opened, range(20, 60))
    assert len(boards[1].done) == 2


def test_one_that_is_not_there_at_the_beginning_hinders_nobody() -> None:
    opened, boards = three()
    boards[0].up = False
    opened.prepare("python")
    assert [result.value for result in jobs(opened, range(20))] == list(range(20))
    assert not boards[0].done


def test_when_all_have_died_nothing_can_be_measured() -> None:
    opened, boards = three(wait=0.0)
    opened.prepare("python")
    for board in boards:
        board.dies_in = len(board.begun)
    assert opened.run(job(0), TIMEOUT).error is not None  # all three died of it
    with pytest.raises(MeasurementError, match=r"^no device of the pool is there: a \(the connection was lost\), b "):
        opened.run(job(1), TIMEOUT)
    boards[2].up, boards[2].dies_in = True, None
    others = PoolDevice(boards, wait=0.0)
    assert others.run(job(7), TIMEOUT).device == "c"


def test_a_job_that_three_devices_die_of_is_to_blame() -> None:
    boards = [Board(name) for name in "abcd"]
    opened = PoolDevice(boards)
    for board in boards:
        board.dies_in = 0
    result = opened.run(job(1), TIMEOUT)
    assert result.error == "; ".join(f"{name} went away: the connection was lost" for name in "abc")
    assert boards[3].up


def test_a_silent_device_gets_half_of_the_time() -> None:
    opened, boards = three()
    boards[0].hangs = True
    result = opened.run(job(1), TIMEOUT)
    assert result.value == 1
    assert boards[0].begun == [1]


def test_devices_that_differ_are_refused() -> None:
    opened = PoolDevice([Board("a"), Board("b", cpu="cortex-a53")])
    with pytest.raises(
        UsageError, match=r"^a pool is of equal devices; a and b differ: cpu cortex-a72 and cortex-a53$"
    ):
        opened.prepare("python")
    other = Board("c")
    other.costs = ("latency_ms", "peak_memory_mib")
    with pytest.raises(
        UsageError, match=r"^a pool is of equal devices; a measures latency_ms, and c latency_ms, peak_"
    ):
        PoolDevice([Board("a"), other])


def test_the_fingerprint_is_that_of_each_without_its_name() -> None:
    opened, _ = three()
    assert opened.environment(2) == {"cpu": "cortex-a72", "kernel": "6.1", "threads": 2}


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("pool", r"device 'pool' is not of the form pool:DEVICE,DEVICE"),
        ("pool:local", "a pool is of two devices or more; there is 1"),
        ("pool:local,toaster", "unknown device 'toaster'"),
        ("pool:emulated,emulated", "device 'emulated' is named twice in pool:emulated,emulated"),
    ],
)
def test_wrong_pools(uri: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        open_device(uri)
