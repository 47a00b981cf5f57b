"""The commit that a folder is at, for results that say what was measured."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from lts.errors import UsageError
from lts.system.git import ask_git

_SECONDS = 30
_DIRTY = "-dirty"
_SHORT = 10


def current_revision(folder: Path, besides: Iterable[Path] = ()) -> str:
    """The hash of the commit that is checked out, with "-dirty" where files that git tracks were changed since.

    Parameters
    ----------
    folder
        A folder of a working tree, or below one.
    besides
        Files whose changes do not count, such as the history that results are added to.

    Returns
    -------
    str
        Empty outside of a repository, before its first commit, and where there is no git. It is never an error: what is
        measured does not depend on it.
    """
    first = _git(folder, "rev-parse", "--verify", "HEAD")
    top = _git(folder, "rev-parse", "--show-toplevel")
    changed = _git(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=no")
    if not first or not top or changed is None:
        return first or ""
    ignored = {path.resolve() for path in besides}
    # Every entry is two letters of state, a blank, and a path from the top of the working tree.
    paths = [Path(top) / entry[3:] for entry in changed.split("\0") if entry]
    return first + (_DIRTY if any(path.resolve() not in ignored for path in paths) else "")


def shortened(revision: str) -> str:
    """The first digits of a commit's hash, with its "-dirty", for people; other text as it is."""
    commit = revision.removesuffix(_DIRTY)
    if len(commit) < 40 or not set(commit) <= set("0123456789abcdef"):
        return revision
    return commit[:_SHORT] + revision[len(commit) :]


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, without the end of the line; None where it fails."""
    try:
        done = ask_git(folder, "--no-optional-locks", *arguments, timeout=_SECONDS)
    except (UsageError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.removesuffix("\n") if done.returncode == 0 else None
