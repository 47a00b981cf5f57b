"""A fleet as its folder holds it: which devices, and the study of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lts._core import Objective, SearchSpace, parse_objective
from lts.errors import UsageError
from lts.fleet.common import Served, common
from lts.fleet.device import NONE, FleetDevice, checked_devices
from lts.fleet.disagreement import disagreements
from lts.fleet.fronts import DeviceFront, Known, fronts_of, measured_columns
from lts.fleet.shared import Samples, samples_of
from lts.study.schema import STORE_NAME
from lts.study.stored import StoredStudy, read_study
from lts.system.files import replace_file
from lts.system.outside import parse_json, read_bytes
from lts.targets.estimate.calibrated import calibrated_models
from lts.targets.target import load_target
from lts.targets.workload import Workload

FLEET_NAME = "fleet.json"
_SCHEMA = 1


def is_fleet(path: Path) -> bool:
    """Whether a path is the folder of a fleet."""
    return (path / FLEET_NAME).is_file()


def store_of(folder: Path, device: str) -> Path:
    """The store of the study of a device."""
    return folder / device / STORE_NAME


@dataclass(frozen=True)
class StoredFleet:
    """What the folder of a fleet holds.

    Parameters
    ----------
    folder
        Where it is.
    space, objectives
        What was searched, and what for.
    devices
        Its devices, in the order of the fleet file.
    studies
        By device the study of what was measured on it; absent where nothing was.
    """

    folder: Path
    space: SearchSpace
    objectives: Sequence[Objective]
    devices: Sequence[FleetDevice]
    studies: Mapping[str, StoredStudy]

    @cached_property
    def samples(self) -> dict[str, dict[str, Samples]]:
        """By measured column and device what was measured."""
        columns = measured_columns(self.objectives, self.devices)
        return {
            column: {
                device.name: samples_of(self.studies[device.name].trials if device.name in self.studies else (), column)
                for device in self.devices
            }
            for column in columns
        }

    @cached_property
    def fronts(self) -> list[DeviceFront]:
        """The fronts of all devices, in their order. Computed when they are first asked for, in about a second."""
        return fronts_of(
            self.space,
            self.objectives,
            [self._known(device) for device in self.devices],
            {column: list(of_devices.values()) for column, of_devices in self.samples.items()},
        )

    @property
    def notes(self) -> list[str]:
        """Devices and measurements that disagree with all others, in sentences for people."""
        return [note for column, known in self.samples.items() for note in disagreements(column, known)]

    def front(self, device: str) -> DeviceFront:
        """The front of a device by its name. Raises `UsageError` for a name that none has."""
        for each in self.fronts:
            if each.device.name == device:
                return each
        names = ", ".join(each.name for each in self.devices)
        raise UsageError(f"unknown device '{device}'; expected one of the fleet: {names}")

    def common(self, k: int) -> list[Served]:
        """The `k` models that together serve all devices best: see `lts.fleet.common.common`."""
        return common(self.fronts, k)

    def _known(self, device: FleetDevice) -> Known:
        study = self.studies.get(device.name)
        if study is not None:
            complete = [trial for trial in study.trials if trial.state == "complete"]
            return Known(device, Workload.of(study.configuration).counted, complete, study.front)
        others = next((Workload.of(each.configuration) for each in self.studies.values()), Workload())
        try:
            units = calibrated_models(load_target(device.target), others)
        except UsageError:  # a file of a target that is not there any more
            units = {}
        return Known(device, others.counted, units=units)


def write_fleet(
    folder: Path, space: SearchSpace, objectives: Sequence[Objective], devices: Sequence[FleetDevice]
) -> None:
    """Say in the folder what the fleet is. Raises `UsageError` when that cannot be written."""
    record = {
        "schema": _SCHEMA,
        "space": json.loads(space.to_json()),
        "objectives": [str(each) for each in objectives],
        "devices": [device.described() for device in devices],
    }
    try:
        replace_file(folder / FLEET_NAME, json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {folder / FLEET_NAME}: {error.strerror or error}") from None


def read_stored_fleet(folder: Path) -> StoredFleet:
    """Read the folder of a fleet. Raises `UsageError` when it is none, or damaged."""
    path = folder / FLEET_NAME
    try:
        record = parse_json(read_bytes(path))
    except OSError as error:
        raise UsageError(f"{folder} is no folder of a fleet: cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path} is damaged ({error}); run the search of the fleet again") from None
    try:
        if record["schema"] != _SCHEMA:
            raise ValueError(f"its schema is {record['schema']!r}; expected {_SCHEMA}")
        space = SearchSpace.from_json(json.dumps(record["space"]))
        objectives = [parse_objective(text) for text in record["objectives"]]
        devices = checked_devices([_device(each) for each in record["devices"]], str(path))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"{path} is damaged ({error}); run the search of the fleet again") from None
    studies = {
        device.name: read_study(store_of(folder, device.name))
        for device in devices
        if store_of(folder, device.name).is_file()
    }
    return StoredFleet(folder, space, objectives, devices, studies)


def _device(record: Mapping[str, Any]) -> FleetDevice:
    return FleetDevice(
        str(record["name"]),
        str(record["target"]),
        "measured" if record["measured"] else NONE,
        constraints=[str(text) for text in record["constraints"]],
        prefer={str(name): float(weight) for name, weight in record["prefer"].items()},
    )
