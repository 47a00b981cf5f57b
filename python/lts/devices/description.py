"""What a machine that runs jobs says of itself, checked: it is hashed, stored and shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lts.errors import MeasurementError
from lts.system.environment import METER
from lts.system.outside import sentence

_MOST_FACTS = 64


def environment_of(value: Any, who: str) -> dict[str, Any]:
    """The fingerprint that a program on a device gives: short names, and strings and numbers as their values.

    Raises
    ------
    MeasurementError
        For anything else.
    """
    if not isinstance(value, Mapping) or len(value) > _MOST_FACTS:
        raise MeasurementError(
            f"{who}: the device's answer is wrong: its description is no table of {_MOST_FACTS} facts"
        )
    found: dict[str, Any] = {}
    for key, fact in value.items():
        name = sentence(key, 40)
        if not isinstance(key, str) or re.fullmatch(r"[a-z][a-z0-9_]{0,39}", key) is None:
            raise MeasurementError(f"{who}: the device's answer is wrong: its description has the key '{name}'")
        if fact is not None and not _is_fact(fact):
            raise MeasurementError(
                f"{who}: the device's answer is wrong: '{name}' of its description is {sentence(repr(fact), 60)}; "
                "expected a short text or a number"
            )
        if key == METER and not isinstance(fact, str):
            raise MeasurementError(
                f"{who}: the device's answer is wrong: '{key}' of its description is {sentence(repr(fact), 60)}; "
                "expected the name of a meter"
            )
        found[key] = sentence(fact, 200) if isinstance(fact, str) else fact
    return found


def _is_fact(fact: Any) -> bool:
    if isinstance(fact, str):
        return len(fact) <= 1000
    return isinstance(fact, int | float) and not isinstance(fact, bool) and abs(fact) < 1e18  # NaN is not
