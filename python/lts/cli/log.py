"""What a command says beside its results, and streams that cannot end a command.

Progress is not the result: where stderr cannot be written (its reader is gone, its disk is full, its terminal was
closed), the command continues, and its exit code says how its work went.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import suppress
from typing import Any

from lts.cli import plain
from lts.errors import MeasurementWarning

n_said = 0
"""Lines said so far: whoever waits is told something only when nothing else was."""


def say(text: object) -> None:
    """Print one line to stderr; never raises."""
    global n_said
    n_said += 1
    with suppress(OSError, ValueError):  # ValueError: the stream was closed
        sys.stderr.write(f"{plain.readable(str(text), sys.stderr.encoding)}\n")
        sys.stderr.flush()


class _Unfailing(io.FileIO):
    """A file descriptor to which writing never fails; `problem` is the first reason why it would have."""

    problem: OSError | None = None

    def write(self, data: object) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        try:
            written = super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            self.problem = self.problem or error
            return size
        # None: a pipe that does not block is full; what it does not take is lost.
        return size if written is None else written


def guard_streams() -> None:
    """Let neither stdout nor stderr raise, whatever they are given; `output_problem` says what could not be printed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            raw = _Unfailing(stream.fileno(), "w", closefd=False)
            encoding, errors = plain.form_of(stream.encoding)
            guarded = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=encoding,
                errors=errors,
                line_buffering=name == "stderr" or stream.isatty(),
            )
            setattr(sys, name, guarded)


def say_warnings() -> None:
    """Let each `MeasurementWarning` be a line on stderr, said once, as the other warnings of a command are."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
        if issubclass(category, MeasurementWarning):
            say(f"warning: {message}")
        else:
            usual(message, category, *where, **options)

    warnings.showwarning = show


def output_problem() -> str | None:
    """Why results could not be printed to stdout; None where they were, or where nobody reads them (`| head`)."""
    buffered = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffered, "raw", None)
    with suppress(ValueError):
        sys.stdout.flush()
    if not isinstance(raw, _Unfailing) or raw.problem is None or isinstance(raw.problem, BrokenPipeError):
        return None
    return raw.problem.strerror or str(raw.problem)
