"""Jobs for test_device.py, in a module of their own that is quick to import."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """What the worker knows about itself."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "group": os.getpgrp(),
        "session": os.getsid(0),
        "cpus": sorted(os.sched_getaffinity(0)),
        "environment": dict(os.environ),
        "ignores_interrupt": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
        "core_limit": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "oom_score": int(Path("/proc/self/oom_score_adj").read_text()),
        "modules": sorted(sys.modules),
        "threads": len(list(Path("/proc/self/task").iterdir())),
    }


def leave_a_child_behind(path: str) -> None:
    """End with a child running."""
    child = subprocess.Popen(["sleep", "1000"])
    Path(path).write_text(f"{os.getpid()} {child.pid}")


def hang_with_a_child(path: str) -> None:
    """Hang with a child running, once the file has this worker, its parent and the child."""
    child = subprocess.Popen(["sleep", "1000"])
    Path(f"{path}.part").write_text(f"{os.getpid()} {os.getppid()} {child.pid}")
    Path(f"{path}.part").rename(path)
    time.sleep(1000)


def close_everything_and_hang() -> None:
    """Close all files, including the connections to the parent, and keep running."""
    os.closerange(0, 256)
    time.sleep(1000)


def kill_the_server_once(marker: str) -> str:
    """The first time, kill the server that forked this process."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)
    return "second try"


def kill_the_parent() -> int:
    """Kill any server, every time; without a server, the parent is the test."""
    if "pytest" not in Path(f"/proc/{os.getppid()}/cmdline").read_text():
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)
    return os.getppid()


def time_a_busy_loop(n: int, repeats: int, sleep: float | None = None) -> dict[str, list[int]]:
    """Timing of a loop that wants the processor all the time, or sleeps for a moment after it."""
    from lts.backends.timing import time_runs

    def loop() -> None:
        sum(range(n))
        if sleep is not None:
            time.sleep(sleep)

    timing = time_runs(loop, threads=1, min_time=0.0, min_repeats=repeats, max_time=1000.0)
    return {"samples_ns": timing.samples_ns, "wall_ns": timing.wall_ns}


def time_reading_a_mapped_file(path: str, enter: str) -> dict[str, Any]:
    """Timing of reading a file through a map, by a process that enters a control group first."""
    from lts.backends.timing import time_runs

    Path(enter).write_text(str(os.getpid()))
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        timing = time_runs(lambda: mapped[:: mmap.PAGESIZE], threads=1, min_time=0.0, min_repeats=3)
    return {"warnings": timing.warnings, "disturbed": timing.disturbed}


def peak_of(mib: int) -> dict[str, Any]:
    """Peak memory after that much memory was touched and freed."""
    from lts.backends.timing import PeakMemory

    block = b"x" * (mib << 20)
    del block
    memory = PeakMemory()
    before = memory.mib()
    block = b"x" * (mib << 20)
    del block
    return {"before": before, "after": memory.mib(), "warnings": memory.warnings}
