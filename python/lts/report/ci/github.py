"""GitHub Actions: annotations by workflow commands, and the summary of a step in Markdown.

`Workflow commands <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>`_ are lines that the
runner reads from stdout and stderr; it escapes as the command of github.com/actions/toolkit does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lts.measure.compare import Answer
from lts.report.ci.compared import Compared, read, tally

_LEVELS = {Answer.regression: "error", Answer.inconclusive: "warning", Answer.improvement: "notice"}
# GitHub shows at most 1 MiB of a step's summaries, and none when there is more.
_SUMMARY_BYTES = 256 << 10


def annotate(records: Iterable[Mapping[str, Any]], *, inconclusive_fails: bool = False) -> None:
    """Show what was found on the page of the run: annotations through stderr, and the summary of the step.

    The summary is appended to the file that ``GITHUB_STEP_SUMMARY`` names. Neither is the result: where one cannot be
    written, nothing is raised.

    Parameters
    ----------
    records, inconclusive_fails
        As of `lts.report.ci.compared.read`.

    Raises
    ------
    UsageError
        For what is no record of a comparison.
    """
    rows = read(records, inconclusive_fails=inconclusive_fails)
    _say("".join(f"{each}\n" for each in commands(rows)))
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(("\n" if file.tell() else "") + summary(rows))
        except (OSError, ValueError) as error:  # ValueError: it cannot be the name of a file
            _say(f"warning: the summary of the step is not written: {getattr(error, 'strerror', None) or error}\n")


def commands(rows: Iterable[Compared]) -> list[str]:
    """A workflow command for each metric that is not the same: what fails the gate is an error.

    GitHub shows ten errors, warnings and notices each of a step; the others are in its log.
    """
    shown = [(row, _LEVELS[row.verdict]) for row in rows if row.verdict in _LEVELS]
    return [
        command("error" if row.fails else level, f"lts-engine: {row.verdict.value} of {row.model}", row.text)
        for row, level in shown
    ]


def command(name: str, title: str, message: str) -> str:
    """A workflow command in one line, whatever the texts are."""
    escaped = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{name} title={escaped}::{_escaped(message)}"


def summary(rows: Sequence[Compared]) -> str:
    """A table in GitHub's Markdown, and what its numbers are; at most 256 KiB."""
    columns = ("model", "metric", "baseline", "contender", "change", "bound", "verdict")
    head = f"### lts-engine: {tally(rows)}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
    foot = _explained(rows)
    size = len(head.encode()) + len(foot.encode())
    lines = []
    for row in sorted(rows, key=lambda row: not row.fails):
        cells = (
            code(row.model),
            f"{code(row.metric)} ({text(row.provenance)})",
            f"{row.shown(row.baseline)} {text(row.unit)}",
            f"{row.shown(row.contender)} {text(row.unit)}",
            row.shown_change,
            row.shown_bound,
            f"**{row.verdict.value}**" if row.fails else row.verdict.value,
        )
        line = f"| {' | '.join(cells)} |\n"
        size += len(line.encode())
        if size > _SUMMARY_BYTES:
            break
        lines.append(line)
    left_out = len(rows) - len(lines)
    return head + "".join(lines) + (f"\nand {left_out} more\n" if left_out else "") + foot


def code(name: str) -> str:
    """A name as code, in which nothing is Markdown, HTML, or the end of a cell."""
    return f"<code>{text(name)}</code>"


def text(name: str) -> str:
    """A name with all that Markdown or HTML may give a meaning to as character references."""
    return "".join(c if not c.isascii() or c.isalnum() or c in " -/," else f"&#{ord(c)};" for c in name)


def _explained(rows: Sequence[Compared]) -> str:
    sides = [side for row in rows for side in (row.baseline, row.contender) if side.processes > 1]
    said = "One process per side: what is counted is the same every time."
    if sides:
        fewest, held = min(side.processes for side in sides), min(side.coverage for side in sides)
        said = (
            f"Medians of {fewest} or more processes per side; ± is how far the ends of an interval are that holds the "
            f"median of all processes with {100 * held:.3g} % or more. The change has its 95 % interval."
        )
    places = dict.fromkeys(", ".join(f"{key} {value}" for key, value in row.place.items()) for row in rows)
    shown = [f"* {text(place)}\n" for place in list(places)[:20] if place]
    return f"\n{said}\n" + ("\n" if shown else "") + "".join(shown) if rows else ""


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _say(lines: str) -> None:
    with suppress(OSError, ValueError):  # ValueError: the stream was closed
        sys.stderr.write(lines)
        sys.stderr.flush()
