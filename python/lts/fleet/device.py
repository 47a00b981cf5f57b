"""The devices of a fleet, and the file that lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lts._core import Architecture, parse_constraint
from lts.errors import UsageError
from lts.measure.evaluator import Evaluator
from lts.system.names import check_name
from lts.system.toml_file import check_keys, integer, number, read_toml

_KEYS = ("name", "target", "device", "backend", "threads", "precision", "trials", "constraints", "prefer")
_TEXTS = ("target", "device", "backend", "precision")
NONE = "none"

Function = Callable[[Architecture], Mapping[str, float]]


@dataclass(frozen=True)
class FleetDevice:
    """One of the devices that models are searched for.

    Parameters
    ----------
    name
        What it is called, and its folder.
    target, device, backend, threads, precision
        As of `lts.measure.opening.open_evaluator`; with the device "none", nothing is measured on it, and its costs are
        predicted from the others.
    trials
        Measurements on it, in place of those of all devices: from 3 to 10 are enough beside the others'.
    constraints
        Bounds of its own, such as ``"latency_ms<=50"``.
    prefer
        By objective, how much its part of the range of the front weighs; those that are not named weigh nothing. Empty:
        all weigh the same.
    evaluator
        What measures in place of a target and a device: an `Evaluator`, or a function from an `Architecture` to values.
    """

    name: str
    target: str = "host"
    device: str = NONE
    backend: str | None = None
    threads: int | None = None
    precision: str | None = None
    trials: int | None = None
    constraints: Sequence[str] = ()
    prefer: Mapping[str, float] = field(default_factory=dict)
    evaluator: Evaluator | Function | None = None

    @property
    def measured(self) -> bool:
        """Whether something is measured on it."""
        return self.evaluator is not None or self.device != NONE

    def described(self) -> dict[str, Any]:
        """What readers of the fleet have to know of it, as JSON."""
        return {
            "name": self.name,
            "target": self.target,
            "measured": self.measured,
            "constraints": list(self.constraints),
            "prefer": dict(self.prefer),
        }


def checked_devices(devices: Sequence[FleetDevice], where: str) -> list[FleetDevice]:
    """The devices. Raises `UsageError` for none, two of one name, or a constraint that is none."""
    if not devices:
        raise UsageError(f"{where} has no devices; expected [[device]] with a name, for each of them")
    seen: set[str] = set()
    for device in devices:
        check_name(device.name, f"{where}: the name of a device")
        if device.name.casefold() in seen:
            raise UsageError(f"{where}: two devices are called '{device.name}'; names must differ")
        seen.add(device.name.casefold())
        for text in device.constraints:
            try:
                parse_constraint(text)
            except ValueError as error:
                raise UsageError(f"{where}, device '{device.name}': {error}") from None
    return list(devices)


def read_fleet(path: Path) -> list[FleetDevice]:
    """The devices of a fleet file; docs/fleet.md says what it may have.

    Raises
    ------
    UsageError
        When it cannot be read, or has an unknown key, a value of the wrong kind, no device or two of one name.
    """
    record = read_toml(path)
    check_keys(record, ("device",), str(path))
    tables = record.get("device", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise UsageError(f"{path}: 'device' must be tables, [[device]]")
    return checked_devices([_device(each, f"{path}, device {i}") for i, each in enumerate(tables, 1)], str(path))


def _device(table: Mapping[str, Any], where: str) -> FleetDevice:
    check_keys(table, _KEYS, where)
    if "name" not in table:
        raise UsageError(f"{where}: 'name' is missing")
    given: dict[str, Any] = {}
    for key in ("name", *_TEXTS):
        if key in table:
            if not isinstance(table[key], str) or not table[key]:
                raise UsageError(f"{where}: '{key}' is {table[key]!r}; expected text")
            given[key] = table[key]
    for key in ("threads", "trials"):
        if key in table:
            given[key] = integer(table[key], f"{where}: '{key}'")
            if given[key] < 1:
                raise UsageError(f"{where}: '{key}' is {given[key]}; it must be at least 1")
    if "constraints" in table:
        texts = table["constraints"]
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise UsageError(f"{where}: 'constraints' is {texts!r}; expected a list such as [\"latency_ms<=50\"]")
        given["constraints"] = texts
    if "prefer" in table:
        if not isinstance(table["prefer"], dict):
            raise UsageError(f"{where}: 'prefer' is {table['prefer']!r}; expected a table such as {{ latency_ms = 2 }}")
        given["prefer"] = {
            key: float(number(value, f"{where}: prefer.{key}")) for key, value in table["prefer"].items()
        }
    return FleetDevice(**given)
