"""Candidates measured on a device."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts._core import Architecture, SearchSpace
from lts.backends.backend import Backend, cache_of, environment_of, load_backend
from lts.backends.metering import NO_ENERGY
from lts.backends.reference import Reference
from lts.devices.device import ENERGY, Device, open_device
from lts.devices.local import runs_here
from lts.errors import UsageError
from lts.measure.candidate import measure
from lts.measure.costs import costs_of, why_no_energy
from lts.measure.counted import ALWAYS, counted
from lts.measure.evaluator import TargetEvaluator
from lts.measure.outcome import Outcome
from lts.measure.request import derived_from, needed_for
from lts.measure.run import check_together, provenance_of, run_built, run_model
from lts.system.progress import Observer, unobserved
from lts.system.workdir import WorkDirectory
from lts.targets.target import Target
from lts.targets.workload import Step, Workload

# Seconds for a candidate, for one that is emulated, and for each trial of tuning it.
_TIMEOUT, _EMULATED_TIMEOUT, _TUNE_TIMEOUT = 60.0, 600.0, 10.0


class MeasuredEvaluator(TargetEvaluator):
    """Counts in the core, and measures on a device; see `lts.measure.opening.open_evaluator` for the arguments.

    With `best_cache`, the workload's cache is in place where the backend can keep it so on the device.
    """

    surrogate = "additive"

    def __init__(
        self,
        target: Target,
        device: str | Device,
        *,
        backend: str | None = None,
        workload: Workload | None = None,
        best_cache: bool = False,
        timeout: float | None = None,
        min_time: float = 0.3,
        tune: int = 0,
        flash_attention: str | None = None,
        workdir: Path | None = None,
        observe: Observer = unobserved,
    ) -> None:
        name = device if isinstance(device, str) else device.uri or type(device).__name__
        super().__init__(target, name, backend or "", workload)
        self.min_time = min_time
        self._tune = tune
        self.flash_attention = flash_attention
        self._workdir = workdir
        self._temporary: WorkDirectory | None = None
        self._backend: Backend | None = None
        self._reference: Reference | None = None
        self._lock = threading.Lock()
        also = ("none", "table:FILE")
        self._device: Device | None = open_device(device, also, observe) if isinstance(device, str) else device
        try:
            if backend is None:
                here = "python" in self._device.runs and runs_here(target)
                self.backend_name = "onnxruntime" if here else "tvm"
            self._backend = load_backend(self.backend_name, **self._options())
            check_together(target, self._device, self._backend)
            self._device.prepare(self._backend.needs)
            self._settle_cache(best_cache)
            if (check := getattr(self._backend, "check_workload", None)) is not None:
                check(self.workload)
                environment_of(self._backend, self._device, target.threads)  # whether its program is there
            self.compiles = self._backend.needs == "runner"
            known = costs_of(self._device, self._backend)
            self.costs = (*known, *derived_from(known))
            self.parallel = self._device.parallel
            self.provenance = provenance_of(self._device)
            self.varies = self.provenance == "measured"
            if self.provenance == "emulated":
                # Emulation says whether a model is right, and counts its instructions.
                self._reference = Reference(self.workload.precision)
            emulated = self._reference is not None
            self.timeout = timeout or (_EMULATED_TIMEOUT if emulated else _TIMEOUT) + _TUNE_TIMEOUT * tune
        except BaseException:
            self.close()
            raise
        self.priors = self._calibrated()

    def _settle_cache(self, best: bool) -> None:
        """Take the best cache that there is, or raise `UsageError` where the given one cannot be had."""
        assert self._backend is not None
        possible = cache_of(self._backend, lambda: self.device.environment(self.target.threads))
        if best:
            self.workload = replace(self.workload, cache=possible)
        elif self.workload.cache == "in_place" and possible != "in_place":
            raise UsageError(
                f"the backend '{self.backend_name}' copies keys and values on this device; in place needs ONNX "
                "Runtime 1.22 or newer"
            )

    def _options(self) -> dict[str, Any]:
        """Options of the backend, as far as any are given."""
        flash = self.flash_attention
        return {**self.tuning(), **({} if flash is None else {"flash_attention": flash})}

    def tuning(self) -> dict[str, Any]:
        """Options of the backend `tvm`: nothing, or how much to tune, and on which devices."""
        if not self._tune:
            return {}
        tracker = self.device_name.removeprefix("rpc://")
        return {"tune": self._tune, **({"tracker": tracker} if tracker != self.device_name else {})}

    @property
    def device(self) -> Device:
        """The open device. Raises `UsageError` after `close`."""
        if self._device is None:
            raise UsageError("the evaluator is closed; open another one")
        return self._device

    @property
    def no_energy(self) -> str:
        assert self._backend is not None
        return why_no_energy(self.device, self._backend)

    def describe(self) -> dict[str, Any]:
        flash = {} if self.flash_attention is None else {"flash_attention": self.flash_attention}
        return {**super().describe(), **({"tune": self._tune} if self._tune else {}), **flash}

    def environment(self) -> dict[str, Any]:
        assert self._backend is not None
        return environment_of(self._backend, self.device, self.target.threads)

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        self._check_family(space.family)
        super().check(space, columns)

    def check_architecture(self, architecture: Architecture, columns: Iterable[str]) -> None:
        self._check_family(architecture.family)
        super().check_architecture(architecture, columns)

    def _check_family(self, family: str) -> None:
        if (check := getattr(self._backend, "check_family", None)) is not None:
            check(family)

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        return self.evaluate_files(architecture, {}, columns, timeout)

    def evaluate_files(
        self,
        architecture: Architecture,
        models: Mapping[str, Path],
        columns: Iterable[str],
        timeout: float | None = None,
    ) -> Outcome:
        """As `evaluate`, of these models by phase, which are exported with random weights where none is given."""
        columns = list(columns)
        outcome = counted(architecture, (*columns, *ALWAYS), **self.workload.counted)
        costs = [name for name in self.costs if name in columns]
        if not costs:
            return outcome
        device = self.device
        assert self._backend is not None
        found = outcome | measure(
            architecture,
            self.target,
            device,
            self._backend,
            costs=costs,
            workload=self.workload,
            timeout=self._seconds(timeout),
            min_time=self.min_time,
            workdir=self._directory(),
            models=models,
            reference=self._reference,
        )
        return _or_why_not(found, needed_for(costs, self.workload))

    def run_file(self, model: Path, step: Step, costs: Iterable[str], timeout: float | None = None) -> Outcome:
        """Run an ONNX file, see `lts.measure.run.run_model`."""
        device, costs = self.device, list(costs)
        assert self._backend is not None
        found = run_model(
            model,
            step,
            self.target,
            device,
            self._backend,
            costs=costs,
            timeout=self._seconds(timeout),
            min_time=self.min_time,
            reference=self._reference,
        )
        return _or_why_not(found, costs)

    def run_built(self, built: Path, step: Step, costs: Iterable[str], timeout: float | None = None) -> Outcome:
        """Run what the backend has built, see `lts.measure.run.run_built`."""
        device = self.device
        assert self._backend is not None
        return run_built(
            built,
            step,
            self.target,
            device,
            self._backend,
            costs=list(costs),
            timeout=self._seconds(timeout),
            min_time=self.min_time,
        )

    def _seconds(self, timeout: float | None) -> float:
        return self.timeout if timeout is None else min(timeout, self.timeout)

    def stop(self) -> None:
        if self._device is not None:
            self._device.close()

    def close(self) -> None:
        for held in (self._device, self._backend, self._reference, self._temporary):
            if held is not None:
                held.close()
        self._device = self._temporary = None

    def _directory(self) -> Path:
        with self._lock:
            if self._workdir is None:
                self._temporary = WorkDirectory()
                self._workdir = self._temporary.path
            return self._workdir


def _or_why_not(found: Outcome, costs: Iterable[str]) -> Outcome:
    """The outcome; where a meter has given no energy, with its reason as the error: without a value it fails anyway."""
    if found.error is None and any(name in ENERGY and name not in found.values for name in costs):
        return replace(found, error=next((warning for warning in found.warnings if NO_ENERGY in warning), None))
    return found
