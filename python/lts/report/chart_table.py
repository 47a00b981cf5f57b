"""The points of a chart as a table, for those who do not see it and for those who want the numbers."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lts.report.elements import breakable, table
from lts.system.text import number, plural

_MOST_ROWS = 200


def chart_table(figure: dict[str, Any]) -> str:
    """A table of the markers of a chart as plotly.js draws it, or of its lines where it has no markers; HTML.

    A row has the name of its series, what it is (the first line of what hovering shows), its place on both axes and
    its error bar. Of more than 200 points some are left out evenly.
    """
    traces = [trace for trace in figure["data"] if trace.get("hoverinfo") != "skip" and trace["x"]]
    rows = [row for trace in traces for row in _rows(trace)]
    if not rows:
        return ""
    step = -(-len(rows) // _MOST_ROWS)
    layout = figure["layout"]
    names = [_words(layout[axis]["title"]["text"]) for axis in ("xaxis", "yaxis") if "title" in layout[axis]]
    names += [""] * (2 - len(names))
    head = ["series", "point", *names]
    bars = any("error_y" in trace or "error_x" in trace for trace in traces)
    if bars:
        head.append("interval")
    cells = [
        "".join(f"<td{' class=n' if i > 1 else ''}>{breakable(cell)}</td>" for i, cell in enumerate(row[: len(head)]))
        for row in rows[::step]
    ]
    left = f"<p>{plural(len(cells), 'point')} of {number(len(rows))}, evenly chosen.</p>" if step > 1 else ""
    return table([breakable(cell) for cell in head], cells, right=range(2, len(head))) + left


def _rows(trace: dict[str, Any]) -> Iterator[list[str]]:
    about = trace.get("hovertext") or trace.get("text") or [""] * len(trace["x"])
    for i, (x, y, said) in enumerate(zip(trace["x"], trace["y"], about, strict=True)):
        if x is not None and y is not None:
            name = _words(trace.get("name", ""))
            yield [name, _words(said.split("<br>")[0]), _number(x), _number(y), _interval(trace, i)]


def _interval(trace: dict[str, Any], i: int) -> str:
    parts = []
    for axis in ("x", "y"):
        bar = trace.get(f"error_{axis}")
        if bar and i < len(bar["array"]) and (bar["array"][i] or bar["arrayminus"][i]):
            at = trace[axis][i]
            parts.append(f"{number(at - bar['arrayminus'][i])} to {number(at + bar['array'][i])}")
    return "; ".join(parts)


def _number(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)


def _words(markup: str | Sequence[str]) -> str:
    """What plotly's markup says, without it."""
    return html.unescape(re.sub(r"<[^<>]*>", " ", str(markup))).strip()
