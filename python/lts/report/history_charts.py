"""The figures of a history: one per name and metric, with every series of it, as the JSON of plotly.js."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from lts.measure.result import Result
from lts.measure.series import Series
from lts.report.charts import Figure, axis, layout, plain, titled
from lts.report.ranking_charts import better
from lts.system.outside import sentence
from lts.system.revision import shortened
from lts.system.text import number, percent, unit

# Of one series after the other: distinguishable without color, too.
_MARKERS = (
    ("circle", "var(--accent)"),
    ("square", "var(--warn)"),
    ("diamond", "var(--ink)"),
    ("cross", "var(--muted)"),
)
_MOST_TICKS = 6


def history_chart(found: Sequence[Series]) -> Figure:
    """Values of one name and metric by order of time, with their levels and where these change.

    Series are never joined. Times of different series are one order: entries that were measured at the same time are
    beside each other.
    """
    order = sorted((when, k, i) for k, series in enumerate(found) for i, when in enumerate(series.times))
    places = {(k, i): place for place, (_, k, i) in enumerate(order)}
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for k, series in enumerate(found):
        x = [places[k, i] for i in range(len(series.entries))]
        data += [_levels(series, x, k), _points(series, x, k) | {"showlegend": len(found) > 1}]
        for change in series.changes:
            at = (x[change.index - 1] + x[change.index]) / 2
            line = {"width": 1.5, "dash": "dash", "color": _MARKERS[k % len(_MARKERS)][1]}
            ends = {"xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1}
            shapes.append({"type": "line", "line": line, **ends})
            text = {"text": percent(change.change) or "change", "showarrow": False, "font": {"size": 11}}
            notes.append({"xref": "x", "yref": "paper", "x": at, "y": 1, "yanchor": "bottom", **text})
    first = found[0]
    goal = better("max" if first.metric.higher_is_better else "min")
    kinds = ", ".join(dict.fromkeys(series.provenance for series in found))
    y_axis = axis(titled(first.metric.name, f"{kinds}; {goal}"))
    figure: Figure = {
        "data": data,
        "layout": layout(_time_axis([when for when, *_ in order]), y_axis, height=380),
    }
    figure["layout"] |= {"shapes": shapes, "annotations": notes}
    figure["layout"]["legend"]["y"] = 1.1  # above the annotations
    figure["layout"]["margin"]["t"] = 30
    return figure


def doubts(entry: Result) -> list[str]:
    """What was wrong on the machine while it was measured; usually nothing."""
    return (
        ["disturbed: " + sentence(" ".join(entry.warnings[:1]) or "it is not said by what")] if entry.disturbed else []
    )


def _about(series: Series, i: int) -> str:
    """Hover text of an entry, in plotly's markup: when and of what commit, its value, and where it was measured."""
    entry, point = series.entries[i], series.points[i]
    revision = f", revision {sentence(shortened(entry.revision))}" if entry.revision else ""
    bounds = f", {number(point.low)} to {number(point.high)}" if point.n > 1 else ""
    processes = "1 process" if point.n == 1 else f"{point.n} processes"
    lines = [
        f"{series.times[i]:%Y-%m-%d %H:%M} UTC{revision}",
        sentence(entry.model),
        f"{number(point.median)} {unit(series.metric.name)}".rstrip() + f"{bounds}, {processes}",
        f"environment {sentence(entry.environment)}",
        *doubts(entry),
    ]
    return "<br>".join(map(plain, lines))


def _points(series: Series, x: Sequence[int], k: int) -> dict[str, Any]:
    symbol, color = _MARKERS[k % len(_MARKERS)]
    middle = [point.median for point in series.points]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(f"{sentence(series.latest.device)}, environment {sentence(series.latest.environment)}"),
        "legendgroup": str(k),
        "x": list(x),
        "y": middle,
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [point.high - point.median for point in series.points],
            "arrayminus": [point.median - point.low for point in series.points],
            "color": color,
            "thickness": 1,
            "width": 3,
        },
        "line": {"width": 0.75, "color": color},
        "marker": {"size": 7, "symbol": symbol, "color": color, "line": {"width": 0.5, "color": "var(--edge)"}},
        "hoverinfo": "text",
        "hovertext": [_about(series, i) for i in range(len(middle))],
    }


def _levels(series: Series, x: Sequence[int], k: int) -> dict[str, Any]:
    """A line at the median of the values between two changes."""
    ends = [series.n_unsearched, *(change.index for change in series.changes), len(x)]
    levels = [change.before.median for change in series.changes] + [series.level.median]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "level",
        "legendgroup": str(k),
        "showlegend": False,
        "x": [at for begin, end in pairwise(ends) for at in (x[begin] - 0.5, x[end - 1] + 0.5, None)],
        "y": [y for level in levels for y in (level, level, None)],
        "line": {"width": 3, "color": "var(--grey)"},
        "hoverinfo": "skip",
    }


def _time_axis(times: Sequence[datetime]) -> dict[str, Any]:
    """Places from 0 in the order of time, some of them with their day."""
    step = max(1, -(-len(times) // _MOST_TICKS))
    shown = range(0, len(times), step)
    return {
        "title": {"text": "results by time", "standoff": 10},
        "tickvals": list(shown),
        "ticktext": [f"{times[i]:%Y-%m-%d}" for i in shown],
        "range": [-0.75, len(times) - 0.25],
    }
