"""lts-engine target"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli import calibrate
from lts.cli.arguments import Format, FormatOption, TargetArgument
from lts.cli.errors import exits
from lts.cli.help import App

if TYPE_CHECKING:
    from lts.targets.target import Target

app = App(help="List, show, detect and calibrate targets.")
app.command("calibrate")(calibrate.command)


@app.command("list")
@exits
def list_targets(output: FormatOption = Format.table) -> None:
    """List the targets that come with lts-engine, and the machine that each stands for."""
    from lts.cli.output import Results, emit
    from lts.targets.target import load_target, target_names

    targets = [load_target(name) for name in target_names()]
    columns = ("target", "stands for", "kind", "triple", "cpu", "cores", "threads", "precision")
    rows = [(t.name, _machine(t), t.kind, t.triple, t.cpu, t.cores, t.threads, t.precision) for t in targets]
    emit(Results([asdict(t) for t in targets], columns, rows, last=4), output)


def _machine(target: Target) -> str:
    """The machine whose clock and memory a profile has, with which its source begins."""
    return "this machine" if target.name == "host" else target.source.partition(" (")[0]


@app.command()
@exits
def show(
    target: TargetArgument,
    output: FormatOption = Format.table,
) -> None:
    """Show everything known about a target."""
    from lts.targets.target import load_target

    _show(load_target(target), output)


def _show(target: Target, output: Format) -> None:
    from lts.cli.output import Results, emit

    record = asdict(target)
    emit(Results([record], ("key", "value"), list(_rows("", record))), output)


def _rows(path: str, table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys with their values as text, which may be long; keys of nested tables as ``outer.inner``."""
    from lts.cli.output import cell

    for key, value in table.items():
        if isinstance(value, dict):
            yield from _rows(f"{path}{key}.", value)
        else:
            yield f"{path}{key}", cell(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)


@app.command()
@exits
def detect(
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write here instead of to stdout.")] = None,
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="Format of the results on stdout.", show_default="TOML")
    ] = None,
) -> None:
    """Write the profile of this machine as TOML, with what reads its energy, or why nothing does, as a comment."""
    from lts.errors import UsageError
    from lts.system.files import replace_file
    from lts.system.names import check_name
    from lts.targets.target import detect_target

    if output is not None:
        _show(detect_target(), output)
        return
    found = detect_target()
    if file is None:
        typer.echo(_meter() + found.to_toml(), nl=False)
        return
    # Named after its file, not `host`, which means whatever machine the command runs on.
    name = check_name(file.stem, f"the name of the file {file}")
    profile = _meter() + replace(found, name=name).to_toml()
    try:
        replace_file(file, profile)
    except OSError as error:
        typer.echo(profile, nl=False)
        raise UsageError(f"cannot write {file}: {error.strerror}; the profile is on stdout") from None
    typer.echo(file)


def _meter() -> str:
    """A comment that says what reads the energy of this machine, or why nothing does."""
    from lts.system.energy import open_meter
    from lts.system.outside import sentence

    found = open_meter()
    return f"# {sentence(f'no energy: {found}' if isinstance(found, str) else f'energy: {found.name}', 1000)}\n"


@app.command()
@exits
def bundle(
    target: TargetArgument,
    directory: Annotated[
        Path | None, typer.Option("--output-dir", "-O", help="Copy the folder there.", show_default="prepare it only")
    ] = None,
    output: FormatOption = Format.table,
) -> None:
    """Make the folder that a device needs to run compiled models: lts-runner and TVM's runtime, less than 8 MB."""
    from lts.cli.output import Results, emit
    from lts.cli.progress import Waiting
    from lts.errors import UsageError
    from lts.jobs.bundle import make_bundle, write_bundle
    from lts.targets.target import load_target

    known = load_target(target)
    if known.kind != "cpu":
        raise UsageError(f"target '{known.name}' is a {known.kind}; lts-runner runs models on processors")
    with Waiting(f"preparing to run models on {known.triple}") as waiting:
        if directory is None:
            files = sorted(make_bundle(known.triple, fetch=True, observe=waiting).iterdir())
        else:
            files = sorted(write_bundle(known.triple, directory, observe=waiting))
    records = [{"file": str(file), "bytes": file.stat().st_size} for file in files]
    emit(Results(records, ("file", "bytes"), [tuple(record.values()) for record in records]), output)
