"""The interface of devices, the machines that run and time candidates, and how to open one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, Protocol, TypeAlias

from lts.errors import UsageError
from lts.targets.target import Target

# Scheme: the class, and how its URI is written.
_BUILTIN = {
    "local": ("lts.devices.local:LocalDevice", "local"),
    "ssh": ("lts.devices.ssh.ssh:SshDevice", "ssh://[USER@]HOST[:PORT][?python=PATH]"),
    "rpc": ("lts.devices.rpc:RpcDevice", "rpc://TRACKER:PORT/KEY"),
    "emulated": ("lts.devices.emulated:EmulatedDevice", "emulated"),
    "none": ("lts.devices.none:NoDevice", "none"),
    "table": ("lts.measure.table:TableDevice", "table:FILE"),
}

MANIFEST = "model.json"
"""Name of the file that describes a compiled model, in its folder."""

Runs: TypeAlias = Literal["python", "runner"]
"""What a device can run: functions in Python, or compiled models with lts-runner."""


@dataclass(frozen=True)
class Job:
    """A function call for a worker process.

    Parameters
    ----------
    function
        Its name as ``package.module:name``; it must be importable in the worker.
    arguments
        Keyword arguments, JSON.
    threads
        Threads it may use: the worker is pinned to that many processors.
    preload
        Modules that it imports, which a device may import once for many jobs. They must start no threads.
    files
        Paths of files that the arguments refer to. A remote device copies them and replaces the paths in the arguments.
    """

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    preload: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RunnerJob:
    """A compiled model for lts-runner, see ``docs/runner.md``.

    Parameters
    ----------
    model
        Folder of the compiled model, with its manifest.
    files
        Paths of the files that the manifest names but the folder does not have, by these names: the weights.
    options
        Keys of the runner's request: how long to sample, and what to compare the output with (``file`` of ``expected``
        is one of the names in `files`).
    threads
        Threads to run with, pinned to that many processors.
    """

    model: Path
    files: Mapping[str, Path] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1

    def request(self, model: str | None = None, files: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The request for lts-runner, with the paths as the device knows them; by default those of this machine."""
        paths = dict(files) if files is not None else {name: str(path) for name, path in self.files.items()}
        options = dict(self.options)
        if "expected" in options:
            options["expected"] = {**options["expected"], "file": paths[options["expected"]["file"]]}
        model = str(self.model / MANIFEST) if model is None else model
        return {**options, "run": model, "files": paths, "threads": self.threads}


@dataclass(frozen=True)
class JobResult:
    """Result of a job: its value, JSON, or the reason why there is none; seconds from submission to end."""

    value: Any = None
    error: str | None = None
    seconds: float = 0.0


class Device(Protocol):
    """A machine that runs jobs, each undisturbed by other jobs of ours."""

    @property
    def runs(self) -> tuple[Runs, ...]:
        """The kinds of job that it takes: `Job` is ``python``, `RunnerJob` is ``runner``."""

    @property
    def costs(self) -> tuple[str, ...]:
        """The costs of `lts.measure.measured.COSTS` that it can measure."""

    @property
    def parallel(self) -> int:
        """Number of jobs that can run at the same time, on machines of their own or without disturbing each other."""

    def check(self, target: Target) -> None:
        """Raise `UsageError` when a model for that target cannot run here."""

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        """Run a job for at most `timeout` seconds. If it fails, crashes or hangs, that is an error in the result.

        Raises
        ------
        MeasurementError
            When no job can be run at all, for example because the machine is gone.
        """

    def environment(self, threads: int) -> dict[str, Any]:
        """The fingerprint of the machine that runs the jobs, see `lts.system.environment.fingerprint`."""

    def close(self) -> None:
        """Release all resources. Harmless when repeated."""


def open_device(uri: str) -> Device:
    """Open a device: a built-in one, or one that an installed package offers in the entry point group ``lts.devices``.

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
        raise UsageError(f"unknown device '{uri}'; expected one of {', '.join([*known, *sorted(plugins)])}")
    return factory(uri)
