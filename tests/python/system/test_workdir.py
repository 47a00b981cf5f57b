"""Work directories: gone when closed, and when their process was killed, with the next one."""

from __future__ import annotations

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


def test_a_missing_parent_is_one_sentence(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent / "missing"))
    with pytest.raises(UsageError, match="set TMPDIR"):
        WorkDirectory()
