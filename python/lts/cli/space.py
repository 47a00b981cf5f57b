"""lts-engine space"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lts.cli.arguments import Format, FormatOption, SpaceArgument
from lts.cli.errors import exits
from lts.cli.help import App

app = App(help="List, show, sample and check search spaces.")


@app.command("list")
@exits
def list_spaces(output: FormatOption = Format.table) -> None:
    """List the spaces that come with lts-engine."""
    from lts.cli.output import Results, emit
    from lts.spaces.space import describe_space, load_space, space_names
    from lts.system.text import magnitude

    spaces = [load_space(name) for name in space_names()]
    columns = ("space", "family", "size", "description")
    rows = [(each.name, each.family, magnitude(each.size), describe_space(each.name)) for each in spaces]
    records = [
        {**dict(zip(columns, row, strict=True)), "size": str(each.size)} for each, row in zip(spaces, rows, strict=True)
    ]
    emit(Results(records, columns, rows), output)


@app.command()
@exits
def show(space: SpaceArgument, output: FormatOption = Format.table) -> None:
    """Show a space in the words of its file, and its size, of which the other formats have every digit."""
    from lts.cli.output import Results, emit
    from lts.spaces.space import load_space
    from lts.spaces.writing import written
    from lts.system.text import magnitude

    loaded = load_space(space)
    record: dict[str, Any] = {"size": str(loaded.size), **loaded.options}
    rows = [("size", magnitude(loaded.size)), *written(loaded).items()]
    emit(Results([record], ("key", "value"), rows), output)


@app.command()
@exits
def sample(
    space: SpaceArgument,
    n: Annotated[int, typer.Option("-n", help="Number of architectures.", min=1, max=1_000_000)] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the sample.", min=0, max=2**64 - 1)] = 0,
    method: Annotated[
        str, typer.Option(help="uniform: over architectures. choices: over depths and widths.")
    ] = "uniform",
    output: FormatOption = Format.jsonl,
) -> None:
    """Draw random architectures of a space."""
    from lts._core import decoder_params
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.spaces.space import load_space
    from lts.system.text import runs

    if method not in ("uniform", "choices"):
        raise UsageError(f"unknown method '{method}'; expected uniform or choices")
    architectures = load_space(space).sample(n, seed=seed, method=method)
    rows = [(decoder_params(a), a.n_layer, a.d_model, runs(a.n_head), runs(a.d_ff)) for a in architectures]
    columns = ("decoder_params (exact)", "n_layer", "d_model", "n_head", "d_ff")
    emit(Results([a.to_dict() for a in architectures], columns, rows), output)


@app.command()
@exits
def check(
    space: SpaceArgument,
    architecture: Annotated[Path, typer.Argument(help="Architecture as JSON.", show_default=False)],
    output: FormatOption = Format.table,
) -> None:
    """Tell whether an architecture is in a space, and its index; exit code 1 and the reason when it is not."""
    from lts.cli.output import Results, emit
    from lts.errors import InfeasibleError
    from lts.spaces.space import load_space
    from lts.study.architectures import load_architecture

    loaded = load_space(space)
    a = load_architecture(str(architecture))
    if reason := loaded.why_not(a):
        raise InfeasibleError(f"not in {loaded.name}: {reason}")
    record = {"space": loaded.name, "index": str(loaded.index(a))}
    emit(Results([record], list(record), [list(record.values())]), output)
