"""The device `cores:4-7`: some processors of this machine, such as the fast ones of a big.LITTLE board."""

from __future__ import annotations

import os
import re
from typing import Any

from lts.devices.device import Device
from lts.devices.local import LocalDevice
from lts.errors import UsageError
from lts.jobs.job import Job, JobResult, RunnerJob, Runs
from lts.targets.target import Target


class Cores(Device):
    """Runs what the local device runs, pinned to the processors of its URI: ``cores:0``, ``cores:4-7``, ``cores:0,2``.

    A device that is another machine has `run` send the job there; `lts.jobs.worker_process.WorkerProcess` shows what
    becomes of a job that crashes or hangs.
    """

    def __init__(self, uri: str) -> None:
        self._processors = uri.partition(":")[2]
        self._local = LocalDevice(cpus=_numbers(uri, self._processors))
        self.runs = self._local.runs
        self.costs = self._local.costs

    def check(self, target: Target) -> None:
        self._local.check(target)

    def prepare(self, runs: Runs) -> None:
        self._local.prepare(runs)

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        return self._local.run(job, timeout)

    def environment(self, threads: int) -> dict[str, Any]:
        # Results of other processors are those of another machine: no study takes them for its own.
        return {**self._local.environment(threads), "processors": self._processors}

    def close(self) -> None:
        self._local.close()


def _numbers(uri: str, text: str) -> list[int]:
    if not re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", text):
        raise UsageError(f"device '{uri}' is not of the form cores:0, cores:4-7 or cores:0,2")
    ranges = [part.partition("-")[::2] for part in text.split(",")]
    numbers = sorted({cpu for first, last in ranges for cpu in range(int(first), int(last or first) + 1)})
    if missing := sorted(set(numbers) - os.sched_getaffinity(0)):
        raise UsageError(f"device '{uri}': this process may not use the processors {', '.join(map(str, missing))}")
    if not numbers:
        raise UsageError(f"device '{uri}' has no processors; a range goes from the lower to the higher one")
    return numbers
