"""Sensors of the power or energy of a board, as Linux' hwmon shows them: INA226, INA3221, ACPI power meters and others.

https://docs.kernel.org/hwmon/sysfs-interface.html
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lts.system import machine
from lts.system.meter import Counter, CounterMeter, Meter, NoEnergyError, plausible, whole_number
from lts.system.outside import sentence

FOLDER = "sys/class/hwmon"

# What measures boards and processors. Others that say a power are those of graphics cards, batteries and chargers.
_BOARD = re.compile(
    r"ina\d{3,4}x?|ina2xx|ltc294\d|ltc4282|isl28022|sy24655|amd_energy|power_meter|sc[mp]i_sensors|ibmpowernv|macsmc_hwmon"
)
# What the sensor is called that has all others in it.
_TOTAL = re.compile(r"vdd_in|pom_5v_in|sys|system|board|total|(total )?system power|total power", re.IGNORECASE)
# Not connected; or a part of what another sensor of the same chip counts.
_LEFT_OUT = re.compile(r"nc|ecore\d+", re.IGNORECASE)
_FILE = re.compile(r"(energy|power|in)(\d{1,3})_(input|average)")
# Seconds, where the chip does not say how often it measures, and what it may say.
_PERIOD, _SHORTEST, _LONGEST = 0.1, 0.002, 10.0
# A sensor is read so often in its period, within these bounds in seconds; with fewer readings, nothing is known.
_READINGS, _FASTEST, _SLOWEST = 2, 0.005, 0.1
_FEWEST = 5


@dataclass(frozen=True)
class Rail:
    """A sensor of one rail: files whose product is µW (power in µW, or mV and mA), or one that counts µJ."""

    chip: str
    label: str
    files: tuple[Path, ...]
    period: float
    counts: bool

    def microwatts(self) -> int:
        """The power now. Raises `NoEnergyError` when the files hold no such numbers."""
        value = 1
        for file in self.files:
            value *= whole_number(file)
        return value


class PowerMeter(Meter):
    """The sum of sensors of power, read by a thread again and again and integrated by the trapezoidal rule."""

    def __init__(self, name: str, rails: Sequence[Rail]) -> None:
        self.name = name
        self.period = max(rail.period for rail in rails)
        self._rails = tuple(rails)
        self._pause = min(max(self.period / _READINGS, _FASTEST), _SLOWEST)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._readings: list[tuple[float, int]] = []
        self._error: NoEnergyError | None = None
        self._read()

    def start(self) -> None:
        self._readings, self._error = [], None
        self._ended.clear()
        self._read()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        assert self._thread is not None, "start comes first"
        self._ended.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        self._read()
        readings = self._readings
        seconds = readings[-1][0] - readings[0][0]
        if len(readings) < _FEWEST:
            raise NoEnergyError(f"{self.name} was read {len(readings)} times only in {seconds:.3g} s")
        uj = sum((after - before) * (one + other) / 2 for (before, one), (after, other) in pairwise(readings))
        return plausible(uj / 1000, seconds, self.name)

    def _watch(self) -> None:
        try:
            while not self._ended.wait(self._pause):
                self._read()
        except NoEnergyError as error:
            self._error = error

    def _read(self) -> None:
        power = sum(rail.microwatts() for rail in self._rails)
        self._readings.append((time.perf_counter(), power))


def open_power_sensors(root: Path) -> Meter | str:
    """A meter of the board, or why it cannot be read; empty where there is none.

    A sensor that is called after the whole board, such as ``VDD_IN``, comes before the sum of all others, and counters
    of energy before sensors of power.
    """
    rails = [rail for chip in sorted((root / FOLDER).glob("hwmon*")) for rail in _rails_of(chip)]
    total = [rail for rail in rails if _TOTAL.fullmatch(rail.label)]
    board = [rail for rail in rails if _BOARD.fullmatch(rail.chip) and not _LEFT_OUT.fullmatch(rail.label)]
    choices = [[rail for rail in some if rail.counts is counts] for some in (total, board) for counts in (True, False)]
    chosen = next(filter(None, choices), [])[: 1 if total else None]
    if not chosen:
        return ""
    name = f"hwmon {' + '.join(f'{rail.chip} {rail.label}' for rail in chosen)}"
    try:
        if not chosen[0].counts:
            return PowerMeter(name, chosen)
        return CounterMeter(name, [Counter(rail.files[0]) for rail in chosen], max(rail.period for rail in chosen))
    except NoEnergyError as error:
        return str(error)


def _rails_of(chip: Path) -> Iterator[Rail]:
    """The sensors of a chip; of a rail whose energy or power it says, the current is not looked at."""
    name = sentence(machine.read(chip / "name"), 40)
    found = sorted(chip.glob("*"))  # an average before what is measured now, which counts where there are both
    files = {(match[1], int(match[2])): file for file in found if (match := _FILE.fullmatch(file.name))}
    powers = any(kind != "in" for kind, _ in files)
    for (kind, number), file in sorted(files.items()):
        if machine.read(chip / f"{kind}{number}_enable") == "0":
            continue
        label = sentence(machine.read(chip / f"{kind}{number}_label"), 40) or f"{kind}{number}"
        period = _period(chip, chip / f"{kind}{number}_average_interval")
        current = chip / f"curr{number}_input"
        if kind != "in":
            yield Rail(name, label, (file,), period, kind == "energy")
        elif not powers and current.exists():
            yield Rail(name, label, (file, current), period, counts=False)


def _period(chip: Path, of_average: Path) -> float:
    """Seconds between two measurements of a chip."""
    for file in (chip / "update_interval", of_average):
        text = machine.read(file)
        if text.isdecimal() and len(text) < 8 and _SHORTEST <= int(text) / 1000 <= _LONGEST:
            return int(text) / 1000
    return _PERIOD
