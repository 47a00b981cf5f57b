"""The arguments of a study: what they may be, what makes it the same study, and what follows from its budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote
from typing import Any

from lts.measure.outcome import shown
from lts.study.surrogates import SURROGATES
from lts.targets.workload import BEFORE

_MOST_TEXT = 10_000
_MOST_ENTRIES = 1_000
_MOST_TOKENS = 2**20
_MOST = 2**63
_WORDS = ("device", "backend", "threads", "n_prompt", "n_gen", "batch", "logits", "precision", "cache")


def population_for(algorithm: str, trials: int | None) -> dict[str, int]:
    """Smaller populations for a budget that the published ones would spend on the first, random population.

    From 300 trials on, and for other algorithms than the two with populations, nothing is changed.
    """
    if trials is None or trials >= 300 or algorithm not in ("lts", "nsga2"):
        return {}
    population = max(8, trials // 3)
    if algorithm == "nsga2":
        return {"population_size": population}
    return {
        "population_size": population,
        "n_parents": max(4, population // 5),
        "n_mutants": max(4, population * 2 // 5),
        "n_crossovers": max(4, population * 2 // 5),
    }


def differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """One phrase for every argument that differs between two studies."""
    found = []
    stored = {**BEFORE, **stored} if "n_prompt" in stored else stored
    for key in sorted({*stored, *given}):
        before, now = stored.get(key), given.get(key)
        if before == now or (key == "profile" and not _is_other_profile(before, now)):
            continue
        if key == "space" and isinstance(before, dict) and isinstance(now, dict):
            fields = _differing(before, now)
            named = f" ({before.get('name')} there, {now.get('name')} here)" if "name" in fields else ""
            found.append(f"the space differs in {', '.join(fields)}{named}")
        elif key == "profile" and isinstance(before, dict) and isinstance(now, dict):
            found.append(f"the profile of the target differs in {', '.join(_differing(before, now))}")
        else:
            found.append(f"{key} is {_short(before)} there and {_short(now)} here")
    return found


def options_of(stored: Mapping[str, Any]) -> list[str]:
    """The arguments of `lts-engine search` for a stored study, quoted; none for a study that it cannot run."""
    space, target = stored.get("space"), stored.get("target")
    if not isinstance(space, Mapping) or not target or stored.get("algorithm_options") or "compress" in stored:
        return []
    words = [str(space.get("name")), "--target", str(target)]
    stored = {**BEFORE, **stored}
    for key in (*_WORDS, "algorithm", "seed", "tune", "flash_attention"):
        if (value := stored.get(key)) is not None and not (key == "backend" and stored.get("device") == "none"):
            words += [f"--{key.replace('_', '-')}", str(value)]
    surrogate = str(stored.get("surrogate", "none"))
    words += ["--surrogate" if surrogate in SURROGATES else "--sampler", surrogate]
    words += ["--seed-front", str(stored["seed_front"])] if "seed_front" in stored else []
    for key in ("objectives", "constraints"):
        for value in stored.get(key, ()):
            words += [f"--{key.removesuffix('s')}", str(value)]
    return [quote(word) for word in words]


def _is_other_profile(before: Any, now: Any) -> bool:
    """Whether a target says something else than it did. Whether this machine is still what it was, its environment
    says; and a study of an earlier version has no profile."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return False
    return not before.get("name") == now.get("name") == "host"


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(k for k in {*before, *now} if before.get(k) != now.get(k))


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(v) for v in value) or "none"
    return "absent" if value is None else str(value)


def check(stored: Any) -> None:
    """Check what a stored study says of its arguments, which may come from anybody.

    The profile of its target is checked where a target is made of it, its space where it is built; other keys are those
    of the evaluator's own description, and only shown.

    Raises
    ------
    TypeError
        Naming the first argument that is not what it must be.
    """
    if not isinstance(stored, dict):
        raise TypeError("the arguments of the study are no table")
    for key, (expected, is_right) in _ARGUMENTS.items():
        if (value := stored.get(key)) is not None and not is_right(value):
            raise TypeError(f"'{key}' of the study is {shown(value)}; expected {expected}")
    space = stored.get("space") or {}
    for key, (expected, is_right) in _OF_THE_SPACE.items():
        if (value := space.get(key)) is not None and not is_right(value):
            raise TypeError(f"'{key}' of the study's space is {shown(value)}; expected {expected}")


def _is_text(value: Any) -> bool:
    return type(value) is str and len(value) <= _MOST_TEXT


def _are_texts(value: Any) -> bool:
    return type(value) is list and len(value) <= _MOST_ENTRIES and all(map(_is_text, value))


def _is_table(value: Any) -> bool:
    return type(value) is dict and len(value) <= _MOST_ENTRIES


def _whole(least: int, most: int) -> tuple[str, Callable[[Any], bool]]:
    return f"an integer from {least} to {most}", lambda value: type(value) is int and least <= value <= most


_TEXT, _TEXTS, _TABLE = ("a text", _is_text), ("a list of texts", _are_texts), ("a table", _is_table)
_ARGUMENTS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "space": _TABLE,
    "objectives": _TEXTS,
    "constraints": _TEXTS,
    "algorithm": _TEXT,
    "algorithm_options": _TABLE,
    "seed": _whole(0, _MOST),
    "surrogate": _TEXT,
    "seed_front": _TEXT,
    "target": _TEXT,
    "device": _TEXT,
    "backend": _TEXT,
    "precision": _TEXT,
    "table": _TEXT,
    "threads": _whole(1, _MOST_TOKENS),
    "n_prompt": _whole(1, _MOST_TOKENS),
    "n_gen": _whole(0, _MOST_TOKENS),
    "batch": _whole(1, _MOST_TOKENS),
    "logits": _TEXT,
    "cache": _TEXT,
    "tune": _whole(0, _MOST),
    "flash_attention": _TEXT,
}
_OF_THE_SPACE: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "name": _TEXT,
    "family": _TEXT,
    "n_positions": _whole(0, _MOST),
}
