"""What goes wrong, and the exit code that says so. Every message is one sentence: what, where, what would be right."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """What another library's exception says, in one line; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class LtsError(Exception):
    """Base of the errors that a user can cause or fix; the command line prints the message and exits with the code."""

    exit_code = 2


class UsageError(LtsError, ValueError):
    """A wrong argument, file, configuration, or an input or output that failed (exit code 2)."""


class InfeasibleError(LtsError):
    """The answer is "no": nothing satisfies what was asked for (exit code 1)."""

    exit_code = 1


class MeasurementError(LtsError):
    """The device or the backend could not measure at all (exit code 3)."""

    exit_code = 3
