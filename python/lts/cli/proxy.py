"""lts-engine proxy"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from lts.cli.arguments import Format, FormatOption
from lts.cli.errors import exits

app = typer.Typer(help="Training-free quality scores.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
@exits
def list_proxies(output: FormatOption = Format.table) -> None:
    """The proxies; each is an objective of search, as in --objective zerolm:max."""
    from dataclasses import asdict

    from lts.cli.output import Results, emit
    from lts.proxies import PROXIES

    records = [asdict(proxy) for proxy in PROXIES]
    emit(Results(records, ("name", "what", "source"), [tuple(record.values()) for record in records]), output)


@app.command()
@exits
def evaluate(
    table: Annotated[Path, typer.Argument(help="CSV file of architectures, may be .gz.", show_default=False)],
    quality: Annotated[str, typer.Option(help="Column that tells how good they are.", metavar="COLUMN:max|min")],
    proxy: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", metavar="NAME", show_default="all")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Of the architectures, when the table does not say.", show_default=False)
    ] = None,
    cost: Annotated[
        str | None, typer.Option(help="Column to compare fronts by; less is better.", show_default=False)
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples for the 95 % intervals.", min=0)] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resamples.", min=0)] = 0,
    output: FormatOption = Format.table,
) -> None:
    """How well proxies rank the architectures of a table, over all of them and over the best."""
    from lts._core import parse_objective
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.proxies import PROXIES, rank
    from lts.tables import read_table

    try:
        goal = parse_objective(quality)
    except ValueError as error:
        raise UsageError(f"--quality: {error}") from None
    found = read_table(table, family)
    sign = -1.0 if goal.direction == "min" else 1.0
    truth = [sign * value for value in found.column(goal.name)]
    costs = found.column(cost) if cost is not None else None
    kept = [i for i, value in enumerate(truth) if math.isfinite(value) and (not costs or math.isfinite(costs[i]))]
    if len(kept) < len(truth):
        typer.echo(f"{len(truth) - len(kept)} rows without a number are left out", err=True)
    records = []
    for name in proxy or [each.name for each in PROXIES]:
        ranking = rank(
            [found.architectures[i] for i in kept],
            [truth[i] for i in kept],
            name,
            cost=[costs[i] for i in kept] if costs is not None else None,
            bootstrap=bootstrap,
            seed=seed,
        )
        for each in ranking.agreements:
            records.append(
                {
                    "proxy": name,
                    "best": f"{each.share:.0%}",
                    "n": each.n,
                    "spearman": _known(each.spearman),
                    "spearman_interval": [_known(v) for v in each.spearman_interval],
                    "kendall_tau_b": _known(each.kendall),
                    "kendall_interval": [_known(v) for v in each.kendall_interval],
                    "ties": ranking.ties,
                    "microseconds": ranking.seconds * 1e6,
                    "front_ratio": ranking.front_ratio,
                }
            )
    columns = ["proxy", "best", "n", "Spearman", "95 %", "Kendall tau-b", "95 %", "tied", "µs", "front"]
    rows = [
        (
            r["proxy"],
            r["best"],
            r["n"],
            _text(r["spearman"]),
            _range(r["spearman_interval"]),
            _text(r["kendall_tau_b"]),
            _range(r["kendall_interval"]),
            r["ties"],
            f"{r['microseconds']:.2g}",
            _text(r["front_ratio"]),
        )
        for r in records
    ]
    emit(Results(records, columns, rows, f"{len(kept)} architectures of {table.name}, by {quality}"), output)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else ""


def _range(interval: object) -> str:
    low, high = interval if isinstance(interval, list) else (None, None)
    return f"{low:.3f} to {high:.3f}" if isinstance(low, float) and isinstance(high, float) else ""
