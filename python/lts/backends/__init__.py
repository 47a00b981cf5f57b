"""Backends: what compiles an ONNX model for a target and runs it, by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from lts.errors import MeasurementError, UsageError
from lts.target import Target

# Name: where it is, the package that has to be there, and how to get it.
_BUILTIN = {"onnxruntime": ("lts.backends.onnxruntime:OnnxRuntime", "onnxruntime", "pip install onnxruntime")}


class Backend(Protocol):
    """A compiler and runtime.

    `runner` names a function, as ``package.module:name``, that a worker process on the device calls with the
    arguments below and that returns JSON with the keys of `lts.backends.onnxruntime.run`. Any exception is a failed
    candidate; an `LtsError` gives its message alone as the reason. It never runs in the process of the search.

    ================  ================================================================================
    ``model``         path of what `build` gave
    ``phase``         ``prefill`` or ``decode``
    ``dims``          size of every symbolic dimension by its name
    ``vocab_size``    token ids are below this
    ``threads``       threads to run with
    ``min_time``      seconds of samples to take at least
    ``min_repeats``   samples to take at least
    ================  ================================================================================
    """

    @property
    def name(self) -> str:
        """As in ``--backend``."""

    @property
    def runner(self) -> str:
        """The function that runs a model."""

    @property
    def preload(self) -> tuple[str, ...]:
        """Modules that `runner` imports and that start no threads when they are imported."""

    def check(self, target: Target) -> None:
        """Raise `UsageError` when it cannot compile for that target."""

    def build(self, model: Path, target: Target) -> Path:
        """Compile an ONNX file for the target; the result is what `runner` gets as ``model``."""


def backend_names() -> list[str]:
    """Names of the backends there are, installed or not."""
    return [*_BUILTIN, *sorted(entry.name for entry in entry_points(group="lts.backends"))]


def backend(name: str) -> Backend:
    """The backend of that name: a built-in one, or one from the entry point group ``lts.backends``.

    Raises
    ------
    UsageError
        For an unknown one, naming those known.
    MeasurementError
        For one that is not installed, with the command that installs it.
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
    instance: Backend = found()
    return instance
