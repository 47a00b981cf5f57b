"""Pieces of HTML that every page is made of. Everything that comes from elsewhere goes through `escaped`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_SHORT = 10  # characters of a name that is never broken
# Browsers read NUL as an end or as something else; other control characters and lone surrogates are no text either.
_NO_TEXT = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160), *range(55296, 57344)), "�")


def escaped(value: object) -> str:
    """Text for HTML, also between quotes; what is no character of text becomes a replacement character."""
    return html.escape(str(value).translate(_NO_TEXT), quote=True)


def breakable(value: object) -> str:
    """The same, where a long name may be broken into lines: after underscores and dots."""
    text = escaped(value)
    return text if len(text) <= _SHORT else text.replace("_", "_<wbr>").replace(".", ".<wbr>")


def tiles(numbers: Iterable[tuple[str, object]]) -> str:
    """The most important numbers of a page, each with what it is: pairs of (what, number)."""
    cells = "".join(f'<div class="tile"><b>{escaped(value)}</b>{escaped(name)}</div>' for name, value in numbers)
    return f'<div class="tiles">{cells}</div>'


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """Short facts side by side: pairs of (what, value)."""
    body = "".join(f"<div><dt>{breakable(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in rows)
    return f'<dl class="facts">{body}</dl>' if body else ""


def pairs(rows: Iterable[tuple[object, object]], *, card: bool = True) -> str:
    """Names and what they stand for, below each other; side by side where there is room."""
    body = "".join(f"<div><dt>{breakable(key)}</dt><dd>{escaped(value)}</dd></div>" for key, value in rows)
    return f'<dl class="pairs{" card" if card else ""}">{body}</dl>'


def simple_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A table of texts."""
    cells = ["".join(f"<td>{breakable(cell)}</td>" for cell in row) for row in rows]
    return table([breakable(cell) for cell in head], cells)


def table(
    head: Sequence[str],
    rows: Sequence[str],
    right: Sequence[int] = (),
    marked: Sequence[str] = (),
    *,
    pinned: bool = False,
) -> str:
    """A table from cells of headings and rows of cells that are HTML already.

    Columns in `right` are of numbers; `marked` has attributes per row. `pinned`: the first column stays in sight.
    """
    headings = "".join(f'<th scope="col"{" class=n" if i in right else ""}>{cell}</th>' for i, cell in enumerate(head))
    body = "".join(f"<tr{mark}>{row}</tr>" for mark, row in zip(marked or [""] * len(rows), rows, strict=True))
    classes = "card table tall pinned" if pinned else "card table tall"
    return f'<div class="{classes}"><table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table></div>'
