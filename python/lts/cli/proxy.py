"""lts-engine proxy"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lts.cli import complete
from lts.cli.arguments import Format, FormatOption, older, renamed
from lts.cli.errors import exits
from lts.cli.help import App
from lts.cli.log import say
from lts.cli.progress import Waiting
from lts.cli.validate import validate

app = App(help="Training-free quality scores.")
app.command()(validate)

TableArgument = Annotated[Path, typer.Argument(help="CSV file of architectures, may be .gz.", show_default=False)]
FamilyOption = Annotated[
    str | None, typer.Option(help="Family of the architectures, if the table does not say.", show_default=False)
]
_QUALITY = "Column with the quality of the architectures."


@app.command("list")
@exits
def list_proxies(output: FormatOption = Format.table) -> None:
    """List the proxies; those that need nothing can be objectives of search, as in --objective zerolm:max."""
    from dataclasses import asdict

    from lts.cli.output import Results, emit
    from lts.proxies.ranking import PROXIES

    records = [asdict(proxy) for proxy in PROXIES]
    emit(Results(records, ("name", "what", "source", "needs"), [tuple(record.values()) for record in records]), output)


@app.command()
@exits
def evaluate(
    table: TableArgument,
    quality: Annotated[str, typer.Option(help=_QUALITY, metavar="COLUMN:max|min")],
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="A proxy, or 'all'; may be repeated.", metavar="NAME", show_default="all closed forms"),
    ] = None,
    family: FamilyOption = None,
    cost: Annotated[
        str | None, typer.Option(help="Column to compare fronts by; less is better.", show_default=False)
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Rows to read, from the top.", min=4, show_default="all")] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(help="NumPy file of token ids [sequences, length] for gradients.", show_default="random ones"),
    ] = None,
    torch_device: Annotated[
        str | None, typer.Option(help="PyTorch device for gradients: cpu or cuda.", show_default="cpu")
    ] = None,
    device: Annotated[str | None, older("--device")] = None,
    alpha: Annotated[float, typer.Option(help="Weight of attention in geometric and zerolm.")] = 0.5,
    bootstrap: Annotated[int, typer.Option(help="Resamples for the 95 % intervals.", min=0, max=10_000)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of resamples and random tokens.", min=0, max=2**63 - 1)] = 0,
    html: Annotated[
        Path | None, typer.Option(help="Also write one HTML file; it needs no network to read.", show_default=False)
    ] = None,
    output: FormatOption = Format.table,
) -> None:
    """Show how well proxies rank the architectures of a table, over all of them and over the best."""
    from lts.cli.output import emit
    from lts.cli.ranking import ranked, results, scored
    from lts.errors import UsageError
    from lts.measure.tables.reader import read_table
    from lts.proxies.ranking import CLOSED_FORMS, PROXIES, check_quality

    if not math.isfinite(alpha):
        raise UsageError(f"--alpha is {alpha}; it must be finite")
    goal = _goal(quality)
    names = list(CLOSED_FORMS) if not proxy else [p.name for p in PROXIES] if "all" in proxy else proxy
    if unknown := [name for name in names if name not in [p.name for p in PROXIES]]:
        raise UsageError(f"unknown proxy '{unknown[0]}'; expected all, or of {', '.join(p.name for p in PROXIES)}")
    batch = None
    if not set(names) <= set(CLOSED_FORMS):
        batch = _batch(tokens, seed, renamed(torch_device, device, "--device --torch-device") or "cpu")
    elif tokens is not None:
        raise UsageError("--tokens is for proxies that need PyTorch; name them with --proxy")
    if html is not None:
        _check_page(html, table)
    found = read_table(table, family)
    values = found.column(goal.name)
    truth = _signed(values, goal.direction)
    costs = found.column(cost) if cost is not None else None
    kept = _kept(truth, costs, rows)
    check_quality([truth[i] for i in kept])  # before the part that may take long
    architectures = [found.architectures[i] for i in kept]
    scores = scored(architectures, names, batch, alpha)
    rankings = ranked(
        architectures,
        [truth[i] for i in kept],
        scores,
        cost=[costs[i] for i in kept] if costs is not None else None,
        bootstrap=bootstrap,
        seed=seed,
    )
    whole = [ranking.agreements[0] for ranking in rankings]
    if whole and all(agreement.spearman < 0 for agreement in whole):
        say(f"note: all proxies rank against '{quality}': more of a proxy goes with worse; the direction may be wrong")
    title = f"{len(kept)} architectures of {table.name}, by {quality} as the table says; proxies are computed"
    try:
        emit(results(rankings, title), output)
        sys.stdout.flush()  # before writing the page, which may fail
    finally:  # even when the reader of stdout has gone
        if html is not None:
            from lts.report.ranking import Comparison, write_ranking

            considered = min(rows or len(truth), len(truth))
            comparison = Comparison(
                table=table,
                goal=goal,
                architectures=architectures,
                quality=[values[i] for i in kept],
                rankings=rankings,
                cost=cost,
                costs=[costs[i] for i in kept] if costs is not None else None,
                left_out=considered - len(kept),
                unread=len(truth) - considered,
            )
            write_ranking(comparison, html)
            say(f"report: {html}")


@app.command()
@exits
def alpha(
    table: TableArgument,
    quality: Annotated[
        str | None, typer.Option(help=_QUALITY, metavar="COLUMN:max|min", show_default="choose without it")
    ] = None,
    family: FamilyOption = None,
    sample: Annotated[int, typer.Option(help="Rows to choose it from; the other rows test it.", min=4)] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the sample.", min=0, max=2**63 - 1)] = 0,
    output: FormatOption = Format.table,
) -> None:
    """Choose the weight of attention against feed-forward networks in zerolm, from a sample of a table.

    With --quality, by the labels of the sample, and tested on the other rows; without, by the architectures alone.
    """
    import numpy as np

    from lts._core import spearman, zerolm
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.measure.tables.reader import read_table
    from lts.proxies.capacity import choose_alpha

    goal = _goal(quality) if quality is not None else None
    found = read_table(table, family)
    truth = _signed(found.column(goal.name), goal.direction) if goal is not None else None
    kept = np.random.default_rng(seed).permutation(_kept(truth, None, None) if truth else len(found.architectures))
    if len(kept) < sample:
        raise UsageError(f"--sample is {sample}, but {table} has {len(kept)} rows to choose from")
    chosen, rest = kept[:sample], kept[sample:]
    choice = choose_alpha([found.architectures[i] for i in chosen], [truth[i] for i in chosen] if truth else None)
    record: dict[str, Any] = {"alpha": choice.alpha, "sample": sample, "labelled": truth is not None}
    lines: list[tuple[str, Any]] = [("alpha", choice.alpha), ("chosen from", f"{sample} architectures")]
    if truth is not None and len(rest) >= 4 and np.ptp([truth[i] for i in rest]) > 0:
        for name, value in (("chosen", choice.alpha), ("middle", 0.5)):
            scores = [zerolm(found.architectures[i], alpha=value) for i in rest]
            known = spearman(scores, [truth[i] for i in rest]) if np.ptp(scores) > 0 else math.nan
            record[f"spearman_{name}"] = known if math.isfinite(known) else None
            lines.append((f"Spearman of the other {len(rest)} with alpha {value}", f"{known:.3f}"))
    emit(Results([record], ("what", "value"), lines), output)


@app.command()
@exits
def capacity(
    architecture: Annotated[
        str,
        typer.Argument(
            help="Architecture file (JSON), or STUDY#ID for a trial.",
            show_default=False,
            autocompletion=complete.trials,
        ),
    ],
    checkpoint: Annotated[
        Path | None, typer.Option(help="File with its weights: model.safetensors.", show_default="random ones")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Weight of attention against feed-forward networks.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Seed of random weights.", min=0, max=2**63 - 1)] = 0,
    output: FormatOption = Format.table,
) -> None:
    """Compute zerolm by its definition, from the singular values of real weights, beside its closed form."""
    from lts._core import zerolm
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.export.checkpoint import read_checkpoint
    from lts.export.weights import RandomWeights
    from lts.proxies.capacity import capacity_of
    from lts.study.architectures import load_architecture

    if not math.isfinite(alpha):
        raise UsageError(f"--alpha is {alpha}; it must be finite")
    known = load_architecture(architecture)
    with Waiting("decomposing matrices") as waiting:
        weights = read_checkpoint(known, checkpoint) if checkpoint else RandomWeights(seed)
        found = capacity_of(known, weights, waiting)
    record = {
        "attention": found.attention,
        "feed_forward": found.feed_forward,
        "zerolm": found.score(alpha),
        "zerolm_closed_form": zerolm(known, alpha=alpha),
        "alpha": alpha,
        "weights": str(checkpoint) if checkpoint else f"random, seed {seed}",
    }
    emit(Results([record], ("quantity", "value"), list(record.items())), output)


def _goal(quality: str) -> Any:
    from lts._core import parse_objective
    from lts.errors import UsageError

    try:
        return parse_objective(quality)
    except ValueError as error:
        raise UsageError(f"--quality: {error}") from None


def _check_page(html: Path, table: Path) -> None:
    """Raise `UsageError` for mistakes that would otherwise show only after the computation."""
    from lts.errors import UsageError
    from lts.report.ranking import require_plotly

    require_plotly()
    if html.resolve() == table.resolve():
        raise UsageError(f"--html: {html} is the table itself")


def _signed(values: list[float], direction: str) -> list[float]:
    return [-value for value in values] if direction == "min" else values


def _kept(truth: list[float], costs: list[float] | None, rows: int | None) -> list[int]:
    """Indices of the rows that have finite numbers."""
    considered = range(len(truth) if rows is None else min(rows, len(truth)))
    kept = [i for i in considered if math.isfinite(truth[i]) and (costs is None or math.isfinite(costs[i]))]
    if len(kept) < len(considered):
        from lts.system.text import plural

        say(f"{plural(len(considered) - len(kept), 'row')} without a number left out")
    return kept


def _batch(tokens: Path | None, seed: int, device: str) -> Any:
    """The batch for proxies that need PyTorch. Raises `UsageError` where that is not installed, or for a bad file."""
    from lts.errors import UsageError

    try:
        from lts.proxies.zero_cost import Batch
    except ImportError:
        raise UsageError("proxies of gradients need PyTorch: pip install 'lts-engine[torch]'") from None
    ids = None
    if tokens is not None:
        import numpy as np

        try:
            ids = np.load(tokens, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(f"--tokens: cannot read {tokens} as a NumPy file: {error}") from None
    return Batch(tokens=ids, seed=seed, device=device)
