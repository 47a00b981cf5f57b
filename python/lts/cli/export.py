"""lts-engine export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lts.cli.arguments import Format, FormatOption, StudyArgument, store_path
from lts.cli.errors import exits

FORMATS = ("onnx", "hf", "json")


@exits
def command(
    study: StudyArgument,
    pick: Annotated[str, typer.Option(help="ID, knee, all, or a condition such as 'latency_ms<=20'.")] = "knee",
    formats: Annotated[str, typer.Option("--format", help="Any of onnx, hf, json, with commas.")] = "onnx,hf,json",
    directory: Annotated[Path | None, typer.Option("--output-dir", "-O", help="Where the files go.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random weights.", min=0)] = 0,
    output: FormatOption = Format.table,
) -> None:
    """Write members of the front as files that run."""
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.export import export
    from lts.front import stored_front

    chosen = tuple(part.strip() for part in formats.split(","))
    for name in chosen:
        if name not in FORMATS:
            raise UsageError(f"unknown format '{name}'; expected any of {', '.join(FORMATS)}")
    path = store_path(study)
    records = [
        {"trial": trial.id, "file": str(file)}
        for trial in stored_front(path).pick(pick)
        for file in export(trial.architecture, (directory or path.parent / "models") / str(trial.id), chosen, seed=seed)
    ]
    emit(Results(records, ("trial", "file"), [(r["trial"], r["file"]) for r in records]), output)
