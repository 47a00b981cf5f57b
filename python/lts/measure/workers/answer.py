"""What a worker says, checked: it may have another version, another machine, or be no worker of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lts._core import __version__
from lts.errors import UsageError
from lts.system.outside import parse_json, sentence

_MOST_NAMED = 3


class FaultError(Exception):
    """A worker has no answer that counts; another one may have."""


def answer_of(said: Any) -> dict[str, Any]:
    """A worker's answer as a table, of our version of lts-engine. Raises `FaultError` for what is none."""
    try:
        answer = parse_json(said) if isinstance(said, str) else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise FaultError("its answer is wrong: it is no table in JSON")
    answer["name"] = name = sentence(answer.get("name", "without a name"), 100)
    if (version := answer.get("version")) != __version__:
        raise UsageError(
            f"the worker {name} has lts-engine {sentence(version, 30)}; this is {__version__}: install the same there"
        )
    if "fault" in answer:
        raise FaultError(f"the worker {name} says: {sentence(answer['fault'], 300)}")
    return answer


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In what two environments differ."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    parts = [f"{name} {sentence(one.get(name), 60)} and {sentence(other.get(name), 60)}" for name in names]
    return ", ".join(parts[:_MOST_NAMED])
