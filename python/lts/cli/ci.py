"""What a gate tells the systems of continuous integration: files that were asked for, and annotations on GitHub."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.errors import UsageError

if TYPE_CHECKING:
    from lts.measure.result import Result

ReportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        help="A file for another tool: github, benchmark-action, benchmark-action-bigger, bencher, junit, "
        "gitlab-codequality or gitlab-metrics; may be repeated.",
        metavar="FORMAT=FILE",
        show_default=False,
    ),
]

ResultReportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        help="A file for another tool: benchmark-action, benchmark-action-bigger or bencher; may be repeated.",
        metavar="FORMAT=FILE",
        show_default=False,
    ),
]


def wanted_reports(given: list[str] | None, *, alone: bool = False) -> list[tuple[str, Path]]:
    """The reports that were asked for, checked before anything is measured; `alone` for results without a comparison.

    Raises
    ------
    UsageError
        For an unknown format, a file that is named twice, or one that cannot be written.
    """
    if not given:
        return []
    from lts.report.ci.formats import check_alone, check_report, parse_report

    reports = [parse_report(text) for text in given]
    seen: set[Path] = set()
    for name, path in reports:
        if alone:
            check_alone(name)
        check_report(path)
        if path.resolve() in seen and not path.is_char_device():
            raise UsageError(f"--report names {path} twice; expected a file for each")
        seen.add(path.resolve())
    return reports


def publish(
    records: Iterable[Mapping[str, Any]], reports: Iterable[tuple[str, Path]], *, inconclusive_fails: bool = False
) -> None:
    """Annotate the run where GitHub Actions is what runs the command, and write the reports.

    Raises
    ------
    UsageError
        When one cannot be written; the others are.
    """
    records = list(records)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from lts.report.ci.github import annotate

        annotate(records, inconclusive_fails=inconclusive_fails)
    problem: UsageError | None = None
    for name, path in reports:
        from lts.report.ci.formats import write

        try:
            write(name, records, path, inconclusive_fails=inconclusive_fails)
        except UsageError as error:
            problem = problem or error
    if problem is not None:
        raise problem


def publish_results(results: Sequence[Result], reports: Iterable[tuple[str, Path]]) -> None:
    """Write reports on results that were compared with nothing. Raises `UsageError` when one cannot be written."""
    for name, path in reports:
        from lts.report.ci.formats import write_results

        write_results(name, results, path)
