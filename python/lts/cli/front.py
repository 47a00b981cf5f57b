"""lts-engine front"""

from __future__ import annotations

from typing import Annotated

import typer

from lts.cli import complete
from lts.cli.again import PROCESSES, show_again
from lts.cli.arguments import DEVICES, Format, FormatOption, StudyArgument, duration
from lts.cli.compared import show_baselines
from lts.cli.errors import exits
from lts.cli.log import say
from lts.study.schema import store_path


@exits
def command(
    study: StudyArgument,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Condition such as 'latency_ms<=20'; may be repeated.",
            metavar="NAME<=NUMBER|NAME>=NUMBER",
            autocompletion=complete.columns,
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Column to sort by; a leading '-' for descending.", metavar="NAME", autocompletion=complete.columns
        ),
    ] = None,
    pick: Annotated[
        str | None,
        typer.Option(
            help="Only one member: best (in the first objective), knee, an ID, or a condition.",
            autocompletion=complete.picks,
        ),
    ] = None,
    prefer: Annotated[
        str | None,
        typer.Option(
            help="The member that weights of the objectives choose: least is the largest weighted part of the range of "
            "the front by which it is worse than the best.",
            metavar="NAME=NUMBER,...",
            show_default=False,
        ),
    ] = None,
    common: Annotated[
        int | None,
        typer.Option(help="The models, so many, that together serve all devices of a fleet best.", metavar="K"),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Measure the members anew, and show both; the study stays as it is."),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            help=f"Where --again measures: {DEVICES}. Of a fleet, the device by its name.",
            show_default="that of the search",
            autocompletion=complete.devices,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="What --again compiles for: a name, or a TOML file.",
            show_default="that of the search",
            autocompletion=complete.targets,
        ),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Processes of --again for each member.", show_default=str(PROCESSES), min=1)
    ] = None,
    candidate_timeout: Annotated[
        str | None, typer.Option(help="Time of --again for one process.", metavar="DURATION", show_default="60s")
    ] = None,
    output: FormatOption = Format.table,
) -> None:
    """Show the Pareto front of a study, or measure its members again."""
    from lts.cli.output import emit, front_columns, trial_results
    from lts.errors import InfeasibleError, UsageError
    from lts.fleet.preference import preferred
    from lts.fleet.stored import is_fleet
    from lts.study.front import filtered
    from lts.study.stored import read_study

    if is_fleet(study):
        from lts.cli.fleet import show_fleet

        refused = {"where": where, "sort": sort, "pick": pick, "again": again, "target": target, "processes": processes}
        show_fleet(study, device=device, prefer=prefer, k=common, refused=refused, output=output)
        return
    if common is not None:
        raise UsageError(f"--common is for the folder of a fleet; {study} is one study")
    for name, value in (
        ("device", device),
        ("target", target),
        ("processes", processes),
        ("candidate-timeout", candidate_timeout),
    ):
        if value is not None and not again:
            raise UsageError(f"--{name} is for --again, which measures the members anew")
    if pick is not None and prefer is not None:
        raise UsageError("--pick and --prefer both choose a member: leave one of them out")
    seconds = duration(candidate_timeout) if candidate_timeout else None
    stored = read_study(store_path(study))
    for note in stored.notes:
        say(f"note: {note}")
    front = stored.front
    trials = front.pick(pick) if pick else front.trials
    if prefer is not None:
        trials = [preferred(front, prefer)]
    trials = filtered(trials, where or ())
    if sort:
        name = sort.removeprefix("-")
        if missing := [trial for trial in trials if name not in trial.values]:
            raise UsageError(f"no column '{name}'; the trials have {', '.join(sorted(missing[0].values))}")
        trials = sorted(trials, key=lambda trial: trial.values[name], reverse=sort.startswith("-"))
    if again and trials:
        show_again(stored, trials, device, target, processes or PROCESSES, seconds, output)
        return
    names = list(dict.fromkeys([*front_columns(front), *([sort.removeprefix("-")] if sort else [])]))
    emit(trial_results(trials, names), output)
    if not (pick or where or prefer):
        show_baselines(front, stored.baselines, output)
    if not trials:
        raise InfeasibleError("no member of the front satisfies this" if front.trials else "the front is empty")
