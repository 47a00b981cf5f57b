"""Trials on disk: one SQLite file in WAL mode with one writer, which a kill at any moment leaves whole."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.measure.trial import Trial

SCHEMA = 1
_APPLICATION_ID = 0x4C545345  # "LTSE"

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trial (id INTEGER PRIMARY KEY, state TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE environment (hash TEXT PRIMARY KEY, description TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """The file of one study.

    Parameters
    ----------
    path
        The SQLite file. `create` makes it (and its directory) when it is absent.
    writable
        One process at a time holds a store for writing; any number may read meanwhile.

    Raises
    ------
    UsageError
        When the file is absent, not a store, damaged, of another version, not writable, or in use by another writer.
    """

    def __init__(self, path: str | Path, *, writable: bool = False, create: bool = False) -> None:
        self.path = Path(path)
        self._lock: int | None = None
        if create and not self.path.exists():
            self._make_directory()
        elif not self.path.is_file():
            raise UsageError(f"no study at {self.path}; expected the store (a .db file) or directory of a search")
        if writable:
            self._acquire()
        try:
            with self._explained():
                self._connection = self._open(writable=writable, create=create)
            self._identity = self._file_identity()
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Write everything out and release the file."""
        try:
            with self._explained():
                self._connection.close()
        finally:
            self._release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def meta(self, key: str) -> Any:
        """The JSON value stored under that key; None when there is none."""
        with self._explained():
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            return None if row is None else json.loads(row[0])

    def write(self, *, trials: tuple[Trial, ...] = (), meta: dict[str, Any] | None = None) -> None:
        """Store trials and meta values, all or none, durably."""
        if self._file_identity() != self._identity:
            raise UsageError(f"store {self.path}: it was moved or deleted while in use; what was found since is lost")
        with self._explained(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for trial in trials:
                self._connection.execute(
                    "INSERT INTO trial VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, "
                    "record = excluded.record",
                    (trial.id, trial.state, trial.to_json()),
                )
            for key, value in (meta or {}).items():
                self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def add_environment(self, key: str, description: dict[str, Any]) -> None:
        """Store what the environment hash of a trial stands for."""
        with self._explained(), self._connection:
            self._connection.execute(
                "INSERT OR IGNORE INTO environment VALUES (?, ?)", (key, json.dumps(description, sort_keys=True))
            )

    def environments(self) -> dict[str, dict[str, Any]]:
        """All environments by hash."""
        with self._explained():
            rows = self._connection.execute("SELECT hash, description FROM environment ORDER BY hash").fetchall()
            return {key: json.loads(description) for key, description in rows}

    def trials(self) -> list[Trial]:
        """All trials in the order they were handed out."""
        with self._explained():
            rows = self._connection.execute("SELECT record FROM trial ORDER BY id").fetchall()
            return [Trial.from_record(json.loads(record)) for (record,) in rows]

    def count(self, state: str) -> int:
        """How many trials are in that state."""
        with self._explained():
            row = self._connection.execute("SELECT count(*) FROM trial WHERE state = ?", (state,)).fetchone()
            return int(row[0])

    def _open(self, *, writable: bool, create: bool) -> sqlite3.Connection:
        if writable:
            return self._connect("mode=rwc", create=create)
        try:
            return self._connect("mode=ro")
        except sqlite3.OperationalError as error:
            # Where no file can be made beside the store (a read-only disk), nobody writes it.
            denied = "unable to open" in str(error) or "readonly" in str(error)
            log = self.path.with_name(self.path.name + "-wal")
            if not denied or (log.exists() and log.stat().st_size):
                raise
            return self._connect("mode=ro&immutable=1")

    def _connect(self, options: str, *, create: bool = False) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?{options}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10, check_same_thread=False)
        try:
            self._check(connection, create=create)
            if options == "mode=rwc":
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection, *, create: bool) -> None:
        execute = connection.execute
        if create and execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            with connection:
                execute("BEGIN IMMEDIATE")
                for statement in filter(str.strip, _TABLES.split(";")):
                    execute(statement)
                execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                execute(f"PRAGMA user_version = {SCHEMA}")
        if execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            raise UsageError(f"{self.path} is a database, but not a study of lts-engine; use another --store")
        if (version := execute("PRAGMA user_version").fetchone()[0]) != SCHEMA:
            raise UsageError(f"{self.path} has store schema {version}; this version reads schema {SCHEMA}")
        if (problem := execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            problem = problem.removeprefix("*** in database main ***").strip().replace("\n", "; ")
            raise UsageError(f"{self.path} is damaged ({problem}); restore a copy or use another --store")

    def _make_directory(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot create the directory {self.path.parent}: {error.strerror}") from None

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _acquire(self) -> None:
        lock = self.path.with_name(self.path.name + ".lock")
        try:
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise UsageError(f"{self.path} is in use by another search; wait for it or use another --store") from None
        except OSError as error:
            self._release()
            raise UsageError(f"cannot write the store {self.path}: {error.strerror}") from None

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite reports into one sentence."""
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            if "disk is full" in text or "disk I/O" in text:
                reason = "the disk is full or failing; free some space, then run the same command to resume"
            elif "readonly" in text or "unable to open" in text:
                reason = "no permission to write it, or its directory"
            elif "not a database" in text or "malformed" in text or "no such table" in text:
                reason = f"it is damaged or not a study of lts-engine ({text}); restore a copy or use another --store"
            elif "decode to UTF-8" in text:
                reason = "a record is damaged (not UTF-8 text); restore a copy or use another --store"
            else:
                reason = text
            raise UsageError(f"store {self.path}: {reason}") from None
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"store {self.path}: a record is damaged ({error}); restore a copy or use another --store"
            ) from None
