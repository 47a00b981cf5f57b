"""A fleet: one study for each device, all at the same time, which learn from each other's measurements."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lts._core import Objective, SearchSpace, parse_objective
from lts.errors import LtsError, MeasurementError, UsageError
from lts.fleet.device import FleetDevice, checked_devices
from lts.fleet.preference import check_preference
from lts.fleet.shared import PooledAdditive, Shared
from lts.fleet.stored import StoredFleet, read_stored_fleet, store_of, write_fleet
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.measure.opening import cache_for, open_evaluator
from lts.study.loop import Progress
from lts.study.plan import PREDICTED
from lts.study.study import Study
from lts.system.files import make_directory

_TARGET_OPTIONS = ("backend", "threads", "precision")

Told = Callable[[str, Progress], None]


class _StoppedError(Exception):
    """The run ends before this study has."""


@dataclass(frozen=True)
class Failure:
    """Why a device was not measured on, or not to the end.

    Parameters
    ----------
    device
        Its name.
    reason
        One sentence.
    opened
        Whether it could be reached at first.
    """

    device: str
    reason: str
    opened: bool


class Fleet:
    """Search one space for the Pareto fronts of several devices.

    Each device has a study of its own, in a folder of its name, with the same first design. All run at the same time;
    the cost model of each starts from what the others share so far.

    Parameters
    ----------
    space
        What is searched.
    devices
        What is searched for. A device that is not measured has a front all the same, predicted from the others.
    folder
        Where the studies are. A fleet that is found there is resumed; devices may have been added.
    objectives, constraints
        As of `Study`, for all devices; a device may have further constraints.
    seed
        Seed of everything random.
    timeout_of_candidate
        Seconds for one candidate; by default as of `lts.measure.opening.open_evaluator`.
    cache, workload
        What is run: keywords of `lts.measure.opening.open_evaluator`, such as `n_prompt`.

    Raises
    ------
    UsageError
        For no devices, two of one name, a wrong argument, or a folder that cannot be written.
    """

    def __init__(
        self,
        space: SearchSpace,
        devices: Sequence[FleetDevice],
        folder: str | Path,
        *,
        objectives: Sequence[str] = ("decoder_params:max", "latency_ms:min"),
        constraints: Sequence[str] = (),
        seed: int = 0,
        timeout_of_candidate: float | None = None,
        cache: str | None = None,
        **workload: Any,
    ) -> None:
        self.space = space
        each = [replace(device, constraints=[*constraints, *device.constraints]) for device in devices]
        self.devices = checked_devices(each, "the fleet")
        self.folder = Path(folder)
        try:
            self.objectives: list[Objective] = [parse_objective(text) for text in objectives]
        except ValueError as error:
            raise UsageError(str(error)) from None
        for device in self.devices:
            check_preference(device.prefer, self.objectives, f"the preference for '{device.name}'")
        self._seed = seed
        self._workload = {**workload, "timeout": timeout_of_candidate, "cache": cache_for(space.family, cache)}
        self._shared = Shared()
        self._stop = threading.Event()
        self.failures: list[Failure] = []
        """What went wrong in the last run, by device."""

    def run(
        self,
        trials: int | None = None,
        timeout: float | None = None,
        progress: Told | None = None,
        *,
        confirm: bool = True,
    ) -> StoredFleet:
        """Measure on all devices at the same time, until each has `trials` finished ones or `timeout` seconds passed.

        A device that fails leaves the others running, and the reason in `failures`; the next run goes on with it alone,
        as the studies of the others have their trials. `progress` gets the name of the device and every trial that has
        ended, in threads of their own.

        Raises
        ------
        UsageError
            For a wrong argument, or a folder that holds another fleet.
        MeasurementError
            When no device can be reached, or all of them failed.
        """
        make_directory(self.folder)
        self.failures = []
        self._stop.clear()
        measured = [device for device in self.devices if device.measured]
        write_fleet(self.folder, self.space, self.objectives, self.devices)
        self._remember()
        if measured:
            with ThreadPoolExecutor(len(measured), "fleet") as threads:
                running = {
                    device.name: threads.submit(
                        self._device, device, device.trials or trials or PREDICTED, timeout, progress, confirm
                    )
                    for device in measured
                }
                try:
                    self._wait(running)
                except BaseException:
                    self._stop.set()
                    raise
            if len(self.failures) == len(measured):
                what = "reached" if not any(each.opened for each in self.failures) else "measured on"
                reasons = "; ".join(f"{each.device}: {each.reason}" for each in self.failures)
                raise MeasurementError(f"no device of the fleet can be {what}: {reasons}")
        return read_stored_fleet(self.folder)

    def _remember(self) -> None:
        """Begin with what earlier runs have measured, also on devices that do not run now."""
        for name, study in read_stored_fleet(self.folder).studies.items():
            self._shared.add(name, study.trials)

    def _wait(self, running: Mapping[str, Future[None]]) -> None:
        for name, future in running.items():
            try:
                future.result()
            except UsageError:
                raise
            except LtsError as error:
                self.failures.append(Failure(name, str(error), store_of(self.folder, name).is_file()))

    def _device(
        self, device: FleetDevice, trials: int, timeout: float | None, progress: Told | None, confirm: bool
    ) -> None:
        def told(step: Progress) -> None:
            self._shared.add(device.name, [step.trial])
            if progress is not None:
                progress(device.name, step)
            if self._stop.is_set():
                raise _StoppedError

        evaluator, ours = self._opened(device)
        try:
            make_directory(self.folder / device.name)
            with Study(
                self.space,
                evaluator,
                objectives=[str(each) for each in self.objectives],
                constraints=device.constraints,
                seed=self._seed,
                store=store_of(self.folder, device.name),
                surrogate=PooledAdditive(self._shared, device.name),
            ) as study:
                study.run(trials, timeout, told, confirm=confirm)
        except _StoppedError:
            pass
        except UsageError as error:
            raise UsageError(f"device '{device.name}': {error}") from None
        finally:
            if ours:
                evaluator.close()

    def _opened(self, device: FleetDevice) -> tuple[Evaluator, bool]:
        """The evaluator of a device, and whether it is ours to close."""
        if device.evaluator is not None:
            given = device.evaluator
            return (given if isinstance(given, Evaluator) else FunctionEvaluator(given, provenance="measured")), False
        options = {name: getattr(device, name) for name in _TARGET_OPTIONS if getattr(device, name) is not None}
        try:
            return open_evaluator(device.target, device=device.device, **{**self._workload, **options}), True
        except UsageError as error:
            raise UsageError(f"device '{device.name}': {error}") from None
