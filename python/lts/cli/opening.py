"""Opening what gives architectures their values, which may take minutes where a device is used for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lts.cli.progress import Waiting

if TYPE_CHECKING:
    from lts._core import SearchSpace
    from lts.measure.evaluator import TargetEvaluator


def opened(
    target: str, device: str | Sequence[str] | None, space: SearchSpace, *, cache: str | None, **options: Any
) -> TargetEvaluator:
    """As `lts.measure.opening.open_evaluator`, for architectures of a space, while people see what is going on."""
    return opened_for(space.family, target, device, cache=cache, **options)


def opened_for(
    family: str, target: str, device: str | Sequence[str] | None, *, cache: str | None, **options: Any
) -> TargetEvaluator:
    """The same for architectures of a family; several devices are a pool."""
    from lts.measure.opening import cache_for, open_evaluator

    named = device if isinstance(device, str) else ", ".join(device or ())
    with Waiting(f"opening {named or target}") as waiting:
        return open_evaluator(target, device=device, cache=cache_for(family, cache), observe=waiting, **options)
