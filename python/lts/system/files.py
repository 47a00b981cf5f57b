"""Files that appear whole or not at all: written under a temporary name that the next writer removes after a kill."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from lts.errors import UsageError

_NUMBERS = itertools.count()
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


class Draft:
    """A file that is being written, hidden beside its place and locked: `temporary`; `finish` gives it its name.

    Making one removes drafts of the same file whose process was killed. Close it with `discard`, also after `finish`.

    Raises
    ------
    OSError
        When it cannot be written there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        remove_abandoned(path)
        while True:
            self.temporary = path.with_name(f".{path.name}.{os.getpid()}.{next(_NUMBERS)}.tmp")
            try:
                handle = os.open(self.temporary, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                continue
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                break
            os.close(handle)  # another process took it for an abandoned one before it was locked
        self.file = os.fdopen(handle, "wb")

    def finish(self, *, durable: bool = False) -> None:
        """Put it in its place; `durable` files survive that the machine goes down at this moment."""
        self.file.flush()
        with contextlib.suppress(OSError):
            os.fchmod(self.file.fileno(), stat.S_IMODE(self.path.stat().st_mode))
        if durable:
            os.fsync(self.file.fileno())
        self.temporary.replace(self.path)

    def discard(self) -> None:
        """Remove it, unless it is in its place. Harmless when repeated."""
        if not self.file.closed:
            self.temporary.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a full disk: what cannot be flushed is not wanted either
                self.file.close()


def make_directory(path: Path) -> None:
    """Make a directory with all above it, where it is not there yet. Raises `UsageError` when that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create the directory {path}: {error.strerror}") from None


def remove_abandoned(path: Path) -> None:
    """Remove drafts of a file that nobody writes any more."""
    name = re.compile(rf"\.{re.escape(path.name)}(\.\d+){{1,2}}\.tmp", re.DOTALL)
    with contextlib.suppress(OSError):
        for entry in [entry.path for entry in os.scandir(path.parent) if name.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                _remove_if_abandoned(entry)


def _remove_if_abandoned(path: str) -> None:
    handle = os.open(path, _FLAGS | os.O_NONBLOCK)
    try:
        about = os.fstat(handle)
        if stat.S_ISREG(about.st_mode) and about.st_uid == os.getuid():
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(path).unlink()
    finally:
        os.close(handle)


def replace_file(path: Path, content: bytes | memoryview | str) -> None:
    """Write a file whole or not at all, even if the machine goes down meanwhile; a pipe or device is written to.

    Raises
    ------
    OSError
        When it cannot be written; what was there before is there still.
    """
    data = content.encode() if isinstance(content, str) else content
    target = path.resolve()
    if target.exists() and not target.is_file() and not target.is_dir():
        with target.open("wb") as file:
            file.write(data)
        return
    draft = Draft(target)
    try:
        draft.file.write(data)
        draft.finish(durable=True)
    finally:
        draft.discard()


def check_writable(path: Path) -> None:
    """Raise `OSError` when `replace_file` could not write there: better before minutes of work than after."""
    target = path.resolve()
    if target.is_dir():
        raise IsADirectoryError(21, os.strerror(21), str(path))
    if not target.exists() or target.is_file():
        Draft(target).discard()


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a file until the end of the block; others that want to hold it wait, also in other processes.

    `replace_file` may replace it meanwhile, and who waited then holds the new one. A file that is not there is made
    empty, and removed again when it still is so at the end.

    Raises
    ------
    OSError
        When it cannot be opened for writing, or made.
    """
    target = path.resolve()
    while True:
        try:
            handle, made = os.open(target, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                handle, made = os.open(target, _FLAGS), False
            except FileNotFoundError:
                continue  # removed since
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(handle, target):
            break
        os.close(handle)  # replaced or removed while this waited
    try:
        yield
    finally:
        if made and _is_at(handle, target) and os.fstat(handle).st_size == 0:
            target.unlink()
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is the one that has this path now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
