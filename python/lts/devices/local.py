"""This machine as a device. Its jobs may crash, hang or use up all memory."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lts.devices.device import Job, JobResult, RunnerJob, Runs
from lts.errors import MeasurementError, UsageError
from lts.jobs.worker_process import Ended, WorkerError, WorkerProcess
from lts.system import machine
from lts.system.environment import fingerprint
from lts.targets.target import Target

# Failures in a row of the server of workers after which each job gets an interpreter of its own.
_MAX_FAILURES = 2


def runs_here(target: Target) -> bool:
    """Whether this machine's processor is of the architecture of the target."""
    return target.kind == "cpu" and machine.same_architecture(target.triple, machine.triple())


class LocalDevice:
    """This machine: every job runs in a process of its own, forked from a small server that has done the imports.

    The worker is pinned to processors, does not receive the terminal's Ctrl-C, and dies with this process.

    Parameters
    ----------
    fork
        Whether to fork workers from a server (about 10 ms per job) or start an interpreter for each (about 500 ms).
        Where the server does not run, interpreters are started anyway.
    cpus
        Logical processors to choose from; by default those that this process may use.
    """

    runs: tuple[Runs, ...] = ("python", "runner")
    costs = ("latency_ms", "decode_ms_per_token", "peak_memory_mib")
    parallel = 1

    def __init__(self, *, fork: bool = True, cpus: Sequence[int] | None = None) -> None:
        self._fork = fork
        self._cpus = list(cpus) if cpus is not None else machine.allowed_cpus()
        self._pinned: dict[int, list[int]] = {}
        self._ticks = machine.cpu_ticks()
        self._server: WorkerProcess | None = None
        self._working: WorkerProcess | None = None
        self._failures = 0
        self._lock = threading.Lock()
        self._closing = False
        self._closed = 0  # number of times that it was closed

    @classmethod
    def from_uri(cls, uri: str) -> LocalDevice:
        """Make the device of a URI, for `lts.devices.device.open_device`."""
        return cls()

    def check(self, target: Target) -> None:
        """Raise `UsageError` when a model for that target cannot run here."""
        if not runs_here(target):
            raise UsageError(
                f"target '{target.name}' is for {target.kind} {target.triple}; the local device is a "
                f"{machine.triple()} processor"
            )
        if target.threads > len(self._cpus):
            raise UsageError(
                f"target '{target.name}' wants {target.threads} threads; the local device may use "
                f"{len(self._cpus)} processors"
            )

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        """Run a job for at most `timeout` seconds. If it fails, crashes or hangs, that is an error in the result.

        Raises
        ------
        MeasurementError
            When worker processes cannot be started at all, or the runner cannot be built here.
        """
        if isinstance(job, RunnerJob):
            from lts.jobs.bundle import make_bundle

            job = runner_job(job, [str(make_bundle(machine.triple()) / "lts-runner"), "--once"], timeout)
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
            result = json.loads(ended.result)
        except ValueError:
            return JobResult(error=_cause(ended), seconds=seconds)
        return JobResult(value=result.get("value"), error=result.get("error"), seconds=seconds)

    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of this machine."""
        return fingerprint(threads)

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
                self._lock.release()
        finally:
            self._closing = False

    def __enter__(self) -> LocalDevice:
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
            self._pinned[n] = machine.pick_cpus(n, self._cpus, busy)
        return self._pinned[n]


def runner_job(
    job: RunnerJob,
    command: Sequence[str],
    timeout: float,
    *,
    model: str | None = None,
    files: Mapping[str, str] | None = None,
) -> Job:
    """The job of a worker process on this machine that hands a compiled model to lts-runner, started by that command.

    `model` and `files` are paths on the machine that the runner runs on, if that is another one.
    """
    arguments = {"command": list(command), "request": job.request(model, files), "timeout": timeout}
    return Job("lts.jobs.runner_process:run", arguments, threads=job.threads)


def _cause(ended: Ended) -> str:
    """The reason why a worker has left no result."""
    last = re.sub(r"\s+", " ", ended.output.strip().rpartition("\n")[2])[-300:]
    said = f"; its last words: {last}" if last else ""
    code = os.waitstatus_to_exitcode(ended.status)
    if code >= 0:
        return f"the worker ended with code {code} and no result{said}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    if -code == signal.SIGKILL:
        return f"killed by signal {-code} ({name}): probably out of memory"
    return f"killed by signal {-code} ({name}){said}"
