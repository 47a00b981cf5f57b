"""Jobs for the suite for devices: some that behave, and some that crash, hang or misbehave otherwise."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from lts.errors import UsageError

_calls = 0


def echo(value: Any) -> Any:
    return value


def count() -> int:
    global _calls
    _calls += 1
    return _calls


def fail(message: str) -> None:
    raise ValueError(message)


def refuse(message: str) -> None:
    raise UsageError(message)


def give_an_object() -> object:
    return object()


def exit_by_exception(code: int) -> None:
    sys.exit(code)


def exit_at_once(code: int) -> None:
    os._exit(code)


def kill_itself(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(3600)


def touch_address_zero() -> None:
    import ctypes

    ctypes.string_at(0)


def abort_with(words: str) -> None:
    os.write(2, f"{words}\n".encode())
    os.abort()


def hang() -> None:
    time.sleep(3600)


def hang_deaf() -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def flood(mib: int) -> int:
    for _ in range(16 * mib):
        os.write(1, b"stdout " * 4681)
        os.write(2, b"stderr " * 4681)
    return mib


def allocate_beyond(limit_mib: int) -> int:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (limit_mib << 20, limit_mib << 20))
    blocks = []
    while True:
        blocks.append(bytearray(16 << 20))
