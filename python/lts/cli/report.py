"""lts-engine report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lts.cli.arguments import StudyArgument, older, renamed
from lts.cli.errors import exits
from lts.study.schema import store_path


@exits
def command(
    study: StudyArgument,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="File to write.", show_default="report.html in the study's directory"),
    ] = None,
    output: Annotated[Path | None, older("--output", "-o")] = None,
) -> None:
    """Write one HTML file about a study, with charts and why trials failed; it needs no network to read."""
    from lts.fleet.stored import is_fleet, read_stored_fleet
    from lts.report import write_report

    if is_fleet(study):
        from lts.report.fleet import write_fleet_report

        out = renamed(file, output, "--output --file") or study / "report.html"
        write_fleet_report(read_stored_fleet(study), out)
        typer.echo(out)
        return
    path = store_path(study)
    out = renamed(file, output, "--output --file") or path.parent / "report.html"
    write_report(path, out)
    typer.echo(out)
