"""Chromium for tests, screenshots and benchmarks: where it is, and how playwright starts it."""

from __future__ import annotations

import shutil
from typing import Any

EXECUTABLE = shutil.which("chromium") or shutil.which("google-chrome")

_ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")  # as root it has no sandbox; small containers have no /dev/shm


def started(running: Any, *more: str) -> Any:
    """A browser of a running playwright, with more arguments of Chromium's command line."""
    return running.chromium.launch(executable_path=EXECUTABLE, args=[*_ARGUMENTS, *more])
