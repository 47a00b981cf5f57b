"""Devices behind a TVM RPC tracker: a farm in which the job of a device that dies goes to another."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from queue import SimpleQueue
from typing import Any

from lts.devices.device import Device
from lts.devices.elsewhere import GoneError, NoneLeftError, run_on_any
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult, ProgramJob, RunnerJob, Runs
from lts.jobs.pool import Workers
from lts.system import machine
from lts.targets.target import Target

_URI = re.compile(r"rpc://(?P<host>\[[0-9a-fA-F:]+\]|[^/:?#\[\]]+):(?P<port>\d{1,5})/(?P<key>[\w.-]+)")
_PRELOAD = ("numpy", "tvm")
_CONNECT_TIMEOUT = 5.0
_LIST_TIMEOUT = 30.0
_ASK_TIMEOUT = 10.0


class RpcDevice(Device):
    """All devices that a tracker lists for a key. Each runs one job at a time, driven by a worker process of its own.

    Memory is not measured, because TVM's server does not report it.

    Parameters
    ----------
    host, port
        Host and port of the tracker.
    key
        The ``--key`` that the servers were started with.
    wait
        Seconds to wait for a device when the tracker no longer lists any.

    Raises
    ------
    MeasurementError
        When TVM is not installed, there is no tracker, or it lists no such device.
    """

    generates = False  # its server calls functions of models with fixed sizes

    runs: tuple[Runs, ...] = ("runner",)
    costs = ("latency_ms", "decode_ms_per_token")

    def __init__(self, host: str, port: int, key: str, *, wait: float = 30.0) -> None:
        self._host, self._port, self._key = host, port, key
        self._wait = wait
        self._there: str | None = None
        self._closed = threading.Event()
        self._locals: list[Workers] = []
        self._idle: SimpleQueue[Workers] = SimpleQueue()
        try:
            version("apache-tvm")
        except PackageNotFoundError:
            raise MeasurementError(
                "the device rpc:// needs TVM, which is not installed; install it with: pip install 'lts-engine[tvm]'"
            ) from None
        try:
            socket.create_connection((host, port), _CONNECT_TIMEOUT).close()  # TVM itself tries for half a minute
        except OSError as error:
            reason = error.strerror or str(error)
            raise MeasurementError(f"no TVM RPC tracker answers at {host}:{port}: {reason}") from None
        self._add_local()
        try:
            listed = self._listed()
        except BaseException:
            self.close()
            raise
        self.parallel = listed.count(key)
        if self.parallel == 0:
            self.close()
            known = ", ".join(sorted(set(listed))) or "none at all"
            raise MeasurementError(f"the tracker at {host}:{port} lists no device '{key}'; it lists {known}")
        for _ in range(self.parallel - 1):
            self._add_local()

    @classmethod
    def from_uri(cls, uri: str) -> RpcDevice:
        """Make the device of a URI, for `lts.devices.device.open_device`. Raises `UsageError` for a malformed URI."""
        match = _URI.fullmatch(uri)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise UsageError(f"device '{uri}' is not of the form rpc://TRACKER:PORT/KEY, as in rpc://127.0.0.1:9190/pi")
        return cls(match["host"].strip("[]"), int(match["port"]), match["key"])

    def check(self, target: Target) -> None:
        """Raise `UsageError` unless the target is a processor like that of the devices.

        One free device is asked, once. Every device is compared with the model again before it runs it.
        """
        if target.kind != "cpu":
            raise UsageError(f"target '{target.name}' is a {target.kind}; the device rpc:// runs models on the cpu")
        there = self._triple()
        if there and not machine.same_architecture(target.triple, there):
            raise UsageError(
                f"target '{target.name}' is for {target.kind} {target.triple}; '{self._key}' of the tracker at "
                f"{self._host}:{self._port} is a {there} processor"
            )

    def run(self, job: Job | RunnerJob | ProgramJob, timeout: float) -> JobResult:
        """Run a compiled model for at most `timeout` seconds, on another device when one goes away or is silent.

        Raises
        ------
        UsageError
            For a job in Python.
        MeasurementError
            When no device is left.
        """
        if not isinstance(job, RunnerJob):
            raise UsageError("the device rpc:// runs compiled models alone; use --backend tvm")
        return run_on_any(
            self._idle.get,
            lambda local, share: self._attempt(local, job, share),
            timeout,
            several=self.parallel > 1,
            wait=self._wait,
            closed=self._closed,
        )

    def environment(self, threads: int) -> dict[str, Any]:
        """The tracker and the key, which identify the devices, and the version of TVM here."""
        return {
            "device": f"rpc://{self._host}:{self._port}/{self._key}",
            "tvm": version("apache-tvm"),
            "threads": threads,
        }

    def close(self) -> None:
        """End the worker processes, and the jobs that they run. Harmless when repeated."""
        self._closed.set()
        for local in self._locals:
            local.close()

    def _attempt(self, local: Workers, job: RunnerJob, timeout: float) -> JobResult:
        arguments = {
            **self._tracker(),
            "key": self._key,
            "model": str(job.model),
            "files": {name: str(path) for name, path in job.files.items()},
            "options": dict(job.options),
            "threads": job.threads,
        }
        try:
            # Not pinned to a processor, because it would be the same one for all devices.
            n_cpus = len(machine.allowed_cpus())
            result = local.run(Job("lts.devices.rpc_worker:run", arguments, n_cpus, preload=_PRELOAD), timeout)
        finally:
            self._idle.put(local)
        if result.error is not None:
            if result.error.startswith("no TVM RPC tracker"):
                raise MeasurementError(result.error)
            return result
        if "gone" in result.value:
            raise GoneError(f"a device '{self._key}' went away: {result.value['gone']}")
        if "none" in result.value:
            raise NoneLeftError(f"{result.value['none']} any more")
        return replace(result, value=result.value["value"])

    def _triple(self) -> str:
        """What a device says it is; empty when none is free or says it."""
        if self._there is None:
            asked = Job("lts.devices.rpc_worker:architecture", {**self._tracker(), "key": self._key}, preload=_PRELOAD)
            with self._local() as local:
                result = local.run(asked, _ASK_TIMEOUT)
            self._there = result.value if result.error is None else ""
        return self._there

    def _listed(self) -> list[str]:
        with self._local() as local:
            result = local.run(Job("lts.devices.rpc_worker:servers", self._tracker(), preload=_PRELOAD), _LIST_TIMEOUT)
        if result.error is not None:
            told = result.error if "tracker" in result.error else f"no TVM RPC tracker at {self._host}: {result.error}"
            raise MeasurementError(told)
        return list(result.value)

    def _tracker(self) -> dict[str, Any]:
        return {"host": self._host, "port": self._port}

    def _add_local(self) -> None:
        self._locals.append(Workers())
        self._idle.put(self._locals[-1])

    @contextmanager
    def _local(self) -> Iterator[Workers]:
        """A worker process, for the block alone."""
        local = self._idle.get()
        try:
            yield local
        finally:
            self._idle.put(local)
