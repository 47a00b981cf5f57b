"""RAPL: counters of energy in processors of Intel and AMD, as the kernel's power capping framework shows them.

https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lts.system import machine
from lts.system.meter import Counter, CounterMeter, Meter, NoEnergyError, whole_number

FOLDER = "sys/class/powercap"

# A domain, of which cores and memory are parts with one number more, as in intel-rapl:0:0. The kernel calls AMD's
# domains intel-rapl, too. What is called intel-rapl-mmio shows the same packages a second time.
_DOMAIN = re.compile(r"(intel|amd)-rapl:\d+")
# Not psys, which is the whole platform and has the packages in it.
_PACKAGE = re.compile(r"package-\d+(-die-\d+)?")
# The processor adds to its counters about every millisecond (Intel, Software Developer's Manual, volume 3, 15.10).
_PERIOD = 0.001


def open_rapl(root: Path) -> Meter | str:
    """A meter of all packages together, or why they cannot be read; empty where there are none.

    The memory of the machine is none of it, except where a processor counts it with its package.
    """
    folder = root / FOLDER
    domains = sorted(each for each in folder.glob("*-rapl:*") if _DOMAIN.fullmatch(each.name))
    packages = {each: name for each in domains if _PACKAGE.fullmatch(name := machine.read(each / "name"))}
    if not packages:
        return ""
    counters = [Counter(package / "energy_uj", _range(package)) for package in packages]
    for counter in counters:
        if counter.file.exists() and not os.access(counter.file, os.R_OK):
            return (
                f"{counter.file} can be read by root only; to allow it until the next start: "
                f"sudo chmod a+r {folder}/*-rapl:*/energy_uj"
            )
    try:
        return CounterMeter(f"rapl {' + '.join(packages.values())}", counters, _PERIOD)
    except NoEnergyError as error:
        return str(error)


def _range(package: Path) -> int | None:
    """What a counter begins again after, in µJ."""
    try:
        return whole_number(package / "max_energy_range_uj") or None
    except NoEnergyError:
        return None
