"""The parent's side of `lts.jobs.worker`: starts the process, gives it jobs, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from lts.jobs.worker import ENVIRONMENT, RESULT_BYTES

# Imports from a cold disk take long; they are not the job's time.
_START_TIMEOUT = 120.0
_END_TIMEOUT = 5.0
_OUTPUT_LENGTH = 4096

# The parent's import path, so that whatever is importable here is importable there.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from lts.jobs.worker import main; main(sys.argv[1:])"
)


class WorkerError(Exception):
    """The process could not be started, or has ended without reporting on its job."""


@dataclass(frozen=True)
class Ended:
    """How a job ended: its result, the end of its standard output and error, and its wait status."""

    result: str = ""
    output: str = ""
    status: int = 0
    timed_out: bool = False


class WorkerProcess:
    """A running `lts.jobs.worker`.

    Parameters
    ----------
    mode
        ``serve`` for any number of jobs, ``once`` for a single one.
    modules
        What a server imports beforehand.

    Raises
    ------
    WorkerError
        When it does not start.
    """

    def __init__(self, mode: str, modules: tuple[str, ...] = ()) -> None:
        self.mode = mode
        self.modules = modules
        self.alive = True
        self._output = b""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log, log = os.pipe()
        os.set_blocking(self._log, False)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), str(theirs.fileno()), mode, *modules],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,
            )
        except OSError as error:
            self._channel.close()
            os.close(self._log)
            raise WorkerError(f"{sys.executable}: {error.strerror}") from None
        finally:
            theirs.close()
            os.close(log)
        try:
            if self._wait(_START_TIMEOUT) != b"ready":
                lines = self._said().strip().splitlines()
                raise WorkerError(lines[-1] if lines else "the process ended without a word, or did not get ready")
        except BaseException:
            self.close()
            raise

    def run(self, job: str, timeout: float) -> Ended:
        """Run a job, given as JSON, for at most `timeout` seconds.

        Raises
        ------
        WorkerError
            When the server, not the job, has died.
        """
        self._output = b""
        deadline = time.monotonic() + timeout
        with _memory_file(job) as job_file, _memory_file("") as result_file:
            try:
                socket.send_fds(self._channel, [b"run"], [job_file.fileno(), result_file.fileno()])
                message = self._wait(timeout)
            except ConnectionError:
                message = b""
            if message is None:
                self._kill_job()
                return Ended(output=self._said(), timed_out=True)
            if self.mode == "once":
                try:
                    code = self._process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:  # the job has closed the socket and still runs
                    self._kill_job()
                    return Ended(output=self._said(), timed_out=True)
                status = -code if code < 0 else code << 8
            elif message.startswith(b"ended "):
                status = int(message[6:])
            else:
                self.close()
                raise WorkerError("the server of workers has died")
            result_file.seek(0)
            # A job can write there what it likes; what is too long is cut, and so no JSON.
            return Ended(result_file.read(RESULT_BYTES).decode("utf-8", "replace"), self._said(), status)

    def close(self) -> None:
        """End the process, and a job that is running. Harmless when repeated."""
        if not self.alive:
            return
        self.alive = False
        self._channel.close()  # tells a server to kill its job and end
        if self.mode == "once":
            self.kill()
        try:
            self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        finally:
            os.close(self._log)

    def _kill_job(self) -> None:
        if self.mode == "serve":
            with contextlib.suppress(ConnectionError):
                self._channel.send(b"kill")
                if (self._wait(_END_TIMEOUT) or b"").startswith(b"ended "):
                    return
        self.kill()

    def kill(self) -> None:
        """Kill the process and its group, from any thread; the job of a server dies with it."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _wait(self, timeout: float) -> bytes | None:
        """The next message: empty when the process has ended, None when none comes in time. Drains its output."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(self._log, selectors.EVENT_READ)
            while True:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                descriptors = {key.fd for key, _ in ready}
                if self._log in descriptors and not self._drain():
                    selector.unregister(self._log)
                if self._channel.fileno() in descriptors:
                    try:
                        return self._channel.recv(64)
                    except ConnectionError:
                        return b""
                if time.monotonic() >= deadline:
                    return None

    def _drain(self) -> bool:
        """Read some of what the process has printed and keep the end of it. False when nothing is there."""
        try:
            data = os.read(self._log, 1 << 16)
        except BlockingIOError:
            return False
        self._output = (self._output + data)[-_OUTPUT_LENGTH:]
        return bool(data)

    def _said(self) -> str:
        for _ in range(16):  # a pipe holds less than this; a process that has outlived the job may still print
            if not self._drain():
                break
        return self._output.decode("utf-8", "replace")


@contextlib.contextmanager
def _memory_file(content: str) -> Iterator[BinaryIO]:
    """An anonymous file in memory, to pass to another process."""
    with os.fdopen(os.memfd_create("lts"), "w+b") as file:
        file.write(content.encode())
        file.seek(0)
        yield file
