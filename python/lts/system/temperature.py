"""How hot this machine is."""

from __future__ import annotations

from pathlib import Path

from lts.system import machine

# Thermal zones and sensors of processors, by the beginning of what the kernel calls them.
_ZONES = ("x86_pkg_temp", "cpu", "soc", "TCPU")
_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu")
_LEAST, _MOST = -50.0, 200.0


def celsius(root: Path = machine.ROOT) -> float | None:
    """The temperature of the hottest part of the processor, in degrees Celsius; None where the kernel says none."""
    files = [zone / "temp" for zone in (root / "sys/class/thermal").glob("thermal_zone*") if _is(zone / "type", _ZONES)]
    for sensor in (root / "sys/class/hwmon").glob("hwmon*"):
        if _is(sensor / "name", _SENSORS):
            files += sensor.glob("temp*_input")
    found = [degrees for file in files if (degrees := _degrees(file)) is not None]
    return max(found, default=None)


def _is(file: Path, names: tuple[str, ...]) -> bool:
    return machine.read(file).startswith(names)


def _degrees(file: Path) -> float | None:
    """The number in a file, which is thousandths of a degree; None where it cannot be one."""
    try:
        degrees = int(machine.read(file)[:20]) / 1000
    except ValueError:
        return None
    return degrees if _LEAST < degrees < _MOST else None
