"""What threads waited for a core, from files like the kernel's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lts.backends import timing
from lts.backends.run_queue import RunQueue, longest_wait


def task(folder: Path, thread: int, text: str) -> Path:
    file = folder / str(thread) / "schedstat"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_it_reads_what_every_thread_waited(tmp_path: Path) -> None:
    first = task(tmp_path, 1, "1000 50 3\n")
    task(tmp_path, 2, "2000 70 4\n")
    queue = RunQueue(tmp_path)
    assert queue.counts
    before = queue.waited_ns()
    assert before == [50, 70]
    first.write_text("1100 9000000050 4\n")
    assert queue.waited_ns() == [9_000_000_050, 70]
    assert longest_wait(before, queue.waited_ns()) == 9_000_000_000
    queue.close()
    assert queue.waited_ns() == []
    queue.close()


@pytest.mark.parametrize("text", ["0 0 0\n", "", "no numbers here", "12 13"])
def test_a_kernel_that_does_not_count(tmp_path: Path, text: str) -> None:
    task(tmp_path, 1, text)
    queue = RunQueue(tmp_path)
    assert not queue.counts
    assert queue.waited_ns() == [0]
    queue.close()
    assert not RunQueue(tmp_path / "missing").counts


def test_the_longest_wait_counts() -> None:
    assert longest_wait([], []) == 0
    assert longest_wait([5, 5, 5], [6, 9, 7]) == 4
    assert longest_wait([5, 5], [0, 5]) == 0, "a thread that has ended"


def test_it_has_the_threads_of_this_process() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    queue = RunQueue()
    try:
        assert len(queue.waited_ns()) >= 2
        done.set()
        thread.join()
        time.sleep(0.01)
        assert all(waited >= 0 for waited in queue.waited_ns()), "one of them has ended"
    finally:
        done.set()
        queue.close()


def time_with(folder: Path, monkeypatch: pytest.MonkeyPatch, function: Callable[[], object]) -> timing.Timing:
    """Time a function, with a folder in place of /proc/self/task."""
    monkeypatch.setattr(timing, "RunQueue", lambda: RunQueue(folder))
    return timing.time_runs(function, threads=2, min_time=0.0, min_repeats=6)


def test_the_wait_of_the_slowest_thread_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = [0, 0]

    def wait() -> None:
        time.sleep(0.004)
        waits[0] += 1_000_000
        waits[1] += 3_000_000
        for thread, waited in enumerate(waits):
            task(tmp_path, thread, f"1 {waited} 1\n")

    for thread in (0, 1):
        task(tmp_path, thread, "1 0 1\n")
    found = time_with(tmp_path, monkeypatch, wait)
    assert [wall - sample for sample, wall in zip(found.samples_ns, found.wall_ns, strict=True)] == [3_000_000] * 6


def test_a_time_is_above_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = [1]

    def wait() -> None:
        waited[0] += 10**12
        task(tmp_path, 1, f"1 {waited[0]} 1\n")

    wait()
    assert time_with(tmp_path, monkeypatch, wait).samples_ns == [1] * 6


def test_without_counters_several_threads_have_the_time_on_the_wall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task(tmp_path, 1, "0 0 0\n")
    found = time_with(tmp_path, monkeypatch, lambda: sum(range(100_000)))
    assert found.samples_ns == found.wall_ns
