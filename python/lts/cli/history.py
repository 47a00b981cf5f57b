"""lts-engine history"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli.arguments import Format, FormatOption
from lts.cli.errors import exits
from lts.cli.help import App, Group
from lts.cli.log import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lts.measure.change_points import ChangePoint
    from lts.measure.series import Series
    from lts.measure.statistics import Summary


class _Group(Group):
    """Commands of which the `default` one need not be named: what begins with no command's name is its arguments."""

    default = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


app = App(
    cls=_Group,
    no_args_is_help=False,
    help="Show how saved results changed over time, and merge files of them. 'history' alone is 'history show'.",
)


@app.command()
@exits
def show(
    file: Annotated[
        Path | None, typer.Argument(help="The history.", show_default="lts-history.jsonl in this directory")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="What is shown: a name that results are saved under; may be repeated.", show_default="all"),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="What is shown, separated by commas; may be repeated.", metavar="NAME,...", show_default="all"
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write one HTML file; it needs no network to read.", show_default=False)
    ] = None,
    output: FormatOption = Format.table,
) -> None:
    """Show of every name and metric the first and the last value, and where the level changed."""
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.measure.history import DEFAULT, read
    from lts.measure.series import series_of

    path = file or Path(DEFAULT)
    if html is not None:
        _check_page(html, path)
    history = read(path)
    for note in history.notes:
        say(f"warning: {note}")
    if not history.entries:
        raise UsageError(f"{path} is empty; lts-engine bench MODEL --save NAME adds to it")
    found = series_of(history, name or (), [each.strip() for text in metric or () for each in text.split(",")])
    people = output in (Format.table, Format.md)
    results = Results(
        [_record(series) for series in found],
        _COLUMNS if people else (),
        [_row(series) for series in found] if people else (),
        _title(found, path),
        last=4,
    )
    try:
        emit(results, output)
        if people:
            _write_sentences(found, output)
        sys.stdout.flush()  # before writing the page, which may fail
    finally:  # even when the reader of stdout has gone
        if html is not None:
            from lts.report.history import write_history

            write_history(found, path, html)
            say(f"report: {html}")


@app.command()
@exits
def merge(
    files: Annotated[list[Path], typer.Argument(help="Histories.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-O", help="File to write; what it has already, stays.", show_default=False)
    ],
) -> None:
    """Write what is in any of several histories to one, each result once; conflicts that git has left are resolved."""
    from lts.measure.history import merge as merged
    from lts.system.text import plural

    found = merged(files, out)
    for note in found.notes:
        say(f"warning: {note}")
    say(f"{plural(len(found.entries), 'result')} of {plural(len(found.names), 'name')}")
    typer.echo(out)


_COLUMNS = (
    "name",
    "metric",
    "results",
    "first",
    "last",
    "environment",
    "to the one before",
    "to its level",
    "change points",
)


def _check_page(html: Path, history: Path) -> None:
    """Raise `UsageError` for mistakes that would otherwise show only at the end."""
    from lts.errors import UsageError
    from lts.report.ranking import require_plotly

    require_plotly()
    if html.resolve() == history.resolve():
        raise UsageError(f"--html: {html} is the history itself")


def _title(found: Sequence[Series], path: Path) -> str:
    n = len({id(entry) for series in found for entry in series.entries})
    first = min(series.times[0] for series in found)
    last = max(series.times[-1] for series in found)
    return f"{path}: {n} result{'' if n == 1 else 's'}, {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _row(series: Series) -> list[Any]:
    from lts.system.outside import sentence
    from lts.system.text import percent

    return [
        series.name,
        f"{series.metric.name} ({series.provenance})",
        len(series.entries),
        _center(series.points[0]),
        _center(series.points[-1]),
        sentence(series.latest.environment),
        percent(series.to_before),
        percent(series.to_level),
        len(series.changes),
    ]


def _center(point: Summary) -> float:
    from lts.cli.output import Spread

    return Spread(point.median, (point.low, point.high)) if point.n > 1 else point.median


def _write_sentences(found: Sequence[Series], output: Format) -> None:
    """The change points, and what the figures mean."""
    from lts.measure.change_points import FALSE_ALARMS, MOST
    from lts.measure.series import apart

    between = " " if output is Format.md else "\n  "
    lines = [between.join(_said(series, change)) for series in found for change in series.changes]
    lines = lines or [f"No change points in {len(found)} series."]
    if any(not series.metric.exact for series in found):
        lines.append(
            f"Of series that do not change, at most {100 * FALSE_ALARMS:.3g} % have a change point; ± is from process "
            "to process."
        )
    lines += apart(found)
    if any(series.n_unsearched for series in found):
        lines.append(f"Change points are searched in the newest {MOST} results of a series.")
    if output is Format.md:
        sys.stdout.write("\n")
    for line in lines:
        sys.stdout.write(f"{'* ' if output is Format.md else ''}{line}\n")


def _said(series: Series, change: ChangePoint) -> list[str]:
    """A change point in two parts of a sentence."""
    from lts.system.outside import sentence
    from lts.system.revision import shortened
    from lts.system.text import number, percent, plural, unit

    entry, measure = series.entries[change.index], series.metric.name
    revision = f", revision {sentence(shortened(entry.revision))}" if entry.revision else ""
    chance = "" if change.p_value is None else f", p {change.p_value:.2g}"
    values = f"{number(change.before.median)} -> {number(change.after.median)} {unit(measure)}".rstrip()
    relative = "" if change.change is None else f", {percent(change.change)}"
    return [
        f"{series.name}, {measure}, {sentence(entry.environment)}: {values}{relative}",
        f"at {series.times[change.index]:%Y-%m-%d %H:%M} UTC{revision}; medians of {change.before.n} and "
        f"{plural(change.after.n, 'result')}{chance}",
    ]


def _record(series: Series) -> dict[str, Any]:
    """All of it, for programs."""
    from lts.system.outside import sentence

    last = series.latest

    def figures(point: Summary) -> dict[str, Any]:
        return {"value": point.median, "interval": [point.low, point.high], "coverage": point.coverage, "n": point.n}

    def at(index: int) -> dict[str, Any]:
        entry = series.entries[index]
        return {"time": entry.time, "revision": sentence(entry.revision), "model": sentence(entry.model)}

    points = [{**at(i), **figures(point)} for i, point in enumerate(series.points)]
    return {
        "name": series.name,
        "metric": series.metric.name,
        "provenance": series.provenance,
        **{name: sentence(getattr(last, name)) for name in ("target", "device", "backend", "environment")},
        "workload": None if last.workload is None else last.workload.describe(),
        "inputs": last.inputs,
        "results": len(points),
        "first": points[0],
        "last": points[-1],
        "to_before": series.to_before,
        "level": figures(series.level),
        "to_level": series.to_level,
        "change_points": [
            {
                **at(change.index),
                "index": change.index,
                "before": figures(change.before),
                "after": figures(change.after),
                "change": change.change,
                "p_value": change.p_value,
            }
            for change in series.changes
        ],
        "points": points,
    }
