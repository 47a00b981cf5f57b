"""lts-engine benchmark"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lts.cli.arguments import Format, FormatOption
from lts.cli.errors import INTERRUPTED, exits
from lts.cli.log import say
from lts.cli.progress import Waiting

if TYPE_CHECKING:
    from lts._core import Objective
    from lts.benchmarks.summary import Summary

_DEFAULT_EVALUATIONS, _DEFAULT_SEEDS = 1000, 10


@exits
def command(
    source: Annotated[
        str,
        typer.Argument(
            help="CSV file of architectures with their values, may be .gz; or hwgpt:FOLDER/SCALE, the published "
            "surrogates of HW-GPT-Bench of scale s, m or l.",
            metavar="TABLE|hwgpt:FOLDER/SCALE",
            show_default=False,
        ),
    ],
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="What is optimized; two or more.",
            metavar="COLUMN:max|min",
            show_default="perplexity:min and the first latency of surrogates",
        ),
    ] = None,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(
            help="An algorithm, 'all' that are installed, or 'list' to print them; may be repeated.",
            metavar="NAME",
            show_default="random, local, lts, nsga2, seeded",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each algorithm, with seeds from 0.", min=1)] = _DEFAULT_SEEDS,
    evaluations: Annotated[int, typer.Option(help="Evaluations of each run.", min=1)] = _DEFAULT_EVALUATIONS,
    pool: Annotated[
        bool, typer.Option("--pool", help="Only rows of the table: an architecture has the values of the nearest.")
    ] = False,
    published_encodings: Annotated[
        bool,
        typer.Option(
            "--published-encodings",
            help="Encode as HW-GPT-Bench's interface does, rather than as its networks were trained.",
        ),
    ] = False,
    family: Annotated[
        str | None, typer.Option(help="Family of the architectures, if the table does not say.", show_default=False)
    ] = None,
    output_dir: Annotated[
        Path, typer.Option("--output-dir", "-O", help="Where runs and results go; the same command goes on there.")
    ] = Path("benchmark"),
    output: FormatOption = Format.table,
) -> None:
    """Compare search algorithms on a published table or its surrogates, by budget and over seeds.

    Nothing is measured or trained. The directory gets runs.csv with every evaluation, summary.csv, comparisons.csv and
    report.html.
    """
    from lts.benchmarks.optimizers import NATIVE, optimizers_of
    from lts.benchmarks.problem import open_problem
    from lts.benchmarks.runs import MOST_EVALUATIONS, MOST_SEEDS, run_benchmark
    from lts.benchmarks.summary import Summary
    from lts.errors import UsageError
    from lts.system.uninterrupted import end_like_ctrl_c

    if algorithm == ["list"]:
        _list(output)
        return
    for name, value, most in (("seeds", seeds, MOST_SEEDS), ("evaluations", evaluations, MOST_EVALUATIONS)):
        if value > most:
            raise UsageError(f"--{name} is {value}; it must be at most {most}")
    end_like_ctrl_c()
    problem = open_problem(source, objective or (), pool=pool, published=published_encodings, family=family)
    names = _installed() if algorithm == ["all"] else algorithm or NATIVE
    if algorithm in (None, [], ["all"]):
        for name, reason in _not_applicable(problem.objectives).items():
            if name in names:
                say(f"{name} is left out: {reason}")
                names = [each for each in names if each != name]
    optimizers = optimizers_of(names)
    say(f"{problem.name}: {problem.about}")
    try:
        with Waiting("benchmark", len(optimizers) * seeds) as waiting:
            runs = run_benchmark(problem, optimizers, range(seeds), evaluations, output_dir, waiting)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on")
        raise typer.Exit(INTERRUPTED) from None
    with Waiting("summarizing"):
        summary = Summary(problem, runs, evaluations)
        report = _write(summary, output_dir)
    _show(summary, output)
    say(f"report: {report}" if report else "no report.html, which needs plotly: pip install 'lts-engine[report]'")


def _not_applicable(objectives: Sequence[Objective]) -> dict[str, str]:
    """By name why an algorithm is not for these objectives."""
    from lts.study.seeds import unseeded

    if reason := unseeded(objectives):
        return dict.fromkeys(("seeded", "modnas", "modnas:linear"), reason)
    if len(objectives) != 2:
        return dict.fromkeys(("modnas", "modnas:linear"), f"there are {len(objectives)} objectives, not two")
    return {}


def _installed() -> list[str]:
    from lts.benchmarks.optimizers import OPTIMIZERS
    from lts.errors import UsageError

    found = []
    for optimizer in OPTIMIZERS:
        try:
            optimizer.check()
        except UsageError as error:
            say(f"left out: {error}")
        else:
            found.append(optimizer.name)
    return found


def _list(output: Format) -> None:
    from lts.benchmarks.optimizers import OPTIMIZERS
    from lts.cli.output import Results, emit

    records = [{"name": each.name, "what": each.what, "needs": ", ".join(each.packages)} for each in OPTIMIZERS]
    emit(Results(records, ("name", "what", "needs"), [tuple(each.values()) for each in records]), output)


def _write(summary: Summary, folder: Path) -> Path | None:
    """Write all but the runs; where the report is, None without plotly."""
    from dataclasses import astuple
    from importlib.util import find_spec

    from lts.benchmarks.runs import write_rows

    head = ("algorithm", "evaluations", "hypervolume_q1", "hypervolume_median", "hypervolume_q3", "igd_plus", "seeds")
    write_rows(folder / "summary.csv", head, [astuple(each) for each in summary.standings])
    pairs = ("algorithm", "other", "p_holm", "effect", "median_difference")
    write_rows(folder / "comparisons.csv", pairs, [astuple(each) for each in summary.differences])
    if find_spec("plotly") is None:
        return None
    from lts.report.benchmark import write_benchmark

    write_benchmark(summary, folder / "report.html")
    return folder / "report.html"


def _show(summary: Summary, output: Format) -> None:
    from dataclasses import asdict

    from lts.cli.output import Results, emit

    records = [asdict(each) for each in summary.standings]
    rows = [
        (each.algorithm, each.evaluations, f"{each.median:.4f}", f"{each.low:.4f} to {each.high:.4f}", each.igd_plus)
        for each in summary.standings
    ]
    columns = ("algorithm", "evaluations", "hypervolume", "quartiles", "IGD+")
    emit(Results(records, columns, rows, "Share of the reference front's hypervolume"), output)
    if output not in (Format.table, Format.md):
        return
    sentences = [str(each) for each in summary.differences] + ([summary.too_few] if summary.too_few else [])
    bullet = "* " if output is Format.md else ""
    sys.stdout.write("".join(["\n" * (output is Format.md), *(f"{bullet}{sentence}.\n" for sentence in sentences)]))
