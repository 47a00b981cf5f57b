"""This machine as a device. Its jobs may crash, hang or use up all memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lts.devices.device import ENERGY, Device
from lts.errors import MeasurementError, UsageError
from lts.jobs.cause_of_death import why_not_from
from lts.jobs.job import Job, JobResult, ProgramJob, RunnerJob, Runs
from lts.jobs.llama_bench import find_program, version_of
from lts.jobs.pool import Workers
from lts.system import machine
from lts.system.core_locks import CoreClaim, Holder
from lts.system.energy import open_meter
from lts.system.environment import fingerprint
from lts.system.meter import Meter
from lts.targets.target import Target


def runs_here(target: Target) -> bool:
    """Whether this machine's processor is of the architecture of the target."""
    return target.kind == "cpu" and machine.same_architecture(target.triple, machine.triple())


class LocalDevice(Workers, Device):
    """This machine: every job runs in a process of its own, see `lts.jobs.pool.Workers` for the arguments.

    From the first job until `close`, no other process measures on its cores where others are free; `holder` is on whose
    behalf they are taken, see `lts.system.core_locks`: by default all local devices of a process use the same ones, in
    turn.

    Where it has a meter of energy, its costs are also those of `ENERGY`.
    """

    runs: tuple[Runs, ...] = ("python", "runner", "program")
    costs: tuple[str, ...] = ("latency_ms", "decode_ms_per_token", "peak_memory_mib")

    def __init__(self, *, fork: bool = True, cpus: Sequence[int] | None = None, holder: Holder | None = None) -> None:
        super().__init__(fork=fork, cpus=cpus, claim=CoreClaim(holder))
        found = open_meter()
        self._no_energy = "" if isinstance(found, Meter) else found
        if not self._no_energy:
            self.costs = (*self.costs, *ENERGY)

    @property
    def no_energy(self) -> str:
        """What was looked at for a meter, and what would help; empty where there is one."""
        return self._no_energy

    @classmethod
    def from_uri(cls, uri: str) -> LocalDevice:
        """Make the device of a URI, for `lts.devices.device.open_device`."""
        return cls()

    def check(self, target: Target) -> None:
        """Raise `UsageError` when a model for that target cannot run here."""
        if not runs_here(target):
            raise UsageError(
                f"target '{target.name}' is for {target.kind} {target.triple}; the local device is a "
                f"{machine.triple()} processor"
            )
        if target.threads > len(self._cpus):
            raise UsageError(
                f"target '{target.name}' wants {target.threads} threads; the local device may use "
                f"{len(self._cpus)} processors"
            )

    def prepare(self, runs: Runs) -> None:
        """Compile lts-runner if it is missing, so that this does not count for the first candidate."""
        if runs == "runner":
            self._runner()

    def llama_bench(self, named: str | None = None) -> tuple[str, str]:
        """See `Device.llama_bench`: as it is named, by ``$LTS_LLAMA_BENCH``, or where it is found."""
        path = find_program(named)
        return path, version_of(path)

    def run(self, job: Job | RunnerJob | ProgramJob, timeout: float) -> JobResult:
        """See `Device.run`; raises `MeasurementError` also when the runner cannot be built here, or when it, or the
        model, lies where nothing can be run."""
        if isinstance(job, RunnerJob):
            runner = self._runner()
            for folder, what in ((runner.parent, "lts-runner"), (job.model, "compiled models")):
                if reason := why_not_from(folder):
                    raise MeasurementError(f"{what} cannot be run: {reason}")
            job = job.as_job([str(runner), "--once"], timeout)
        if isinstance(job, ProgramJob):
            job = job.as_job(timeout)
        return super().run(job, timeout)

    def beside_others(self) -> None:
        """See `Device.beside_others`: it uses cores of its own."""
        self._claim = CoreClaim(Holder())

    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of this machine."""
        return fingerprint(threads)

    def _runner(self) -> Path:
        from lts.jobs.bundle import RUNNER, make_bundle

        return make_bundle(machine.triple(), observe=self.observe) / RUNNER
