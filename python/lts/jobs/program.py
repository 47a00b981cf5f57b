"""Runs a program whose output is not trusted: it has so many seconds, and may say so many bytes."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lts.errors import MeasurementError
from lts.system.outside import ANSWER_BYTES

_PIECE = 1 << 16
_LOOK = 0.005  # seconds between two looks
_SAID_LENGTH = 1 << 13


@dataclass(frozen=True)
class Finished:
    """How a program ended: its output, the end of its standard error, and its exit code, as in `subprocess`."""

    output: bytes
    said: bytes
    code: int


def run_program(
    command: Sequence[str],
    timeout: float,
    text: bytes = b"",
    most: int = ANSWER_BYTES,
    look: Callable[[int], None] | None = None,
) -> Finished:
    """Run a program with `text` as its input, and kill it when it takes too long or says too much.

    `look` is called with the number of its process again and again while it runs.

    Raises
    ------
    TimeoutError
        When it has not ended after `timeout` seconds.
    MeasurementError
        When its output has more than `most` bytes.
    OSError
        When it cannot be started.
    """
    with os.fdopen(os.memfd_create("lts"), "w+b") as file:
        file.write(text)
        file.seek(0)
        process = subprocess.Popen(list(command), stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, said = _read(process, time.monotonic() + timeout, most, look)
    finally:
        process.kill()  # harmless when it has ended
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Finished(output, said, process.returncode)


def _read(
    process: subprocess.Popen[bytes], deadline: float, most: int, look: Callable[[int], None] | None
) -> tuple[bytes, bytes]:
    """Output and the end of standard error, once both are closed and the program has ended."""
    output, said = bytearray(), b""
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            if look is not None:
                look(process.pid)
                left = min(left, _LOOK)
            for key, _ in selector.select(left):
                data = os.read(key.fd, _PIECE)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    output += data
                else:
                    said = (said + data)[-_SAID_LENGTH:]
            if len(output) > most:
                raise MeasurementError(f"its answer is wrong: it has more than {most >> 20} MiB")
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return bytes(output), said
