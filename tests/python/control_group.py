"""A control group with little memory for tests, which are skipped where none can be made."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def control_group(mib: int) -> Iterator[str]:
    """The file through which a process enters a control group that has so much memory; skips where there is none."""
    name = f"lts_test_{os.getpid()}"
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    v1 = (first / "memory.limit_in_bytes").exists()
    folder = (first if v1 else second) / name
    limit, members = ("memory.limit_in_bytes", "tasks") if v1 else ("memory.max", "cgroup.procs")
    try:
        folder.mkdir()
        (folder / limit).write_text(str(mib << 20))
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"no control group with a memory limit can be made here: {error}")
    try:
        yield str(folder / members)
    finally:
        for _ in range(100):  # until the process that was in it is gone
            with suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.05)


def forget(path: Path) -> None:
    """Drop a file from the cache: cached pages belong to the control group that read or wrote them first."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
