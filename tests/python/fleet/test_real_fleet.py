"""A fleet of this machine in three ways: in float32, in int8 on two threads, and over ssh with TVM. One of them goes
away in the middle, and the search itself is killed again and again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import run
from sshd import Sshd

from lts.errors import UsageError
from lts.fleet.stored import read_stored_fleet
from lts.measure.trial import Trial
from lts.study.stored import read_study

pytestmark = [pytest.mark.slow, pytest.mark.alone]

TRIALS = 6
KILLS = 4
_FILE = """
[[device]]
name = "plain"
device = "local"

[[device]]
name = "small"
device = "local"
precision = "int8"
threads = 2

[[device]]
name = "board"
device = "{board}"
backend = "tvm"
"""


def complete(folder: Path, name: str) -> list[Trial]:
    """What a device has measured so far."""
    with contextlib.suppress(UsageError):  # it has not begun
        return [trial for trial in read_study(folder / name / "study.db").trials if trial.state == "complete"]
    return []


def test_a_device_goes_away_and_the_search_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnxruntime", "tvm"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    server = Sshd(tmp_path / "sshd")
    monkeypatch.setenv("LTS_SSH", server.command)
    (tmp_path / "fleet.toml").write_text(_FILE.format(board=f"{server.uri}?python={sys.executable}"))
    folder = tmp_path / "out"
    command = ("search", "gpt2-tiny", "--fleet", "fleet.toml", "--trials", TRIALS, "--n-prompt", 16, "--n-gen", 2)
    command += ("--no-confirm", "-O", "out")

    def begun() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lts", *map(str, command)],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    try:
        search = begun()
        while search.poll() is None and not complete(folder, "board"):
            time.sleep(0.1)
        server.stop()
        _, said = search.communicate()
        assert search.returncode == 3, said
        assert "board" in said
        assert [len(complete(folder, name)) for name in ("plain", "small")] == [TRIALS, TRIALS]
        known = {name: complete(folder, name) for name in ("plain", "small", "board")}
        assert 1 <= len(known["board"]) < TRIALS

        server.start()
        for kill in range(KILLS):
            search = begun()
            with contextlib.suppress(subprocess.TimeoutExpired):
                search.wait(1 + kill * 2 % 7)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(search.pid, signal.SIGKILL)
            search.communicate()
            for name, trials in known.items():
                assert complete(folder, name)[: len(trials)] == trials  # nothing is lost or measured again
                known[name] = complete(folder, name)
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    finally:
        server.stop()
    for name, trials in known.items():
        found = complete(folder, name)
        assert found[: len(trials)] == trials
        assert len(found) == len({trial.architecture for trial in found}) == TRIALS
    fleet = read_stored_fleet(folder)
    first = [{trial.architecture for trial in study.trials} for study in fleet.studies.values()]
    assert len(set.intersection(*first)) >= 3  # of one design
    assert run("front", "out", cwd=tmp_path).returncode == 0
