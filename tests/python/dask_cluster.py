"""A scheduler of Dask on the loopback interface, with workers that tests kill."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HERE = Path(__file__).parent


class Cluster:
    """A scheduler and its workers.

    Parameters
    ----------
    folder
        For logs, and what workers spill.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--no-show")
        self.address = self._said("scheduler", self.scheduler, r"Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)")

    def add_worker(self, path: str = "") -> subprocess.Popen[bytes]:
        """A worker with one thread and no nanny; `path` comes first where it looks for modules."""
        name = f"worker-{len(self.processes)}"
        worker = self._start(
            "worker",
            self.address,
            *(
                "--nthreads",
                "1",
                "--no-nanny",
                "--dashboard-address",
                "127.0.0.1:0",
                "--local-directory",
                str(self._folder),
            ),
            log=name,
            path=path,
        )
        self._said(name, worker, r"Registered to:")
        return worker

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def _start(self, what: str, *arguments: str, log: str = "", path: str = "") -> subprocess.Popen[bytes]:
        paths = [path, str(_HERE), *sys.path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in paths if each)}
        with (self._folder / f"{log or what}.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + what, *arguments, "--host", "127.0.0.1"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        self.processes.append(process)
        return process

    def _said(self, log: str, process: subprocess.Popen[bytes], pattern: str) -> str:
        for _ in range(600):
            text = (self._folder / f"{log}.log").read_text()
            if found := re.search(pattern, text):
                return found[found.lastindex or 0]
            assert process.poll() is None, text
            time.sleep(0.1)
        raise AssertionError(text)


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster for the block."""
    running = Cluster(folder)
    try:
        for _ in range(workers):
            running.add_worker()
        yield running
    finally:
        running.close()
