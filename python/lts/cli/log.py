"""What a command says beside its results, and streams that cannot end a command.

Progress is not the result: where stderr cannot be written (its reader is gone, its disk is full, its terminal was
closed), the command continues, and its exit code says how its work went.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


def say(text: object) -> None:
    """Print one line to stderr; never raises."""
    with suppress(OSError, ValueError):  # ValueError: the stream was closed
        sys.stderr.write(f"{text}\n")
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
    """Let neither stdout nor stderr raise; `output_problem` says what could not be printed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            raw = _Unfailing(stream.fileno(), "w", closefd=False)
            guarded = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=stream.encoding,
                errors="replace",  # a question mark is better than a lost result
                line_buffering=name == "stderr" or stream.isatty(),
            )
            setattr(sys, name, guarded)


def output_problem() -> str | None:
    """Why results could not be printed to stdout; None where they were, or where nobody reads them (`| head`)."""
    buffered = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffered, "raw", None)
    with suppress(ValueError):
        sys.stdout.flush()
    if not isinstance(raw, _Unfailing) or raw.problem is None or isinstance(raw.problem, BrokenPipeError):
        return None
    return raw.problem.strerror or str(raw.problem)
