"""Builds of the libraries and of the examples that embed them, made once for all tests that need them."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Platform:
    """A platform that builds are made for; unless it is this machine's, they run under emulation."""

    preset: str
    tools: str  # prefix of the compiler and the binutils
    emulator: str
    libraries: str

    @property
    def run(self) -> list[str]:
        return [self.emulator, "-L", self.libraries] if self.emulator else []

    @property
    def packages(self) -> str:
        return f"g++-{self.tools.rstrip('-')} qemu-user" if self.emulator else "g++"


HOST = Platform("release", "", "", "")
SANITIZED = Platform("asan", "", "", "")
AARCH64 = Platform("aarch64", "aarch64-linux-gnu-", "qemu-aarch64", "/usr/aarch64-linux-gnu")
ARMV7 = Platform("armv7", "arm-linux-gnueabihf-", "qemu-arm", "/usr/arm-linux-gnueabihf")


def need(*programs: str, packages: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: {packages})")


def command(*words: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """The output of a command, which must succeed."""
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, f"{' '.join(map(str, words))}:\n{(done.stdout + done.stderr)[-4000:]}"
    return done.stdout


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While no other process that asks builds in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def launcher() -> dict[str, str]:
    """The environment in which CMake is told to compile with ccache, where that is installed."""
    return {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache"} if shutil.which("ccache") else {}


@functools.cache
def build(platform: Platform, *targets: str, static_libstdcxx: bool = False) -> Path:
    """The build folder for a platform with those targets built, which nothing changes from then on.

    Static or not, the objects are the same: where ccache is installed, they are compiled once.
    """
    need("cmake", "ninja", packages="cmake ninja-build")
    if platform.emulator:
        need(platform.tools + "g++", platform.emulator, packages=platform.packages)
    at = ROOT / "build" / f"{platform.preset}{'-static' if static_libstdcxx else ''}"
    static = f"-DLTS_STATIC_LIBSTDCXX={'ON' if static_libstdcxx else 'OFF'}"
    with locked(at):
        command("cmake", "--preset", platform.preset, "-B", at, static, *_tvm(), env={**os.environ, **launcher()})
        command("cmake", "--build", at, "--target", *targets)
    return at


def configure(project: Path, at: Path, platform: Platform = HOST) -> None:
    """A project of which ours is a part: our files are compiled as in the preset, with ccache once for both."""
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DLTS_WARNINGS_AS_ERRORS=ON", *_tvm()]
    if platform.emulator:
        toolchain = ROOT / "cmake" / f"{platform.tools.rstrip('-')}.cmake"
        options += [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG"]
    command("cmake", "-G", "Ninja", "-S", project, "-B", at, *options, env={**os.environ, **launcher()})


def _tvm() -> list[str]:
    """Where the headers that lts::runner needs are, in whatever environment the tests run."""
    found = find_spec("tvm_ffi")
    return (
        []
        if found is None or found.origin is None
        else [f"-DLTS_TVM_FFI_INCLUDE={Path(found.origin).parent / 'include'}"]
    )
