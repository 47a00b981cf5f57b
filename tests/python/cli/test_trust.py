"""Studies and targets of somebody else: one sentence and exit code 2, and nothing of theirs runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lts.study.store import Store


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lts", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    arguments = ("--target", "arm64", "--device", "none", "--trials", "4", "--export", "none", "--output-dir", "made")
    done = run(folder, "search", "gpt2-tiny", *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "made"


def trap(folder: Path) -> None:
    """Programs that say that they have run, where a wrong look-up would find them."""
    for name in ("aarch64-linux-gnu/evil-g++", "evil-g++", "g++"):
        program = folder / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ntouch {folder}/ran\n")
        program.chmod(0o755)


def sentence_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert last.isprintable()
    return last


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({"triple": "aarch64-linux-gnu/evil"}, "'triple' is 'aarch64-linux-gnu/evil'; expected one such as"),
        ({"triple": "./evil"}, "'triple' is './evil'"),
        ({"triple": "-x-evil"}, "'triple' is '-x-evil'"),
        ({"name": "../../out"}, "'name' is '../../out'"),
        ({"cpu": "x -fplugin=evil.so\n"}, "'cpu' is "),
        ({"features": ["+neon;touch ran"]}, "'features' has '+neon;touch ran'"),
        ({"cores": 10**20}, "'cores': the integer has too many digits"),
        ({"triple": None}, "'triple' "),
        ([], "the stored target is []; expected a table"),
        ("arm64", "the stored target is 'arm64'; expected a table"),
    ],
)
def test_a_foreign_study(study: Path, tmp_path: Path, profile: Any, expected: str) -> None:
    shutil.copytree(study, tmp_path / "made")
    with Store(tmp_path / "made" / "study.db", writable=True) as store:
        configuration = store.meta("study")
        before = configuration["profile"]
        configuration["profile"] = {**before, **profile} if isinstance(profile, Mapping) else profile
        store.write(meta={"study": configuration})
    trap(tmp_path)
    assert expected in sentence_of(run(tmp_path, "export", "made", "--format", "tvm", "--output-dir", "out"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("triple", ["aarch64-linux-gnu/evil", "./evil", "-x-evil", "a-b;touch ran"])
@pytest.mark.parametrize("command", ["target show FILE", "target bundle FILE -O out", "search gpt2-tiny --target FILE"])
def test_a_foreign_target(tmp_path: Path, triple: str, command: str) -> None:
    (tmp_path / "board.toml").write_text(f'triple = "{triple}"\ncpu = "cortex-a72"\ncores = 4\n')
    trap(tmp_path)
    said = sentence_of(run(tmp_path, *command.replace("FILE", "board.toml").split()))
    assert said == f"error: board.toml: 'triple' is '{triple}'; expected one such as aarch64-linux-gnu"
    assert not (tmp_path / "ran").exists()
