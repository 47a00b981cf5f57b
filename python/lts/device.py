"""Machines that run and time candidates. `LocalDevice` is this one; a job there may crash, hang or eat all memory."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from lts import machine
from lts.environment import environment
from lts.errors import MeasurementError, UsageError
from lts.target import Target
from lts.worker_process import Ended, WorkerError, WorkerProcess

# How many times in a row a server of workers may fail before jobs get an interpreter each.
_MAX_FAILURES = 2


@dataclass(frozen=True)
class Job:
    """A function call for a worker process.

    Parameters
    ----------
    function
        As ``package.module:name``; it must be importable in the worker.
    arguments
        Keyword arguments, JSON.
    threads
        Threads it may use: the worker is pinned to that many processors.
    preload
        Modules that it imports, which a device may import once for many jobs. They must start no threads.
    files
        What the arguments refer to by path. A device elsewhere copies these and changes the paths in the arguments.
    """

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    preload: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class JobResult:
    """What became of a job: its value, JSON, or the reason why there is none; seconds from submission to end."""

    value: Any = None
    error: str | None = None
    seconds: float = 0.0


class Device(Protocol):
    """A machine that runs jobs one at a time, with nothing else of ours beside them."""

    def check(self, target: Target) -> None:
        """Raise `UsageError` when a model for that target cannot run here."""

    def run(self, job: Job, timeout: float) -> JobResult:
        """Run a job for at most `timeout` seconds. Whatever it does to itself is an error in the result.

        Raises
        ------
        MeasurementError
            When no job can be run at all, for example because the machine is gone.
        """

    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of the machine that runs the jobs, see `lts.environment.environment`."""

    def close(self) -> None:
        """Release what is held. Harmless when repeated."""


def device(uri: str) -> Device:
    """Open a device: "local", or one that an installed package offers in the entry point group ``lts.devices``.

    Raises
    ------
    UsageError
        For an unknown one, naming those known.
    """
    if uri == "local":
        return LocalDevice()
    plugins = {entry.name: entry for entry in entry_points(group="lts.devices")}
    if (entry := plugins.get(uri.split(":", 1)[0])) is not None:
        factory: Callable[[str], Device] = entry.load()
        return factory(uri)
    raise UsageError(f"unknown device '{uri}'; expected one of {', '.join(['local', *sorted(plugins)])}")


class LocalDevice:
    """This machine: every job runs in a process of its own, forked from a small server that has done the imports.

    The worker is pinned, out of reach of the terminal's Ctrl-C, and dies with this process however that goes.

    Parameters
    ----------
    fork
        Whether to fork workers from a server (about 10 ms per job) or start an interpreter for each (about 500 ms).
        Where the server does not run, interpreters are started anyway.
    cpus
        Logical processors to choose from; by default those that this process may use.
    """

    def __init__(self, *, fork: bool = True, cpus: Sequence[int] | None = None) -> None:
        self._fork = fork
        self._cpus = list(cpus) if cpus is not None else machine.allowed_cpus()
        self._pinned: dict[int, list[int]] = {}
        self._ticks = machine.cpu_ticks()
        self._server: WorkerProcess | None = None
        self._failures = 0
        self._lock = threading.Lock()

    def check(self, target: Target) -> None:
        """Raise `UsageError` when a model for that target cannot run here."""
        if target.kind != "cpu" or not machine.same_architecture(target.triple, machine.triple()):
            raise UsageError(
                f"target '{target.name}' is for {target.kind} {target.triple}; the local device is a "
                f"{machine.triple()} processor"
            )
        if target.threads > len(self._cpus):
            raise UsageError(
                f"target '{target.name}' wants {target.threads} threads; the local device may use "
                f"{len(self._cpus)} processors"
            )

    def run(self, job: Job, timeout: float) -> JobResult:
        """Run a job for at most `timeout` seconds. Whatever it does to itself is an error in the result.

        Raises
        ------
        MeasurementError
            When worker processes cannot be started at all.
        """
        with self._lock:
            start = time.monotonic()
            ended = self._run(job, timeout)
            seconds = time.monotonic() - start
        if ended.timed_out:
            return JobResult(error=f"no result within {timeout:.3g} s", seconds=seconds)
        try:
            result = json.loads(ended.result)
        except ValueError:
            return JobResult(error=_cause(ended), seconds=seconds)
        return JobResult(value=result.get("value"), error=result.get("error"), seconds=seconds)

    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of this machine."""
        return environment(threads)

    def close(self) -> None:
        """End the server. The next job would start another."""
        if self._server is not None:
            self._server.close()
            self._server = None

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
        # A server that has died, for example of the system's lack of memory, says nothing about the job: try again.
        while self._fork and self._failures < _MAX_FAILURES:
            try:
                ended = self._serving(job.preload).run(text, timeout)
            except WorkerError:
                self._failures += 1
            except BaseException:  # Ctrl-C: the job shall not go on
                self.close()
                raise
            else:
                self._failures = 0
                return ended
        try:
            worker = WorkerProcess("once")
            try:
                return worker.run(text, timeout)
            finally:
                worker.close()
        except WorkerError as error:
            raise MeasurementError(f"cannot start worker processes: {error}") from None

    def _serving(self, modules: tuple[str, ...]) -> WorkerProcess:
        """The server that has imported these modules."""
        if self._server is not None and not (self._server.alive and self._server.modules == modules):
            self.close()
        if self._server is None:
            self._server = WorkerProcess("serve", modules)
        return self._server

    def _processors(self, n: int) -> list[int]:
        """Where to pin `n` threads: the same processors for every job, those that were idle before the first one."""
        if n not in self._pinned:
            busy = machine.busy_share(self._ticks, machine.cpu_ticks())
            self._pinned[n] = machine.pick_cpus(n, self._cpus, busy)
        return self._pinned[n]


def _cause(ended: Ended) -> str:
    """Why a worker has left no result."""
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
