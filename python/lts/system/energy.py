"""The meter of energy of a machine, or why there is none."""

from __future__ import annotations

import os
from pathlib import Path

from lts.system import machine, power_sensors, rapl
from lts.system.meter import Meter
from lts.system.nvml import open_nvml

ROOT_VARIABLE = "LTS_ENERGY_ROOT"
"""The environment variable with the root of the file system whose /sys is read: containers that are shown no sensors
may have the machine's mounted elsewhere."""


def open_meter(root: Path | None = None, *, kind: str = "cpu", index: int = 0) -> Meter | str:
    """What counts the energy of this machine's packages or board, or of a graphics card; else why nothing does.

    RAPL comes first, then what counts or measures for the board; all count the whole package, board or card.

    Parameters
    ----------
    root
        Root of the file system that /sys is read from, by default that of ``LTS_ENERGY_ROOT``, or ``/``.
    kind
        ``cpu`` or ``gpu``, as of a target.
    index
        Number of the graphics card.

    Returns
    -------
    Meter or str
        The reason is one sentence without its stop: what was looked at, and what would help.
    """
    if kind == "gpu":
        return open_nvml(index)
    root = Path(os.environ.get(ROOT_VARIABLE) or machine.ROOT) if root is None else root
    reasons = []
    for open_one in (rapl.open_rapl, power_sensors.open_power_sensors):
        found = open_one(root)
        if isinstance(found, Meter):
            return found
        reasons.append(found)
    return next(filter(None, reasons), "") or (
        f"{root / rapl.FOLDER} has no package of RAPL, and {root / power_sensors.FOLDER} no sensor of the board's "
        "power; virtual machines and containers are mostly shown neither"
    )


def why_none() -> str:
    """Why this machine has no meter; empty where it has one. For a worker process on another machine."""
    found = open_meter()
    return found if isinstance(found, str) else ""
