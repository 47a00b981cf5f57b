"""Runs a command that the user named, in a process group of its own, so that nothing which it started outlives it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lts.system.uninterrupted import without_interrupts

Told = Callable[[str], None]
"""Gets every line that a command says, as it says it."""

_PIECE = 1 << 16
# A line that does not end is passed on in pieces of so many bytes.
_LINE_BYTES = 1 << 12
# Seconds: how often it is looked whether the command has ended, how long it may take to end after SIGTERM, and how
# much of what was said before the end is still read.
_LOOK, _GRACE, _REST = 0.05, 5.0, 1.0


def run_command(
    command: Sequence[str],
    folder: Path,
    told: Told,
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> int:
    """Run a command in a folder until it ends, and return its exit code, as in `subprocess`.

    It has nothing on its standard input, and no terminal's Ctrl-C reaches it: an exception here, such as that of
    Ctrl-C, ends it. Whatever it has left running in its process group is killed when it has ended. What moved to
    another group, such as the server of a build tool, stays, and is not waited for.

    Parameters
    ----------
    command
        The program and its arguments.
    folder
        Where it runs.
    told
        Gets what it writes to stdout and stderr, line by line.
    environment
        Its environment; by default ours.
    timeout
        Seconds after which it is ended, by SIGTERM, and by SIGKILL when that takes long; None for no limit.

    Raises
    ------
    TimeoutError
        When it took longer.
    OSError
        When it cannot be started.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    with contextlib.ExitStack() as stack:
        with without_interrupts():  # it has to be known what is to be ended
            process = stack.enter_context(
                subprocess.Popen(
                    list(command),
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    bufsize=0,
                    start_new_session=True,
                )
            )
            stack.callback(_end, process)
        for line in _lines(_pieces(process, deadline)):
            told(line)
    return process.returncode


def _pieces(process: subprocess.Popen[bytes], deadline: float | None) -> Iterator[bytes]:
    """What the process says, until it has ended. Raises `TimeoutError` at the deadline."""
    assert process.stdout is not None
    ended: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if ended is None and _has_ended(process):
                ended = now
            if deadline is not None and ended is None and now > deadline:
                raise TimeoutError
            # Once it has ended, only what is there already is read: others may hold the pipe open.
            if selector.get_map():
                ready = selector.select(_LOOK if ended is None else 0)
            else:
                ready = []
                time.sleep(_LOOK if ended is None else 0)
            if ended is not None and (not ready or now > ended + _REST):
                return
            if ready:
                if piece := os.read(process.stdout.fileno(), _PIECE):
                    yield piece
                else:
                    selector.unregister(process.stdout)


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """The lines of a text; of one that a carriage return writes anew, as progress bars do, what is left of it."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LINE_BYTES:
            lines.append(rest)
            rest = b""
        yield from map(_shown, lines)
    if rest:
        yield _shown(rest)


def _shown(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; it is not reaped, so that its number stays that of its group."""
    return process.returncode is not None or (
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group of a process, politely at first unless it has ended by itself."""
    try:
        if not _has_ended(process):
            _signal(process, signal.SIGTERM)
            last = time.monotonic() + _GRACE
            while not _has_ended(process) and time.monotonic() < last:
                time.sleep(_LOOK)
    finally:  # also on a second Ctrl-C
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
