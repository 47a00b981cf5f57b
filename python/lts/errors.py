"""What goes wrong, and the exit code that says so. Every message is one sentence: what, where, what would be right."""

from __future__ import annotations

import re

_UNKNOWN = re.compile(
    r"\b(?:unknown [a-z ]+|no column) ['\"]([^'\"]+)['\"].*?; (?:expected|allowed|the trials have)(.*)", re.S
)
_ANSWERED = re.compile(r"; did you mean '|; bounds are inclusive, ")
_STRICT = re.compile(r"constraint '\s*(\w+)\s*([<>])\s*([^=\s'][^']*)': expected")


def hint(message: str) -> str:
    """What a message about a wrong word, or a wrong sign, most likely should be answered with; empty for others."""
    if _ANSWERED.search(message):
        return ""
    if found := _STRICT.search(message):
        name, sign, bound = found.groups()
        return f"; bounds are inclusive, use {sign}=: {name}{sign}={bound.strip()}"
    if found := _UNKNOWN.search(message):
        from difflib import get_close_matches

        word = found[1]
        known = re.findall(r"[A-Za-z]\w[\w.-]*", found[2])
        begun = [each for each in known if len(word) > 2 and each.startswith(word)]
        if close := begun or get_close_matches(word.lower(), known, n=1, cutoff=0.65):
            return f"; did you mean '{close[0]}'?"
    return ""


def first_line(error: BaseException) -> str:
    """What another library's exception says, in one line; its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class LtsError(Exception):
    """Base of the errors that a user can cause or fix; the command line prints the message and exits with the code."""

    exit_code = 2


class UsageError(LtsError, ValueError):
    """A wrong argument, file, configuration, or an input or output that failed (exit code 2).

    As text, a wrong word comes with the right one where that is close.
    """

    def __str__(self) -> str:
        message = super().__str__()
        return message + hint(message)


class InfeasibleError(LtsError):
    """The answer is "no": nothing satisfies what was asked for (exit code 1)."""

    exit_code = 1


class MeasurementError(LtsError):
    """The device or the backend could not measure at all (exit code 3)."""

    exit_code = 3


class MeasurementWarning(UserWarning):
    """What makes measurements doubtful before any is there, in one sentence; the command line prints it to stderr."""
