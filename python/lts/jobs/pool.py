"""Worker processes for jobs in Python: each job has its own process, which may crash, hang or use up all memory."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from lts.errors import MeasurementError
from lts.jobs.cause_of_death import cause_of_death
from lts.jobs.job import Job, JobResult, result_of
from lts.jobs.worker_process import Ended, WorkerError, WorkerProcess
from lts.system import machine
from lts.system.core_locks import CoreClaim
from lts.system.outside import parse_json

# Failures in a row of the server of workers after which each job gets an interpreter of its own.
_MAX_FAILURES = 2


class Workers:
    """Runs jobs one after another, each in a process forked from a small server that has done the imports.

    The worker is pinned to processors, does not receive the terminal's Ctrl-C, and dies with this process.

    Parameters
    ----------
    fork
        Whether to fork workers from a server (about 10 ms per job) or start an interpreter for each (about 500 ms).
        Where the server does not run, interpreters are started anyway.
    cpus
        Logical processors to choose from; by default those that this process may use.
    claim
        Takes processors that nobody else measures on, from the first job until `close`; by default none are taken.
    """

    def __init__(self, *, fork: bool = True, cpus: Sequence[int] | None = None, claim: CoreClaim | None = None) -> None:
        self._fork = fork
        self._cpus = list(cpus) if cpus is not None else machine.allowed_cpus()
        self._claim = claim
        self._pinned: dict[int, list[int]] = {}
        self._ticks = machine.cpu_ticks()
        self._server: WorkerProcess | None = None
        self._working: WorkerProcess | None = None
        self._failures = 0
        self._lock = threading.Lock()
        self._closing = False
        self._closed = 0  # number of times that it was closed

    def run(self, job: Job, timeout: float) -> JobResult:
        """Run a job for at most `timeout` seconds. If it fails, crashes or hangs, that is an error in the result.

        Raises
        ------
        MeasurementError
            When worker processes cannot be started at all.
        """
        closed = self._closed
        with self._lock:
            if self._closed != closed:  # while this job waited for the one before
                return JobResult(error="the device was closed")
            start = time.monotonic()
            ended = self._run(job, timeout)
            seconds = time.monotonic() - start
            if self._closing:
                return JobResult(error="the device was closed", seconds=seconds)
        if ended.timed_out:
            return JobResult(error=f"no result within {timeout:.3g} s", seconds=seconds)
        try:
            result = parse_json(ended.result)
        except ValueError:
            return JobResult(error=_cause(ended), seconds=seconds)
        return replace(result_of(result), seconds=seconds)

    def close(self) -> None:
        """End the server and the jobs of other threads, running or waiting. The next job starts a new server."""
        self._closing = True
        self._closed += 1
        try:
            while not self._lock.acquire(timeout=0.05):
                if (worker := self._working) is not None:
                    worker.kill()
            try:
                self._end_server()
            finally:
                if self._claim is not None:
                    self._claim.release()
                    self._pinned.clear()
                self._lock.release()
        finally:
            self._closing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, job: Job, timeout: float) -> Ended:
        text = json.dumps(
            {
                "function": job.function,
                "arguments": dict(job.arguments),
                "cpus": self._processors(job.threads),
                "environment": dict.fromkeys(("OMP_NUM_THREADS", "TVM_NUM_THREADS"), str(job.threads)),
            }
        )
        # That the server has died, for example for lack of memory, says nothing about the job: try again.
        while self._fork and self._failures < _MAX_FAILURES and not self._closing:
            try:
                self._working = self._serving(job.preload)
                ended = self._working.run(text, timeout)
            except WorkerError:
                self._failures += not self._closing
            except BaseException:  # on Ctrl-C, the job must not keep running
                self._end_server()
                raise
            else:
                self._failures = 0
                return ended
            finally:
                self._working = None
        if self._closing:
            return Ended()
        try:
            self._working = WorkerProcess("once")
            try:
                return self._working.run(text, timeout)
            finally:
                self._working.close()
                self._working = None
        except WorkerError as error:
            raise MeasurementError(f"cannot start worker processes: {error}") from None

    def _serving(self, modules: tuple[str, ...]) -> WorkerProcess:
        """The server that has imported these modules."""
        if self._server is not None and not (self._server.alive and self._server.modules == modules):
            self._end_server()
        if self._server is None:
            self._server = WorkerProcess("serve", modules)
        return self._server

    def _end_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _processors(self, n: int) -> list[int]:
        """The processors to pin `n` threads to: the same for every job, those that were idle before the first one."""
        if n not in self._pinned:
            busy = machine.busy_share(self._ticks, machine.cpu_ticks())
            pick = machine.pick_cpus if self._claim is None else self._claim.take
            self._pinned[n] = pick(n, machine.processors(self._cpus), busy)
        return self._pinned[n]


def _cause(ended: Ended) -> str:
    return cause_of_death("the worker", os.waitstatus_to_exitcode(ended.status), ended.output)
