"""The rule by which the job of a device that dies, or is silent, goes to another one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from lts.errors import MeasurementError
from lts.jobs.job import JobResult

# Devices that a job is tried on: when so many go away or do not answer, the job is to blame.
ATTEMPTS = 3


T = TypeVar("T")


class GoneError(Exception):
    """A device went away while it ran a job; the message says which one and why."""


class NoneLeftError(Exception):
    """No device is there at the moment; the message says so."""


def run_on_any(
    free: Callable[[], T],
    attempt: Callable[[T, float], JobResult],
    timeout: float,
    *,
    several: bool,
    wait: float,
    closed: threading.Event,
) -> JobResult:
    """Run a job for at most `timeout` seconds, on another device when one goes away or is silent.

    That a device has to become free does not count for the time.

    Parameters
    ----------
    free
        Waits for a device that is free, and gives it; raises `NoneLeftError`.
    attempt
        Runs the job on it, for at most so many seconds, and frees it; raises `GoneError` and `NoneLeftError`.
    several
        Whether there is another device: the first, which may never answer, then gets half of the time.
    wait
        Seconds to wait for a device when there is none.
    closed
        Set when no job is to run any more.

    Raises
    ------
    MeasurementError
        When no device is left.
    """
    start = time.monotonic()
    troubles: list[str] = []
    lost_since: float | None = None
    spent = 0.0
    while True:
        left = timeout - spent
        share = left / 2 if several and not troubles else left
        if left <= 0 or len(troubles) == ATTEMPTS:
            what = "; ".join(dict.fromkeys(troubles)) or f"no result within {timeout:.3g} s"
            return JobResult(error=what, seconds=time.monotonic() - start)
        result, none = JobResult(error=""), None
        try:
            device = free()
            begun = time.monotonic()
            try:
                result = attempt(device, share)
            finally:
                spent += time.monotonic() - begun
        except GoneError as gone:
            troubles.append(str(gone))
        except NoneLeftError as error:
            none = error
        seconds = time.monotonic() - start
        if closed.is_set():
            return JobResult(error="the device was closed", seconds=seconds)
        if none is not None:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > min(wait, timeout):
                raise MeasurementError(str(none))
            closed.wait(0.5)
        elif result.error is not None and result.error.startswith("no result within"):
            troubles.append(f"no result within {share:.3g} s")
        elif result.error != "":
            return replace(result, seconds=seconds)
