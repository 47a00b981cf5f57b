"""llama-bench of llama.cpp: where it is, its version, and one run of it, in a worker process."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lts.errors import MeasurementError, UsageError
from lts.jobs.cause_of_death import cause_of_death, last_words
from lts.jobs.program import Finished, run_program
from lts.system.disturbance import Watch
from lts.system.outside import parse_json, sentence

PROGRAM = "llama-bench"
PROGRAM_VARIABLE = "LTS_LLAMA_BENCH"
"""Environment variable with the path of llama-bench, where it is not on PATH."""

BUILT = "llama.cpp-*/bin/llama-bench"
"""Where scripts/build_llama_cpp puts it, in lts-engine's folder of the user's cache."""

_VERSION_TIMEOUT = 20.0
# By how much a program has to exceed the resident memory that starting one takes, which is not the same every time.
_UNSURE_KIB = 1024
# Share of its time that a program with one thread has the processor at least, unless something else has it.
_UNDISTURBED = 0.9
# What llama-bench says of its own build, such as that it was not optimized, and at most so much of it.
_WARNING = "warning: "
_MOST_WARNINGS = 5
_NO_DEPTH = "invalid parameter for argument: -d"


def find_program(named: str | None = None) -> str:
    """The path of llama-bench: as named, by ``$LTS_LLAMA_BENCH``, on PATH, or where scripts/build_llama_cpp builds it.

    Raises
    ------
    UsageError
        When one that is named is no program.
    MeasurementError
        When there is none.
    """
    if wanted := named or os.environ.get(PROGRAM_VARIABLE):
        if found := shutil.which(wanted):
            return str(Path(found).resolve())
        where = "" if named else f", which {PROGRAM_VARIABLE} names,"
        raise UsageError(f"{sentence(wanted)}{where} is no program; expected the path of llama-bench of llama.cpp")
    if found := shutil.which(PROGRAM):
        return str(Path(found).resolve())
    if built := sorted(_cache().glob(BUILT)):
        return str(built[-1])
    raise MeasurementError(
        "llama-bench of llama.cpp is not on PATH, and GGUF files are measured with it; build it (cmake --build build "
        f"--target llama-bench) or install llama.cpp, and add its folder to PATH or set {PROGRAM_VARIABLE} to its path"
    )


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lts-engine"


def version_of(program: str) -> str:
    """What llama-bench says of its version; of an earlier one, which does not, its size and when it was built."""
    try:
        done = run_program([program, "--version"], _VERSION_TIMEOUT)
        lines = (done.output + b"\n" + done.said).decode(errors="replace").splitlines()
    except (OSError, TimeoutError, MeasurementError):
        lines = []
    if version := next((line for line in lines if line.startswith("version")), ""):
        return sentence(version.removeprefix("version:"), 60)
    about = Path(program).stat()
    return f"{about.st_size} bytes of {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(about.st_mtime))}"


def run(command: Sequence[str], timeout: float, threads: int, memory: bool = False) -> dict[str, Any]:
    """Run llama-bench, which writes JSON, and return what it says, unchecked, with what was seen of it.

    Parameters
    ----------
    command
        The program with its arguments, among them ``-o json``.
    timeout
        Seconds after which the program is killed.
    threads
        Those that it runs with.
    memory
        Whether its memory is read while it runs, for where the kernel's account at its end does not tell it.

    Returns
    -------
    dict
        ``tests``: its output. ``peak_memory_mib``: the most resident memory that the program had, in MiB; None where
        that is hardly more than starting any program takes, so that it is not known. ``warnings`` and ``disturbed``: as
        of `lts.system.disturbance.Doubts`, with its waiting for a processor, and the warnings that it printed itself.

    Raises
    ------
    MeasurementError
        With the reason why there is no answer.
    """
    watch = Watch()
    seen = 0.0

    def look(process: int) -> None:
        nonlocal seen
        seen = max(seen, peak_kib(process) / 1024)

    try:
        least = _starting()
        begun, had = time.monotonic(), _processor_seconds()
        done = run_program(command, timeout, look=look if memory else None)
    except TimeoutError:
        raise MeasurementError(f"no result within {timeout:.3g} s") from None
    except OSError as error:
        raise MeasurementError(f"cannot start {command[0]}: {error.strerror or error}") from None
    tests = tests_of(done)
    doubts = watch.doubts(())
    share = (_processor_seconds() - had) / (time.monotonic() - begun)
    if threads == 1 and share < _UNDISTURBED:  # several threads wait for one another
        doubts.warnings.append(
            f"llama-bench had the processor for {share:.0%} of its time: other programs, or reading the file, had the "
            "rest, which may be in its times"
        )
    return {
        "tests": tests,
        "peak_memory_mib": _peak_mib(least) or seen or None,
        "warnings": [*doubts.warnings, *warnings_of(done)],
        "disturbed": doubts.disturbed,
    }


def tests_of(done: Finished) -> Any:
    """The JSON that llama-bench has written, unchecked. Raises `MeasurementError` when it has failed instead."""
    said = done.said.decode(errors="replace")
    if done.code != 0 and _NO_DEPTH in said:
        raise MeasurementError(
            "this llama-bench has no -d, by which decoding after a prompt is measured; build one of May 2025 or later"
        )
    if done.code != 0:
        raise MeasurementError(cause_of_death("llama-bench", done.code, said))
    try:
        return parse_json(done.output)
    except ValueError as error:
        words = last_words(said) or sentence(error, 100)
        raise MeasurementError(f"the answer of llama-bench is wrong: it is not JSON ({words})") from None


def warnings_of(done: Finished) -> list[str]:
    """What llama-bench says against its own build."""
    said = done.said.decode(errors="replace").splitlines()
    lines = [line.removeprefix(_WARNING) for line in said if line.startswith(_WARNING)]
    return [f"llama-bench: {sentence(line)}" for line in lines[:_MOST_WARNINGS]]


def peak_kib(process: int) -> int:
    """The most resident memory that a running program has had so far, in KiB; 0 when it has ended."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def _processor_seconds() -> float:
    """Of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak_mib(least: int) -> float | None:
    """The most resident memory of the processes that this one has waited for, in MiB; None where it is hardly more
    than `least`."""
    peak = _most_resident()
    return peak / 1024 if peak > least + _UNSURE_KIB else None


def _starting() -> int:
    """What a program that does nothing is said to have had resident, in KiB.

    A process begins as a copy of its parent, and for Linux that counts for its maximum, whatever it then runs.
    """
    # Without vfork, the copy has the pages alone that were written. (The manual of subprocess has this switch.)
    subprocess._USE_VFORK = False  # type: ignore[misc]
    with contextlib.suppress(OSError):
        run_program(["true"], _VERSION_TIMEOUT)
    return _most_resident()


def _most_resident() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
