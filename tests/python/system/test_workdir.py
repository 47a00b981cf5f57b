"""Work directories: gone when closed, and when their process was killed, with the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lts.errors import UsageError
from lts.system.workdir import WorkDirectory


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_it_is_gone_when_closed(parent: Path) -> None:
    directory = WorkDirectory()
    (directory.path / "model.onnx").write_text("x")
    assert directory.path.parent == parent
    directory.close()
    assert list(parent.iterdir()) == []


def test_one_in_use_stays_and_an_abandoned_one_goes(parent: Path) -> None:
    program = (
        "import time; from lts.system.workdir import WorkDirectory\n"
        "print(WorkDirectory().path, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    other = Path(process.stdout.readline().strip())
    foreign = parent / "lts-foreign"
    foreign.mkdir()
    first = WorkDirectory()
    assert other.is_dir(), "it is in use"
    process.send_signal(signal.SIGKILL)
    process.wait()
    second = WorkDirectory()
    assert not other.exists()
    assert first.path.is_dir(), "it is in use by this very process"
    assert foreign.is_dir(), "it has no lock, so it is none of ours"
    first.close()
    second.close()


def folder_of(parent: Path, name: str, lock: bytes) -> Path:
    folder = parent / name
    folder.mkdir()
    (folder / "lock").write_bytes(lock)
    (folder / "thesis.txt").write_text("mine")
    return folder


@pytest.mark.parametrize(
    "name",
    ["lts-notes", "lts-abcdefgh", "lts-ABCDEFGH", "lts-abcdefg", "lts-abcdefghi", "lts-release-20.04", "lts-old.bak1"],
)
@pytest.mark.parametrize("lock", [b"", b"4711\n", b"work directory of something else\n"])
def test_a_folder_that_is_not_ours_stays(parent: Path, name: str, lock: bytes) -> None:
    folder = folder_of(parent, name, lock)
    WorkDirectory().close()
    assert (folder / "thesis.txt").read_text() == "mine"


@pytest.fixture
def marker(parent: Path) -> bytes:
    """What the lock of a work directory holds."""
    directory = WorkDirectory()
    content = (directory.path / "lock").read_bytes()
    directory.close()
    assert content
    return content


@pytest.mark.parametrize(
    "name", ["lts-notes", "lts-abcdefg", "lts-abcdefghi", "lts-ABCDEFGH", "lts-2026.txt", "abcdefgh"]
)
def test_a_copy_under_another_name_stays(parent: Path, marker: bytes, name: str) -> None:
    folder = folder_of(parent, name, marker)
    WorkDirectory().close()
    assert (folder / "thesis.txt").is_file()


def test_a_marker_with_more_behind_it_is_not_ours(parent: Path, marker: bytes) -> None:
    folder = folder_of(parent, "lts-abcdefgh", marker + b"notes")
    WorkDirectory().close()
    assert (folder / "thesis.txt").is_file()


def test_an_abandoned_folder_of_ours_goes(parent: Path, marker: bytes) -> None:
    folder = folder_of(parent, "lts-abcd_123", marker)
    WorkDirectory().close()
    assert not folder.exists()


def test_links_are_not_followed(parent: Path, marker: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    real = folder_of(elsewhere, "real", marker)
    (parent / "lts-linkdir0").symlink_to(real)
    folder = folder_of(parent, "lts-linklock", b"")
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(real / "lock")
    fifo = parent / "lts-fifo0000"
    fifo.mkdir()
    os.mkfifo(fifo / "lock")
    WorkDirectory().close()
    assert (real / "thesis.txt").is_file()
    assert (parent / "lts-linkdir0").is_symlink()
    assert (folder / "thesis.txt").is_file()
    assert fifo.is_dir()


def test_a_missing_parent_is_one_sentence(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent / "missing"))
    with pytest.raises(UsageError, match="set TMPDIR"):
        WorkDirectory()
