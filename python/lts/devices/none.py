"""No device: nothing is run, and costs are estimates."""

from __future__ import annotations

from typing import Any

from lts.devices.device import Job, JobResult, RunnerJob, Runs
from lts.errors import MeasurementError
from lts.system.environment import fingerprint
from lts.targets.target import Target


class NoDevice:
    """Stands where a device would: an evaluator that finds it estimates, see `lts.targets.estimate.costs`."""

    runs: tuple[Runs, ...] = ()
    costs: tuple[str, ...] = ()
    parallel = 1

    @classmethod
    def from_uri(cls, uri: str) -> NoDevice:
        """For `lts.devices.device.open_device`."""
        return cls()

    def check(self, target: Target) -> None:
        """Any target will do."""

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        """Raise `MeasurementError`."""
        raise MeasurementError("the device 'none' runs nothing; for measurements attach one, see docs/devices.md")

    def environment(self, threads: int) -> dict[str, Any]:
        """That of this machine, which makes the estimates: their values depend on the software only."""
        return {"lts": fingerprint(threads)["lts"], "threads": threads}

    def close(self) -> None:
        """Nothing is held."""
