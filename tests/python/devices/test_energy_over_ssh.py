"""Energy on a device over ssh: the interpreter there says what it is measured by, or why it is not."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_sensors import package, put, taking
from sshd import Sshd

from lts.backends.onnxruntime import OnnxRuntime
from lts.devices.ssh.ssh import SshDevice
from lts.errors import UsageError
from lts.measure.candidate import measure
from lts.measure.costs import check_costs
from lts.spaces.space import load_space
from lts.system.energy import ROOT_VARIABLE
from lts.targets.target import detect_target
from lts.targets.workload import Workload

pytestmark = pytest.mark.alone  # a thread of this process is the clock of the counter


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a board whose sensors are below `tmp_path / "board"`."""
    running = Sshd(tmp_path / "sshd")
    monkeypatch.setenv("LTS_SSH", running.command)
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "here"))
    python = put(
        tmp_path / "python",
        f'#!/bin/sh\nexport {ROOT_VARIABLE}={shlex.quote(str(tmp_path / "board"))}\nexec {sys.executable} "$@"',
    )
    python.chmod(0o755)
    yield f"{running.uri}?python={python}"
    running.stop()


def test_a_board_with_a_meter(board: str, tmp_path: Path) -> None:
    counter = package(tmp_path / "board")
    with SshDevice.from_uri(board) as device:
        assert device.costs[-2:] == ("prefill_energy_mj", "decode_energy_mj_per_token")
        assert device.no_energy == ""
        assert device.environment(1)["energy"] == "rapl package-0"
        (architecture,) = load_space("gpt2-tiny").sample(1, 0)
        target, workload = detect_target(), Workload(16, n_gen=0)
        with taking(counter, 30):
            found = measure(
                architecture, target, device, OnnxRuntime(), costs=["energy_mj"], workload=workload, min_time=0.05
            )
    assert found.error is None
    assert found.values["energy_mj"] == found.values["prefill_energy_mj"] > 0
    assert found.provenance["energy_mj"] == "measured"


def test_a_board_without_one_says_why(board: str, tmp_path: Path) -> None:
    package(tmp_path / "here")  # what this machine has does not matter
    with SshDevice.from_uri(board) as device:
        assert "prefill_energy_mj" not in device.costs
        assert "energy" not in device.environment(1)
        with pytest.raises(UsageError, match=rf"no energy: .*: {tmp_path}/board/sys/class/powercap has no package"):
            check_costs(device, OnnxRuntime(), ["prefill_energy_mj"])


def test_without_an_interpreter_nobody_is_asked() -> None:
    with SshDevice("board.invalid") as device:
        assert device.costs == ("latency_ms", "decode_ms_per_token", "peak_memory_mib")
        assert "python=PATH" in device.no_energy
