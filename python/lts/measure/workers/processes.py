"""Workers that are processes of this machine, started here; one that dies is replaced."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from typing import Any

from lts.measure.workers.crew import Crew

_LOOK = 0.5  # seconds between two looks at whether the parent is there
_URI = re.compile(r"processes:(?P<n>[1-9]\d{0,3})")


class Processes(Crew):
    """So many processes. When one is killed, the calls of all are lost, and the next call starts new ones."""

    one = "a process"

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
        self._started: SimpleQueue[int] = self._context.SimpleQueue()
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        with self._lock:
            if self._pool is not None:
                try:
                    return self._pool.submit(function, *arguments)
                except BrokenProcessPool:
                    self._end()
            self._pool = ProcessPoolExecutor(
                self.size, self._context, initializer=_begin, initargs=(self._started, os.getpid())
            )
            return self._pool.submit(function, *arguments)

    def close(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        children = {child.pid for child in multiprocessing.active_children()}
        while not self._started.empty():
            if (process := self._started.get()) in children:  # not one that has ended, whose number may be another's
                os.kill(process, signal.SIGKILL)
        self._pool = None


def _begin(started: SimpleQueue[int], parent: int) -> None:
    """In a new process: it ends with its parent, which alone gets the terminal's Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The kernel's own signal would come when the thread ends that has started this process.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    started.put(os.getpid())


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)


def reach(uri: str) -> Processes | None:
    """The workers of ``processes:N``; None for anything else."""
    match = _URI.fullmatch(uri)
    return Processes(int(match["n"])) if match else None
