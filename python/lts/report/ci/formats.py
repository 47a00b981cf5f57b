"""Reports on a comparison for other tools: the formats by name, and writing one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.measure.result import Result
from lts.report.ci import bencher, benchmark_action, github, gitlab_codequality, gitlab_metrics, junit
from lts.report.ci.compared import Compared, of_results, read
from lts.system.files import check_writable, replace_file

__all__ = ["FORMATS", "check_alone", "check_report", "parse_report", "write", "write_results"]


@dataclass(frozen=True)
class ReportFormat:
    """A form of file that another tool reads."""

    name: str
    read_by: str
    render: Callable[[Sequence[Compared]], str]
    alone: bool = False
    """Whether it has values, and so can be of results that are compared with nothing."""


FORMATS = (
    ReportFormat("github", "the summary of a step, or a comment, on GitHub: Markdown", github.summary),
    ReportFormat(
        "benchmark-action",
        "github-action-benchmark, tool customSmallerIsBetter: JSON",
        benchmark_action.smaller_is_better,
        alone=True,
    ),
    ReportFormat(
        "benchmark-action-bigger",
        "github-action-benchmark, tool customBiggerIsBetter: JSON",
        benchmark_action.bigger_is_better,
        alone=True,
    ),
    ReportFormat("bencher", "bencher run --adapter json: JSON", bencher.metric_format, alone=True),
    ReportFormat("junit", "Jenkins, GitLab and most others: JUnit's XML", junit.document),
    ReportFormat("gitlab-codequality", "GitLab, artifacts:reports:codequality: JSON", gitlab_codequality.findings),
    ReportFormat("gitlab-metrics", "GitLab, artifacts:reports:metrics: OpenMetrics", gitlab_metrics.metrics),
)


def parse_report(text: str) -> tuple[str, Path]:
    """The format and the file that "junit=gate.xml" is. Raises `UsageError` for something else."""
    name, sign, path = text.partition("=")
    if not sign or not path.strip():
        raise UsageError(f"--report is '{text}'; expected FORMAT=FILE, as in junit=gate.xml")
    return _format(name.strip()).name, Path(path)


def check_report(path: Path) -> None:
    """Raise `UsageError` when a report could not be written there: better before minutes of measuring than after."""
    try:
        check_writable(path)
    except (OSError, ValueError) as error:  # ValueError: it cannot be the name of a file
        raise _unwritable(path, error) from None


def write(
    format_name: str, records: Iterable[Mapping[str, Any]], path: Path, *, inconclusive_fails: bool = False
) -> None:
    """Write what a comparison found for another tool; the file appears at once and whole.

    Parameters
    ----------
    format_name
        The name of one of `FORMATS`.
    records
        One per metric and model, as `lts-engine compare -o json` prints them.
    path
        The file.
    inconclusive_fails
        Whether the gate fails where the measurements do not say.

    Raises
    ------
    UsageError
        For another name, what is no record of a comparison, or a file that cannot be written.
    """
    _write(_format(format_name), read(records, inconclusive_fails=inconclusive_fails), path)


def write_results(format_name: str, results: Iterable[Result], path: Path) -> None:
    """Write results of `lts-engine bench` for another tool, as `write` does.

    Raises
    ------
    UsageError
        For another name, or one whose form has verdicts and not values; or for a file that cannot be written.
    """
    _write(check_alone(format_name), of_results(results), path)


def check_alone(format_name: str) -> ReportFormat:
    """The format. Raises `UsageError` for one that needs a comparison."""
    form = _format(format_name)
    if not form.alone:
        known = ", ".join(each.name for each in FORMATS if each.alone)
        raise UsageError(f"the report '{format_name}' is of a comparison; expected one of {known} for results alone")
    return form


def _write(form: ReportFormat, rows: Sequence[Compared], path: Path) -> None:
    try:
        replace_file(path, form.render(rows))
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def _format(name: str) -> ReportFormat:
    found = next((form for form in FORMATS if form.name == name), None)
    if found is None:
        raise UsageError(f"unknown report '{name}'; expected one of {', '.join(form.name for form in FORMATS)}")
    return found


def _unwritable(path: Path, error: OSError | ValueError) -> UsageError:
    return UsageError(f"cannot write the report {path}: {getattr(error, 'strerror', None) or error}")
