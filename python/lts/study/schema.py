"""The tables of a store, and what earlier versions wrote."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

from lts.errors import UsageError

STORE_NAME = "study.db"
SCHEMA = 2
_READ = (1, SCHEMA)
_APPLICATION_ID = 0x4C545345  # "LTSE"
_APPLICATION_ID_AT = 68  # bytes from the start of a database (https://www.sqlite.org/fileformat.html)

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trial (id INTEGER PRIMARY KEY, state TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE environment (hash TEXT PRIMARY KEY, description TEXT NOT NULL) WITHOUT ROWID;
"""
# What schema 2 adds: the order of events, from which the state of a sampler follows, and checksums.
_ADDED = """
ALTER TABLE trial ADD COLUMN begun INTEGER;
ALTER TABLE trial ADD COLUMN ended INTEGER;
ALTER TABLE trial ADD COLUMN checksum INTEGER;
ALTER TABLE meta ADD COLUMN checksum INTEGER;
ALTER TABLE environment ADD COLUMN checksum INTEGER;
"""
_FILLED = """
UPDATE trial SET checksum = lts_checksum(record, id, state, begun, ended);
UPDATE meta SET checksum = lts_checksum(value, key);
UPDATE environment SET checksum = lts_checksum(description, hash);
"""
WITHOUT_CHECKSUMS = "the study is of an earlier version, without checksums: damage to its numbers would not be noticed"


def store_path(study: Path) -> Path:
    """The store of a study given by its directory or by the store itself."""
    return study / STORE_NAME if study.is_dir() else study


def is_store(path: Path) -> bool:
    """Whether a file is a store, by what its first bytes say."""
    try:
        with path.open("rb") as file:
            head = file.read(_APPLICATION_ID_AT + 4)
    except OSError:
        return False
    return head[_APPLICATION_ID_AT:] == _APPLICATION_ID.to_bytes(4, "big")


def checksum(text: str, *about: object) -> int:
    """CRC-32 of what a row holds: its text exactly as stored, and its other columns. Raises `TypeError` for no text."""
    return zlib.crc32((repr(about) + text).encode("utf-8", "surrogatepass"))


def check(connection: sqlite3.Connection, path: Path, *, create: bool) -> int:
    """The schema of a store; an empty database becomes a store first where `create` allows it.

    Raises
    ------
    UsageError
        When it is not a store, of another version, or damaged.
    """
    execute = connection.execute
    if create and execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        _change(connection, _TABLES + _ADDED, f"PRAGMA application_id = {_APPLICATION_ID}")
    if execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise UsageError(f"{path} is a database, but not a study of lts-engine; use another --store")
    version = int(execute("PRAGMA user_version").fetchone()[0])
    if version not in _READ:
        known = " and ".join(map(str, _READ))
        raise UsageError(f"{path} has store schema {version}; this version reads schemas {known}")
    columns = {row[1] for row in execute("PRAGMA table_info(trial)")}
    if ("checksum" in columns) != (version > 1):
        raise UsageError(f"{path} is damaged (its tables are not those of schema {version}); restore a copy")
    if (problem := execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        problem = problem.removeprefix("*** in database main ***").strip().replace("\n", "; ")
        raise UsageError(f"{path} is damaged ({problem}); restore a copy or use another --store")
    return version


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Give the store of an earlier version what later ones write."""
    if version < SCHEMA:
        prepare(connection)
        _change(connection, _ADDED + _FILLED)


def prepare(connection: sqlite3.Connection) -> None:
    """Let statements of this connection call `lts_checksum`, which is `checksum`."""
    connection.create_function("lts_checksum", -1, checksum, deterministic=True)


def _change(connection: sqlite3.Connection, statements: str, *more: str) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for statement in (*filter(str.strip, statements.split(";")), *more, f"PRAGMA user_version = {SCHEMA}"):
            connection.execute(statement)


def reason(error: sqlite3.Error) -> str:
    """What SQLite reports, as a sentence for people."""
    text = str(error)
    if "disk is full" in text or "disk I/O" in text:
        return "the disk is full or failing; free some space, then run the same command to resume"
    if "readonly" in text or "unable to open" in text:
        return "no permission to write it, or its directory"
    if "not a database" in text or "malformed" in text or "no such table" in text:
        return f"it is damaged or not a study of lts-engine ({text}); restore a copy or use another --store"
    if "decode to UTF-8" in text:
        return "a record is damaged (not UTF-8 text); restore a copy or use another --store"
    return text
