"""What a device says of llama-bench and of itself over ssh, whatever it says."""

from __future__ import annotations

from typing import Any

import pytest

from lts.devices.ssh.address import Address
from lts.devices.ssh.connection import Answer
from lts.devices.ssh.facts import PROCESSORS, machine_of
from lts.devices.ssh.remote_program import RemoteProgram
from lts.errors import MeasurementError, UsageError


class Saying:
    """A connection to a device that answers so, by the last argument of a script."""

    address = Address("board")

    def __init__(self, **answers: str) -> None:
        self.machine = machine_of(b"Linux aarch64 64 gnu 4 /home/pi/.cache/lts-engine")
        self._answers = {name.replace("_", "/"): text for name, text in answers.items()}

    def call(self, script: str, *arguments: str) -> Answer:
        if script == PROCESSORS:
            return Answer("0-3\ncpu0/topology/core_id:0\ncpu1/topology/core_id:1\n", "", 0)
        return Answer(self._answers.get(arguments[-1], ""), "", 0)


def program(**answers: str) -> RemoteProgram:
    connection: Any = Saying(**answers)
    return RemoteProgram(connection, None)  # type: ignore[arg-type]


def test_where_it_is() -> None:
    connection: Any = Saying()
    connection._answers = {"": "/usr/bin/llama-bench\nversion: 4711 (abc)\n", "~/x": "/home/pi/x\n"}
    there = RemoteProgram(connection, None)  # type: ignore[arg-type]
    assert there.find(None) == ("/usr/bin/llama-bench", "4711 (abc)")
    assert there.find("~/x") == ("/home/pi/x", "unknown")


@pytest.mark.parametrize("said", ["", "\n", "llama-bench\n", "bin/llama-bench\n", f"/{'x' * 5000}\n", "/a\x1b[31m\n"])
def test_it_is_nowhere(said: str) -> None:
    connection: Any = Saying()
    connection._answers = {"": said, "mine": said}
    there = RemoteProgram(connection, None)  # type: ignore[arg-type]
    with pytest.raises(MeasurementError, match=r"is not found on board: .*ssh://board\?llama-bench=PATH"):
        there.find(None)
    with pytest.raises(UsageError, match="mine is no program on board; expected the path of llama-bench there"):
        there.find("mine")


def test_what_the_board_is() -> None:
    found = program(
        _proc_cpuinfo="CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n",
        _proc_meminfo="MemTotal:  8192000 kB\n",
        _proc_sys_kernel_osrelease="6.6.1-rpi\n",
    ).environment()
    assert found == {
        "cpu": "cortex-a76",
        "cores": 4,
        "governor": "",
        "memory_mib": 8000,
        "triple": "aarch64-linux-gnu",
        "kernel": "6.6.1-rpi",
    }
    assert program().environment()["cpu"] == "unknown"


@pytest.mark.parametrize(
    ("cpuinfo", "meminfo"),
    [
        ("CPU implementer\t: 0x41\nCPU part\t: zz\n", ""),
        (f"model name\t: {'x' * 5000}\n", ""),
        ("", f"MemTotal: {'9' * 30} kB\n"),
    ],
)
def test_what_cannot_be_right(cpuinfo: str, meminfo: str) -> None:
    with pytest.raises(MeasurementError, match="board: the device's answer is wrong"):
        program(_proc_cpuinfo=cpuinfo, _proc_meminfo=meminfo).environment()
