"""What the commands that search have in common: their options, the run of a study, and its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lts.cli.arguments import Export, Format
from lts.cli.ending import Chosen, chosen_of, finish, why_nothing
from lts.cli.errors import INTERRUPTED
from lts.cli.log import say

if TYPE_CHECKING:
    from lts.measure.evaluator import TargetEvaluator
    from lts.measure.trial import Trial
    from lts.study.front import Front
    from lts.study.plan import Split
    from lts.study.study import Study

# Seconds between two lines about candidates that take less.
_INTERVAL = 0.5

TimeoutOption = Annotated[str, typer.Option("--timeout", help="Time for the whole command.", metavar="DURATION")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the search.")]
CandidateTimeoutOption = Annotated[
    str | None,
    typer.Option(
        "--candidate-timeout",
        help="Time for one candidate.",
        metavar="DURATION",
        show_default="60s (10m when emulated), and 10s for each trial of --tune",
    ),
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="SQLite file of the study.", show_default="OUTPUT_DIR/study.db")
]
ExportOption = Annotated[
    Export,
    typer.Option("--export", help="Members of the front to write as models at the end: the knee, or those of --pick."),
]
PickOption = Annotated[
    str | None,
    typer.Option(
        "--pick",
        help="Print only these members of the front, and export them: best (in the first objective), knee, all, an "
        "ID, or a condition.",
        show_default="the front is printed, its knee exported",
    ),
]
ConfirmOption = Annotated[
    bool,
    typer.Option(
        "--confirm/--no-confirm",
        help="Measure again, in further processes, a few architectures throughout and at the end what is in doubt, "
        "so that intervals hold from run to run: at most half as many as trials.",
    ),
]


@dataclass(frozen=True)
class Searching:
    """A study that is run on the command line.

    Parameters
    ----------
    study, evaluator
        What is run.
    store, directory
        Where it is kept, and where results go.
    end
        Time by the monotonic clock at which the command ends.
    split
        How the time is divided.
    trials
        How many, at most.
    confirm, export, pick, front_size, output
        As given.
    """

    study: Study
    evaluator: TargetEvaluator
    store: Path
    directory: Path
    end: float
    split: Split
    trials: int
    confirm: bool
    export: Export
    pick: str | None
    output: Format
    front_size: int | None = None

    def run(self, write: Callable[[Chosen], None]) -> Callable[[], None]:
        """Run the study, and `write` what is chosen of its front; what comes back prints all, once devices are closed.

        That raises what has gone wrong at the end, or why there is no result, after the results.
        """
        from lts.study import plan
        from lts.study.edges import edge_notes

        study = self.study
        interrupted = self._search()
        for note in study.notes:
            say(f"note: {note}")
        if study.settled:
            say(f"settled after {study.n_finished} trials: more are not expected to change the front")
        whole = study.front()
        for note in edge_notes([trial.architecture for trial in whole], study.space, whole.objectives):
            say(f"note: {note}")
        front = plan.shown(whole, self.evaluator, self.front_size or len(whole))
        if len(front) < len(whole):
            say(f"front: {len(front)} of {len(whole)} members stand for all (--front-size)")
        problem: Exception | None = None
        chosen: list[Trial] = []
        try:
            chosen = chosen_of(whole, front, self.pick)
            if not interrupted and chosen and self.export is not Export.none:
                write(Chosen(front, chosen, self._label(), self.end - self.split.end))
        except KeyboardInterrupt:
            interrupted = True
        except Exception as error:  # results first
            problem = error
        printed = replace(front, trials=[study.trials[trial.id] for trial in (self.pick and chosen) or front])
        if interrupted:
            say(f"interrupted after {study.n_finished} trials; the same command resumes")
        return lambda: self._show(whole, printed, interrupted, problem)

    def _search(self) -> bool:
        """Run the search; true when it was interrupted."""
        from lts.cli.compared import measure_baselines
        from lts.cli.live import Live

        study = self.study
        try:
            left = measure_baselines(study, self.split.run, self.confirm)
            with Live(study, _INTERVAL, left, quiet=study.evaluator.provenance == "estimated") as live:
                study.run(trials=self.trials, timeout=left, progress=live, confirm=self.confirm, observe=live.working)
        except KeyboardInterrupt:
            return True
        return False

    def _show(self, whole: Front, printed: Front, interrupted: bool, problem: Exception | None) -> None:
        from lts.cli.compared import show_baselines
        from lts.cli.output import emit, front_results
        from lts.errors import InfeasibleError
        from lts.study import plan

        emit(front_results(printed, len(whole) if self.pick else None), self.output)
        show_baselines(whole, self.study.baselines, self.output)
        finish(self.study, whole, self.store, self.directory, plan.suffix(self.evaluator))
        if interrupted:
            raise typer.Exit(INTERRUPTED)
        if self.evaluator.provenance != "estimated" and (nothing := why_nothing(self.study)) is not None:
            raise nothing
        if problem is not None:
            raise problem
        if not whole.trials:
            raise InfeasibleError("no trial satisfies the constraints; relax them or allow more trials")

    def _label(self) -> str:
        """What an exported member is called."""
        known = {None: "knee of the front", "knee": "knee of the front", "best": "best of the front"}
        return "front" if self.export is Export.all else known.get(self.pick, "front")


def check_arguments(trials: int | None, front_size: int | None, seed: int, pick: str | None) -> None:
    """Raise `UsageError` for one out of range."""
    from lts.errors import UsageError
    from lts.study.front import check_pick

    for name, number in (("trials", trials), ("front-size", front_size)):
        if number is not None and number < 1:
            raise UsageError(f"--{name} is {number}; it must be at least 1")
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must not be negative")
    if pick is not None:
        check_pick(pick)
