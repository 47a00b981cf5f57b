"""What a device says about itself over ssh, taken over by full match: nothing of it becomes a path on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lts.errors import MeasurementError, UsageError
from lts.system import machine
from lts.system.outside import sentence
from lts.targets.target import Target

PROCESSORS = """
sed -n "s/^Cpus_allowed_list://p" /proc/self/status
cd /sys/devices/system/cpu
grep -H "" cpu[0-9]*/topology/core_id cpu[0-9]*/topology/physical_package_id cpu[0-9]*/cpu_capacity \
    cpu[0-9]*/cpufreq/cpuinfo_max_freq 2>/dev/null
exit 0
"""
"""A script that prints the processors that we may use, and what `processors_of` reads of each."""

_MOST_PROCESSORS = 1 << 14

_GREETING = re.compile(
    r"(?P<system>[A-Za-z][\w.-]{0,31}) (?P<machine>\w{1,31}) (?P<bits>32|64) (?P<library>gnu|musl) "
    r"(?P<processors>[1-9][0-9]{0,4}) (?P<folder>/[^\x00-\x1f\x7f]{1,1023})",
    re.ASCII,
)
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_FACT = re.compile(
    r"cpu([0-9]{1,5})/(topology/core_id|topology/physical_package_id|cpu_capacity|cpufreq/cpuinfo_max_freq):"
    r"(-?[0-9]{1,12})"
)
_NUMBER = re.compile(rb"\s*([1-9][0-9]{0,9})\s*")


@dataclass(frozen=True)
class Machine:
    """What a device reports: ``uname``, the bits and C library of its programs, its processors, our folder on it."""

    system: str
    machine: str
    bits: str
    library: str
    processors: int
    folder: str

    @property
    def triple(self) -> str:
        """The triple of the device, for example ``aarch64-linux-gnu``."""
        arm32 = self.machine.startswith(("armv7", "armv8")) or (self.machine == "aarch64" and self.bits == "32")
        if arm32:
            return f"arm-linux-{self.library}eabihf"
        return f"{self.machine}-{self.system.lower()}-{self.library}"


def machine_of(line: bytes) -> Machine | None:
    """The machine that a greeting describes; None when it is no greeting."""
    match = _GREETING.fullmatch(line.decode("utf-8", "replace").rstrip("\n"))
    if match is None or ".." in match["folder"].split("/"):
        return None
    found = Machine(**{**match.groupdict(), "processors": int(match["processors"])})  # type: ignore[arg-type]
    return found if machine.is_triple(found.triple) else None


def check_target(target: Target, known: Machine, name: str) -> None:
    """Raise `UsageError` when models for a target cannot run on a machine of that name."""
    if target.kind != "cpu" or not machine.same_architecture(target.triple, known.triple):
        raise UsageError(
            f"target '{target.name}' is for {target.kind} {target.triple}; {name} is a {known.triple} processor"
        )
    if target.threads > known.processors:
        raise UsageError(
            f"target '{target.name}' wants {target.threads} threads; {name} has {known.processors} processors"
        )


def process_of(line: bytes | None) -> str:
    """The number of a process in a line; empty when there is none."""
    match = _NUMBER.fullmatch(line or b"")
    return match[1].decode() if match else ""


def processors_of(text: str) -> dict[int, machine.Processor]:
    """The processors that may be used, from a list of ranges in the first line, and what the other lines say of them.

    Lines that are nothing of the kind are skipped.

    Raises
    ------
    MeasurementError
        When the first line is no list of processors.
    """
    first, *lines = text.splitlines() or [""]
    allowed: set[int] = set()
    for part in filter(None, first.strip().split(",")[:_MOST_PROCESSORS]):
        match = _RANGE.fullmatch(part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= high < _MOST_PROCESSORS:
            raise MeasurementError(
                f"the device's answer is wrong: it lists the processors '{sentence(first, 60)}', which is no list of "
                f"numbers below {_MOST_PROCESSORS}"
            )
        allowed.update(range(low, high + 1))
    said: dict[int, dict[str, int]] = {cpu: {} for cpu in allowed}
    for line in lines:
        fact = _FACT.fullmatch(line.strip())
        if fact is not None and int(fact[1]) in said:
            said[int(fact[1])].setdefault(fact[2], int(fact[3]))
    return {cpu: _processor(cpu, facts) for cpu, facts in said.items()}


def _processor(cpu: int, facts: Mapping[str, int]) -> machine.Processor:
    core = facts.get("topology/core_id")
    place = ("cpu", str(cpu)) if core is None else (str(facts.get("topology/physical_package_id", "")), str(core))
    return machine.Processor(place, max(0, facts.get("cpu_capacity") or facts.get("cpufreq/cpuinfo_max_freq") or 0))
