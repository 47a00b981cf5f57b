"""Files that appear whole or not at all, and what killed writers leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lts
from lts.errors import UsageError
from lts.export import export
from lts.system.files import Draft, check_writable, exclusive, make_directory, remove_abandoned, replace_file

ARCHITECTURE = lts.Architecture("gpt2", 512, 256, 64, n_head=[2, 4], d_ff=[64, 256])


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    replace_file(file, "one")
    file.chmod(0o600)
    replace_file(file, b"two")
    assert file.read_text() == "two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == {"a.txt"}


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("one")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    replace_file(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "two"
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        replace_file(tmp_path / "pipe", "three")
        assert reader.communicate()[0] == b"three"


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    replace_file(file, "one")
    code = (
        "import resource, signal, sys; from pathlib import Path; from lts.system.files import replace_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: replace_file(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except OSError as error: print(error.strerror)"
    )
    said = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True)
    assert said.stdout.strip() == "File too large", said.stderr
    assert file.read_text() == "one"
    assert names(tmp_path) == {"a.txt"}


def killed(code: str, *arguments: object) -> None:
    """Run code that ends with being killed."""
    code += "\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code, *map(str, arguments)]).returncode == -signal.SIGKILL


BEGUN = "import sys; from pathlib import Path; from lts.system.files import Draft; d = Draft(Path(sys.argv[1]))"


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    for _ in range(3):
        killed(BEGUN + "; d.file.write(b'x' * 100_000); d.file.flush()", file)
    (tmp_path / ".a.txt.4711.tmp").write_text("of an earlier version")
    foreign = {".b.txt.1.tmp", ".a.txt.tmp", ".a.txt.x.tmp", "a.txt.1.tmp", ".a.txt.1.tmp.old"}
    for name in foreign:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".a.txt.9.tmp").symlink_to(tmp_path / ".b.txt.1.tmp")
    (tmp_path / ".a.txt.8.tmp").mkdir()
    replace_file(file, "whole")
    assert names(tmp_path) == foreign | {"a.txt", ".a.txt.9.tmp", ".a.txt.8.tmp"}


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    drafts = [Draft(tmp_path / "a.txt") for _ in range(3)]
    assert len(names(tmp_path)) == 3
    remove_abandoned(tmp_path / "a.txt")
    assert len(names(tmp_path)) == 3
    for i, draft in enumerate(drafts):
        draft.file.write(b"%d" % i)
        draft.finish()
        draft.discard()
        draft.discard()
    assert (tmp_path / "a.txt").read_text() == "2"
    assert names(tmp_path) == {"a.txt"}


@pytest.mark.parametrize("formats", [("onnx",), ("hf",), ("json",)])
def test_what_killed_exports_left_goes_with_the_next(tmp_path: Path, formats: tuple[str, ...]) -> None:
    code = """
import sys, os, signal
import lts, lts.export.files as files
from lts.system.files import Draft
Draft.finish = lambda draft, **_: os.kill(os.getpid(), signal.SIGKILL)
files.export(lts.Architecture("gpt2", 512, 256, 64, n_head=[2, 4], d_ff=[64, 256]), sys.argv[1], ("onnx", "hf", "json"))
"""
    for _ in range(2):
        killed(code, tmp_path)
    assert len(names(tmp_path)) >= 6
    (tmp_path / ".notes.txt.12.tmp").write_text("mine")
    written = export(ARCHITECTURE, tmp_path, formats)
    assert names(tmp_path) == {path.name for path in written} | {".notes.txt.12.tmp", "manifest.json"}


def test_what_cannot_be_written_is_said_before(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "a.toml"):
        with pytest.raises(OSError, match="directory"):
            check_writable(path)
    check_writable(tmp_path / "a.toml")
    assert names(tmp_path) == set()


def test_a_profile_that_cannot_be_written_is_printed(tmp_path: Path) -> None:
    detect = [sys.executable, "-m", "lts", "target", "detect", "-f"]
    done = subprocess.run([*detect, tmp_path / "missing" / "my.toml"], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'name = "my"' in done.stdout
    assert "the profile is on stdout" in done.stderr
    done = subprocess.run([*detect, tmp_path / "my.toml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == {"my.toml"}
    done = subprocess.run([*detect, tmp_path / "a:b.toml"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "files and folders are called after it" in done.stderr


def test_directories_are_made_or_told(tmp_path: Path) -> None:
    make_directory(tmp_path / "new" / "er")
    make_directory(tmp_path / "new" / "er")
    assert (tmp_path / "new" / "er").is_dir()
    (tmp_path / "file").write_text("kept")
    for place in (tmp_path / "file", tmp_path / "file" / "er"):
        with pytest.raises(UsageError, match=r"cannot create the directory .*file"):
            make_directory(place)


# --- Held by one at a time ---

HOLDER = """
import sys; from pathlib import Path; from lts.system.files import exclusive, replace_file
path = Path(sys.argv[1])
for _ in range(100):
    with exclusive(path):
        n = int(path.read_text() or 0)
        replace_file(path, str(n + 1))
"""


@pytest.mark.alone
def test_a_held_file_may_be_replaced(tmp_path: Path) -> None:
    file = tmp_path / "counter"
    holders = [subprocess.Popen([sys.executable, "-c", HOLDER, file], stderr=subprocess.PIPE) for _ in range(4)]
    for holder in holders:
        _, said = holder.communicate()
        assert holder.returncode == 0, said
    assert file.read_text() == "400"
    assert names(tmp_path) == {"counter"}


def test_a_file_that_was_made_to_be_held_goes_when_it_stays_empty(tmp_path: Path) -> None:
    with exclusive(tmp_path / "new"):
        assert (tmp_path / "new").read_bytes() == b""
    assert names(tmp_path) == set()
    (tmp_path / "empty").touch()
    with exclusive(tmp_path / "empty"):
        pass
    with exclusive(tmp_path / "full"):
        replace_file(tmp_path / "full", "x")
    assert names(tmp_path) == {"empty", "full"}
    with exclusive(tmp_path / "full"):
        (tmp_path / "full").unlink()
    assert names(tmp_path) == {"empty"}
