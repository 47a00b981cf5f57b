"""Several equal devices as one: a job goes to whichever is free, and that of a device that dies to another one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lts.devices.device import ENERGY, Device, open_device
from lts.devices.elsewhere import GoneError, NoneLeftError, run_on_any
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult, ProgramJob, RunnerJob, Runs
from lts.targets.target import Target

T = TypeVar("T")

SCHEME = "pool:"
"""How a pool begins as a device: its devices follow, separated by commas."""

# Seconds until a device that has died is tried again.
_REST = 10.0


def pool_of(devices: Sequence[str]) -> str | None:
    """The URI of a pool of devices; of one, its own; None of none."""
    return f"{SCHEME}{','.join(devices)}" if len(devices) > 1 else next(iter(devices), None)


@dataclass
class _Member:
    """A device of the pool, the jobs that it can take now, why it is dead, and since or until when it rests."""

    device: Device
    room: int
    freed: float = 0.0
    rested: float = 0.0
    dead: str = ""


class PoolDevice(Device):
    """Devices of one kind, each of which runs as many jobs at a time as it does alone.

    Parameters
    ----------
    devices
        Open devices, two or more; they are closed with the pool.
    wait
        Seconds to wait for one of them when all have died.

    Raises
    ------
    UsageError
        For fewer than two, or for devices that run or measure different things.
    """

    def __init__(self, devices: Sequence[Device], *, wait: float = 60.0) -> None:
        if len(devices) < 2:
            raise UsageError(f"a pool is of two devices or more; there is {len(devices)}")
        for device in devices:
            device.beside_others()
        self._members = [_Member(device, device.parallel) for device in devices]
        self._wait = wait
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._fingerprint: dict[str, Any] | None = None
        first = devices[0]
        self.runs = tuple(kind for kind in first.runs if all(kind in each.runs for each in devices))
        costs = first.costs
        for each in devices[1:]:
            if set(each.costs) != set(costs):
                raise UsageError(
                    f"a pool is of equal devices; {first.uri} measures {', '.join(costs)}, and {each.uri} "
                    f"{', '.join(each.costs)}"
                )
        # Meters count a machine as a whole, whichever of its cores a model runs on.
        twice = len({device.uri for device in devices}) < len(devices)
        self.costs = tuple(cost for cost in costs if not (twice and cost in ENERGY))
        self.parallel = sum(member.room for member in self._members)

    @classmethod
    def from_uri(cls, uri: str) -> PoolDevice:
        """Make the device of a URI, ``pool:DEVICE,DEVICE``, for `lts.devices.device.open_device`."""
        names = uri.removeprefix(SCHEME).split(",")
        for name in names:
            if name != "local" and names.count(name) > 1:
                raise UsageError(f"device '{name}' is named twice in {uri}; it would disturb itself")
        opened: list[Device] = []
        try:
            opened += (open_device(name) for name in names)
            return cls(opened)
        except BaseException:
            for device in opened:
                device.close()
            raise

    def check(self, target: Target) -> None:
        """Raise `UsageError` when a model for that target cannot run on each of them.

        Raises
        ------
        MeasurementError
            When none can be reached.
        """
        self._ask_all(lambda device: device.check(target))

    def prepare(self, runs: Runs) -> None:
        """Prepare each of them, and raise `UsageError` when they are not equal; otherwise as `check`."""
        self._ask_all(lambda device: device.prepare(runs))
        self.environment(1)

    def llama_bench(self, named: str | None = None) -> tuple[str, str]:
        """See `Device.llama_bench`; raises `MeasurementError` also when they have different ones."""
        found = {member.device.llama_bench(named) for member in self._members}
        if len(found) > 1:
            raise MeasurementError(f"the devices of {self.uri} have different ones: {sorted(found)}")
        return found.pop()

    def run(self, job: Job | RunnerJob | ProgramJob, timeout: float) -> JobResult:
        """Run a job on a device that is free, and on another when that dies or is silent: see `run_on_any`."""
        several = sum(not member.dead for member in self._members) > 1
        return run_on_any(
            self._free,
            lambda member, share: self._attempt(member, job, share),
            timeout,
            several=several,
            wait=self._wait,
            closed=self._closed,
        )

    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of each of them, which is the same but for the device's name.

        Raises
        ------
        UsageError
            When they differ, saying in what.
        MeasurementError
            When none can be reached.
        """
        if self._fingerprint is None:
            found = self._ask_all(_facts)
            (first, facts), *others = found
            for each, other in others:
                if different := _difference(facts, other):
                    raise UsageError(f"a pool is of equal devices; {first.uri} and {each.uri} differ: {different}")
            self._fingerprint = facts
        return {**self._fingerprint, "threads": threads}

    def close(self) -> None:
        """Close all of them. Harmless when repeated."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        for member in self._members:
            member.device.close()

    def _ask_all(self, ask: Callable[[Device], T]) -> list[tuple[Device, T]]:
        """What each device says that is there; those that are not are tried again later."""
        found = []
        for member in self._members:
            if not member.dead:
                with self._noticing(member):
                    found.append((member.device, ask(member.device)))
        if not found:
            raise MeasurementError(self._all_dead())
        return found

    def _free(self) -> _Member:
        """A device that is free; one that has died, and has rested since, when nothing else is."""
        with self._changed:
            while not self._closed.is_set():
                now = time.monotonic()
                fit = [each for each in self._members if each.room > 0 and (not each.dead or each.rested <= now)]
                if fit:
                    member = min(fit, key=lambda each: (bool(each.dead), each.freed))
                    member.room -= 1
                    return member
                if all(each.dead and each.room > 0 for each in self._members):
                    raise NoneLeftError(self._all_dead())
                self._changed.wait(0.5)
        raise NoneLeftError(f"{self.uri} was closed")

    def _attempt(self, member: _Member, job: Job | RunnerJob | ProgramJob, timeout: float) -> JobResult:
        name = member.device.uri
        result = None
        try:
            with self._noticing(member):
                if member.dead:
                    self._welcome(member)
                result = member.device.run(job, timeout)
            if result is not None and result.gone:
                self._rest(member, result.error or "")
        finally:
            with self._changed:
                member.room += 1
                member.freed = time.monotonic()
                self._changed.notify()
        if result is None:  # no job has begun there: this one is not to blame
            return JobResult(error="")
        if result.gone:
            raise GoneError(f"{name} went away: {result.error}")
        return replace(result, device=name)

    def _welcome(self, member: _Member) -> None:
        """Take back a device that has died, unless another one answers in its place."""
        facts = _facts(member.device)
        if self._fingerprint is not None and (different := _difference(self._fingerprint, facts)):
            raise MeasurementError(f"it came back as another machine, which differs: {different}")
        member.dead = ""

    @contextmanager
    def _noticing(self, member: _Member) -> Iterator[None]:
        """Where a device is not there, that is noted, and does not go further."""
        try:
            yield
        except MeasurementError as error:
            self._rest(member, str(error))

    def _rest(self, member: _Member, why: str) -> None:
        member.dead = why or "it went away"
        member.rested = time.monotonic() + _REST

    def _all_dead(self) -> str:
        reasons = (f"{member.device.uri} ({member.dead})" for member in self._members)
        return f"no device of the pool is there: {', '.join(reasons)}"


def _facts(device: Device) -> dict[str, Any]:
    """The fingerprint of a device, without what it is called."""
    return {key: fact for key, fact in device.environment(1).items() if key != "device"}


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In what two fingerprints differ; empty when they are the same."""
    keys = [key for key in dict.fromkeys((*one, *other)) if one.get(key) != other.get(key)]
    return ", ".join(f"{key} {one.get(key, 'unknown')} and {other.get(key, 'unknown')}" for key in keys)
