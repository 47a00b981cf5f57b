"""Ctrl-C that waits for the end of a block."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def end_like_ctrl_c() -> None:
    """Let SIGTERM, and SIGHUP of a terminal that is closed, end this process like Ctrl-C does.

    A SIGHUP that is ignored, as under nohup, stays ignored.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hang_up)


def _hang_up(number: int, frame: FrameType | None) -> None:
    # One is enough: the kernel and the shell each send one, and what is written at the end must not be cut off.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise KeyboardInterrupt


_INTERRUPTS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.default_int_handler,
    signal.SIGHUP: _hang_up,
}


@contextmanager
def without_interrupts() -> Iterator[Callable[[], bool]]:
    """Defer Ctrl-C, and SIGTERM and SIGHUP where they are handled alike, to the end of the block.

    A training step that is cut off in the middle leaves weights that no checkpoint may hold. Yields a function that
    says whether an interrupt is waiting; a second interrupt takes effect at once.

    Raises
    ------
    KeyboardInterrupt
        At the end of the block, when an interrupt was deferred.
    """
    kept = hung_up = False

    def keep(number: int, frame: FrameType | None) -> None:
        nonlocal kept, hung_up
        if number == signal.SIGHUP:  # comes more than once
            hung_up = kept = True
            return
        if kept:
            raise KeyboardInterrupt
        kept = True

    ours = []
    if threading.current_thread() is threading.main_thread():  # no other may set handlers, or is interrupted
        ours = [number for number, handler in _INTERRUPTS.items() if signal.getsignal(number) is handler]
        for number in ours:
            signal.signal(number, keep)
    try:
        yield lambda: kept
    finally:
        for number in ours:
            gone = hung_up and number == signal.SIGHUP
            signal.signal(number, signal.SIG_IGN if gone else _INTERRUPTS[number])
    if kept:
        raise KeyboardInterrupt
