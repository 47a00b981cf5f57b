"""Meters of energy, of machines that are made up: folders like /sys, and a library that is called like NVIDIA's."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from fake_sensors import RANGE, chip, moving, package, put, taking

from lts.system.energy import ROOT_VARIABLE, open_meter, why_none
from lts.system.meter import Meter, NoEnergyError
from lts.system.nvml import open_nvml


def opened(root: Path) -> Meter:
    found = open_meter(root)
    assert isinstance(found, Meter), found
    return found


def refused(root: Path) -> str:
    found = open_meter(root)
    assert isinstance(found, str)
    assert found.isprintable()
    assert found
    return found


def energy(meter: Meter, changes: dict[Path, object]) -> float:
    """What a meter says after these files have changed, in mJ."""
    meter.start()
    for file, content in changes.items():
        put(file, content)
    return meter.stop()


def test_a_machine_without_sensors_says_where_was_looked(tmp_path: Path) -> None:
    reason = refused(tmp_path)
    assert f"{tmp_path}/sys/class/powercap has no package of RAPL" in reason
    assert f"{tmp_path}/sys/class/hwmon no sensor of the board's power" in reason


def test_the_root_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    assert str(tmp_path) in str(open_meter())
    assert str(tmp_path) in why_none()
    package(tmp_path)
    found = open_meter()
    assert isinstance(found, Meter)
    assert found.name == "rapl package-0"
    assert why_none() == ""


# RAPL


def test_a_package(tmp_path: Path) -> None:
    counter = package(tmp_path, uj=1_000)
    meter = opened(tmp_path)
    assert meter.name == "rapl package-0"
    assert energy(meter, {counter: 3_500}) == 2.5
    assert energy(meter, {counter: 3_501}) == 0.001, "from where it is when it starts"


def test_a_counter_that_begins_again(tmp_path: Path) -> None:
    counter = package(tmp_path, uj=RANGE - 400)
    assert energy(opened(tmp_path), {counter: 600}) == 1.0


def test_packages_are_summed_and_their_parts_are_not(tmp_path: Path) -> None:
    first, second = package(tmp_path), package(tmp_path, "intel-rapl:1", "package-1", RANGE - 1)
    others = [
        package(tmp_path, "intel-rapl:0:0", "core"),
        package(tmp_path, "intel-rapl:0:1", "dram"),
        package(tmp_path, "intel-rapl:2", "psys"),
        package(tmp_path, "intel-rapl-mmio:0", "package-0"),
    ]
    meter = opened(tmp_path)
    assert meter.name == "rapl package-0 + package-1"
    assert energy(meter, {first: 3000, second: 2999, **dict.fromkeys(others, 100_000)}) == 2.0 + 3.0


def test_parts_alone_are_no_package(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0:0", "core")
    package(tmp_path, "intel-rapl:1", "psys")
    assert "has no package of RAPL" in refused(tmp_path)


def test_dies_are_packages_and_amd_may_call_its_own_so(tmp_path: Path) -> None:
    package(tmp_path, "amd-rapl:0", "package-0-die-1")
    assert opened(tmp_path).name == "rapl package-0-die-1"


def test_a_counter_that_stands_still(tmp_path: Path) -> None:
    first, second = package(tmp_path), package(tmp_path, "intel-rapl:1", "package-1")
    with pytest.raises(NoEnergyError, match=r"the counter .*intel-rapl:0/energy_uj stood still"):
        energy(opened(tmp_path), {})
    with pytest.raises(NoEnergyError, match=r"the counter .*intel-rapl:1/energy_uj stood still"):
        energy(opened(tmp_path), {first: 2000, second: 1000})


WRONG = ["", "-5", "1.5", "1e9", "nan", "energy", "9" * 20, "9" * 5000, "1 2", "0x10", "٣", "\x1b[2J", "12\x0034"]


@pytest.mark.parametrize("content", WRONG, ids=range(len(WRONG)))
def test_what_is_no_amount(tmp_path: Path, content: str) -> None:
    counter = package(tmp_path)
    meter = opened(tmp_path)
    with pytest.raises(NoEnergyError, match=r"which is no amount|more than its range") as raised:
        energy(meter, {counter: content})
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300 + len(str(counter))
    assert "which is no amount" in refused(tmp_path)


def test_more_than_its_range(tmp_path: Path) -> None:
    counter = package(tmp_path, uj=RANGE + 1)
    assert f"energy_uj says {RANGE + 1}, more than its range of {RANGE}" in refused(tmp_path)
    put(counter, RANGE)
    assert opened(tmp_path)


def test_without_a_range_it_must_not_go_back(tmp_path: Path) -> None:
    counter = package(tmp_path, uj=5000)
    put(counter.with_name("max_energy_range_uj"), "unlimited")
    assert energy(opened(tmp_path), {counter: 6000}) == 1.0
    with pytest.raises(NoEnergyError, match="went back from 6000 to 5999"):
        energy(opened(tmp_path), {counter: 5999})


def test_more_than_any_machine_takes(tmp_path: Path) -> None:
    counter = package(tmp_path)
    with pytest.raises(NoEnergyError, match=r"rapl package-0 says 2e\+05 J in .* s, which no machine takes"):
        energy(opened(tmp_path), {counter: 200_000_000_000})


def test_a_counter_that_is_gone(tmp_path: Path) -> None:
    counter = package(tmp_path)
    meter = opened(tmp_path)
    counter.unlink()
    with pytest.raises(NoEnergyError, match="energy_uj cannot be read: No such file or directory"):
        energy(meter, {})
    assert "energy_uj cannot be read: No such file or directory" in refused(tmp_path)


def test_a_counter_of_root_says_how_to_read_it() -> None:
    """As another user than root, whom no permissions stop."""
    with tempfile.TemporaryDirectory(prefix="lts-energy-") as name:
        root = Path(name)
        package(root).chmod(stat.S_IRUSR)
        for folder in (root, *(f for f in root.rglob("*") if f.is_dir())):
            folder.chmod(0o755)
        if os.geteuid() == 0:
            command = "import os; os.setgid(65534); os.setuid(65534); "
        else:
            (root / "sys/class/powercap/intel-rapl:0/energy_uj").chmod(0)
            command = ""
        # Imported before the change of users, who may not read where the code is.
        code = (
            "import pathlib, sys; from lts.system.energy import open_meter; from lts.system import meter, rapl; "
            f"{command}print(open_meter(pathlib.Path(sys.argv[1])))"
        )
        done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        f"{name}/sys/class/powercap/intel-rapl:0/energy_uj can be read by root only; to allow it until the next start: "
        f"sudo chmod a+r {name}/sys/class/powercap/*-rapl:*/energy_uj"
    )


def test_what_cannot_be_read_does_not_hide_what_can(tmp_path: Path) -> None:
    package(tmp_path, uj="garbage")
    chip(tmp_path, name="ina226", power1_input=5_000_000)
    assert opened(tmp_path).name == "hwmon ina226 power1"


# Sensors of a board


def bracketed(meter: Meter, seconds: float = 0.2) -> tuple[float, float, float]:
    """Seconds that a meter ran at least, and at most, and what it said in J."""
    outer = time.perf_counter()
    meter.start()
    inner = time.perf_counter()
    time.sleep(seconds)
    within = time.perf_counter() - inner
    joules = meter.stop() / 1000
    return within, time.perf_counter() - outer, joules


def test_a_sensor_of_power_is_integrated(tmp_path: Path) -> None:
    chip(tmp_path, name="ina226", power1_input=5_000_000, update_interval=10)
    meter = opened(tmp_path)
    assert meter.name == "hwmon ina226 power1"
    assert meter.period == 0.01
    within, without, joules = bracketed(meter)
    assert 5 * within <= joules <= 5 * without


@pytest.mark.alone
def test_power_that_changes(tmp_path: Path) -> None:
    """2 W, and 8 W from a moment on, which is known to within the pause between two readings."""
    folder = chip(tmp_path, name="ina226", power1_input=2_000_000, update_interval=10)
    meter = opened(tmp_path)
    meter.start()
    begun = time.perf_counter()
    time.sleep(0.1)
    put(folder / "power1_input", 8_000_000)
    changed = time.perf_counter()
    time.sleep(0.1)
    ended = time.perf_counter()
    joules = meter.stop() / 1000
    low, high = 2 * (changed - begun) + 8 * (ended - changed), 8 * (time.perf_counter() - begun)
    assert low - 6 * 0.05 <= joules < high - 6 * 0.02, "neither of the two powers all the time"


@pytest.mark.alone
def test_a_clock_moves_the_sensor(tmp_path: Path) -> None:
    """A ramp from 1 W by 20 W in a second: its integral is that of the ramp."""
    folder = chip(tmp_path, name="ina226", power1_input=1_000_000, update_interval=4)
    meter = opened(tmp_path)
    with moving(lambda s: put(folder / "power1_input", 1_000_000 + int(20e6 * s)) and None):
        within, without, joules = bracketed(meter, 0.5)
    assert within + 10 * within**2 - 0.5 <= joules <= without + 10 * (without + 0.1) ** 2 + 0.5


def test_volts_and_amperes(tmp_path: Path) -> None:
    """A rail of 5 V at 400 mA is 2 W; the second one is not connected, the third is switched off."""
    chip(
        tmp_path,
        in1_label="VDD_CPU",
        in1_input=5000,
        curr1_input=400,
        in2_label="NC",
        in2_input=5000,
        curr2_input=100,
        in3_label="VDD_SOC",
        in3_input=5000,
        curr3_input=100,
        in3_enable=0,
        in4_input=8,
        update_interval=10,
    )
    meter = opened(tmp_path)
    assert meter.name == "hwmon ina3221 VDD_CPU"
    within, without, joules = bracketed(meter)
    assert 2 * within <= joules <= 2 * without


def test_the_board_comes_before_its_parts(tmp_path: Path) -> None:
    rails = {"in1_input": 5000, "curr1_input": 1000, "in2_input": 5000, "curr2_input": 400}
    chip(tmp_path, 1, "ina3221", **rails, in1_label="VDD_CPU_GPU_CV", in2_label="VDD_SOC")
    assert opened(tmp_path).name == "hwmon ina3221 VDD_CPU_GPU_CV + ina3221 VDD_SOC"
    chip(tmp_path, 2, "ina3221", in1_input=5000, curr1_input=2000, in1_label="VDD_IN", update_interval=10)
    meter = opened(tmp_path)
    assert meter.name == "hwmon ina3221 VDD_IN"
    within, without, joules = bracketed(meter)
    assert 10 * within <= joules <= 10 * without


def test_rails_are_summed(tmp_path: Path) -> None:
    chip(tmp_path, 1, "ina226", power1_input=1_500_000, in1_input=5000, curr1_input=99_000, update_interval=10)
    chip(tmp_path, 2, "ina219", power1_input=2_500_000, update_interval=20)
    meter = opened(tmp_path)
    assert meter.name == "hwmon ina226 power1 + ina219 power1"
    assert meter.period == 0.02, "that of the slower one"
    within, without, joules = bracketed(meter)
    assert 4 * within <= joules <= 4 * without


def test_counters_of_a_board(tmp_path: Path) -> None:
    """Sockets of AMD's driver, in which the cores are; counters come before sensors of power."""
    chip(tmp_path, 0, "ina226", power1_input=5_000_000)
    sockets = {"energy1_label": "Ecore000", "energy1_input": 10, "energy2_label": "Esocket0", "energy2_input": 1000}
    folder = chip(tmp_path, 1, "amd_energy", **sockets, energy3_label="Esocket1", energy3_input=1000)
    meter = opened(tmp_path)
    assert meter.name == "hwmon amd_energy Esocket0 + amd_energy Esocket1"
    said = energy(
        meter, {folder / "energy2_input": 3000, folder / "energy3_input": 4000, folder / "energy1_input": 999}
    )
    assert said == 5.0
    with pytest.raises(NoEnergyError, match="went back"):
        energy(meter, {folder / "energy2_input": 10, folder / "energy3_input": 9000})


def test_an_average_of_the_whole_machine(tmp_path: Path) -> None:
    chip(tmp_path, name="power_meter", power1_average=120_000_000, power1_average_interval=1000)
    meter = opened(tmp_path)
    assert (meter.name, meter.period) == ("hwmon power_meter power1", 1.0)
    assert meter.least_seconds == 6.0, "twenty seconds for every run of a model are too many"


@pytest.mark.parametrize("name", ["amdgpu", "BAT0", "nvme", "ucsi_source_psy_USBC000:001", "corsairpsu", ""])
def test_what_is_no_sensor_of_the_board(tmp_path: Path, name: str) -> None:
    chip(tmp_path, name=name, power1_input=5_000_000, in0_input=20_000, curr0_input=1000)
    chip(tmp_path, 1, name=name, in1_input=20_000, curr1_input=1000)
    assert "no sensor of the board's power" in refused(tmp_path)


@pytest.mark.parametrize("content", [*WRONG, "9" * 18])
def test_a_sensor_of_power_that_says_nonsense(tmp_path: Path, content: str) -> None:
    folder = chip(tmp_path, name="ina226", power1_input=5_000_000, update_interval=10)
    meter = opened(tmp_path)
    meter.start()
    put(folder / "power1_input", content)
    time.sleep(0.1)
    with pytest.raises(NoEnergyError, match=r"which is no amount|which no machine takes"):
        meter.stop()
    put(folder / "power1_input", 5_000_000)
    assert bracketed(meter)[2] > 0, "works again"


def test_no_power_at_all(tmp_path: Path) -> None:
    chip(tmp_path, name="ina226", power1_input=0, update_interval=10)
    with pytest.raises(NoEnergyError, match="hwmon ina226 power1 says that no energy was taken"):
        bracketed(opened(tmp_path))


def test_too_few_readings(tmp_path: Path) -> None:
    chip(tmp_path, name="ina226", power1_input=5_000_000, update_interval=200)
    meter = opened(tmp_path)
    assert meter.least_seconds == 4.0
    with pytest.raises(NoEnergyError, match=r"was read [234] times only in .* s"):
        bracketed(meter, 0.05)


@pytest.mark.parametrize("interval", ["0", "-1", "fast", "99999999999", "1"])
def test_an_interval_that_cannot_be_is_not_believed(tmp_path: Path, interval: str) -> None:
    chip(tmp_path, name="ina226", power1_input=5_000_000, update_interval=interval)
    assert opened(tmp_path).period == 0.1


def test_labels_are_made_fit_to_be_shown(tmp_path: Path) -> None:
    chip(tmp_path, name="ina226", power1_input=5_000_000, power1_label="\x1b[2J" + "x" * 500)
    name = opened(tmp_path).name
    assert name.isprintable()
    assert len(name) < 100


# NVML

_NVML = r"""
#include <string.h>
static unsigned long long counters[] = {COUNTERS};
static int reads = 0;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (index != 3) return 2;
    *device = (void *)0x7fffdeadbeefULL;
    return 0;
}
int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    strncpy(name, "NVIDIA Imaginary\x1b[2J", length);
    return 0;
}
#ifndef OLD
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    if (device != (void *)0x7fffdeadbeefULL) return 2;
    *mj = counters[reads++];
    return 0;
}
#endif
const char *nvmlErrorString(int status) { return "Invalid Argument"; }
"""


def library(folder: Path, *counters: int, old: bool = False) -> str:
    """A library that is called like NVIDIA's, and whose counter says these numbers, one after another."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = folder / "nvml.c"
    source.write_text(_NVML.replace("COUNTERS", ", ".join(f"{n}ULL" for n in counters)))
    made = folder / f"libnvidia-ml-{len(list(folder.iterdir()))}.so"
    options = ["-DOLD"] if old else []
    subprocess.run([compiler, "-shared", "-fPIC", "-w", *options, "-o", made, source], check=True)
    return str(made)


def test_a_graphics_card(tmp_path: Path) -> None:
    beyond = 2**40  # 32 bits would not hold it
    meter = open_nvml(3, library(tmp_path, beyond, beyond, beyond + 25, beyond + 25, beyond + 25))
    assert isinstance(meter, Meter), meter
    assert meter.name == "nvml 3 NVIDIA Imaginary [2J"
    assert meter.least_seconds == 2.0
    meter.start()
    time.sleep(0.05)
    assert meter.stop() == 25.0
    meter.start()
    with pytest.raises(NoEnergyError, match=r"the counter of nvml 3 .* stood still"):
        meter.stop()


@pytest.mark.parametrize(("after", "reason"), [(4, "went back from 5 to 4"), (10**15, "which no machine takes")])
def test_a_card_that_says_nonsense(tmp_path: Path, after: int, reason: str) -> None:
    meter = open_nvml(3, library(tmp_path, 5, 5, after))
    assert isinstance(meter, Meter), meter
    meter.start()
    with pytest.raises(NoEnergyError, match=reason):
        meter.stop()


def test_why_a_card_has_no_meter(tmp_path: Path) -> None:
    assert open_nvml(0, str(tmp_path / "absent.so")) == (
        f"there is no {tmp_path}/absent.so, which comes with NVIDIA's driver"
    )
    assert open_nvml(0, library(tmp_path, 1)) == (
        "nvmlDeviceGetHandleByIndex_v2 of libnvidia-ml.so.1 says: Invalid Argument"
    )
    assert "has no nvmlDeviceGetTotalEnergyConsumption: the driver is too old" in str(
        open_nvml(3, library(tmp_path, 1, old=True))
    )


def test_a_target_that_is_a_card_asks_nvml() -> None:
    found = open_meter(kind="gpu", index=99)
    assert isinstance(found, str), "no machine has a hundred cards"
    assert "libnvidia-ml" in found


@pytest.mark.alone
def test_a_counter_that_rises_all_the_time(tmp_path: Path) -> None:
    """A counter that rises by 40 W all the time."""
    counter = package(tmp_path)
    with taking(counter, 40):
        time.sleep(0.05)
        within, without, joules = bracketed(opened(tmp_path), 0.3)
    assert 40 * (within - 0.1) <= joules <= 40 * (without + 0.1)
