"""Where candidate models are written: a temporary directory that does not outlive its process for long."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from lts.errors import UsageError

_PREFIX = "lts-"
_LOCK = "lock"
# What the lock holds: by it, and by the form of the name that `tempfile.mkdtemp` gives, we know our own directories.
_MARKER = b"work directory of lts-engine; removed once nobody holds this lock\n"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")


class WorkDirectory:
    """A temporary directory, locked while it is in use.

    A killed process cannot remove its directory, so the next process does: it removes directories of the same user
    that have such a name, and a lock with the marker of a work directory that nobody holds.

    Raises
    ------
    UsageError
        When the directory of temporary files is full or cannot be written.
    """

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        _remove_abandoned(parent)
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            # Renamed only once it is held, or another process could take the directory for an abandoned one.
            unheld = self.path / f"{_LOCK}.new"
            self._lock = os.open(unheld, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            os.write(self._lock, _MARKER)
            unheld.rename(self.path / _LOCK)
        except OSError as error:
            raise UsageError(f"cannot write in {parent}: {error.strerror}; set TMPDIR to another directory") from None

    def close(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def is_work_directory(name: str) -> bool:
    """Whether a work directory may have that name."""
    return _NAME.fullmatch(name) is not None


def _remove_abandoned(parent: Path) -> None:
    try:
        found = [entry.path for entry in os.scandir(parent) if is_work_directory(entry.name)]
    except OSError:
        return
    for path in found:
        with contextlib.suppress(OSError):  # another process may be doing the same
            _remove_if_abandoned(path)


def _remove_if_abandoned(path: str) -> None:
    """Remove a work directory whose process is gone; leave anything else. Raises `OSError` where that is not one."""
    with contextlib.ExitStack() as stack:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        stack.callback(os.close, folder)
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe in its place would block
        lock = os.open(_LOCK, flags, dir_fd=folder)
        stack.callback(os.close, lock)
        about, held = os.fstat(folder), os.fstat(lock)
        if about.st_uid != os.getuid() or held.st_uid != os.getuid() or not stat.S_ISREG(held.st_mode):
            return
        if os.read(lock, len(_MARKER) + 1) != _MARKER:
            return
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
