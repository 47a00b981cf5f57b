"""From exceptions to one sentence on stderr and the documented exit code."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import typer

from lts.cli.log import say
from lts.errors import LtsError
from lts.system.text import shortened

IO_FAILED, FAULT, INTERRUPTED = 2, 70, 130

P = ParamSpec("P")

_WORDS = 300
_PACKAGE = Path(__file__).resolve().parents[1]


def exits(function: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command: an `LtsError` prints its message and exits with its code; Ctrl-C exits with 130, a fault of
    ours with 70."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            raise typer.Exit(told(error)) from None

    return wrapped


def told(error: Exception) -> int:
    """Say in one sentence what went wrong; the exit code for it."""
    if os.environ.get("LTS_DEBUG", "0") not in ("", "0"):
        say("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, LtsError):
        message = str(error)
        if message.endswith("has no option tune"):
            message += "; MetaSchedule is of TVM: add --backend tvm"
        if message.endswith("has no option flash_attention"):
            message += "; it is of llama.cpp: add --backend llamacpp"
        say(f"error: {shortened(message)}")
        return error.exit_code
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        say(f"error: input or output failed{where}: {error.strerror or error}")
        return IO_FAILED
    if isinstance(error, MemoryError):
        say("error: the memory of this machine does not suffice for this")
        return IO_FAILED
    if isinstance(error, OverflowError | RecursionError):
        # For what the checks of arguments have missed: an absurd number is a usage error.
        say(f"error: {_one_line(error)}")
        return IO_FAILED
    say(
        f"error: a fault of lts-engine, not of what you gave it: {type(error).__name__}{_place(error)}: "
        f"{_one_line(error)}; LTS_DEBUG=1 shows the traceback"
    )
    return FAULT


def _one_line(error: Exception) -> str:
    text = " ".join(shortened(str(error)).split()) or type(error).__name__
    return text if len(text) <= _WORDS else f"{text[:_WORDS]}..."


def _place(error: Exception) -> str:
    """Where it was raised: the innermost place of this package, else that of others."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)] or list(frames)
    path = Path(ours[-1].filename)
    name = path.relative_to(_PACKAGE) if path.is_relative_to(_PACKAGE) else path.name
    return f" in {name}, line {ours[-1].lineno}"
