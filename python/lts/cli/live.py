"""Progress of a search on stderr: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from lts.cli.disturbed import Disturbances
from lts.cli.log import say
from lts.cli.plain import readable
from lts.cli.progress import Display, clock_text, cut, packed

if TYPE_CHECKING:
    from lts.measure.trial import Trial
    from lts.study.loop import Progress
    from lts.study.study import Study
    from lts.system.progress import Work

# Trials that take less than so many seconds are shown a few at a time.
_QUICK = 0.05
# Seconds between two pictures while a model is timed.
_REDRAW = 10.0
# Members of the front that are shown, at most, and lines of a terminal besides them.
_MEMBERS, _AROUND = 15, 8
# What Rich puts around the text of a column.
_GAP = 3


class Live(Display):
    """Shows the trials, the front, its hypervolume and the time left. Use as a context manager.

    It is the callback of `lts.study.study.Study.run` and, as `working`, its observer.

    Parameters
    ----------
    study
        What is run.
    interval
        Least seconds between two updates; trials that take longer, failures and the last trial are always shown.
    timeout
        Seconds that the run has, at most.
    quiet
        Leave the trials out: where candidates evolve on estimates, they are made of the front, all at once.
    options
        Of `Display`.
    """

    def __init__(
        self, study: Study, interval: float = 0.0, timeout: float | None = None, *, quiet: bool = False, **options: Any
    ) -> None:
        super().__init__(**{"every": _REDRAW, **options})
        self._study = study
        self._interval = interval
        self._timeout = timeout
        self._begun = self.clock()
        self._shown = -math.inf
        self._before = 0.0
        self._quiet = quiet
        self._disturbances = Disturbances()
        self._progress: Progress | None = None
        self._work: Work | None = None
        self._members: tuple[int, list[str], list[list[str]]] = (0, [], [])
        self._volume = 0.0
        self._looked = False

    def __exit__(self, *problem: object) -> None:
        super().__exit__(*problem)
        self._disturbances.__exit__()

    def working(self, work: Work) -> None:
        """Take notice of what is running: that begins when something else has ended."""
        changed = self._work is None or self._work.what != work.what or self._looked
        self._work, self._looked = work, False
        if changed:
            self.refresh()

    def __call__(self, progress: Progress) -> None:
        self._disturbances.note(progress.trial)
        last = progress.n_finished == progress.trials
        since, self._before = progress.seconds - self._before, progress.seconds
        quick = since < _QUICK and progress.seconds - self._shown < self._interval
        if self._quiet or (quick and progress.trial.state != "failed" and not last):
            return
        self._shown = progress.seconds
        self._progress = progress
        if self.in_place:
            self._look()
            self._looked = True
        else:
            say(self._said(progress))

    def _said(self, progress: Progress) -> str:
        """A trial that has ended."""
        from lts.system.text import number

        trial = progress.trial
        if progress.again:
            return f"[{progress.n_finished}] {_again(trial, self._study.columns)}"
        total = "" if progress.trials is None else f"/{progress.trials}"
        if trial.state == "failed":
            outcome = f"failed: {trial.error}"
        else:
            names = [o.name for o in self._study.objectives]
            outcome = "  ".join(f"{name} {number(trial.values[name])}" for name in names)
            if not trial.feasible:
                outcome += "  (infeasible)"
        return f"[{progress.n_finished}{total}] trial {trial.id}: {outcome}  front {progress.n_front}"

    def line(self) -> str:
        return ", ".join(part for part in (self._doing(), self._left()) if part)

    def _doing(self) -> str:
        if self._work is None:
            return "searching"
        count = "" if self._work.total is None else f": {self._work.done} of {self._work.total}"
        return f"{self._work.what}{count}" + (f", {self._work.now}" if self._work.now else "")

    def _left(self) -> str:
        """Until the end: the time of the search, or at the present rate the number of trials."""
        took = self.clock() - self._begun
        bounds = [] if self._timeout is None else [self._timeout - took]
        if (known := self._progress) is not None and known.trials is not None and known.n_finished:
            bounds.append(known.seconds / known.n_finished * known.trials - took)
        return f"time left {clock_text(min(bounds))}" if bounds else f"since {clock_text(took)}"

    def _look(self) -> None:
        """Keep what the picture shows of the front: it is drawn from another thread."""
        from lts.study.front import observed_hypervolume
        from lts.system.text import number, runs

        front = self._study.front()
        self._volume = observed_hypervolume(self._study.trials, self._study.objectives)
        names = [o.name for o in front.objectives]
        rows = [
            [
                str(trial.id),
                *(number(trial.values[name]) for name in names),
                str(trial.architecture.n_layer),
                str(trial.architecture.d_model),
                runs(trial.architecture.d_ff),
            ]
            for trial in front.trials[:_MEMBERS]
        ]
        self._members = (len(front), ["trial", *names, "n_layer", "d_model", "d_ff"], rows)

    def picture(self, width: int, height: int) -> Any:
        known = self._progress
        if known is None:
            return cut(f"{self._doing()}  {self._left()}", width)
        from rich.console import Group
        from rich.text import Text

        n, headings, rows = self._members
        total = "" if known.trials is None else f" of {known.trials}"
        parts = [f"trials {known.n_finished}{total}", f"failed {known.n_failed}", f"front {n}"]
        parts += [f"hypervolume {self._volume:.3f} of the observed box", self._left()]
        running = f"{self._work.what}: {self._work.now}" if self._work is not None and self._work.now else ""
        lines = [*packed(parts, width), *([cut(running, width)] if running else [])]
        shown = rows[: max(1, height - _AROUND - len(lines))]
        table, left_out = _fitting(headings, shown, width)
        notes = [f"  and {n - len(shown)} more"] if n > len(shown) else []
        if left_out:
            notes += packed(["  at the end, or on a wider terminal:", *left_out], width)
        return Group(*(Text(line) for line in lines), table, *(Text(note) for note in notes))


def _fitting(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[Any, list[str]]:
    """A table of the columns that fit, of which the last may be cut, and the names of the others."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    cells = [[readable(row[i], sys.stderr.encoding) for row in rows] for i in range(len(headings))]
    left, kept = width - 1, []
    for heading, column in zip(headings, cells, strict=True):
        needed = max(map(len, (heading, *column)))
        last = heading == headings[-1]
        if (room := left - _GAP) < (2 * len(heading) if last else needed):
            break
        kept.append([cut(cell, room) for cell in column])
        table.add_column(heading, justify="left" if last else "right", no_wrap=True)
        left = room - min(room, needed)
    for row in zip(*kept, strict=True):
        table.add_row(*row)
    return table, list(headings[len(kept) :])


def _again(trial: Trial, columns: Collection[str]) -> str:
    """What the last process says of a trial that was measured before."""
    from lts.study.spread import n_processes
    from lts.system.text import number

    if not trial.rounds:
        return f"trial {trial.id} again: " + (f"failed: {trial.error}" if trial.error else "disturbed, left out")
    costs = "  ".join(f"{name} {number(rounds[-1])}" for name, rounds in trial.rounds.items() if name in columns)
    return f"trial {trial.id} again, process {n_processes(trial)}: {costs}"
