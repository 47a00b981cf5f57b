"""What went wrong on the machine while a model ran: too little memory, a hot processor, another clock."""

from __future__ import annotations

import re
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lts.system import machine
from lts.system.environment import throttled

# Share of the runs that may read pages from disk: a few leave the median alone.
_FAULTY = 0.1
# A clock that changes by less than this share is what clocks do.
_CLOCK = 0.2
# Less swapped than this is no sign of anything.
_SWAPPED_MIB = 1
_LIMITED = "limited "
# What the sentences below begin with, and those of cpp/runner/disturbance.cpp, which are the same.
_KINDS = {
    "too little memory": re.compile(r"\d+ major page faults|the machine swapped "),
    "a slowed processor": re.compile(r"the processor (is|was) slowed down|the board .*slows its processor down"),
    "a changed clock": re.compile(r"the clock of processor \d+ went from"),
}


@dataclass
class Doubts:
    """Reasons to doubt what was measured, one sentence each; `disturbed` when it does not show what the model takes."""

    warnings: list[str] = field(default_factory=list)
    disturbed: bool = False


def kind_of(warning: str) -> str | None:
    """What kind of disturbance a sentence is about, of a `Watch` or of lts-runner; None when about something else."""
    return next((kind for kind, begins in _KINDS.items() if begins.match(warning)), None)


class Watch:
    """The kernel's counters of disturbances, from when this is made. What cannot be read is taken as undisturbed."""

    def __init__(self, root: Path = machine.ROOT) -> None:
        self._root = root
        self._cpus = machine.allowed_cpus()
        self._before = self._counters()
        self._mhz = self._clocks()

    def doubts(self, major_faults: Sequence[int]) -> Doubts:
        """What has happened since, given the major page faults of every run."""
        found = Doubts()
        after = self._counters()
        rise = {name: max(0, n - self._before[name]) for name, n in after.items() if name in self._before}
        swapped = rise.get("swapped", 0) * resource.getpagesize() // 2**20
        faulty = sum(n > 0 for n in major_faults)
        if faulty > _FAULTY * len(major_faults):
            found.disturbed = True
            found.warnings.append(
                f"{sum(major_faults)} major page faults in {faulty} of {len(major_faults)} timed runs: memory is short"
                f"{self._shortage(rise, swapped)}; times include reading from disk, peak memory is a lower bound"
            )
        elif swapped >= _SWAPPED_MIB:
            found.warnings.append(f"the machine swapped {swapped} MiB while the model ran: its memory is short")
        if n := rise.get("throttled", 0):
            found.disturbed = True
            found.warnings.append(f"the processor was slowed down {n} times while the model ran: it is too hot")
        elif sentence := throttled(self._root):
            found.disturbed = True
            found.warnings.append(sentence)
        if sentence := self._changed_clock():
            found.disturbed = True
            found.warnings.append(sentence)
        return found

    def _shortage(self, rise: Mapping[str, int], swapped: int) -> str:
        parts = []
        if (limit := machine.memory_limit_mib(self._root)) is not None:
            reached = max((n for name, n in rise.items() if name.startswith(_LIMITED)), default=0)
            parts.append(f"the memory limit is {limit} MiB, reached {reached} times meanwhile")
        if stalled := rise.get("stalled", 0) / 1e6:
            parts.append(f"programs waited {stalled:.1f} s for memory")
        if swapped >= _SWAPPED_MIB:
            parts.append(f"{swapped} MiB were swapped")
        return f" ({', '.join(parts)})" if parts else ""

    def _changed_clock(self) -> str:
        for cpu, now in self._clocks().items():
            if (before := self._mhz.get(cpu)) and abs(now - before) > _CLOCK * max(before, now):
                return f"the clock of processor {cpu} went from {before} to {now} MHz while the model ran"
        return ""

    def _clocks(self) -> dict[int, int]:
        """The clocks of this process's processors, in MHz."""
        found = {cpu: machine.current_mhz(cpu, self._root) for cpu in self._cpus}
        return {cpu: mhz for cpu, mhz in found.items() if mhz}

    def _counters(self) -> dict[str, int]:
        """By name, the counters that can be read.

        ``limited``, and a folder: how often the memory limit of that control group was reached. ``stalled``:
        microseconds that programs waited for memory. ``swapped``: pages to and from swap. ``throttled``: how often a
        processor was too hot.
        """
        found: dict[str, int] = {}
        folders = list(dict.fromkeys(machine.cgroups("memory", self._root)))
        for folder in folders:
            for text in (machine.read(folder / "memory.failcnt"), _line(folder / "memory.events", "max")):
                if text.isdigit():
                    found[f"{_LIMITED}{folder}"] = int(text)
        pressure = [*(folder / "memory.pressure" for folder in folders), self._root / "proc/pressure/memory"]
        found["stalled"] = next((n for n in map(_stalled, pressure) if n is not None), 0)
        pages = (_line(self._root / "proc/vmstat", name) for name in ("pswpin", "pswpout"))
        found["swapped"] = sum(int(n) for n in pages if n.isdigit())
        throttle = (self._root / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle" for cpu in self._cpus)
        counts = (machine.read(f / f"{part}_throttle_count") for f in throttle for part in ("core", "package"))
        found["throttled"] = sum(int(n) for n in counts if n.isdigit())
        return found


def _line(path: Path, name: str) -> str:
    """The number after a name at the beginning of a line; empty when there is none."""
    return next((line[len(name) + 1 :] for line in machine.read(path).splitlines() if line.startswith(f"{name} ")), "")


def _stalled(path: Path) -> int | None:
    """Microseconds that some program waited, of a file like /proc/pressure/memory; None when it cannot be read."""
    total = _line(path, "some").rpartition("total=")[2]
    return int(total) if total.isdigit() else None
