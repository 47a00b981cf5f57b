"""A git repository for tests, as on a machine where nobody has configured anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SETTINGS = {
    "user.name": "a",
    "user.email": "a@example.org",
    "init.defaultBranch": "main",
    "gc.auto": "0",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "protocol.file.allow": "always",
}


def git(folder: Path, *arguments: str) -> str:
    """What git says, without white space around it."""
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = ["git", "-C", str(folder), *settings, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_repository(folder: Path) -> Path:
    """Two commits on main, tagged v1 and v2, in which model.txt has "model 1" and "model 2"."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    for number in (1, 2):
        (folder / "model.txt").write_text(f"model {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", f"the model, number {number}")
        git(folder, "tag", f"v{number}")
    return folder
