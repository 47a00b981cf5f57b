"""lts-engine report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lts.cli.arguments import StudyArgument, store_path
from lts.cli.errors import exits


@exits
def command(
    study: StudyArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file.", show_default="report.html in the study's directory"),
    ] = None,
) -> None:
    """Write one HTML file about a study; it needs no network to read."""
    from lts.report import write_report

    path = store_path(study)
    out = output or path.parent / "report.html"
    write_report(path, out)
    typer.echo(out)
