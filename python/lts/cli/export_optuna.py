"""lts-engine export-optuna"""

from __future__ import annotations

from typing import Annotated

import typer

from lts.cli.arguments import StudyArgument
from lts.cli.errors import exits
from lts.cli.log import say


@exits
def command(
    study: StudyArgument,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-O",
            help="Storage: a URL (sqlite:///optuna.db), or a file, of SQLite where it ends in .db, else a journal.",
            metavar="FILE|URL",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the study there.", show_default="that of the directory")
    ] = None,
) -> None:
    """Write a study as one of Optuna, which optuna-dashboard opens."""
    from lts.study.optuna_storage import address, export_optuna, without_password

    written = export_optuna(study, out, name)
    say(f"optuna-dashboard {without_password(address(out))} shows it")
    typer.echo(written)
