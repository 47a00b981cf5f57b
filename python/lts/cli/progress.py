"""What is shown on stderr while people wait: rewritten in place on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Self

from lts.cli import log
from lts.cli.plain import readable
from lts.system.progress import Work

# Seconds between two looks at whether anything is to be shown.
_TICK = 1.0
# Where nothing can be rewritten, a line is said when none was in so many seconds.
_QUIET = 10.0
# Seconds between two pictures of work whose pieces are short.
_LEAST = 0.1
# Columns that stay free: what Ctrl-C writes would otherwise begin a line that nobody erases.
_MARGIN = 4
_BAR = 20
# Columns from which there is room for a bar beside words.
_WIDE = 70


def rewrites() -> bool:
    """Whether stderr is a terminal on which what was written can be rewritten."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def clock_text(seconds: float) -> str:
    """Seconds as "0:42" or "1:02:03"."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def cut(text: str, width: int) -> str:
    """The text, or as much of its begin as fits, with three dots that say so."""
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."[: max(0, width)]


def packed(parts: Sequence[str], width: int) -> list[str]:
    """The parts on as few lines as hold them; one that is wider than a line is cut."""
    lines: list[str] = []
    for part in (cut(part, width) for part in parts):
        if lines and len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] += f"  {part}"
        else:
            lines.append(part)
    return lines


class Display(ABC):
    """Shows how far something is while a block runs; the one way in which commands do. Use as a context manager.

    On a terminal the picture of a subclass is rewritten in place, and is gone at the end, also after Ctrl-C. Elsewhere
    (a pipe, a file, TERM=dumb) its line is said when nothing else was for ten seconds. Of displays within one another
    the outermost is shown.

    Parameters
    ----------
    every
        Seconds between two pictures when nothing has changed: more where models are timed on the same machine.
    clock, wait
        The time in seconds; what waits for so many and says whether the block has ended meanwhile.
    """

    _outermost: ClassVar[Display | None] = None

    def __init__(
        self,
        *,
        every: float = _TICK,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.clock = clock
        self._every = every
        self._over = threading.Event()
        self._wait = wait or self._over.wait
        self._watcher: threading.Thread | None = None
        self._live: Any = None

    @abstractmethod
    def picture(self, width: int, height: int) -> Any:
        """What stands on the terminal, a text or something of Rich; no line of it is wider."""

    @abstractmethod
    def line(self) -> str:
        """The same in one line."""

    def __enter__(self) -> Self:
        if Display._outermost is not None:
            return self
        Display._outermost = self
        if rewrites():
            from rich.console import Console
            from rich.live import Live

            from lts.system.uninterrupted import end_like_ctrl_c

            if threading.current_thread() is threading.main_thread():
                end_like_ctrl_c()  # else the terminal is left without a cursor
            self._live = Live(console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True)
            with suppress(OSError, ValueError):
                self._live.start()
            self.refresh()
        self._watcher = threading.Thread(target=self._watch, name="lts-display", daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        if Display._outermost is not self:
            return
        Display._outermost = None
        self._over.set()
        if self._watcher is not None:
            self._watcher.join(timeout=2 * _TICK)
        if self._live is not None:
            with suppress(OSError, ValueError):
                self._live.stop()
            self._live = None

    @property
    def in_place(self) -> bool:
        """Whether there is a picture that is rewritten."""
        return self._live is not None

    def refresh(self) -> None:
        """Rewrite the picture, where there is one; a terminal that is gone changes nothing."""
        live = self._live
        if live is None:
            return
        from rich.text import Text

        width, height = live.console.size
        shown = self.picture(max(1, width - _MARGIN), height)
        with suppress(OSError, ValueError):
            live.update(
                Text(shown, no_wrap=True, overflow="crop") if isinstance(shown, str) else shown,
                refresh=True,
            )

    def _watch(self) -> None:
        """Rewrite the picture now and then, or say a line when there has been none."""
        quiet = drawn = 0.0
        n_said = log.n_said
        while not self._wait(_TICK):
            quiet = quiet + _TICK if n_said == log.n_said else 0.0
            drawn += _TICK
            if self._live is not None and drawn >= self._every:
                drawn = 0.0
                self.refresh()
            elif self._live is None and quiet >= _QUIET:
                quiet = 0.0
                log.say(self.line())
            n_said = log.n_said


class Waiting(Display):
    """Shows a piece of work: a bar with its count, what is running, and the time that is left. It is an observer.

    Parameters
    ----------
    what
        The work, until it says itself what it is.
    total
        Number of its pieces.
    end
        Time by `clock` at which it is cut off; None where it is not.
    options
        Of `Display`.
    """

    def __init__(self, what: str, total: int | None = None, *, end: float | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._work = Work(what, total=total)
        self._end = end
        self._begun = self.clock()
        self._drawn = self._begun - _LEAST

    def __call__(self, work: Work) -> None:
        before, self._work = self._work, work
        if (before.what, before.total) != (work.what, work.total):
            self._begun = self.clock()
        if self.clock() - self._drawn >= _LEAST:
            self._drawn = self.clock()
            self.refresh()

    def piece(self, now: str = "") -> None:
        """Count one more piece that has ended; `now` is what runs next."""
        self(replace(self._work, done=self._work.done + 1, now=now))

    def picture(self, width: int, height: int) -> str:
        work, encoding = self._work, sys.stderr.encoding
        words = [work.what]
        if work.total and width >= _WIDE:
            full = _BAR * min(work.done, work.total) // work.total
            words.append(f"{'━' * full}{'─' * (_BAR - full)}")
        if count := self._count():
            words.append(count)
        lines = packed([readable(word, encoding) for word in (*words, self._time(), work.now) if word], width)
        return "\n".join(lines[:height])

    def line(self) -> str:
        work = self._work
        parts = [part for part in (self._count(), work.now, self._time()) if part]
        return f"{work.what}: {', '.join(parts)}"

    def _count(self) -> str:
        from lts.system.text import grouped

        if self._work.total:
            return f"{grouped(self._work.done)} of {grouped(self._work.total)}"
        return f"{grouped(self._work.done)} done" if self._work.done else ""

    def _time(self) -> str:
        """How long it may take yet, at its present rate; before there is one, how long it has taken."""
        work, now = self._work, self.clock()
        took = now - self._begun
        cut_off = None if self._end is None else max(0.0, self._end - now)
        rate = took / work.done * max(0, work.total - work.done) if work.total and work.done else None
        if (rate := rate if work.left is None else work.left) is not None:
            return f"{clock_text(rate if cut_off is None else min(rate, cut_off))} left"
        since = f"since {clock_text(took)}"
        return since if cut_off is None else f"{since}, at most {clock_text(cut_off)} left"
