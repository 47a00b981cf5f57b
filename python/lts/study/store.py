"""Trials on disk: one SQLite file in WAL mode with one writer, which a kill at any moment leaves whole."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study import arguments, schema
from lts.study.log import log_of, lost_commits
from lts.study.rows import Stored, all_of, entry_of, row_of, texts_of
from lts.system.files import make_directory

# Seconds that a record may wait for others to be written together with it.
_GROUP_SECONDS = 0.5
# How often the lock of a store is tried.
_TRIES = 3


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
        self._group: dict[int, Stored] = {}
        self._timer: threading.Timer | None = None
        self._guard = threading.RLock()
        self.commit_seconds = 0.0
        """How long the last commit took."""
        if create and not self.path.exists():
            make_directory(self.path.parent)
        elif not self.path.is_file():
            raise UsageError(f"no study at {self.path}; expected the store (a .db file) or directory of a search")
        if writable:
            self._acquire()
        try:
            self._cut = self._check_log()
            with self._explained():
                self._connection = self._open(writable=writable, create=create)
            self._identity = self._file_identity()
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Write everything out and release the file."""
        try:
            try:
                self.flush()
            finally:
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
            # All of them: a key that is damaged is not found.
            rows = self._connection.execute(f"SELECT key, value, {self._sum} FROM meta")
            texts = dict(texts_of(rows, "the entry", summed=self._summed))
            if key not in texts:
                return None
            value = json.loads(texts[key])
            if key == "study":
                arguments.check(value)
            return value

    def put(self, stored: Stored) -> None:
        """Take a record, which is written with others in at most half a second."""
        with self._guard:
            self._group[stored.trial.id] = stored
            if self._timer is None:
                self._timer = threading.Timer(_GROUP_SECONDS, self._flush_in_time)
                self._timer.daemon = True
                self._timer.start()

    def write(self, *, trials: Iterable[Trial] = (), meta: Mapping[str, Any] | None = None) -> None:
        """Store trials and meta values at once."""
        with self._guard:
            added = {trial.id: Stored(trial) for trial in trials}
            self._group.update(added)
            try:
                self.flush(meta)
            except BaseException:
                for key in added:
                    self._group.pop(key, None)
                raise

    def flush(self, meta: Mapping[str, Any] | None = None) -> None:
        """Store the records taken so far and meta values, all or none, durably."""
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if not self._group and not meta:
                return
            if self._file_identity() != self._identity:
                raise UsageError(
                    f"store {self.path}: it was moved or deleted while in use; what was found since is lost"
                )
            begun = time.monotonic()
            with self._explained(), self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(
                    "INSERT INTO trial (id, state, record, begun, ended, checksum) VALUES (?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, record = excluded.record, "
                    "begun = excluded.begun, ended = excluded.ended, checksum = excluded.checksum",
                    [row_of(stored) for stored in self._group.values()],
                )
                self._connection.executemany(
                    "INSERT OR REPLACE INTO meta (key, value, checksum) VALUES (?, ?, ?)",
                    [entry_of(key, json.dumps(value)) for key, value in (meta or {}).items()],
                )
            self.commit_seconds = time.monotonic() - begun
            self._group.clear()

    def annotate(self, trial: Trial) -> None:
        """Store what was added to a trial that is there, durably."""
        with self._guard:
            self.flush()
            with self._explained(), self._connection:
                self._connection.execute(
                    "UPDATE trial SET record = ?1, checksum = lts_checksum(?1, id, state, begun, ended) WHERE id = ?2",
                    (trial.to_json(), trial.id),
                )

    def _flush_in_time(self) -> None:
        """In the thread of the timer: what goes wrong is said by the next `flush`, which has the same records."""
        with suppress(UsageError, sqlite3.Error):
            self.flush()

    def add_environment(self, key: str, description: dict[str, Any]) -> None:
        """Store what the environment hash of a trial stands for."""
        with self._guard, self._explained(), self._connection:
            self._connection.execute(
                "INSERT OR IGNORE INTO environment (hash, description, checksum) VALUES (?, ?, ?)",
                entry_of(key, json.dumps(description, sort_keys=True)),
            )

    def environments(self) -> dict[str, dict[str, Any]]:
        """All environments by hash."""
        with self._explained():
            rows = self._connection.execute(f"SELECT hash, description, {self._sum} FROM environment ORDER BY hash")
            texts = texts_of(rows, "the environment", summed=self._summed)
            found = {key: json.loads(description) for key, description in texts}
            if not all(isinstance(description, dict) for description in found.values()):
                raise TypeError("an environment is no table")
            return found

    def trials(self) -> list[Trial]:
        """All trials in the order in which they were handed out."""
        return [stored.trial for stored in self.records()]

    def records(self) -> list[Stored]:
        """All trials with their place among the others, in the order in which they were handed out."""
        with self._explained():
            places = "begun, ended" if self._summed else "NULL, NULL"
            rows = self._connection.execute(f"SELECT id, state, record, {places}, {self._sum} FROM trial ORDER BY id")
            return all_of(rows, summed=self._summed)

    def _open(self, *, writable: bool, create: bool) -> sqlite3.Connection:
        if writable:
            return self._connect("mode=rwc", create=create)
        try:
            return self._connect("mode=ro")
        except sqlite3.OperationalError as error:
            # Where no file can be made beside the store (a read-only disk), nobody writes it.
            denied = "unable to open" in str(error) or "readonly" in str(error)
            log = log_of(self.path)
            if not denied or (log.exists() and log.stat().st_size):
                raise
            return self._connect("mode=ro&immutable=1")

    def _connect(self, options: str, *, create: bool = False) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?{options}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10, check_same_thread=False)
        try:
            self._version = schema.check(connection, self.path, create=create)
            if options == "mode=rwc":
                schema.upgrade(connection, self._version)
                self._version = schema.SCHEMA
                schema.prepare(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_log(self) -> bool:
        """Whether the last write was cut off. Raises `UsageError` when more of the log beside the store is lost."""
        try:
            n = lost_commits(self.path)
        except ValueError as error:
            raise UsageError(f"store {self.path} is damaged ({error}); restore a copy or use another --store") from None
        except OSError:
            return False  # SQLite will say it
        if n > 1:
            raise UsageError(
                f"store {self.path} is damaged ({n} writes in its log, {log_of(self.path).name}, cannot be read); "
                "restore a copy or use another --store"
            )
        return n == 1

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
            for _ in range(_TRIES - 1):  # a reader looks whether there is a writer, and holds it for a moment
                with suppress(BlockingIOError):
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                time.sleep(0.01)
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

    @property
    def _summed(self) -> bool:
        return self._version > 1

    @property
    def _sum(self) -> str:
        return "checksum" if self._summed else "NULL"

    @property
    def notes(self) -> list[str]:
        """What is to be said of the file itself to whoever reads it."""
        notes = [] if self._summed else [schema.WITHOUT_CHECKSUMS]
        if self._cut:
            notes.append("the last write to the study was cut off, or is damaged: what it held is not there")
        return notes

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite reports into one sentence."""
        try:
            yield
        except sqlite3.Error as error:
            raise UsageError(f"store {self.path}: {schema.reason(error)}") from None
        except UsageError:
            raise
        except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
            raise UsageError(
                f"store {self.path}: a record is damaged ({error}); restore a copy or use another --store"
            ) from None
