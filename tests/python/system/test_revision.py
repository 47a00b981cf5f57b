"""The commit that a folder is at, in real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lts.system.revision import current_revision, shortened


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "a repository"
    (folder / "below").mkdir(parents=True)
    git(folder, "init", "--quiet")
    return folder


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    settings = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=folder, env=settings, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_and_whether_files_were_changed(repository: Path) -> None:
    assert current_revision(repository) == ""
    for name in ("a.txt", "below/ä \n.txt"):
        (repository / name).write_text("one")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "first")
    head = git(repository, "rev-parse", "HEAD")
    assert len(head) == 40
    for folder in (repository, repository / "below"):
        assert current_revision(folder) == head
    (repository / "new.txt").write_text("not tracked")
    assert current_revision(repository) == head
    (repository / "a.txt").write_text("two")
    assert current_revision(repository / "below") == f"{head}-dirty"
    assert current_revision(repository, [repository / "a.txt"]) == head
    (repository / "below" / "ä \n.txt").unlink()
    assert current_revision(repository, [repository / "a.txt"]) == f"{head}-dirty"
    git(repository, "add", ".")
    assert current_revision(repository) == f"{head}-dirty"
    git(repository, "commit", "--quiet", "-m", "second")
    assert current_revision(repository) == git(repository, "rev-parse", "HEAD") != head


def test_it_is_never_an_error(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for folder in (tmp_path, tmp_path / "absent", Path("\0")):
        assert current_revision(folder) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert current_revision(repository) == ""


def test_people_see_the_first_digits() -> None:
    assert shortened("0123456789abcdef" * 2 + "01234567") == "0123456789"
    assert shortened("0" * 64 + "-dirty") == "0000000000-dirty"
    for other in ("", "v1.2-dirty", "g" * 40, "0123"):
        assert shortened(other) == other
