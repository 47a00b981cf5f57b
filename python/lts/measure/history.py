"""Named results of many days in one file of JSON Lines, which may be merged by git or by hand.

Every line is one `Result` with a name, `saved`. The order of lines means nothing, and the same line twice is one: the
lines of two histories together are a history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path

from lts.errors import UsageError
from lts.measure.outcome import shown
from lts.measure.result import Result, differences
from lts.system.files import check_writable, exclusive, replace_file
from lts.system.outside import parse_json, read_bytes, sentence
from lts.system.text import listed

DEFAULT = "lts-history.jsonl"
"""What a history is called unless it is said."""

_MOST_NAME = 100
_MARKERS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")
_ASIDE = ".unfinished"


@dataclass(frozen=True)
class History:
    """Results by time, the oldest first, each once; those of the same time in an order that depends on them alone.

    Parameters
    ----------
    entries
        What was measured.
    source
        What the history is called in sentences: its file.
    notes
        What is wrong with the file although it could be read, one sentence each.
    """

    entries: tuple[Result, ...]
    source: str = "the history"
    notes: tuple[str, ...] = ()

    @cached_property
    def names(self) -> list[str]:
        """The names that results are saved under, in the order in which they appeared."""
        return list(dict.fromkeys(entry.saved for entry in self.entries))

    def named(self, name: str) -> list[Result]:
        """The results of a name, the oldest first. Raises `UsageError` with the known names for another one."""
        found = [entry for entry in self.entries if entry.saved == name]
        if found:
            return found
        if not self.names:
            raise UsageError(f"{self.source} is empty: there is no '{sentence(name)}' in it")
        closest = sorted(self.names, key=lambda known: -SequenceMatcher(None, name, known).ratio())
        raise UsageError(f"unknown name '{sentence(name)}' in {self.source}; expected one of {listed(closest)}")

    def latest(self, name: str, like: Result) -> Result:
        """The newest result of a name that was measured under the conditions of another one.

        Parameters
        ----------
        name
            What it is saved under.
        like
            Has the conditions, see `lts.measure.result.differences`; it need not have values: before anything is
            measured of a model, ``result_of(model, (), ())`` will do.

        Raises
        ------
        UsageError
            When the name is unknown, or was only measured under other conditions, saying what differs.
        """
        found = self.named(name)
        others = [differences(entry, like) for entry in found]
        for entry, differ in zip(reversed(found), reversed(others), strict=True):
            if not differ:
                return entry
        nearest = min(reversed(others), key=len)
        raise UsageError(
            f"{self.source} has '{name}' under other conditions only, there and here: "
            f"{listed(map(sentence, nearest), 6)}"
        )


def instant(result: Result) -> datetime:
    """When it was measured. Raises `ValueError` when it does not say that with a time zone."""
    try:
        found = datetime.fromisoformat(result.time)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"its time is {shown(result.time)}; expected one such as 2026-11-30T12:00:00Z")


def union(histories: Iterable[History]) -> History:
    """What is in any of several histories; in which order they are given, and how often, does not matter."""
    given = list(histories)
    entries: dict[str, Result] = {}
    for entry in (entry for history in given for entry in history.entries):
        key = json.dumps(entry.record(), sort_keys=True)
        if key not in entries or entry.to_json() < entries[key].to_json():  # the same but for the order of its fields
            entries[key] = entry
    ordered = sorted(entries.items(), key=lambda item: (instant(item[1]), item[0]))
    sources = dict.fromkeys(history.source for history in given)
    notes = dict.fromkeys(note for history in given for note in history.notes)
    return History(tuple(entry for _, entry in ordered), " and ".join(sources), tuple(notes))


def read(path: Path, *, conflicts: bool = False) -> History:
    """The history in a file.

    An unfinished last line, which a killed writer of another program or a download that was cut off leaves, is left
    out, with a note.

    Parameters
    ----------
    path
        The file; it may be a pipe.
    conflicts
        Take both sides of what git could not merge, instead of refusing it.

    Raises
    ------
    UsageError
        When it cannot be read, has the marks of a conflict, or a line is no named result of this version's schema.
    """
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        raise UsageError(f"there is no history {path}; lts-engine bench MODEL --save NAME begins one") from None
    except OSError as error:
        raise UsageError(f"cannot read the history {path}: {error.strerror or error}") from None
    found: list[Result] = []
    notes = []
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if line.startswith(_MARKERS):
            if conflicts:
                continue
            raise UsageError(
                f"{path}, line {number}: git left a conflict there; take both sides with lts-engine history merge "
                f"{path} -O {path}, and next time with the line '{path.name} merge=union' in .gitattributes"
            )
        if number == len(lines) and _is_unfinished(line):
            notes.append(f"{path}, line {number}: it is unfinished and is left out: {sentence(_text(line), 60)}")
            continue
        try:
            found.append(_entry(line))
        except (KeyError, TypeError, ValueError) as error:
            reason = f"it lacks the field {error}" if isinstance(error, KeyError) else sentence(error)
            raise UsageError(f"{path}, line {number}: {reason}") from None
    return union([History(tuple(found), str(path), tuple(notes))])


def append(path: Path, results: Sequence[Result]) -> list[str]:
    """Add results to a history, which is made where there is none: all of them or, after any failure, none.

    The file is replaced as a whole under a lock, so that a writer that is killed, a full disk and several writers at a
    time leave a whole history. What is in it stays as it is, also what this version cannot read; a result that is in it
    already is not added again. A last line without its end gets it; an unfinished one is moved to a file beside it.

    Returns
    -------
    list of str
        What was wrong with the file, one sentence each; usually nothing.

    Raises
    ------
    UsageError
        When a result has no proper name or time, or no values; when two models are under one name and the same
        conditions, of which nobody could tell later which one is meant; when the file cannot be written.
    """
    _check_all(results)
    _check_file(path)
    target = path.resolve()
    try:
        with exclusive(target):
            kept, notes = _mended(target)
            known = {line.strip() for line in kept.split(b"\n")}
            added = dict.fromkeys(result.to_json().encode() for result in results)
            new = b"".join(line + b"\n" for line in added if line not in known)
            if new or notes:
                replace_file(target, kept + new)
    except OSError as error:
        raise UsageError(f"cannot write the history {path}: {error.strerror or error}; it is as it was") from None
    return notes


def merge(paths: Sequence[Path], out: Path) -> History:
    """Write what is in any of several histories to a file; what that has already, stays.

    The same results give the same file, byte by byte. Both sides of conflicts that git has left are taken.

    Raises
    ------
    UsageError
        As `read`, of any of the files, and when the file cannot be written.
    """
    _check_file(out)
    try:
        with exclusive(out):
            there = [out] if out.resolve() not in {path.resolve() for path in paths} else []
            found = union(read(path, conflicts=True) for path in (*paths, *there))
            replace_file(out, "".join(entry.to_json() + "\n" for entry in found.entries))
    except OSError as error:
        raise UsageError(f"cannot write the history {out}: {error.strerror or error}") from None
    return found


def check_history(path: Path) -> None:
    """Raise `UsageError` when results could not be added to a history: better before minutes of work than after."""
    _check_file(path)
    try:
        check_writable(path)
    except OSError as error:
        raise UsageError(f"cannot write the history {path}: {error.strerror or error}") from None
    if path.exists():
        read(path)


def check_name(name: str) -> None:
    """Raise `UsageError` when nothing can be saved under a name."""
    if not (0 < len(name) <= _MOST_NAME and name.isprintable() and name == name.strip()):
        raise UsageError(f"the name that it is saved under is {shown(name)}; expected 1 to {_MOST_NAME} characters")


def _check_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise UsageError(f"cannot write the history {path}: it is not a file")


def _check_all(results: Sequence[Result]) -> None:
    for i, result in enumerate(results):
        try:
            _check(result)
        except ValueError as error:
            raise UsageError(f"cannot save {sentence(result.model)}: {error}") from None
        for other in results[:i]:
            if other.saved == result.saved and other.model != result.model and not differences(other, result):
                raise UsageError(
                    f"{sentence(other.model)} and {sentence(result.model)} cannot both be saved as '{result.saved}': "
                    "a name is of one model; save each under a name of its own"
                )


def _entry(line: bytes) -> Result:
    """The result that a line is. Raises `KeyError`, `TypeError` or `ValueError` when it is none."""
    entry = Result.from_record(parse_json(line))
    _check(entry)
    return entry


def _check(entry: Result) -> None:
    check_name(entry.saved)
    if entry.error is not None or not entry.values:
        raise ValueError("it has no values: what could not be measured is not saved")
    for column in entry.values:
        if not (0 < len(column) <= _MOST_NAME and column.isprintable()):
            raise ValueError(f"a metric is called {shown(column)}; expected 1 to {_MOST_NAME} characters")
    instant(entry)


def _is_unfinished(line: bytes) -> bool:
    """Whether a last line without its end is not whole."""
    try:
        parse_json(line)
    except ValueError:
        return True
    return False


def _mended(path: Path) -> tuple[bytes, list[str]]:
    """The content of a file with its last line ended; where that is unfinished it is moved to a file beside it."""
    content = read_bytes(path)
    last = content.rpartition(b"\n")[2]
    if not last.strip() or not _is_unfinished(last):
        return content + (b"\n" if last else b""), []
    aside = path.with_name(path.name + _ASIDE)
    with aside.open("ab") as file:
        file.write(last + b"\n")
    return content[: -len(last)], [f"the last line of {path} was unfinished; it is in {aside} now"]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
