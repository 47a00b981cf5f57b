"""How saved results changed over time, as one HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from lts.measure.change_points import FALSE_ALARMS, MOST, ChangePoint
from lts.measure.series import Series, apart
from lts.report import _plotly_js, _write
from lts.report.elements import breakable, escaped, table, tiles
from lts.report.frame import Figures, html_page
from lts.report.history_charts import doubts, history_chart
from lts.system.outside import sentence
from lts.system.revision import shortened
from lts.system.text import number, percent, plural, with_bounds

__all__ = ["write_history"]

_MOST_ROWS = 200
_MEANING = (
    "A point is the median of the processes of one result; its bar is where the median of all such processes lies, {}. "
    "A grey line is the level: the median of the results between two change points. "
)
_SEARCH = (
    "Change points, the dashed lines, are found by exact rank tests on the medians, with a correction for all the "
    "places where a change could have been: of series that do not change, at most {:.3g} % have one. Changes that are "
    "smaller than {:.3g} % are not shown. "
)
_COUNTS = "Of counts, which every process finds the same, any other value is a change. "
_APART = (
    "Results of different conditions (machine, software, workload) are different series. They have different marks, "
    "are never joined by a line, and are not compared."
)


def write_history(found: Sequence[Series], source: Path, out: Path) -> None:
    """Write the page; the file appears at once and whole.

    Raises
    ------
    UsageError
        When the file cannot be written, or plotly is not installed.
    """
    _write(Path(out), document(found, source, _plotly_js()))


def document(found: Sequence[Series], source: Path, plotly_js: str) -> str:
    """The whole page."""
    figures = Figures()
    body = _heading(found, source) + _changes(found) + _charts(found, figures)
    return html_page(f"History of {source.name}", body, figures, plotly_js, source)


def _heading(found: Sequence[Series], source: Path) -> str:
    entries = {id(entry) for series in found for entry in series.entries}
    numbers = [
        ("results", number(len(entries))),
        ("names", number(len({series.name for series in found}))),
        ("series", number(len(found))),
        ("change points", number(sum(len(series.changes) for series in found))),
    ]
    times = sorted(time for series in found for time in series.times)
    when = f"{times[0]:%Y-%m-%d %H:%M} to {times[-1]:%Y-%m-%d %H:%M} UTC" if times else "no results"
    return (
        f'<h1>{escaped(f"History of {source.name}")}</h1><p class="muted">{escaped(when)}</p>'
        f"{tiles(numbers)}<p>{escaped(_meaning(found))}</p>"
        + "".join(f'<p class="muted">{escaped(each)}.</p>' for each in apart(found))
    )


def _meaning(found: Sequence[Series]) -> str:
    text = ""
    if timed := [series for series in found if not series.metric.exact]:
        several = [point.coverage for series in timed for point in series.points if point.n > 1]
        held = f"with at least {100 * min(several):.3g} %" if several else "where there are several"
        text += _MEANING.format(held) + _SEARCH.format(100 * FALSE_ALARMS, 100 * timed[0].metric.bound)
    if len(timed) < len(found):
        text += _COUNTS
    if any(series.n_unsearched for series in found):
        text += f"They are searched in the newest {MOST} results of a series. "
    if len(_grouped(found)) < len(found):
        text += _APART
    return text


def _grouped(found: Iterable[Series]) -> list[list[Series]]:
    """The series of each name and metric, in which they stand side by side."""
    return [list(group) for _, group in groupby(found, key=lambda series: (series.name, series.metric.name))]


def _changes(found: Sequence[Series]) -> str:
    """All change points in one table, the newest first."""
    all_of_them = [(series.times[change.index], series, change) for series in found for change in series.changes]
    if not all_of_them:
        return f"<h2>Change points</h2><p>None in {number(len(found))} series.</p>"
    all_of_them.sort(key=lambda each: each[0], reverse=True)
    rows = [_change_row(series, change) for _, series, change in all_of_them]
    head = ["name", "metric", "environment", "from", "revision", "before", "after", "change", "p"]
    return f"<h2>Change points</h2>{table(head, rows, right=range(5, 9))}"


def _change_row(series: Series, change: ChangePoint) -> str:
    entry = series.entries[change.index]
    texts = [
        series.name,
        f"{series.metric.name} ({series.provenance})",
        sentence(entry.environment),
        f"{series.times[change.index]:%Y-%m-%d %H:%M}",
        sentence(shortened(entry.revision)),
    ]
    sides = [(side, plural(side.n, "result")) for side in (change.before, change.after)]
    numbers = [f"{escaped(number(side.median))}<small>{escaped(n)}</small>" for side, n in sides]
    numbers.append(escaped(percent(change.change)))
    numbers.append("" if change.p_value is None else f"{change.p_value:.2g}")
    return _cells(texts) + "".join(f'<td class="n">{each}</td>' for each in numbers)


def _charts(found: Sequence[Series], figures: Figures) -> str:
    """By name and metric a chart, the conditions of its series, and a table of what it shows."""
    parts = []
    name = None
    for i, group in enumerate(_grouped(found)):
        first = group[0]
        if first.name != name:
            name = first.name
            parts.append(f"<h2>{escaped(name)}</h2>")
        metric, n = first.metric.name, sum(len(series.changes) for series in group)
        label = f"{metric} of {name} over time, with {plural(n, 'change point')}; the table below has its values"
        count = sum(len(series.entries) for series in group)
        summary = f"{plural(count, 'result')}, the newest first"
        chart = figures.place(f"series-{i}", history_chart(group), label, _results(group), summary)
        parts.append(f"<h3>{escaped(metric)}</h3>{chart}")
        parts += [f'<p class="muted">{escaped(sentence(series.conditions, 1000))}</p>' for series in group]
    return "".join(parts)


def _results(group: Sequence[Series]) -> str:
    """What a chart shows, as a table, the newest first."""
    every = sorted(
        ((series.times[i], k, i) for k, series in enumerate(group) for i in range(len(series.entries))), reverse=True
    )
    rows = []
    for _, k, i in every[:_MOST_ROWS]:
        series = group[k]
        entry, point = series.entries[i], series.points[i]
        texts = [
            f"{series.times[i]:%Y-%m-%d %H:%M}",
            sentence(shortened(entry.revision)),
            sentence(entry.model),
            sentence(entry.environment),
        ]
        starts = any(change.index == i for change in series.changes)
        notes = [*(["change point"] if starts else []), *doubts(entry)]
        value = with_bounds(point.median, (point.low, point.high))
        figures = "".join(f'<td class="n">{escaped(each)}</td>' for each in (value, number(point.n)))
        rows.append(f'{_cells(texts)}{figures}<td class="text">{escaped("; ".join(notes))}</td>')
    first = group[0]
    head = ["time, UTC", "revision", "model", "environment", escaped(first.metric.name), "processes", "notes"]
    older = f"<p>{plural(len(every) - _MOST_ROWS, 'older result')} not listed.</p>" if len(every) > _MOST_ROWS else ""
    return f"{table(head, rows, right=(4, 5))}{older}"


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"<td>{breakable(text)}</td>" for text in texts)
