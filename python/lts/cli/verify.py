"""lts-engine verify"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from lts.cli.arguments import Format, FormatOption
from lts.cli.errors import exits
from lts.cli.progress import Waiting

_WORDS = {True: "ok", False: "wrong", None: "not seen"}


@exits
def command(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A folder that lts-engine export has written, or one that has several.", show_default=False
        ),
    ],
    output: FormatOption = Format.table,
) -> None:
    """Check an exported folder: its files, and that all of its formats are the same model.

    Exit code 1 when something is wrong. No Python in the folder is run, but compiled models are.
    """
    from lts.cli.output import Results, emit
    from lts.export.manifest import exported_folders
    from lts.measure.verification import verify

    found = []
    with Waiting("verifying") as waiting:
        for each in exported_folders(folder):
            begin = "" if each == folder else f"{each.relative_to(folder).as_posix()}/"
            found += [replace(one, about=begin + one.about) for one in verify(each, observe=waiting)]
    rows = [(_WORDS[each.right], each.about, each.says) for each in found]
    emit(Results([asdict(each) for each in found], ("verdict", "what", "found"), rows), output)
    if any(each.right is False for each in found):
        raise typer.Exit(1)
