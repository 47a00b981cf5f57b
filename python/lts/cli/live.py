"""Progress of a search on stderr: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lts.cli.disturbed import Disturbances
from lts.cli.log import say

if TYPE_CHECKING:
    from lts.measure.trial import Trial
    from lts.study.loop import Progress
    from lts.study.study import Study

# Trials that take less than so many seconds are shown a few at a time.
_QUICK = 0.05
# Columns of the terminal that the shape of an architecture needs.
_SHAPE = 40


class Display:
    """What is rewritten in place on stderr while a block runs; `live` is None where stderr is no terminal."""

    def __init__(self, first: str) -> None:
        self._first = first
        self.live: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live as RichLive

            self.live = RichLive(console=Console(stderr=True), auto_refresh=False, transient=True)
            with suppress(OSError, ValueError):
                self.live.start()
            self.show(self._first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            with suppress(OSError, ValueError):
                self.live.stop()

    def show(self, what: Any) -> None:
        """Rewrite it; a terminal that is gone changes nothing."""
        with suppress(OSError, ValueError):
            self.live.update(what, refresh=True)


class Live(Display):
    """Shows the trials, the front, its hypervolume and the time left. Use as a context manager and a callback.

    Parameters
    ----------
    study
        What is run.
    interval
        Least seconds between two updates; trials that take longer, failures and the last trial are always shown.
    first
        What is shown before the first trial has ended.
    """

    def __init__(self, study: Study, interval: float = 0.0, first: str | None = None) -> None:
        super().__init__(first or "evaluating the first candidate")
        self._study = study
        self._interval = interval
        self._shown = -math.inf
        self._before = 0.0
        self._quiet = first is not None  # trials are made of what has evolved, all at once
        self._disturbances = Disturbances()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._disturbances.__exit__()

    def __call__(self, progress: Progress) -> None:
        self._disturbances.note(progress.trial)
        last = progress.n_finished == progress.trials
        since, self._before = progress.seconds - self._before, progress.seconds
        quick = since < _QUICK and progress.seconds - self._shown < self._interval
        if self._quiet or (quick and progress.trial.state != "failed" and not last):
            return
        self._shown = progress.seconds
        if self.live is not None:
            self.show(self._table(progress))
        else:
            say(self._line(progress))

    def _line(self, progress: Progress) -> str:
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

    def _table(self, progress: Progress) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        from lts.study.front import observed_hypervolume
        from lts.system.text import number, runs

        front = self._study.front()
        volume = observed_hypervolume(self._study.trials, self._study.objectives)
        total = "" if progress.trials is None else f" of {progress.trials}"
        parts = [f"trials {progress.n_finished}{total}", f"failed {progress.n_failed}", f"front {len(front)}"]
        parts.append(f"hypervolume {volume:.3f} of the observed box")
        parts.append(f"time left {_clock(self._left(progress))}")
        names = [o.name for o in front.objectives]
        table = Table(box=box.SIMPLE_HEAD)
        shown = 15
        rows = [[str(trial.id), *(number(trial.values[name]) for name in names)] for trial in front.trials[:shown]]
        headings = ["trial", *names]
        needed = sum(max(len(cell) for cell in cells) + 3 for cells in zip(headings, *rows, strict=True))
        wide = needed + _SHAPE <= self.live.console.width
        for name in (*headings, "n_layer", "d_model") if wide else headings:
            table.add_column(name, justify="right", no_wrap=wide, overflow="fold")
        if wide:
            table.add_column("d_ff")
        for row, trial in zip(rows, front.trials, strict=False):
            a = trial.architecture
            table.add_row(*row, *([str(a.n_layer), str(a.d_model), runs(a.d_ff)] if wide else []))
        more = [] if len(front) <= shown else [Text(f"  and {len(front) - shown} more")]
        more += [] if wide else [Text("  architectures are shown at the end, or on a wider terminal")]
        return Group(Text("  ".join(parts)), table, *more)

    @staticmethod
    def _left(progress: Progress) -> float | None:
        """Seconds until the end: the timeout, or at the present rate the number of trials."""
        bounds = []
        if progress.timeout is not None:
            bounds.append(progress.timeout - progress.seconds)
        if progress.trials is not None and progress.n_finished:
            bounds.append(progress.seconds / progress.n_finished * (progress.trials - progress.n_finished))
        return max(0.0, min(bounds)) if bounds else None


def _again(trial: Trial, columns: Collection[str]) -> str:
    """What the last process says of a trial that was measured before."""
    from lts.study.spread import n_processes
    from lts.system.text import number

    if not trial.rounds:
        return f"trial {trial.id} again: " + (f"failed: {trial.error}" if trial.error else "disturbed, left out")
    costs = "  ".join(f"{name} {number(rounds[-1])}" for name, rounds in trial.rounds.items() if name in columns)
    return f"trial {trial.id} again, process {n_processes(trial)}: {costs}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
