"""Which commit a revision names, and what is said of one that names none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from git_repository import git, make_repository

from lts.errors import UsageError
from lts.system.git import resolve

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


def test_what_git_calls_a_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = git(repository, "rev-list", "--reverse", "main").split()
    git(repository, "tag", "-a", "annotated", "-m", "a tag with words", "v1")
    for revision in ("v1", "main~1", "HEAD^", first, first[:10], "annotated", ":/number 1", "v1^{commit}", "@~"):
        assert resolve(revision, repository) == first
    assert resolve("main", repository) == resolve("HEAD", repository) == second
    monkeypatch.chdir(repository)
    assert resolve("v2") == second
    assert resolve(".") == ""


def test_a_hook_of_another_repository_does_not_point_elsewhere(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    code = (
        "import sys; from pathlib import Path; from lts.system.git import resolve\n"
        "print(resolve('v1', Path(sys.argv[1])))"
    )
    environment = {**os.environ, "GIT_DIR": str(other / ".git"), "GIT_INDEX_FILE": str(other / "index")}
    done = subprocess.run(
        [sys.executable, "-c", code, repository], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == git(repository, "rev-parse", "v1"), done.stderr


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("mian", r"unknown revision 'mian' in .*/repository; did you mean 'main'\?"),
        ("release", r"unknown revision 'release' in .*; a branch, a tag, a commit, HEAD~1, or \. for the working tree"),
        ("main~9", "unknown revision 'main~9'"),
        ("v1..v2", "unknown revision 'v1..v2'"),
        ("^v1", "unknown revision '\\^v1'"),
        ("", "unknown revision ''"),
        (" ", "unknown revision ''"),
        ("--help", "unknown revision '--help'"),
        ("--output=/tmp/x", "unknown revision '--output=/tmp/x'"),
        ("-", "unknown revision '-'"),
        ("v1\0", "unknown revision 'v1'"),
        ("v1\nv2", "unknown revision 'v1 v2'"),
        ("0" * 40, "unknown revision '0000|is no commit"),
        ("x" * 5000, "unknown revision 'xxx.*…'"),
        ("main:model.txt", r"the revision 'main:model.txt' in .* is no commit"),
        ("main^{tree}", "is no commit"),
    ],
)
def test_what_names_no_commit(repository: Path, revision: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        resolve(revision, repository)
    assert "\n" not in str(caught.value)


def test_a_branch_that_is_only_on_the_remote(repository: Path, tmp_path: Path) -> None:
    git(repository, "branch", "team/feature")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    with pytest.raises(
        UsageError, match=r"unknown revision 'team/feature' in .*; did you mean 'origin/team/feature'\?"
    ):
        resolve("team/feature", clone)


def test_a_shallow_clone(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone))
    assert resolve("HEAD", clone) == git(repository, "rev-parse", "v2")
    for revision in ("HEAD~1", "v1"):
        with pytest.raises(UsageError, match=r"this clone is shallow.*git fetch --unshallow.*fetch-depth: 0"):
            resolve(revision, clone)


def test_without_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="is not in a git repository; revisions are those of one"):
        resolve("main", tmp_path)
    with pytest.raises(UsageError, match="is not in a git repository"):
        resolve(".", tmp_path)
    with pytest.raises(UsageError, match=r"there is no folder .*missing"):
        resolve("main", tmp_path / "missing")
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UsageError, match="unknown revision 'HEAD'"):
        resolve("HEAD", tmp_path)
    (tmp_path / ".git" / "config").write_text("[core")
    with pytest.raises(UsageError, match=r"git cannot read the repository at .*: fatal: bad config line"):
        resolve("HEAD", tmp_path)


def test_without_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git is not installed, and revisions need it; on Debian: apt-get install git"):
        resolve("main", repository)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files to others")
def test_a_repository_of_somebody_else(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.delenv("SUDO_UID", raising=False)
    with pytest.raises(
        UsageError, match=r"belongs to another user; to trust it: git config --global --add safe.directory"
    ):
        resolve("main", repository)
