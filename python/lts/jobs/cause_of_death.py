"""The reason why a process has ended without a result, in one phrase."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

from lts.system.outside import sentence

OUT_OF_MEMORY = "probably out of memory"
_WORDS = 300


def last_words(output: str | bytes) -> str:
    """The last line that a process printed, cut to a readable length."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    return sentence(text.strip().rpartition("\n")[2][-_WORDS:])


def cause_of_death(who: str, code: int, output: str | bytes = "") -> str:
    """Why there is no result, from the exit code (as in `subprocess`, negative for a signal) and the last output."""
    said = last_words(output)
    words = f"; its last words: {said}" if said else ""
    if code >= 0:
        return f"{who} ended with code {code} and no result{words}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    if -code == signal.SIGKILL:
        return f"killed by signal {-code} ({name}): {OUT_OF_MEMORY}"
    return f"killed by signal {-code} ({name}){words}"


def why_not_from(folder: Path) -> str | None:
    """Why no program and no library in a folder can be run, one sentence; None where they can."""
    if not _noexec(folder):
        return None
    temporary = Path(tempfile.gettempdir())
    if _noexec(temporary) and folder.resolve().is_relative_to(temporary.resolve()):
        return f"{temporary}, where temporary files go, is mounted noexec; set TMPDIR to another folder"
    return f"{folder} lies on a file system that is mounted noexec; use another folder"


def explained(reason: str) -> str:
    """The reason, with its cause where the loader's words do not name it: a folder from which nothing may be run."""
    if "failed to map segment from shared object" not in reason:
        return reason
    here = why_not_from(Path(tempfile.gettempdir()))
    return f"{reason}: {here or 'it lies in a folder that is mounted noexec; set TMPDIR to another one where it runs'}"


def _noexec(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)
    except OSError:
        return False
