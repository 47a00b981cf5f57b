"""What git says of a repository: which commit a revision names, and what would be right where it names none."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from lts.errors import UsageError
from lts.system.outside import sentence

HERE = "."
"""The revision that is the working tree as it is."""

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHOWN = 100
# Variables by which git finds a repository: in a hook, they name the one of the hook, whatever the folder.
_VARIABLES = {
    f"GIT_{name}"
    for name in (
        "ALTERNATE_OBJECT_DIRECTORIES",
        "COMMON_DIR",
        "DIR",
        "GRAFT_FILE",
        "IMPLICIT_WORK_TREE",
        "INDEX_FILE",
        "INTERNAL_SUPER_PREFIX",
        "NAMESPACE",
        "OBJECT_DIRECTORY",
        "PREFIX",
        "QUARANTINE_PATH",
        "SHALLOW_FILE",
        "WORK_TREE",
    )
}


def resolve(revision: str, repository: Path = Path()) -> str:
    """The commit that a revision names, as its whole hash; empty for `HERE`, which is no commit.

    Parameters
    ----------
    revision
        Whatever ``git rev-parse`` takes for one commit: a branch, a tag, ``HEAD~1``, a hash.
    repository
        A folder in a working tree, or a bare repository.

    Raises
    ------
    UsageError
        When it names none, with what would be right; when there is no repository there, or no git.
    """
    check_repository(repository)
    if revision == HERE:
        return ""
    shown = sentence(revision, _SHOWN)
    if not (found := _parsed(revision, repository)):
        raise UsageError(f"unknown revision '{shown}' in {_named(repository)}; {_advice(revision, repository)}")
    # Not at once, as REVISION^{commit}: that would become a part of a revision like ":/words of a message".
    if not (commit := _parsed(f"{found}^{{commit}}", repository)):
        raise UsageError(f"the revision '{shown}' in {_named(repository)} is no commit")
    return commit


def check_repository(repository: Path) -> None:
    """Raise `UsageError` where there is no repository that git reads."""
    if not repository.is_dir():
        raise UsageError(f"there is no folder {repository}; expected one in a git repository")
    done = ask_git(repository, "rev-parse", "--git-dir")
    if done.returncode == 0:
        return
    if "dubious ownership" in done.stderr:
        raise UsageError(
            f"git refuses {_named(repository)}, which belongs to another user; to trust it: "
            f"git config --global --add safe.directory {repository.resolve()}"
        )
    if "not a git repository" in done.stderr:
        raise UsageError(f"{_named(repository)} is not in a git repository; revisions are those of one")
    raise UsageError(f"git cannot read the repository at {_named(repository)}: {reason_in(done.stderr.splitlines())}")


def ask_git(repository: Path, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run git for a moment, apart from the terminal's Ctrl-C. Raises `UsageError` when it is not there."""
    try:
        return subprocess.run(
            git_command(repository, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env=git_environment(),
            start_new_session=True,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise no_git(error) from None


def git_command(repository: Path, *arguments: str) -> list[str]:
    """The command that runs git on a repository."""
    return ["git", "-C", str(repository), *arguments]


def git_environment() -> dict[str, str]:
    """The environment of git: its words in English, because some are looked for, and no questions."""
    return {**without_git(), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


def without_git() -> dict[str, str]:
    """Our environment without what points git to a repository other than that of the folder."""
    return {name: value for name, value in os.environ.items() if name not in _VARIABLES}


def no_git(error: OSError) -> UsageError:
    """The error for a git that could not be started."""
    if isinstance(error, FileNotFoundError):
        return UsageError("git is not installed, and revisions need it; on Debian: apt-get install git")
    return UsageError(f"git cannot be started: {error.strerror or error}")


def reason_in(lines: Iterable[str]) -> str:
    """The reason in the lines that git said, as one line."""
    said = [line for line in lines if line.strip()] or ["it said nothing"]
    return sentence(next((line for line in said if line.startswith(("fatal:", "error:"))), said[-1]))


def _named(repository: Path) -> Path:
    return repository.resolve() if repository == Path() else repository


def _parsed(revision: str, repository: Path) -> str:
    """The object that a revision names; empty for none."""
    # What begins with a dash would be an option, and no revision does.
    if not revision.strip() or revision.startswith("-") or "\0" in revision:
        return ""
    said = ask_git(repository, "rev-parse", "--verify", "--quiet", revision).stdout.strip()
    return said if _HASH.fullmatch(said) else ""


def _advice(revision: str, repository: Path) -> str:
    """What would be right in place of a revision that is not there."""
    names = ask_git(repository, "for-each-ref", "--format=%(refname:short)").stdout.split()
    if revision and (remote := [name for name in names if name.partition("/")[2] == revision]):
        return f"did you mean '{remote[0]}'?"
    if ask_git(repository, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        return (
            "this clone is shallow, so it may only be missing here: git fetch --unshallow --tags, or in a workflow of "
            "GitHub fetch-depth: 0 for actions/checkout"
        )
    if close := get_close_matches(revision, names, n=1, cutoff=0.7):
        return f"did you mean '{close[0]}'?"
    return "a branch, a tag, a commit, HEAD~1, or . for the working tree would be right"
