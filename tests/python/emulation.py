"""Whether this machine can run arm64 code."""

from __future__ import annotations

import platform
import shutil
from importlib.util import find_spec

from lts.errors import MeasurementError

NEEDED = ("aarch64-linux-gnu-g++", "qemu-aarch64", "file")


def emulation_is_missing() -> str:
    """What is not here to run arm64 code; empty when everything is."""
    if platform.machine() == "aarch64":
        return "this is an arm64 machine"
    if find_spec("tvm") is None:
        return "tvm is not installed"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not installed"
    from lts.jobs.bundle import make_bundle

    try:
        make_bundle("aarch64-linux-gnu")
    except MeasurementError as error:
        return str(error)
    return ""
