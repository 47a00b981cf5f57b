"""The arguments of a study: what makes it the same study, and what follows from its budget."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

from lts.study.cost_model import SURROGATES


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
    if not isinstance(space, Mapping) or not target or stored.get("algorithm_options"):
        return []
    words = [str(space.get("name")), "--target", str(target)]
    for key in ("device", "backend", "threads", "n_prompt", "algorithm", "seed", "tune"):
        if (value := stored.get(key)) is not None and not (key == "backend" and stored.get("device") == "none"):
            words += [f"--{key.replace('_', '-')}", str(value)]
    surrogate = str(stored.get("surrogate", "none"))
    words += ["--surrogate" if surrogate in SURROGATES else "--sampler", surrogate]
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
