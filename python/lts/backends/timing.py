"""Timing and peak memory of a function, inside the worker process. Shared by the backends that run in Python."""

from __future__ import annotations

import ctypes
import gc
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lts.backends.run_queue import RunQueue, longest_wait
from lts.system.disturbance import Watch

# Seconds of warm-up. The first runs allocate, fault pages in and let the clock rise. Callers run once to check the
# outputs; then comes one more run, which finds everything allocated, and for fast models as many as fit into this time.
_WARM_UP = 0.03
# The fewest samples whose range covers the median with 95 % probability; for models so slow that more would exceed
# max_time.
_FEWEST = 6
_MADV_POPULATE_READ = 22
# Processor time below this share of the wall time of a run means that the core did something else meanwhile.
_UNDISTURBED = 0.98
# The clock and the waits are read together when that took less, and else again, so many times.
_AT_ONCE_NS, _ATTEMPTS = 200_000, 5


@dataclass
class Timing:
    """What calls took, in order, and reasons to doubt that.

    Parameters
    ----------
    samples_ns, wall_ns
        Nanoseconds of every call: the sample (see `time_runs`), and the wall time.
    major_faults
        Pages that every call waited for, because they had to be read from disk.
    warnings, disturbed
        See `lts.system.disturbance.Doubts`.
    """

    samples_ns: list[int] = field(default_factory=list)
    wall_ns: list[int] = field(default_factory=list)
    major_faults: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    disturbed: bool = False


def time_runs(
    function: Callable[[], object],
    *,
    threads: int,
    min_time: float = 0.3,
    min_repeats: int = 10,
    max_repeats: int = 1000,
    max_time: float = 1.0,
) -> Timing:
    """Call a function again and again, and time every call.

    Sampling ends after at least `min_repeats` calls and `min_time` seconds, or `max_repeats` calls, or, when calls
    take so long, 6 calls and `max_time` seconds, where that is more than `min_time`.

    A sample is the wall time of a call, less what it waited for a core that another program had: what the call would
    have taken had it kept the core. The kernel counts these waits for every thread (see `RunQueue`); waiting for the
    disk or for another thread is not among them, and remains. Threads work at the same time, so that their waits
    overlap, and a call that goes on when all of them are done is delayed by at least the longest: that one is
    subtracted. (It is not exact: threads may wait by turns, which counts too little, and one may wait while it has
    nothing to do, which counts too much.)

    Where the kernel does not count waits, a call of a single thread that was preempted, and did not wait by itself,
    counts as its processor time; all other calls as their wall time.
    """
    start = time.perf_counter()
    function()
    while time.perf_counter() - start < _WARM_UP:
        function()
    timing = Timing()
    max_time = max(max_time, min_time)
    watch = Watch()
    queue = RunQueue()  # after the warm-up: the threads that run the model exist
    collects = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        while (n := len(timing.samples_ns)) < max_repeats:
            elapsed = time.perf_counter() - start
            if (n >= min_repeats and elapsed >= min_time) or (n >= _FEWEST and elapsed >= max_time):
                break
            _sample(function, timing, threads, queue)
    finally:
        queue.close()
        if collects:
            gc.enable()
    doubts = watch.doubts(timing.major_faults)
    timing.warnings, timing.disturbed = doubts.warnings, doubts.disturbed
    return timing


def _sample(function: Callable[[], object], timing: Timing, threads: int, queue: RunQueue) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    # Asking for processor time invites the kernel to switch, so it is asked for only where it is needed.
    cpu = 0 if queue.counts else time.process_time_ns()
    _, waited, start = _moment(queue)
    function()
    end, waited_then, _ = _moment(queue)
    wall = end - start
    lost = longest_wait(waited, waited_then)
    if not queue.counts:
        cpu = time.process_time_ns() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF)
    if not queue.counts:
        # A call that waits by itself, say for the disk, switches voluntarily: that time is its own.
        preempted = after.ru_nivcsw > before.ru_nivcsw and after.ru_nvcsw == before.ru_nvcsw
        lost = wall - cpu if threads == 1 and preempted and cpu < _UNDISTURBED * wall else 0
    timing.samples_ns.append(max(1, wall - lost))
    timing.wall_ns.append(wall)
    timing.major_faults.append(after.ru_majflt - before.ru_majflt)


def _moment(queue: RunQueue) -> tuple[int, list[int], int]:
    """What threads have waited, between two readings of the clock; again when another program came between those."""
    for _ in range(_ATTEMPTS):
        before = time.perf_counter_ns()
        waited = queue.waited_ns()
        after = time.perf_counter_ns()
        if after - before < _AT_ONCE_NS:
            break
    return before, waited, after


class PeakMemory:
    """How far the resident memory of this process rises above what it is now.

    Linux keeps the high-water mark of the resident set (VmHWM) and lets a process reset it. Code of the libraries that
    are loaded by now does not count, although it becomes resident only when it is used: all of it is made resident
    first. (That needs Linux 5.14; elsewhere the runtime's code counts, some 20 MiB whatever the model.)
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        _make_libraries_resident()
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            self.warnings.append("the kernel does not reset the peak of memory: it includes what came before the model")
        self._baseline = _status_kib("VmRSS") or 0

    def mib(self) -> float:
        """The rise so far, in MiB."""
        peak = _status_kib("VmHWM")
        if peak is None:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            self.warnings.append("peak memory is ru_maxrss: it includes what came before the model")
        return max(0, peak - self._baseline) / 1024


def _status_kib(name: str) -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return None


def _make_libraries_resident() -> None:
    with suppress(OSError, AttributeError):
        advise = ctypes.CDLL(None).madvise
        for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            span, mode, *_, path = line.split(maxsplit=5)
            if mode[0] == "r" and mode[1] == "-" and ".so" in path:
                start, end = (int(address, 16) for address in span.split("-"))
                advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_POPULATE_READ)
