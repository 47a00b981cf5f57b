"""Ctrl-C that waits for the end of a block."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def without_interrupts() -> Iterator[Callable[[], bool]]:
    """Defer Ctrl-C, and SIGTERM where it is handled alike, to the end of the block.

    A training step that is cut off in the middle leaves weights that no checkpoint may hold. Yields a function that
    says whether an interrupt is waiting; a second interrupt takes effect at once.

    Raises
    ------
    KeyboardInterrupt
        At the end of the block, when an interrupt was deferred.
    """
    kept = False

    def keep(number: int, frame: FrameType | None) -> None:
        nonlocal kept
        if kept:
            raise KeyboardInterrupt
        kept = True

    ours = []
    if threading.current_thread() is threading.main_thread():  # no other may set handlers, or is interrupted
        numbers = (signal.SIGINT, signal.SIGTERM)
        ours = [number for number in numbers if signal.getsignal(number) is signal.default_int_handler]
        for number in ours:
            signal.signal(number, keep)
    try:
        yield lambda: kept
    finally:
        for number in ours:
            signal.signal(number, signal.default_int_handler)
    if kept:
        raise KeyboardInterrupt
