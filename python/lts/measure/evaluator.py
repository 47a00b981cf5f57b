"""From an architecture to its values: counted by the core, or measured on a device."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts._core import Architecture, SearchSpace, analytic_names, family
from lts.errors import UsageError
from lts.measure.evaluation import Evaluation, counted, counted_provenance
from lts.system import machine

if TYPE_CHECKING:
    from lts.backends.backend import Backend
    from lts.backends.reference import Reference
    from lts.devices.device import Device
    from lts.measure.table import TableDevice
    from lts.system.workdir import WorkDirectory
    from lts.targets.target import Target

# Recorded with every trial, whatever is optimized: what a report compares the measurements with.
_ALWAYS = ("decoder_params", "total_params", "flops_prefill", "peak_memory_estimate_mib")
# Seconds for a candidate, for one that is emulated, and for each trial of tuning it.
_TIMEOUT, _EMULATED_TIMEOUT, _TUNE_TIMEOUT = 60.0, 600.0, 10.0


class Evaluator:
    """Counts in the core, and measures on a device or, without one, estimates.

    Parameters
    ----------
    target, device, backend
        Names or objects: what is compiled for, where it runs, and by what. Without a device, this machine where it
        can run the target, and estimates ("none") otherwise; without a backend, ONNX Runtime for this machine and TVM
        for another.
    n_prompt
        Tokens of the prompt pass; also the context of a decode step.
    timeout
        Seconds that one candidate may take: to be built, and on the device. By default a minute, ten minutes where it
        is emulated, and ten seconds more for each trial of `tune`.
    min_time
        Seconds that each quantity is measured at least.
    threads
        Overrides the threads of the target.
    tune
        Trials of TVM's MetaSchedule per candidate.
    workdir
        Where candidate models are written; a temporary directory when absent.

    Raises
    ------
    UsageError
        For an unknown target, device or backend, an argument out of range, or what does not go together.
    MeasurementError
        When the device cannot be reached or the backend is not installed.
    """

    def __init__(
        self,
        target: str | Path | Target = "host",
        *,
        device: str | Device | None = None,
        backend: str | None = None,
        n_prompt: int = 128,
        timeout: float | None = None,
        min_time: float = 0.3,
        threads: int | None = None,
        tune: int = 0,
        workdir: Path | None = None,
    ) -> None:
        from dataclasses import replace

        from lts.devices.device import open_device
        from lts.devices.local import runs_here
        from lts.targets.target import Target, load_target

        if n_prompt < 1:
            raise UsageError(f"n_prompt is {n_prompt}; it must be at least 1")
        if timeout is not None and not timeout > 0:
            raise UsageError(f"the timeout of a candidate is {timeout} s; it must be above 0")
        if tune < 0:
            raise UsageError(f"tune is {tune}; it must be at least 0")
        self.target = target if isinstance(target, Target) else load_target(target)
        if threads is not None:
            if not 1 <= threads <= self.target.cores:
                raise UsageError(f"threads is {threads}; {self.target.name} has {self.target.cores} cores")
            self.target = replace(self.target, threads=threads)
        if device is None:
            device = "local" if runs_here(self.target) else "none"
        self.device_name = device if isinstance(device, str) else type(device).__name__
        self.n_prompt = n_prompt
        self.min_time = min_time
        self._tune = tune
        self._workdir = workdir
        self._temporary: WorkDirectory | None = None
        self._backend: Backend | None = None
        self._reference: Reference | None = None
        self._table: TableDevice | None = None
        self._lock = threading.Lock()
        self._device: Device | None = open_device(device) if isinstance(device, str) else device
        try:
            self.backend_name = self._choose_backend(backend)
            emulated = self._reference is not None
            self.timeout = timeout or (_EMULATED_TIMEOUT if emulated else _TIMEOUT) + _TUNE_TIMEOUT * tune
        except BaseException:
            self.close()
            raise

    def _choose_backend(self, name: str | None) -> str:
        from lts.measure.table import TableDevice

        assert self._device is not None
        if isinstance(self._device, TableDevice):
            if name is not None or self._tune:
                raise UsageError("a table replays measurements: leave --backend and --tune out")
            self._table = self._device
            return "table"
        if not self._device.runs:
            from lts.targets.estimate.costs import check

            self.device_name = "none"
            check(self.target)
            if name not in (None, "tvm"):
                raise UsageError(
                    f"the backend '{name}' needs a device to run on; without one, costs are those of compiled models, "
                    "'tvm'"
                )
            if self._tune:
                raise UsageError("tuning measures on the device, and there is none: attach one, or leave --tune out")
            return "estimate"
        from lts.backends.backend import load_backend
        from lts.backends.reference import Reference
        from lts.devices.local import LocalDevice, runs_here
        from lts.jobs.bundle import make_bundle
        from lts.measure.measured import check_together, provenance_of

        if name is None:
            name = "onnxruntime" if "python" in self._device.runs and runs_here(self.target) else "tvm"
        self._backend = load_backend(name, **self.tuning())
        check_together(self.target, self._device, self._backend)
        if self._backend.needs == "runner" and isinstance(self._device, LocalDevice):
            make_bundle(machine.triple())  # now, so that it is not in the time of the first candidate
        if provenance_of(self._device) == "emulated":
            self._reference = Reference()  # what emulation is for: is it right, and how many instructions does it take
        return name

    def tuning(self) -> dict[str, Any]:
        """Options of the backend `tvm`: nothing, or how much to tune, and on which devices."""
        if not self._tune:
            return {}
        tracker = self.device_name.removeprefix("rpc://")
        return {"tune": self._tune, **({"tracker": tracker} if tracker != self.device_name else {})}

    @property
    def device(self) -> Device | None:
        """The open device; None after `close`."""
        return self._device

    @property
    def costs(self) -> tuple[str, ...]:
        """The columns that are measured, emulated or estimated rather than counted."""
        if self._table is not None:
            return self._table.costs
        if self._backend is None:
            from lts.targets.estimate.costs import columns

            return columns(self.target)
        assert self._device is not None, "the evaluator is closed"
        return self._device.costs

    @property
    def architectures(self) -> list[Architecture] | None:
        """All that can be evaluated, where these are few: the rows of a table."""
        return self._table.architectures if self._table is not None else None

    @property
    def priors(self) -> dict[str, dict[str, float]]:
        """Coefficients of costs that were measured on such a device, for surrogates to start from."""
        known = self.target.calibration
        return {} if known is None else {name: cost.coefficients for name, cost in known.costs.items()}

    @property
    def parallel(self) -> int:
        return self._device.parallel if self._device is not None else 1

    @property
    def default_objectives(self) -> tuple[str, ...]:
        costs = [name for name in ("latency_ms", "instructions", "peak_memory_mib") if name in self.costs]
        return ("decoder_params:max", *(f"{name}:min" for name in costs))

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        columns = list(columns)
        known = [*analytic_names(), *self.costs]
        for name in columns:
            if name not in known:
                raise UsageError(
                    f"unknown objective or constraint '{name}' on the device '{self.device_name}'; "
                    f"expected one of {', '.join(known)}"
                )
        if family(space.family).position == "relative":
            return  # no table of positions, no limit
        needed = self.n_prompt + any(name.startswith("decode_") and name in self.costs for name in columns)
        if (available := space.options["n_positions"]) < needed:
            raise UsageError(
                f"n_prompt is {self.n_prompt}, which needs n_positions {needed}; {space.name} has {available}, "
                f"enough for {available - needed + self.n_prompt}"
            )

    def describe(self) -> dict[str, Any]:
        return {
            "target": self.target.name,
            "threads": self.target.threads,
            "precision": self.target.precision,
            "device": self.device_name,
            "backend": self.backend_name,
            "n_prompt": self.n_prompt,
            **({"tune": self._tune} if self._tune else {}),
            "profile": self.target.to_dict(),
            **({"table": self._table.digest} if self._table is not None else {}),
        }

    def environment(self) -> dict[str, Any]:
        assert self._device is not None, "the evaluator is closed"
        return self._device.environment(self.target.threads)

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Evaluation:
        columns = list(columns)
        names = [name for name in analytic_names() if name in columns or name in _ALWAYS]
        values = {
            name: counted(name, architecture, n_prompt=self.n_prompt, precision=self.target.precision) for name in names
        }
        provenance = {name: counted_provenance(name) for name in names}
        if self._table is not None:
            record = self._table.look_up(architecture)
            if record is None:
                return Evaluation(error=f"the table {self._table.path} does not have this architecture")
            measured = {**dict.fromkeys(record["values"], "measured"), **record["provenance"]}
            return Evaluation(
                values={**values, **record["values"]},
                provenance={**provenance, **measured},
                interval={name: (low, high) for name, (low, high) in record["interval"].items()},
            )
        if self._backend is None:
            from lts.targets.estimate.calibrated import predicted
            from lts.targets.estimate.costs import estimate

            found = estimate(architecture, self.target, self.n_prompt)
            known = predicted(architecture, self.target, self.n_prompt)
            return Evaluation(
                values={**values, **found.values, **{name: value for name, (value, _, _) in known.items()}},
                provenance={
                    **provenance,
                    **dict.fromkeys(found.values, "estimated"),
                    **dict.fromkeys(known, "predicted"),
                },
                interval={**found.interval, **{name: (low, high) for name, (_, low, high) in known.items()}},
            )
        costs = tuple(name for name in self.costs if name in columns)
        if not costs:
            return Evaluation(values=values, provenance=provenance)
        from lts.measure.measured import measure

        assert self._device is not None, "the evaluator is closed"
        measurement = measure(
            architecture,
            self.target,
            self._device,
            self._backend,
            costs=costs,
            n_prompt=self.n_prompt,
            timeout=self.timeout if timeout is None else min(timeout, self.timeout),
            min_time=self.min_time,
            workdir=self._directory(),
            reference=self._reference,
        )
        return Evaluation(
            values={**values, **measurement.values},
            provenance={**provenance, **measurement.provenance},
            interval=measurement.interval,
            mad=measurement.mad,
            samples_ns=measurement.samples_ns,
            warnings=measurement.warnings,
            seconds=measurement.seconds,
            environment=measurement.environment,
            error=measurement.error,
        )

    def close(self) -> None:
        for held in (self._device, self._backend, self._reference, self._temporary):
            if held is not None:
                held.close()
        self._device = self._temporary = None

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _directory(self) -> Path:
        with self._lock:
            if self._workdir is None:
                from lts.system.workdir import WorkDirectory

                self._temporary = WorkDirectory()
                self._workdir = self._temporary.path
            return self._workdir
