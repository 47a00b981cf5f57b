"""The energy of a call: of functions that move the counter themselves, so that each takes a known amount."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fake_sensors import chip, package, put

from lts.backends.metering import energy_of
from lts.system.energy import ROOT_VARIABLE, open_meter
from lts.system.meter import Meter


class Caller:
    """Takes so many µJ in every call."""

    def __init__(self, counter: Path, uj: int, pause: float = 0.001) -> None:
        self.counter, self.uj, self.pause = counter, uj, pause
        self.total = int(counter.read_text())
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self.total += self.uj
        put(self.counter, self.total)
        time.sleep(self.pause)


def opened(root: Path) -> Meter:
    found = open_meter(root)
    assert isinstance(found, Meter)
    return found


def test_each_call_takes_what_it_takes(tmp_path: Path) -> None:
    caller = Caller(package(tmp_path), 1234)
    found = energy_of(caller, 0.0, opened(tmp_path))
    assert found["energy_mj"] == pytest.approx(1.234, rel=1e-12), "however long a call was"
    assert found["meter"] == "rapl package-0"
    assert caller.calls >= 2
    assert 0 < found["energy_error"] <= 0.01, "at least a hundred periods of RAPL"


def test_a_slow_call_is_measured_once(tmp_path: Path) -> None:
    caller = Caller(package(tmp_path), 5000, pause=0.15)
    assert energy_of(caller, 0.1, opened(tmp_path))["energy_mj"] == 5.0
    assert caller.calls == 1


def test_a_slow_meter_takes_more_calls(tmp_path: Path) -> None:
    folder = chip(tmp_path, name="ina226", energy1_input=1000, update_interval=20)
    caller = Caller(folder / "energy1_input", 700, pause=0.01)
    found = energy_of(caller, 0.0, opened(tmp_path))
    assert found["energy_mj"] == pytest.approx(0.7, rel=1e-12)
    assert found["energy_error"] <= 1 / 20


def test_the_meter_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    assert energy_of(lambda: None, 0.0)["warnings"][0].startswith(f"no energy: {tmp_path}/sys/class/powercap has no")
    assert energy_of(Caller(package(tmp_path), 50), 0.0)["energy_mj"] == pytest.approx(0.05, rel=1e-12)


@pytest.mark.parametrize("change", ["nothing", "garbage", "backwards", "huge"])
def test_never_zero_but_a_reason(tmp_path: Path, change: str) -> None:
    counter = package(tmp_path, uj=5000)
    put(counter.with_name("max_energy_range_uj"), "unknown")
    content: Any = {"nothing": 5000, "garbage": "x", "backwards": 4000, "huge": 10**18}[change]
    found = energy_of(lambda: put(counter, content), 0.0, opened(tmp_path))
    assert set(found) == {"warnings"}
    (warning,) = found["warnings"]
    assert warning.startswith("no energy: ")
    reasons = {"nothing": "stood still", "garbage": "no amount", "backwards": "went back", "huge": "no machine takes"}
    assert reasons[change] in warning


def test_what_fails_fails(tmp_path: Path) -> None:
    package(tmp_path)
    with pytest.raises(ZeroDivisionError):
        energy_of(lambda: 1 / 0, 0.0, opened(tmp_path))
