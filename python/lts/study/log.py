"""The write-ahead log beside a store: whether SQLite will read all of it, which it does not say itself.

A frame with a wrong checksum ends the log for SQLite, with everything behind it, in silence: usually the end of a write
that was cut off, but it may be damage. The format is that of https://www.sqlite.org/fileformat2.html#walformat.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_HEADER, _FRAME_HEADER = 32, 24
_MAGICS = {0x377F0682: "<", 0x377F0683: ">"}
_WAL_VERSIONS = b"\x02\x02"  # bytes 18 and 19 of the database


def log_of(store: Path) -> Path:
    """The log of a store; it is there while the store is in use, or when its last user was killed."""
    return store.with_name(store.name + "-wal")


def lost_commits(store: Path) -> int:
    """How many commits of the log SQLite would leave out; 0 where a writer is at work, whose log changes.

    One may be a write that was cut off; more are damage. Complexity: linear in the size of the log.

    Raises
    ------
    ValueError
        When the log as a whole would be left out.
    OSError
        When it cannot be read.
    """
    log = log_of(store)
    try:
        before = log.stat()
    except FileNotFoundError:
        return 0
    if before.st_size <= _HEADER or _written(store):
        return 0
    try:
        lost, problem = _lost(log.read_bytes()), None
        with store.open("rb") as file:
            if file.read(20)[18:] != _WAL_VERSIONS:
                raise ValueError("the store says that it has no log, and it has one")
    except ValueError as error:
        lost, problem = 0, error
    if not lost and problem is None:
        return 0
    try:
        after = log.stat()
    except FileNotFoundError:
        return 0
    if _written(store) or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        return 0
    if problem is not None:
        raise problem
    return lost


def _written(store: Path) -> bool:
    """Whether a process holds the store for writing."""
    try:
        lock = os.open(store.with_name(store.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _lost(content: bytes) -> int:
    magic, _, page_size, _, *salts = struct.unpack_from(">6I", content)
    known = struct.unpack_from(">2I", content, 24)
    order = _MAGICS.get(magic)
    if order is None or _sum(order, content[:24], (0, 0)) != known or not 512 <= page_size <= 65536:
        raise ValueError("the header of its log is wrong")
    size, running, whole, lost = _FRAME_HEADER + page_size, known, True, 0
    for begin in range(_HEADER, len(content) - size + 1, size):
        _, commit, *its_salts = struct.unpack_from(">4I", content, begin)
        matching = [mine == its for mine, its in zip(salts, its_salts, strict=True)]
        if whole:
            known = struct.unpack_from(">2I", content, begin + 16)
            running = _sum(order, content[begin : begin + 8], running)
            running = _sum(order, content[begin + _FRAME_HEADER : begin + size], running)
            if running == known and all(matching):
                continue
            whole = False
            lost += (running == known or any(matching)) and commit != 0
        else:
            lost += all(matching) and commit != 0  # others are of an earlier round of the log
    return lost


def _sum(order: str, content: bytes, start: tuple[int, ...]) -> tuple[int, int]:
    a, b = start
    for x, y in struct.iter_unpack(f"{order}II", content):
        a = (a + x + b) & 0xFFFFFFFF
        b = (b + y + a) & 0xFFFFFFFF
    return a, b
