"""The interface of devices, the machines that run and time candidates, and how to open one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Any, Self

from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult, ProgramJob, RunnerJob, Runs
from lts.system.progress import Observer, unobserved
from lts.targets.target import Target

# Scheme: the class, and how its URI is written.
_BUILTIN = {
    "local": ("lts.devices.local:LocalDevice", "local"),
    "ssh": ("lts.devices.ssh.ssh:SshDevice", "ssh://[USER@]HOST[:PORT][?python=PATH]"),
    "rpc": ("lts.devices.rpc:RpcDevice", "rpc://TRACKER:PORT/KEY"),
    "emulated": ("lts.devices.emulated:EmulatedDevice", "emulated"),
    "pool": ("lts.devices.pool:PoolDevice", "pool:DEVICE,DEVICE"),
}


ENERGY = ("prefill_energy_mj", "decode_energy_mj_per_token")
"""The costs of the prompt pass and of a decode step that a device with a meter of energy gives."""


class Device(ABC):
    """A machine that runs jobs, each undisturbed by other jobs of ours.

    A subclass says what it `runs`, which `costs` it measures, and how to `run` a job and describe its `environment`.
    """

    runs: tuple[Runs, ...] = ()
    """The kinds of job that it takes: `Job` is ``python``, `RunnerJob` ``runner``, `ProgramJob` ``program``."""

    costs: tuple[str, ...] = ()
    """The costs of `lts.measure.costs.COSTS` that it can measure."""

    uri: str = ""
    """How it was named when it was opened, as in ``--device``."""

    parallel: int = 1
    """Number of jobs that can run at the same time, on several machines or without disturbing each other."""

    observe: Observer = staticmethod(unobserved)
    """Told what is done once, before the first job: what runs compiled models may have to be fetched and compiled."""

    @property
    def no_energy(self) -> str:
        """Why the costs of `ENERGY` are not among its costs, in a phrase; empty where they are."""
        return "" if set(ENERGY) <= set(self.costs) else "this device has no meter"

    def check(self, target: Target) -> None:
        """Raise `UsageError` when a model for that target cannot run here; by default every target may."""

    def prepare(self, runs: Runs) -> None:
        """Prepare what jobs of that kind need once, before the first of them is timed; by default nothing."""

    def llama_bench(self, named: str | None = None) -> tuple[str, str]:
        """The path of llama-bench there, by default wherever it is found, and what it says of its version.

        Raises
        ------
        UsageError
            When one that is named is no program.
        MeasurementError
            When there is none; by default always.
        """
        raise MeasurementError("this device has no llama-bench; use --device local or ssh://[USER@]HOST")

    @abstractmethod
    def run(self, job: Job | RunnerJob | ProgramJob, timeout: float) -> JobResult:
        """Run a job for at most `timeout` seconds. If it fails, crashes or hangs, that is an error in the result.

        Raises
        ------
        MeasurementError
            When no job can be run at all, for example because the machine is gone.
        """

    def beside_others(self) -> None:
        """Get ready to run jobs at the same time as other devices of this process, which take over when it dies.

        Called before the first job; by default nothing has to be done.
        """

    @abstractmethod
    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of the machine that runs the jobs, see `lts.system.environment.fingerprint`."""

    def close(self) -> None:
        """Release all resources and end running jobs. Harmless when repeated; by default there is nothing to do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_device(uri: str, also: Iterable[str] = (), observe: Observer = unobserved) -> Device:
    """Open a device: a built-in one, or one that an installed package offers in the entry point group ``lts.devices``.

    `also` are further words that the caller accepts, for the message about an unknown device; `observe` as in `Device`.

    Raises
    ------
    UsageError
        For an unknown device, naming the known ones, or a URI that is wrong.
    MeasurementError
        When the device cannot be reached.
    """
    scheme = uri.split(":", 1)[0]
    plugins = {entry.name: entry for entry in entry_points(group="lts.devices")}
    if scheme in _BUILTIN:
        location, form = _BUILTIN[scheme]
        if (uri == scheme) != (form == scheme):
            raise UsageError(f"device '{uri}' is not of the form {form}")
        factory: Callable[[str], Device] = resolve_name(location).from_uri
    elif scheme in plugins:
        factory = plugins[scheme].load()
    else:
        known = [form for _, form in _BUILTIN.values()]
        raise UsageError(f"unknown device '{uri}'; expected one of {', '.join([*known, *sorted(plugins), *also])}")
    device = factory(uri)
    device.uri = uri
    device.observe = observe
    return device
