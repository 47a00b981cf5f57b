"""What a git revision builds: checked out beside the working tree, built there by a command, and removed again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lts.errors import MeasurementError, UsageError
from lts.system.git import HERE, ask_git, git_command, git_environment, no_git, reason_in, resolve, without_git
from lts.system.outside import sentence
from lts.system.shell import Told, run_command
from lts.system.uninterrupted import without_interrupts
from lts.system.workdir import WorkDirectory, is_work_directory

REVISION_VARIABLE = "LTS_REVISION"
"""Environment variable of the command with the commit that it builds; `HERE` for the working tree."""

_SHORT = 12
_KEPT = 20  # lines of what a command says
_SUBMODULES = "submodules are not checked out; where they are needed, begin with git submodule update --init"


def to_stderr(line: str) -> None:
    """Print a line to stderr; where that cannot be written, it is lost."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


@contextmanager
def built(
    revision: str,
    command: str,
    path: str,
    *,
    repository: Path = Path(),
    timeout: float | None = None,
    told: Told = to_stderr,
) -> Iterator[Path]:
    """Build a revision, and yield the path of what was built, for as long as the block lasts.

    The revision is checked out into a temporary folder, as a detached worktree (``git worktree add``): the working
    tree stays as it is. The command runs there with ``sh -c``, in the folder of the checkout that `repository` is in
    the working tree, with the commit in ``$LTS_REVISION`` and nothing on its standard input. Submodules are not
    checked out, and git's hooks do not run. The checkout is gone after the block, however that ends; what a killed
    process leaves behind, the next one removes.

    The revision ``.`` is the working tree as it is: the command runs in `repository`, and nothing is removed.

    Parameters
    ----------
    revision
        See `lts.system.git.resolve`.
    command
        Of the shell, such as "make models".
    path
        File or folder that the command makes, relative to where it runs.
    repository
        A folder in a working tree, or, for a revision other than ``.``, a bare repository.
    timeout
        Seconds for the command; None for no limit. It is ended with all that it started.
    told
        Gets what is done, and what the command says to stdout and stderr, line by line; by default it goes to stderr.

    Raises
    ------
    UsageError
        As of `resolve`; for a path that is not in the checkout, or was not made; when the revision cannot be checked
        out, for example on a full disk.
    MeasurementError
        When the command fails or takes too long: this revision cannot be measured.
    """
    commit = resolve(revision, repository)
    prefix = ask_git(repository, "rev-parse", "--show-prefix").stdout.removesuffix("\n")
    _check_path(path, prefix)
    with contextlib.ExitStack() as stack:
        if revision == HERE:
            place = _in_place(repository)
        else:
            place = stack.enter_context(_checked_out(revision, commit, repository, prefix))
            if (place.root / ".gitmodules").exists():
                told(f"{place.name}: {_SUBMODULES}")
        told(f"{place.name}: {sentence(command)}")
        _run(command, place, commit or HERE, timeout, told)
        yield _made(path, command, place)


@dataclass(frozen=True)
class _Place:
    """Where a command runs: a name for messages, the root of the checkout, and the folder in it."""

    name: str
    root: Path
    folder: Path


def _check_path(path: str, prefix: str) -> None:
    """Raise `UsageError`, before anything is built, for a path that cannot be in a checkout."""
    if not path or "\0" in path:
        raise UsageError("the path of what is built is empty; expected one like build/model.onnx")
    if Path(path).is_absolute() or Path(os.path.normpath(Path(prefix, path))).parts[:1] == ("..",):
        raise UsageError(f"{sentence(path)} is not in the checkout; expected a path in it, like build/model.onnx")


def _in_place(repository: Path) -> _Place:
    root = ask_git(repository, "rev-parse", "--show-toplevel")
    if root.returncode != 0:
        raise UsageError(f"the repository {repository} has no working tree; name a revision in place of '{HERE}'")
    return _Place("the working tree", Path(root.stdout.removesuffix("\n")), repository)


@contextmanager
def _checked_out(revision: str, commit: str, repository: Path, prefix: str) -> Iterator[_Place]:
    """A worktree of the commit, until the end of the block."""
    name = f"{sentence(revision, 60)} ({commit[:_SHORT]})"
    with contextlib.ExitStack() as stack:
        with without_interrupts():
            directory = WorkDirectory()
            stack.callback(_remove, repository, directory)
        _forget_abandoned(repository)
        root = _root(directory.path)
        said = _Said()
        # Without hooks: one of post-checkout may refuse a folder in which nothing is installed.
        options = ("-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--quiet", "--detach", str(root), commit)
        try:
            code = run_command(git_command(repository, *options), Path(), said, environment=git_environment())
        except OSError as error:
            raise no_git(error) from None
        if code != 0:
            raise UsageError(f"git cannot check out {name}: {reason_in(said.lines)}")
        folder = root / prefix
        if not folder.is_dir():
            raise UsageError(f"{name} has no folder {prefix.rstrip('/')}, in which the command would run")
        yield _Place(name, root, folder)


def _root(folder: Path) -> Path:
    """The checkout in a work directory; git knows it by its last name, which is to be a name of its own."""
    return folder / folder.name


def _run(command: str, place: _Place, commit: str, timeout: float | None, told: Told) -> None:
    said = _Said(told)
    environment = {**without_git(), REVISION_VARIABLE: commit}
    try:
        code = run_command(["sh", "-c", command], place.folder, said, environment=environment, timeout=timeout)
    except TimeoutError:
        raise MeasurementError(f"building {place.name} took longer than {timeout:.3g} s: {sentence(command)}") from None
    except OSError as error:
        raise MeasurementError(f"building {place.name}: sh cannot be started: {error.strerror or error}") from None
    if code != 0:
        how = f"exit code {code}" if code > 0 else f"signal {-code} ({signal.strsignal(-code)})"
        last = f"; it said last: {said.lines[-1]}" if said.lines else ""
        raise MeasurementError(f"building {place.name} failed with {how}: {sentence(command)}{last}")


def _made(path: str, command: str, place: _Place) -> Path:
    """The path of what was built. Raises `UsageError` when it is not there, or not in the checkout."""
    try:
        found = (place.folder / path).resolve()
        there = found.exists()
    except (OSError, RuntimeError) as error:  # links in a circle; a name that is too long
        raise UsageError(f"there is no {sentence(path)} after building {place.name}: {sentence(error)}") from None
    if not found.is_relative_to(place.root.resolve()):
        raise UsageError(
            f"{sentence(path)} of {place.name} is a link out of the checkout, to {found}: "
            "it would be the same for every revision"
        )
    if not there:
        raise UsageError(f"there is no {sentence(path)} after building {place.name}: {sentence(command)}")
    return found


class _Said:
    """Passes lines on, and keeps the last ones that have words."""

    def __init__(self, told: Told | None = None) -> None:
        self._told = told
        self.lines: deque[str] = deque(maxlen=_KEPT)

    def __call__(self, line: str) -> None:
        if words := sentence(line):
            self.lines.append(words)
        if self._told is not None:
            self._told(line)


def _remove(repository: Path, directory: WorkDirectory) -> None:
    """Remove a checkout, also an incomplete one, from the disk and from git's list."""
    with without_interrupts():
        root = _root(directory.path)
        _remove_tree(root)
        _forget(repository, root)
        directory.close()


def _remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it, also where folders may not be written: what cannot be removed stays."""
    shutil.rmtree(path, ignore_errors=True)
    if not path.is_dir():
        return
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IRWXU)
    for folder, folders, _ in os.walk(path):  # from the top, so that each may be read by then
        for each in folders:
            with contextlib.suppress(OSError):
                if not (below := Path(folder, each)).is_symlink():
                    below.chmod(stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)


def _forget(repository: Path, root: Path) -> None:
    # Forced twice: also one that is locked, because git was ended while it made it.
    ask_git(repository, "worktree", "remove", "--force", "--force", str(root))


def _forget_abandoned(repository: Path) -> None:
    """Have git forget the checkouts of killed processes, whose folders `WorkDirectory` has removed."""
    parent = Path(tempfile.gettempdir()).resolve()
    for line in ask_git(repository, "worktree", "list", "--porcelain").stdout.splitlines():
        root = Path(line.removeprefix("worktree "))
        ours = root.parent.parent == parent and root == _root(root.parent) and is_work_directory(root.name)
        if line.startswith("worktree ") and ours and not root.exists():
            _forget(repository, root)
