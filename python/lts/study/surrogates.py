"""Surrogates by name."""

from __future__ import annotations

from collections.abc import Mapping

from lts.errors import UsageError
from lts.study.cost_model import Additive, SurrogateLike
from lts.study.layered import Layered

_NONE = "none"

SURROGATES = (Additive.name, Layered.name, _NONE)


def surrogate_of(given: str | SurrogateLike | None, priors: Mapping[str, Mapping[str, float]]) -> SurrogateLike | None:
    """The surrogate of that name; None for "none". Raises `UsageError` for another one."""
    if given is None or given == _NONE:
        return None
    if given == Additive.name:
        return Additive(priors)
    if given == Layered.name:
        return Layered(priors)
    if isinstance(given, SurrogateLike):
        return given
    raise UsageError(f"unknown surrogate {given!r}; expected {', '.join(SURROGATES)}, or an object with a method fit")
