"""lts-engine target"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lts.cli.arguments import Format, FormatOption
from lts.cli.errors import exits

if TYPE_CHECKING:
    from lts.target import Target

app = typer.Typer(help="List, show and detect targets.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
@exits
def list_targets(output: FormatOption = Format.table) -> None:
    """The targets that come with lts-engine."""
    from lts.cli.output import Results, emit
    from lts.target import load_target, target_names

    targets = [load_target(name) for name in target_names()]
    columns = ("target", "triple", "cpu", "cores", "threads", "precision")
    rows = [(t.name, t.triple, t.cpu, t.cores, t.threads, t.precision) for t in targets]
    emit(Results([asdict(t) for t in targets], columns, rows), output)


@app.command()
@exits
def show(
    target: Annotated[str, typer.Argument(help="Name of a target, or a TOML file.", show_default=False)],
    output: FormatOption = Format.table,
) -> None:
    """Everything known of a target."""
    from lts.target import load_target

    _show(load_target(target), output)


def _show(target: Target, output: Format) -> None:
    from lts.cli.output import Results, emit

    record = asdict(target)
    rows = [(key, ", ".join(map(str, v)) if isinstance(v, list | tuple) else v) for key, v in record.items()]
    emit(Results([record], ("key", "value"), rows), output)


@app.command()
@exits
def detect(
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write here instead of to stdout.")] = None,
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="Format of the results on stdout.", show_default="TOML")
    ] = None,
) -> None:
    """Write the profile of this machine as TOML."""
    from lts.errors import UsageError
    from lts.target import detect as detect_target

    if output is not None:
        _show(detect_target(), output)
        return
    text = detect_target().to_toml()
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    typer.echo(file)
