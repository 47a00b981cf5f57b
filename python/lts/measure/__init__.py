"""The room of measuring. Called, it measures one architecture: see `lts.measure.candidate.measure`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """`lts.measure` is this room and, for users, the function: importing anything from it sets that attribute."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from lts.measure.candidate import measure

        return measure(*arguments, **options)


sys.modules[__name__].__class__ = _Room
