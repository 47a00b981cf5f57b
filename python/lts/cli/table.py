"""Rows and columns as text for a terminal of any width, or for none: nothing is cut and nothing left out."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from lts.cli.plain import readable

# A list in a cell may be broken over lines as wide as this.
_LIST = 20
_GAP = 2


@dataclass(frozen=True)
class Columns:
    """What is printed: headings, cells as text, which columns are numbers, and how many of the last ones may go to a
    second line below the others."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    last: int = 0


def print_table(columns: Columns, title: str | None) -> None:
    """Print to stdout what fits: a table, one whose rows have two lines, or a line for every value."""
    from rich.console import Console

    columns, title = _readable(columns), title and readable(title, sys.stdout.encoding)
    natural = _widths(columns, None)
    if not sys.stdout.isatty():
        # Not on a terminal there is no width to respect: nothing is padded either. Nor is COLUMNS one, which programs
        # with readline pass to all that they start.
        console = Console(width=_boxed(natural) + len(title or ""), markup=False, highlight=False, no_color=True)
        with console.capture() as capture:
            console.print(_table(columns, natural, title))
        sys.stdout.writelines(line.rstrip() + "\n" for line in capture.get().splitlines())
        return
    console = Console(markup=False, highlight=False)
    least = _widths(columns, _LIST)
    if _boxed(least) <= console.width:
        console.print(_table(columns, least, title))
        return
    first = len(columns.headings) - columns.last
    if columns.last and first and _plain(natural[:first]) <= console.width:
        lines = _two_lines(columns, natural, first, console.width)
    else:
        lines = _one_by_one(columns, console.width)
    sys.stdout.writelines(line.rstrip() + "\n" for line in [*([title, ""] if title else []), *lines])


def _readable(columns: Columns) -> Columns:
    """The same as stdout shows it, where that has signs in ASCII alone."""

    def shown(cells: Sequence[str]) -> list[str]:
        return [readable(cell, sys.stdout.encoding) for cell in cells]

    return replace(columns, headings=shown(columns.headings), rows=[shown(row) for row in columns.rows])


def _lines(heading: str) -> list[str]:
    """Provenance stands on its own line."""
    return heading.replace(" (", "\n(").split("\n")


def _widths(columns: Columns, most: int | None) -> list[int]:
    """How wide the columns are where numbers, which are not broken, have their room, and lists at most so much."""
    found = []
    for i, heading in enumerate(columns.headings):
        title = max(map(len, _lines(heading)))
        cells = max((len(row[i]) for row in columns.rows), default=0)
        found.append(max(title, cells if most is None or columns.numeric[i] else min(cells, most)))
    return found


def _boxed(widths: Sequence[int]) -> int:
    """The width of the table of rich: a blank on both sides of a column, one between columns and at both ends."""
    return sum(width + 3 for width in widths) + 1


def _plain(widths: Sequence[int]) -> int:
    return sum(width + _GAP for width in widths) - _GAP


def _table(columns: Columns, least: Sequence[int], title: str | None) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for i, heading in enumerate(columns.headings):
        # A number broken over two lines is another number; lists may break.
        numeric = columns.numeric[i]
        side: Any = "right" if numeric else "left"
        table.add_column("\n".join(_lines(heading)), justify=side, overflow="fold", no_wrap=numeric, min_width=least[i])
    for row in columns.rows:
        table.add_row(*row)
    return table


def _two_lines(columns: Columns, widths: Sequence[int], first: int, width: int) -> list[str]:
    """The first columns as a table; the others, with their names, below each of its rows."""

    def line(cells: Sequence[str]) -> str:
        return (" " * _GAP).join(
            cell.rjust(widths[i]) if columns.numeric[i] else cell.ljust(widths[i]) for i, cell in enumerate(cells)
        )

    headings = zip_longest(*(_lines(heading) for heading in columns.headings[:first]), fillvalue="")
    lines = [line(cells) for cells in headings]
    lines.append("─" * _plain(widths[:first]))
    for row in columns.rows:
        lines.append(line(row[:first]))
        rest = "; ".join(f"{name} {row[first + i]}" for i, name in enumerate(columns.headings[first:]))
        lines += _wrapped(rest, width, "    ", "      ")
    return lines


def _one_by_one(columns: Columns, width: int) -> list[str]:
    lines = []
    for row in columns.rows:
        for i, heading in enumerate(columns.headings):
            lines += _wrapped(f"{heading}: {row[i]}", width, "  " if i else "", "      ")
        lines.append("")
    return lines


def _wrapped(text: str, width: int, first: str, later: str) -> list[str]:
    """Lines of at most this width where words allow it: a number is never broken here."""
    return textwrap.wrap(
        text,
        max(width, 20),
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
