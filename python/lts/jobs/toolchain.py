"""The compilers that build and link for a target: this machine's own, or a cross compiler as Debian names it."""

from __future__ import annotations

import os
import shutil

from lts.errors import MeasurementError, UsageError
from lts.system import machine
from lts.system.outside import sentence


def cxx(triple: str) -> str:
    """The C++ compiler for a triple: ``$CXX`` or g++ for this machine, ``TRIPLE-g++`` for another.

    Raises
    ------
    UsageError
        When it is not a triple.
    MeasurementError
        When there is none, with the command that installs it.
    """
    if not machine.is_triple(triple):  # a program is called after it
        raise UsageError(f"'{sentence(triple)}' is not a triple; expected one like aarch64-linux-gnu")
    local = machine.same_architecture(triple, machine.triple())
    name = os.environ.get("CXX", "g++") if local else f"{triple}-g++"
    if shutil.which(name) is None:
        package = "g++" if local else f"g++-{triple.replace('_', '-')}"
        raise MeasurementError(
            f"no C++ compiler for {triple}: '{name}' is not there; on Debian: apt-get install {package}"
        )
    return name
