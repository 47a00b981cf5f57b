"""No device: nothing is run, and costs are estimates."""

from __future__ import annotations

from typing import Any

from lts.devices.device import Job, JobResult, RunnerJob, Runs
from lts.errors import MeasurementError
from lts.system.environment import fingerprint
from lts.targets.target import Target


class NoDevice:
    """A placeholder for a device: with it, an evaluator estimates costs, see `lts.targets.estimate.costs`."""

    runs: tuple[Runs, ...] = ()
    costs: tuple[str, ...] = ()
    parallel = 1

    @classmethod
    def from_uri(cls, uri: str) -> NoDevice:
        """Make the device of a URI, for `lts.devices.device.open_device`."""
        return cls()

    def check(self, target: Target) -> None:
        """Accept any target."""

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        """Raise `MeasurementError`."""
        raise MeasurementError("the device 'none' runs nothing; for measurements attach one, see docs/devices.md")

    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of this machine, which computes the estimates: they depend on its software only."""
        return {"lts": fingerprint(threads)["lts"], "threads": threads}

    def close(self) -> None:
        """Nothing is held."""
