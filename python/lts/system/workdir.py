"""Where candidate models are written: a temporary directory that does not outlive its process for long."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from lts.errors import UsageError

_PREFIX = "lts-"
_LOCK = "lock"


class WorkDirectory:
    """A temporary directory, locked while it is in use.

    A killed process cannot remove its directory, so the next process does: it removes directories of the same user
    whose lock is free.

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
            unheld.rename(self.path / _LOCK)
        except OSError as error:
            raise UsageError(f"cannot write in {parent}: {error.strerror}; set TMPDIR to another directory") from None

    def close(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another process may be doing the same
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
