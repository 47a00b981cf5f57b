"""A machine that is reached over ssh, and needs nothing but a shell: lts-runner and models are copied to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from lts.devices.device import ENERGY, Device
from lts.devices.ssh.address import FORM, Address, parse
from lts.devices.ssh.connection import Connection, ConnectionLost, Left, RefusedError
from lts.devices.ssh.facts import check_target
from lts.devices.ssh.remote_files import Hashes, RemoteFiles
from lts.devices.ssh.remote_program import RemoteProgram
from lts.devices.ssh.remote_python import RemotePython
from lts.devices.ssh.remote_runner import RemoteRunner
from lts.errors import MeasurementError
from lts.jobs.job import Job, JobResult, ProgramJob, RunnerJob, Runs
from lts.system.environment import METER, fingerprint
from lts.system.outside import sentence
from lts.targets.target import Target

# Longest pause between attempts to reconnect; the first is a second, and each is twice as long as the one before.
_LONGEST_PAUSE = 10.0
# Attempts to begin a job whose files did not arrive.
_ATTEMPTS = 3
_ASK_TIMEOUT = 30.0
_COSTS = ("latency_ms", "decode_ms_per_token", "peak_memory_mib")

T = TypeVar("T")


class _ClosedError(MeasurementError):
    """The device was closed meanwhile."""


class SshDevice(Device):
    """A machine with an ssh server, Linux and glibc; see ``docs/devices.md`` for what is copied there.

    Compiled models are run by lts-runner. Jobs in Python are run by an interpreter there, which needs Python 3.11 with
    NumPy and ONNX Runtime. The connection is made when it is first needed, and made again when it was lost.

    Parameters
    ----------
    host, user, port
        Name, address, or an alias in ``~/.ssh/config``; the others are by default as the client's configuration says.
    python, llama_bench
        Paths of an interpreter on the device, for jobs in Python, and of llama-bench, where it is not found.
    reconnect
        Seconds for which it tries to restore a lost connection.

    Raises
    ------
    UsageError
        For an argument that is wrong.
    """

    def __init__(
        self,
        host: str,
        *,
        user: str | None = None,
        port: int | None = None,
        python: str | None = None,
        llama_bench: str | None = None,
        reconnect: float = 60.0,
    ) -> None:
        self.address = Address(host, user, port)
        self.runs: tuple[Runs, ...] = (*(() if python is None else ("python",)), "runner", "program")
        self._llama_bench = llama_bench
        self._program: RemoteProgram | None = None
        self._python = python
        self._describes: Callable[[Connection, RemoteFiles], Any] = self._agent_there if python else self._runner_there
        self._reconnect = reconnect
        self._hashes = Hashes()
        self._connection: Connection | None = None
        self._connected_before = False
        self._files: RemoteFiles | None = None
        self._agent: RemotePython | None = None
        self._runner: RemoteRunner | None = None
        self._environment: dict[str, Any] | None = None
        self._meter: bool | None = None  # not known yet
        self._left: list[Left] = []
        self._copied = 0
        self._lock = threading.RLock()
        self._closed = 0  # number of times that it was closed; what began before the last must not connect again
        self._begun = 0

    @classmethod
    def from_uri(cls, uri: str) -> SshDevice:
        """Make the device of a URI, ``ssh://[USER@]HOST[:PORT][?python=PATH]``, for `open_device`."""
        address, paths = parse(uri)
        python, bench = paths.get("python"), paths.get("llama-bench")
        return cls(address.host, user=address.user, port=address.port, python=python, llama_bench=bench)

    @property
    def costs(self) -> tuple[str, ...]:  # type: ignore[override]
        """Times and memory; with an interpreter there, which is asked once, energy where that finds a meter.

        Raises
        ------
        MeasurementError
            When the interpreter has to be asked, and the device cannot be reached.
        """
        if self._meter is None:
            self._meter = self._python is not None and METER in self.environment(1)
        return (*_COSTS, *ENERGY) if self._meter else _COSTS

    @property
    def no_energy(self) -> str:
        """What was looked at there for a meter, and what would help; empty where there is one."""
        if self._python is None:
            return f"models that an interpreter there runs are metered ({FORM}, --backend onnxruntime)"
        if set(ENERGY) <= set(self.costs):
            return ""
        asked = self.run(Job("lts.system.energy:why_none"), _ASK_TIMEOUT)
        reason = sentence(asked.value if asked.error is None else asked.error)
        return f"{self.address}: {reason or 'it has no meter'}"

    @property
    def copied(self) -> int:
        """Bytes that were copied to the device to be kept there."""
        return self._copied + (self._files.copied if self._files is not None else 0)

    def check(self, target: Target) -> None:
        """Raise `UsageError` when a model for that target cannot run there.

        Raises
        ------
        MeasurementError
            When the device cannot be reached.
        """
        with self._lock:
            self._begun = self._closed
            check_target(target, (self._connection or self._connected()).machine, str(self.address))

    def prepare(self, runs: Runs) -> None:
        """Where llama-bench alone will run, nothing else has to be compiled for the device, or copied to it."""
        if runs == "program" and self._python is None:
            self._describes = self._program_there

    def llama_bench(self, named: str | None = None) -> tuple[str, str]:
        """See `Device.llama_bench`; raises `MeasurementError` also when the device cannot be reached."""
        with self._lock:
            self._begun = self._closed
            return self._prepared(self._program_there).find(named or self._llama_bench)

    def run(self, job: Job | RunnerJob | ProgramJob, timeout: float) -> JobResult:
        """Run a job for at most `timeout` seconds, not counting copies. If it fails, crashes or hangs, or the
        connection breaks, that is an error in the result.

        Raises
        ------
        MeasurementError
            When the device cannot be reached, or cannot run any job.
        """
        if isinstance(job, Job) and self._python is None:
            raise MeasurementError(f"{self.address} runs no jobs in Python; name an interpreter there: {FORM}")
        closed = self._closed
        with self._lock:
            self._begun = closed
            start = time.monotonic()
            try:
                kinds = {Job: self._agent_there, RunnerJob: self._runner_there, ProgramJob: self._program_there}
                result = self._run(kinds[type(job)], job, timeout)
            except _ClosedError:
                result = JobResult(error="the device was closed")
            return replace(result, seconds=time.monotonic() - start)

    def beside_others(self) -> None:
        """See `Device.beside_others`: a lost connection is made again by the next job, or not at all."""
        self._reconnect = 0.0

    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of the device: from the interpreter there, else lts-runner, or a shell for programs alone."""
        with self._lock:
            self._begun = self._closed
            if self._environment is None:
                self._prepared(self._describes)
            found = dict(self._environment or {})
        port = f":{self.address.port}" if self.address.port else ""
        here = {"lts": fingerprint()["lts"], "device": f"ssh://{self.address.host}{port}", "threads": threads}
        return {**found, **here}

    def close(self) -> None:
        """End the connection and the jobs of other threads, running or waiting. The next job connects again."""
        self._closed += 1
        self._disconnect()

    def _disconnect(self) -> None:
        agent, connection = self._agent, self._connection
        self._agent, self._connection = None, None
        try:
            if agent is not None:
                agent.close()
        finally:
            if connection is not None:
                connection.close()

    def _run(
        self, there: Callable[[Connection, RemoteFiles], Any], job: Job | RunnerJob | ProgramJob, timeout: float
    ) -> JobResult:
        """Run a job with what `there` returns: the agent, lts-runner, or what starts programs."""

        def prepare(connection: Connection, files: RemoteFiles) -> tuple[Any, Any]:
            runner = there(connection, files)
            return runner, runner.prepare(job)

        why = "somebody removes what is copied there"
        for _ in range(_ATTEMPTS):
            runner, prepared = self._prepared(prepare)
            if prepared is None:
                self._runner = self._agent = self._program = None
                continue
            try:
                return runner.run(prepared, timeout)  # type: ignore[no-any-return]
            except ConnectionLost as lost:
                self._lost(lost)
                if lost.begun:
                    return JobResult(error=f"the connection to {self.address} was lost: {lost}", gone=True)
                why = str(lost)
        raise MeasurementError(f"no job has begun on {self.address} in {_ATTEMPTS} attempts: {why}")

    def _runner_there(self, connection: Connection, files: RemoteFiles) -> RemoteRunner:
        if self._runner is None:
            self._runner = RemoteRunner(connection, files, self.observe)
            if self._describes == self._runner_there:
                self._environment = self._runner.environment
        return self._runner

    def _program_there(self, connection: Connection, files: RemoteFiles) -> RemoteProgram:
        self._program = self._program or RemoteProgram(connection, files)
        if self._environment is None and self._describes == self._program_there:
            self._environment = self._program.environment()
        return self._program

    def _agent_there(self, connection: Connection, files: RemoteFiles) -> RemotePython:
        assert self._python is not None
        if self._agent is None or not self._agent.alive:
            self._agent = RemotePython(connection, files, self._python)
            self._environment = self._agent.environment
        return self._agent

    def _connected(self) -> Connection:
        """The connection, made again when it was lost."""
        if self._connection is not None and self._connection.alive:
            return self._connection
        self._disconnect()
        deadline = time.monotonic() + self._reconnect
        pause = 1.0
        while True:
            if self._closed != self._begun:
                raise _ClosedError(f"{self.address} was closed")
            try:
                connection = Connection(self.address)
                break
            except RefusedError:
                raise
            except MeasurementError as error:
                if not self._connected_before:
                    raise
                if time.monotonic() + pause > deadline:
                    raise MeasurementError(f"{error}; tried again for {self._reconnect:.3g} s") from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._copied = self.copied
        self._connection = connection
        self._connected_before = True
        self._files = RemoteFiles(connection, self._hashes)
        self._runner = self._program = None
        self._environment = None
        try:
            while self._left:
                connection.end(self._left[-1])
                self._left.pop()
        except ConnectionLost as lost:
            raise MeasurementError(f"the connection to {self.address} breaks as soon as it stands: {lost}") from None
        return connection

    def _lost(self, lost: ConnectionLost) -> None:
        """Give up a connection, and remember what may still run on the device."""
        if lost.left is not None:
            self._left.append(lost.left)
        self._disconnect()

    def _prepared(self, prepare: Callable[[Connection, RemoteFiles], T]) -> T:
        """The result of a function that copies to the device; it is called again when the connection breaks."""
        for _ in range(_ATTEMPTS):
            connection = self._connected()
            assert self._files is not None
            try:
                return prepare(connection, self._files)
            except ConnectionLost as lost:
                reason = str(lost)
                self._lost(lost)
        raise MeasurementError(f"the connection to {self.address} was lost {_ATTEMPTS} times in a row: {reason}")
