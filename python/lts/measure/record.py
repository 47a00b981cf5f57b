"""What the fields of records of trials and results may be: a store, or a file of records, may come from anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, get_args

from lts.measure.outcome import Provenance

STATES = ("waiting", "running", "complete", "failed")
PROVENANCES = frozenset(get_args(Provenance))

_MOST_TEXT = 100_000
_MOST_ENTRIES = 10_000
_MOST_SAMPLES = 10_000_000
_MOST_INTEGER = 2**64


def checked(record: Mapping[str, Any], *, result: bool = False) -> None:
    """Check the types, sizes and ranges of the fields of a trial's record, or of a `result`'s, which has some more.

    Raises
    ------
    TypeError, ValueError
        Naming the first field that is wrong.
    """
    for name, value in record.items():
        is_right = (_RESULT_FIELDS if result else _FIELDS).get(name)
        if is_right is None:
            raise ValueError(f"unknown field {name[:100]!r}")
        if not is_right(value):
            raise ValueError(f"the field '{name}' is not what it must be")


def is_number(value: object) -> bool:
    """Whether it is a finite number that a float holds: a bool, text or None is not."""
    return _all_numbers((value,))


def _all_numbers(values: Collection[Any]) -> bool:
    # By functions of C: a study has a hundred thousand records.
    try:
        return set(map(type, values)) <= _NUMBERS and all(map(math.isfinite, values))
    except OverflowError:
        return False


_NUMBERS = {int, float}
_STRINGS = {str}


def _text(value: object) -> bool:
    return type(value) is str and len(value) <= _MOST_TEXT


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST_INTEGER


def _names(value: object) -> bool:
    """Whether it is a table by names of a sensible length."""
    if type(value) is not dict or len(value) > _MOST_ENTRIES:
        return False
    return not value or (set(map(type, value)) == _STRINGS and max(map(len, value)) <= _MOST_TEXT)


def _small(value: Any) -> bool:
    """Whether it is a table of texts, numbers and lists of them."""
    if not _names(value):
        return False
    flat = [each for entry in value.values() for each in (entry if type(entry) is list else [entry])]
    return len(flat) <= _MOST_ENTRIES and all(
        each is None or type(each) is bool or _text(each) or is_number(each) for each in flat
    )


def _numbers(value: Any) -> bool:
    return _names(value) and _all_numbers(value.values())


def _bounds(n: int) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return _names(value) and all(
            isinstance(each, list | tuple) and len(each) == n and _all_numbers(each) for each in value.values()
        )

    return check


def _samples(value: Any) -> bool:
    return _names(value) and all(map(_whole_numbers, value.values()))


def _whole_numbers(values: object) -> bool:
    if type(values) is not list or len(values) > _MOST_SAMPLES:
        return False
    return not values or (set(map(type, values)) == {int} and min(values) >= 0 and max(values) < _MOST_INTEGER)


def _rounds(value: Any) -> bool:
    return _names(value) and all(
        type(each) is list and 0 < len(each) <= _MOST_ENTRIES and _all_numbers(each) for each in value.values()
    )


def _texts(value: object) -> bool:
    return type(value) is list and len(value) <= _MOST_ENTRIES and all(map(_text, value))


def _provenances(value: Any) -> bool:
    return _names(value) and set(map(type, value.values())) <= _STRINGS and set(value.values()) <= PROVENANCES


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "schema": lambda value: type(value) is int,
    "trial": _whole,
    "state": lambda value: type(value) is str and value in STATES,
    "architecture": lambda value: type(value) is dict,
    "values": _numbers,
    "provenance": _provenances,
    "interval": _bounds(2),
    "mad": _numbers,
    "predicted": _bounds(3),
    "rounds": _rounds,
    "samples_ns": _samples,
    "feasible": lambda value: value is None or type(value) is bool,
    "error": lambda value: value is None or _text(value),
    "disturbed": lambda value: type(value) is bool,
    "warnings": _texts,
    "deployed": lambda value: value is None or _text(value),
    "origin": _text,
    "seconds": _numbers,
    "target": _text,
    "device": _text,
    "backend": _text,
    "environment": _text,
    "seed": _whole,
    "time": _text,
    "lts_version": _text,
}
_RESULT_FIELDS: dict[str, Callable[[Any], bool]] = {
    **_FIELDS,
    "architecture": lambda value: value is None or type(value) is dict,
    "model": _text,
    "kind": _text,
    "workload": lambda value: value is None or _small(value),
    "inputs": lambda value: _names(value) and all(map(_whole_numbers, value.values())),
    "n_samples": lambda value: _names(value) and all(map(_whole_numbers, value.values())),
    "fingerprint": lambda value: _small(value),
    "saved": _text,
    "revision": _text,
}
