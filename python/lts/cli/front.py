"""lts-engine front"""

from __future__ import annotations

from typing import Annotated

import typer

from lts.cli.arguments import Format, FormatOption, StudyArgument
from lts.cli.errors import exits
from lts.cli.log import say
from lts.study.schema import store_path


@exits
def command(
    study: StudyArgument,
    where: Annotated[list[str] | None, typer.Option(help="Condition, may be repeated: 'latency_ms<=20'.")] = None,
    sort: Annotated[str | None, typer.Option(help="Column to sort by; a leading '-' for descending.")] = None,
    pick: Annotated[str | None, typer.Option(help="Only one member: an ID, knee, or a condition.")] = None,
    output: FormatOption = Format.table,
) -> None:
    """Show the Pareto front of a study."""
    from lts.cli.output import emit, trial_results
    from lts.errors import InfeasibleError, UsageError
    from lts.study.front import filtered
    from lts.study.stored import read_study

    stored = read_study(store_path(study))
    for note in stored.notes:
        say(f"note: {note}")
    front = stored.front
    trials = front.pick(pick) if pick else front.trials
    trials = filtered(trials, where or ())
    if sort:
        name = sort.removeprefix("-")
        if missing := [trial for trial in trials if name not in trial.values]:
            raise UsageError(f"no column '{name}'; the trials have {', '.join(sorted(missing[0].values))}")
        trials = sorted(trials, key=lambda trial: trial.values[name], reverse=sort.startswith("-"))
    names = list(dict.fromkeys([*(o.name for o in front.objectives), *([sort.removeprefix("-")] if sort else [])]))
    emit(trial_results(trials, names), output)
    if not trials:
        raise InfeasibleError("no member of the front satisfies this" if front.trials else "the front is empty")
