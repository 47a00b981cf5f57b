"""What a published form of a table is: one file per form, and a row in `lts.measure.tables.reader.FORMS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lts._core import Architecture
from lts.errors import UsageError

Row = Mapping[str, str]


@dataclass(frozen=True)
class Form:
    """The columns by which a form is known, and how a row becomes an architecture.

    Parameters
    ----------
    title
        What it is called, with its columns, for messages.
    columns
        The columns that no other form has.
    build
        The architecture of a row in a family. A `KeyError`, `TypeError`, `ValueError` or `AttributeError` says what is
        wrong with the row.
    families
        The families that a table may be read as, the default first; empty when the table does not say its family.
    """

    title: str
    columns: frozenset[str]
    build: Callable[[Row, str], Architecture]
    families: tuple[str, ...] = ()

    def family(self, path: Path, given: str | None) -> str:
        """The family that a table is read as. Raises `UsageError` for one that it cannot be, or when one is needed."""
        if not self.families:
            if given is None:
                raise UsageError(f"{path} does not say of what family its architectures are: name it with --family")
            return given
        if given is not None and given not in self.families:
            raise UsageError(f"{path} is a table of {' or '.join(self.families)}, not of {given}")
        return given or self.families[0]
