"""One run of the ssh client: bytes in, lines out, and its standard error."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from lts.errors import MeasurementError
from lts.system.outside import ANSWER_BYTES, sentence

_PIECE = 1 << 16
_SAID_LENGTH = 1 << 13
# Seconds that a client gets to end once its pipes are closed: it has nothing left to do.
_END_TIMEOUT = 2.0

# Beginnings of messages of clients and servers that are not errors.
_CHATTER = ("warning: permanently added", "debug", "**", "mux_client", "shared connection", "pseudo-terminal", "@@@")


class TooMuchError(MeasurementError):
    """A device says more than any answer has."""


class Session:
    """A running ssh client, which does not receive the terminal's Ctrl-C.

    Raises
    ------
    MeasurementError
        When there is no such program.
    """

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise MeasurementError(
                f"cannot start '{command[0]}': {error.strerror}; install OpenSSH's client (on Debian: apt-get install "
                "openssh-client), or name another in LTS_SSH"
            ) from None
        files = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._stdin, self._stdout, self._stderr = (file.fileno() for file in files if file is not None)
        self._output = bytearray()
        self._said = b""
        self._feed: Iterator[bytes] = iter(())
        self._pending = memoryview(b"")
        self._closing = False
        self._moved = time.monotonic()
        self._sent = 0
        self._discards = False
        self._selector = selectors.PollSelector()  # which holds no descriptor itself
        for file in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(file, False)
        for file in (self._stdout, self._stderr):
            self._selector.register(file, selectors.EVENT_READ)

    @property
    def alive(self) -> bool:
        """Whether the client runs."""
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """Exit code of the command on the device, or 255 for failures of ssh itself; None while the client runs."""
        return self._process.poll()

    @property
    def said(self) -> str:
        """The end of its standard error."""
        for _ in range(16):  # a pipe holds less than this, and a process may still be writing
            if self._stderr not in self._selector.get_map() or not self._read(self._stderr):
                break
        return self._said.decode("utf-8", "replace")

    def send(self, chunks: Iterable[bytes], *, close: bool) -> None:
        """Queue input, to be written while waiting for output; `close` ends the input after it."""
        self._feed = iter(chunks)
        self._closing = close
        if self._stdin >= 0 and self._stdin not in self._selector.get_map():
            self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def line(self, timeout: float) -> bytes | None:
        """The next line of output with its line end; empty at the end of the output, None when none comes in time.

        Raises
        ------
        TooMuchError
            When it is longer than any answer.
        """
        if not self._move(lambda: b"\n" in self._output or self._ended(), timeout):
            return None
        n = self._output.find(b"\n") + 1
        found = bytes(self._output[:n])
        del self._output[:n]
        return found

    def rest(self, stall: float) -> bytes | None:
        """The rest of the output up to its end; None when it takes no input for `stall` seconds and has not ended.

        Raises
        ------
        TooMuchError
            When it is longer than any answer.
        """
        if not self._move(self._ended, stall, restart=True):
            return None
        found = bytes(self._output)
        self._output.clear()
        return found

    def close(self, timeout: float = _END_TIMEOUT) -> None:
        """Close the input, wait for the client to end, and kill it when it does not. Harmless when repeated."""
        self._close_input()
        self._discards = True
        self._output.clear()
        try:
            if self._move(self._ended, timeout):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_END_TIMEOUT)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the client with whatever it has started, and close the pipes. Harmless when repeated."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        _ = self.said  # reads it, so that it is available later
        self._close_input()
        for number, file in ((self._stdout, self._process.stdout), (self._stderr, self._process.stderr)):
            if number in self._selector.get_map():
                self._selector.unregister(number)
            if file is not None:
                file.close()

    def _ended(self) -> bool:
        return self._stdout not in self._selector.get_map() and self._stderr not in self._selector.get_map()

    def _move(self, until: Callable[[], bool], timeout: float, *, restart: bool = False) -> bool:
        """Read and write until the condition holds. False when time runs out, with `restart` counted from the last
        piece that was written: what a device says gives it no more time."""
        begun = self._moved = time.monotonic()
        while not until():
            left = (self._moved if restart else begun) + timeout - time.monotonic()
            if left <= 0:
                return False
            for key, _ in self._selector.select(left):
                if key.fd == self._stdin:
                    self._write()
                else:
                    self._read(key.fd)
        return True

    def _write(self) -> None:
        try:
            if not self._pending:
                self._pending = memoryview(next(self._feed, b""))
            if self._pending:
                n = os.write(self._stdin, self._pending[:_PIECE])
                self._pending = self._pending[n:]
                self._sent += n
                if self._sent >= _PIECE:
                    self._sent, self._moved = 0, time.monotonic()
                return
        except BlockingIOError:
            return
        except BrokenPipeError:  # the client no longer reads; its output says why
            self._closing = True
        if self._closing:
            self._close_input()
        else:
            self._selector.unregister(self._stdin)

    def _read(self, file: int) -> bool:
        """Read a piece from one of the pipes. False when there was none."""
        try:
            data = os.read(file, _PIECE)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(file)
        elif file == self._stdout:
            if self._discards:
                return True
            self._output += data
            if len(self._output) > ANSWER_BYTES:
                self._output.clear()
                raise TooMuchError(f"the device's answer is wrong: it has more than {ANSWER_BYTES >> 20} MiB")
        else:
            self._said = (self._said + data)[-_SAID_LENGTH:]
        return bool(data)

    def _close_input(self) -> None:
        if self._stdin >= 0:
            if self._stdin in self._selector.get_map():
                self._selector.unregister(self._stdin)
            self._stdin = -1
            if self._process.stdin is not None:
                self._process.stdin.close()


def last_line(said: str) -> str:
    """The last meaningful line, without its line end and cut to a readable length; empty when there is none."""
    for line in reversed(said.splitlines()):
        text = sentence(line).removeprefix("ssh: ").rstrip(".")
        if text and not text.lower().startswith(_CHATTER):
            return text
    return ""
