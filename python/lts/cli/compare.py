"""lts-engine compare"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lts.cli import complete
from lts.cli.arguments import (
    BackendOption,
    BelowOption,
    DeviceOption,
    Format,
    FormatOption,
    InputOption,
    Logits,
    Precision,
    ProcessTimeoutOption,
    duration,
    one_device,
)
from lts.cli.ci import ReportOption, publish, wanted_reports
from lts.cli.errors import exits
from lts.cli.log import say
from lts.cli.progress import Waiting
from lts.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lts.study.pairs import Compared, Conditions
    from lts.study.sides import Members


class Inconclusive(StrEnum):
    """What an inconclusive metric makes of the exit code."""

    pass_ = "pass"
    fail = "fail"


@exits
def command(
    baseline: Annotated[
        str,
        typer.Argument(
            help="What is shipped: results of lts-engine bench, a model, a folder or a study of models, or with "
            "--build a revision.",
            show_default=False,
            autocompletion=complete.trials,
        ),
    ],
    contender: Annotated[
        str | None,
        typer.Argument(
            help="What shall replace it, likewise; with --against the only one.",
            show_default=False,
            autocompletion=complete.trials,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="In place of a baseline: the newest result that lts-engine bench --save NAME has kept.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="Where such results are kept.", show_default="lts-history.jsonl")
    ] = None,
    build: Annotated[
        str | None,
        typer.Option(
            help="Both sides are revisions of git, . being the working tree; this command makes the models of each.",
            metavar="COMMAND",
            show_default=False,
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(help="The model, or folder of models, that --build makes.", show_default=False),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="What is compiled for: a name, or a TOML file.", show_default="host", autocompletion=complete.targets
        ),
    ] = None,
    device: DeviceOption = None,
    backend: BackendOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="What is compared: latency, decode, request, speed, memory, energy, instructions, size, or names of "
            "columns, with commas; may be repeated.",
            metavar="NAME,...",
            show_default="request and memory; of a file all but energy; on an emulated device instructions",
            autocompletion=complete.metrics,
        ),
    ] = None,
    max_regression: Annotated[
        list[str] | None,
        typer.Option(
            help="What the contender may be worse by: 5%, or 0.05; of one metric memory=2%; may be repeated.",
            metavar="[NAME=]SHARE",
            show_default="5%; 0% for instructions and size",
        ),
    ] = None,
    inconclusive: Annotated[
        Inconclusive, typer.Option(help="What the gate does where the measurements do not say.")
    ] = Inconclusive.pass_,
    processes: Annotated[
        int, typer.Option(help="Processes per side, at most, and as many to measure a regression again; 4 to 25.")
    ] = 12,
    n_prompt: Annotated[
        int | None, typer.Option("--n-prompt", "-p", help="Tokens of the prompt.", show_default="128")
    ] = None,
    n_gen: Annotated[
        int | None,
        typer.Option("--n-gen", "-n", help="Tokens generated after it; 0: a prompt pass alone.", show_default="32"),
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", "-b", help="Sequences at a time.", min=1, show_default="1")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Of the weights; by default the target's.", show_default=False)
    ] = None,
    logits: Annotated[
        Logits | None, typer.Option(help="Positions of the prompt with logits.", show_default="last")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", help="Threads; by default the target's.", show_default=False)
    ] = None,
    given: InputOption = None,
    below: BelowOption = 2,
    across: Annotated[
        bool, typer.Option("--across", help="Compare results of other machines, software or workloads, and say so.")
    ] = False,
    candidate_timeout: ProcessTimeoutOption = None,
    report: ReportOption = None,
    output: FormatOption = Format.table,
) -> None:
    """Measure two models in turn on one device, and say whether the second one costs more.

    Exit code 0: nothing got worse; 1: a regression; 2: a wrong argument; 3: it could not be measured, or it is
    inconclusive and --inconclusive is fail.
    """
    from lts.cli.verdicts import exit_code, show
    from lts.measure.models.model import columns_of
    from lts.measure.models.onnx_file import parse_inputs
    from lts.study.pairs import Conditions
    from lts.system.uninterrupted import end_like_ctrl_c

    reports = wanted_reports(report)
    bounds = shares(max_regression or ())
    columns = None if metric is None else columns_of(metric)
    workload = {"n_prompt": n_prompt, "n_gen": n_gen, "batch": batch, "threads": threads}
    conditions = Conditions(
        target,
        one_device(device),
        backend,
        {**workload, "precision": precision, "logits": logits},
        parse_inputs(given or ()),
        below,
        None if candidate_timeout is None else duration(candidate_timeout),
    )
    end_like_ctrl_c()
    found: list[Compared] = []
    try:
        with (
            _sides(baseline, contender, against, history, build, path) as sides,
            Waiting("comparing", every=10.0) as waiting,
        ):
            for each in compare_sides(
                *sides,
                conditions,
                columns,
                bounds=bounds,
                processes=processes,
                across=across,
                inconclusive_fails=inconclusive is Inconclusive.fail,
                waiting=waiting,
            ):
                found.append(each)
    finally:  # also what was compared before Ctrl-C, or before a model that fails
        records = show(found, output) if found else []
    publish(records, reports)
    raise typer.Exit(exit_code(found))


@contextmanager
def _sides(
    first: str, second: str | None, against: str | None, history: Path | None, build: str | None, path: str | None
) -> Iterator[tuple[Members, Members]]:
    """The baseline and the contender. Raises `UsageError` for options that do not go together."""
    from lts.study.sides import built_side, saved_side

    if (build is None) != (path is None):
        raise UsageError("--build and --path belong together: the command, and where it leaves the model")
    if history is not None and against is None:
        raise UsageError("--history is about --against; name what is compared with, as in --against main")
    if against is not None:
        if second is not None:
            raise UsageError(
                f"--against {against} is the baseline; expected one model besides, and not {first} as well"
            )
        with built_side(first, build, path) as contender:
            yield saved_side(against, history, contender), contender
        return
    if second is None:
        raise UsageError("the contender is missing; expected two models, or one and --against NAME")
    with built_side(first, build, path) as baseline, built_side(second, build, path) as contender:
        yield baseline, contender


def compare_sides(
    baseline: Members,
    contender: Members,
    conditions: Conditions,
    metrics: Sequence[str] | None,
    *,
    bounds: dict[str, float],
    processes: int,
    across: bool,
    inconclusive_fails: bool,
    waiting: Waiting,
) -> Iterator[Compared]:
    """Compare two sides, one model after the other, and say what is going on."""
    from lts.cli.processes import teller
    from lts.measure.allowed import bounds_for
    from lts.study.pairs import OpenPairs
    from lts.study.sides import matched
    from lts.system.environment import fitness_warnings
    from lts.system.text import listed

    found = matched(baseline, contender)
    for note in found.notes:
        say(f"note: {note}")
    with OpenPairs(found, conditions, metrics, across=across) as pairs:
        if conditions.given and pairs.device_name is None:
            raise UsageError("both sides were measured before; leave out how they are to be measured, or name models")
        for pair in pairs.pairs:
            where = "" if pairs.device_name is None else f" on {pairs.device_name}"
            say(f"comparing {listed(pair.metrics)} of {pair.name}{where}: {pair.run}")
            for note in pair.notes:
                say(f"note: {note}")
        for warning in fitness_warnings() if pairs.device_name == "local" else ():
            say(f"warning: {warning}")

        yield from pairs.compare(
            max_regression=bounds_for(bounds, pairs.metrics),
            most=processes,
            inconclusive_fails=inconclusive_fails,
            told=teller(waiting, len(pairs.pairs) > 1),
        )


def shares(texts: Sequence[str]) -> dict[str, float]:
    """Bounds by metric; that of "" holds for what is timed or measured, and is not named."""
    from lts.measure.allowed import share_of
    from lts.measure.models.model import columns_of

    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        (key,) = columns_of([name]) if equals else [""]
        if key in found:
            raise UsageError(f"--max-regression is given twice{f' for {name}' if name else ''}; expected once")
        found[key] = share_of(value, "--max-regression")
    return found
