"""The interface of backends, which compile an ONNX model for a target and run it, and how to load one by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from lts.devices.device import Device
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, JobResult, RunnerJob, Runs
from lts.targets.target import Target
from lts.targets.workload import Step

# Name: the class, the package that must be installed, and the command that installs it.
_BUILTIN = {
    "onnxruntime": ("lts.backends.onnxruntime:OnnxRuntime", "onnxruntime", "pip install onnxruntime"),
    "llamacpp": ("lts.backends.llamacpp.backend:LlamaCpp", "lts", ""),
    "tvm": ("lts.backends.tvm.backend:Tvm", "tvm", "pip install 'lts-engine[tvm]'"),
}


class BuildError(Exception):
    """A model that cannot be compiled; the message is the reason, one sentence."""


class SeveralRuns(ABC):
    """A job that takes several runs of a program of the device's own."""

    @abstractmethod
    def run_on(self, device: Device, timeout: float) -> JobResult:
        """Make them in at most `timeout` seconds; otherwise as `Device.run`."""


class Backend(Protocol):
    """A compiler and runtime. It neither compiles nor runs a model in the process of the search.

    One that runs models with any number of new tokens, and of tokens before, has ``open_sizes = True`` and gets one
    model for both phases; others get a model of the phase alone.

    One whose jobs take the energy of a model has ``meters_energy = True``, and its `job` a keyword ``energy_time``: how
    many seconds to take it of, at least, or None for none. See `lts.backends.metering.energy_of`.

    See `lts.backends.llamacpp.backend.LlamaCpp` for ``form``, ``check_family``, ``check_workload`` and ``environment``,
    which others leave out.

    One with ``generates = True`` also builds the models of `lts.export.generation`, for a step of the phase
    `lts.jobs.job.GENERATION`. What it builds is the prompt pass and every decode step, of which `job` runs one.
    """

    @property
    def name(self) -> str:
        """Its name, as in ``--backend``."""

    @property
    def needs(self) -> Runs:
        """The kind of job that it makes; a device must be able to run it."""

    def check(self, target: Target) -> None:
        """Raise `UsageError` when it cannot compile for that target."""

    def build(self, model: Path, target: Target, step: Step, timeout: float) -> Path:
        """Compile an ONNX file for the target in at most `timeout` seconds; returns a file or a folder.

        Raises
        ------
        BuildError
            For a model that cannot be compiled; another exception means the same, with a less readable reason.
        MeasurementError
            When nothing can be compiled, for example because a compiler is not installed.
        """

    def job(
        self, built: Path, step: Step, *, threads: int, min_time: float, min_repeats: int
    ) -> Job | RunnerJob | SeveralRuns:
        """The job that runs the result of `build` until it has `min_repeats` samples and `min_time` seconds of them.

        A `Job` must return what `lts.backends.onnxruntime.run` does. Any exception in it is a failed candidate; an
        `LtsError` gives its message alone as the reason.
        """

    def close(self) -> None:
        """Release all resources. Harmless when repeated."""


def cache_of(backend: Backend, environment: Callable[[], Mapping[str, Any]]) -> str:
    """How a backend keeps keys and values in decode steps on a machine, whose fingerprint is only asked for if needed.

    ``in_place`` or ``copied``: what its method ``cache`` says, or copied where it has none, as most have.
    """
    said = getattr(backend, "cache", None)
    return "copied" if said is None else str(said(environment()))


def runs_open_sizes(backend: Backend) -> bool:
    """Whether one model of open sizes is both phases for a backend, as its ``open_sizes`` says."""
    return bool(getattr(backend, "open_sizes", False))


def environment_of(backend: Backend, device: Device, threads: int) -> dict[str, Any]:
    """The fingerprint of a device, with what a backend adds: versions of what it uses there."""
    adds = getattr(backend, "environment", None)
    return {**device.environment(threads), **({} if adds is None else adds(device))}


def backend_names() -> list[str]:
    """Names of all backends, installed or not."""
    return [*_BUILTIN, *sorted(entry.name for entry in entry_points(group="lts.backends"))]


def load_backend(name: str, **options: Any) -> Backend:
    """The backend of that name with its options: a built-in one, or one from the entry point group ``lts.backends``.

    Raises
    ------
    UsageError
        For an unknown backend, naming the known ones.
    MeasurementError
        For a backend that is not installed, with the command that installs it.
    """
    found: Any
    if name in _BUILTIN:
        location, package, command = _BUILTIN[name]
        if find_spec(package) is None:
            raise MeasurementError(f"backend '{name}' is not installed; install it with: {command}")
        found = resolve_name(location)
    else:
        plugins = {entry.name: entry for entry in entry_points(group="lts.backends")}
        if name not in plugins:
            raise UsageError(f"unknown backend '{name}'; expected one of {', '.join([*_BUILTIN, *sorted(plugins)])}")
        found = plugins[name].load()
    try:
        instance: Backend = found(**options)
    except TypeError:
        if not options:
            raise
        raise UsageError(f"backend '{name}' has no option {', '.join(options)}") from None
    return instance
