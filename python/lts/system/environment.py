"""The machine and software that a measurement comes from, and doubts about its fitness for measuring."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from lts.system import machine
from lts.system.energy import open_meter
from lts.system.meter import Meter

_PACKAGES = {"lts": "lts-engine", "numpy": "numpy", "onnxruntime": "onnxruntime"}
# Less swap than this is left over from a past shortage, and harmless; more is worth a warning.
_SWAP_MIB = 64
METER = "energy"
"""The meter of energy in a fingerprint: its name, where there is one that can be read."""


def fingerprint(threads: int = 1, root: Path | None = None) -> dict[str, Any]:
    """What a measured time depends on besides the model, as JSON; nothing that changes from minute to minute.

    With the meter of energy, where there is one.

    Parameters
    ----------
    threads
        Threads that run the model.
    root
        Root of the file system that /proc and /sys are read from, by default ``/``; see `open_meter` for the meter.
    """
    meter = open_meter(root)
    root = root or machine.ROOT
    cpus = machine.allowed_cpus()
    return {
        "cpu": machine.cpu_model(root),
        "cores": machine.cores(cpus, root),
        "governor": machine.governor(root, cpus[0]),
        "memory_mib": machine.memory_mib(root),
        "triple": machine.triple(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **_versions(),
        "threads": threads,
        **({METER: meter.name} if isinstance(meter, Meter) else {}),
    }


def environment_hash(environment: Mapping[str, Any]) -> str:
    """The first eight hexadecimal digits of the SHA-256 of the environment's canonical JSON, without the meter.

    Whether a meter can be read changes with permissions, from one start of the machine to the next; times do not
    depend on it.
    """
    hashed = {key: fact for key, fact in environment.items() if key != METER}
    canonical = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def fitness_warnings(root: Path = machine.ROOT) -> list[str]:
    """One plain sentence for every reason to doubt times measured on this machine now; usually none."""
    found = (_busy(root), _governor(root), throttled(root), _on_battery(root), _swapping(root))
    return [sentence for sentence in found if sentence]


def throttled(root: Path = machine.ROOT) -> str:
    """A sentence when the processor is slowed down now, because of heat or its power supply; else empty."""
    for folder in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        state = machine.read(folder / "cur_state")
        if machine.read(folder / "type") == "Processor" and state.isdigit() and int(state) > 0:
            return "the processor is slowed down because it is hot; let it cool before measuring"
    # On a Raspberry Pi, bits 0 to 3 say what holds now: under-voltage, frequency cap, throttling, soft limit.
    flags = machine.read(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    try:
        now = int(flags, 16) & 0xF
    except ValueError:
        return ""
    if now & 1:
        return "the board reports under-voltage and slows its processor down; use a stronger power supply"
    return "the board slows its processor down because it is hot; let it cool before measuring" if now else ""


@functools.cache
def _versions() -> dict[str, str]:
    """Versions of the packages that matter, empty for one that is not installed."""
    versions = {}
    for name, distribution in _PACKAGES.items():
        try:
            versions[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            versions[name] = ""
    return versions


def _busy(root: Path) -> str:
    first = machine.read(root / "proc/loadavg").split(" ", 1)[0]
    cores = machine.cores(machine.allowed_cpus(), root)
    try:
        load = float(first)
    except ValueError:
        return ""
    if load < 0.75 * cores:
        return ""
    return f"the load average is {load:.1f} on {cores} cores: other programs compete for the processor"


def _governor(root: Path) -> str:
    name = machine.governor(root, machine.allowed_cpus()[0])
    if name in ("", "performance"):
        return ""
    return (
        f"the frequency governor is '{name}', so that the clock follows the load; for steadier times: "
        "sudo cpupower frequency-set -g performance"
    )


def _on_battery(root: Path) -> str:
    supplies = sorted((root / "sys/class/power_supply").glob("*"))
    discharging = any(
        machine.read(s / "type") == "Battery"
        and machine.read(s / "scope") != "Device"
        and machine.read(s / "status") == "Discharging"
        for s in supplies
    )
    return "the machine runs on battery, which slows processors down; plug it in" if discharging else ""


def _swapping(root: Path) -> str:
    memory = machine.meminfo(root)
    used = (memory.get("SwapTotal", 0) - memory.get("SwapFree", 0)) // 1024
    return f"{used} MiB of swap are in use: memory may be short" if used >= _SWAP_MIB else ""
