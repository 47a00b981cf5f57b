"""How long threads of this process have waited for a core, as the kernel counts it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

TASKS = Path("/proc/self/task")
_MOST = 256  # bytes of a schedstat file


class RunQueue:
    """Every thread that this process has now, with how long it has been ready to run without a core.

    Linux counts that as the second number of ``/proc/self/task/*/schedstat``: what another program, or another thread
    of this one, had of the core; waiting for the disk or for another thread is not in it. The files stay open, so
    that reading takes about a microsecond per thread. The counters are absent, or zero, in kernels without
    CONFIG_SCHED_INFO.
    """

    def __init__(self, tasks: Path = TASKS) -> None:
        self._files: list[int] = []
        with suppress(OSError):
            for task in sorted(tasks.iterdir()):
                with suppress(OSError):
                    self._files.append(os.open(task / "schedstat", os.O_RDONLY | os.O_CLOEXEC))
        self.counts = any(any(numbers) for numbers in map(_numbers, self._files))

    def waited_ns(self) -> list[int]:
        """Nanoseconds on the run queue so far, by thread; 0 for a thread that has ended."""
        return [_numbers(file)[1] for file in self._files]

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.pop())


def longest_wait(before: Sequence[int], after: Sequence[int]) -> int:
    """The longest of the waits of the threads, between two readings."""
    return max((max(0, b - a) for a, b in zip(before, after, strict=True)), default=0)


def _numbers(file: int) -> list[int]:
    """Nanoseconds on a core, nanoseconds on the run queue, and time slices; zeros when they cannot be read."""
    try:
        numbers = [int(word) for word in os.pread(file, _MOST, 0).split()[:3]]
    except (OSError, ValueError):
        return [0, 0, 0]
    return numbers if len(numbers) == 3 else [0, 0, 0]
