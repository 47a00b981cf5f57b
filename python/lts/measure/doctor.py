"""What is installed and at hand on this machine, what is missing, and what each missing part would give."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lts.devices import qemu
from lts.errors import LtsError, UsageError
from lts.jobs.bundle import data_folder
from lts.jobs.llama_bench import PROGRAM, PROGRAM_VARIABLE, find_program, version_of
from lts.jobs.toolchain import cxx
from lts.system import machine
from lts.system.environment import fitness_warnings
from lts.system.outside import sentence

# Distribution: what it gives, and what installs it.
_PACKAGES = {
    "onnxruntime": ("runs models on this machine", "pip install onnxruntime"),
    "apache-tvm": ("compiles models, for this processor and others", "pip install 'lts-engine[tvm]'"),
    "gguf": ("writes models for llama.cpp: --backend llamacpp, --format gguf", "pip install 'lts-engine[gguf]'"),
    "plotly": ("draws the charts of reports", "pip install 'lts-engine[report]'"),
    "tokenizers": ("reads texts, for the perplexity of export --text", "pip install 'lts-engine[text]'"),
    "pandas": ("gives trials as a table: trials_dataframe", "pip install pandas"),
    "optuna": ("copies studies for its dashboard: export-optuna", "pip install optuna"),
    "torch": ("trains networks, and proxies that need gradients", "pip install 'lts-engine[torch]'"),
    "xgboost": ("lets search --tune learn", "pip install 'lts-engine[tune]'"),
}
_PROGRAMS = {
    "ssh": ("reaches boards: --device ssh://HOST", "apt-get install openssh-client"),
    "git": ("compares revisions: compare --build", "apt-get install git"),
}
_ARM = "aarch64-linux-gnu"
_LEAST_FREE_GIB = 2.0
_NVIDIA = "proc/driver/nvidia/version"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Parameters
    ----------
    name
        What it is.
    there
        Whether it is there, or as it should be.
    says
        Its version or state, or what it would give.
    remedy
        The command that installs or mends it; empty when nothing is to be done.
    """

    name: str
    there: bool
    says: str
    remedy: str = ""


def examine(root: Path = machine.ROOT) -> list[Finding]:
    """Look at this machine; `root` is that of the file system that /proc and /sys are read from."""
    return [
        *_packages(),
        *_compilers(),
        *_emulator(),
        *_programs(),
        _llama_bench(),
        _gpu(root),
        *_space(),
        *_fitness(root),
    ]


def _packages() -> Iterator[Finding]:
    for name, (gives, remedy) in _PACKAGES.items():
        try:
            yield Finding(name, True, f"{metadata.version(name)}: {gives}")
        except metadata.PackageNotFoundError:
            yield Finding(name, False, f"not installed; it {gives}", remedy)


def _compilers() -> Iterator[Finding]:
    for triple in dict.fromkeys((machine.triple(), _ARM)):
        gives = f"links compiled models for {triple}"
        try:
            yield Finding("compiler", True, f"{cxx(triple)}: {gives}")
        except LtsError as error:
            yield Finding("compiler", False, f"none for {triple}; one {gives}", str(error).rpartition("on Debian: ")[2])


def _emulator() -> Iterator[Finding]:
    if machine.same_architecture(machine.triple(), _ARM):
        return
    if shutil.which(f"qemu-{qemu.architecture(_ARM)}") is not None:
        yield Finding("qemu-user", True, "counts instructions of Arm models: --device emulated")
    else:
        gives = "it counts instructions of Arm models, and says whether they are right: --device emulated"
        yield Finding("qemu-user", False, f"not there; {gives}", "apt-get install qemu-user")


def _programs() -> Iterator[Finding]:
    for name, (gives, remedy) in _PROGRAMS.items():
        there = shutil.which(name) is not None
        yield Finding(name, there, gives if there else f"not there; it {gives}", "" if there else remedy)


def _llama_bench() -> Finding:
    gives = "measures GGUF files and searches for llama.cpp: --backend llamacpp"
    try:
        program = find_program()
    except LtsError as error:
        remedy = f"build llama.cpp, and add its folder to PATH or set {PROGRAM_VARIABLE} to its path"
        unless = f"{sentence(error, 100)}; " if isinstance(error, UsageError) else ""
        return Finding(PROGRAM, False, f"{unless or 'not there; '}it {gives}", remedy)
    return Finding(PROGRAM, True, f"{version_of(program)}: {gives}")


def _gpu(root: Path) -> Finding:
    version = machine.read(root / _NVIDIA).splitlines()
    if version:
        return Finding("gpu", True, f"{sentence(version[0], 80)}; models are compiled for it and not yet run")
    return Finding("gpu", True, "no NVIDIA driver here; models for one can be compiled: --target sm_90")


def _space() -> Iterator[Finding]:
    for name, folder in (("temporary files", Path(tempfile.gettempdir())), ("lts-engine's data", data_folder())):
        place = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(place).free / 2**30
        enough = free >= _LEAST_FREE_GIB
        remedy = "" if enough else ("set TMPDIR to a folder with more" if name.startswith("temp") else f"free {place}")
        yield Finding(name, enough, f"{free:.1f} GiB free in {folder}", remedy)


def _fitness(root: Path) -> Iterator[Finding]:
    doubts = fitness_warnings(root)
    for doubt in doubts:
        what, _, remedy = doubt.rpartition("; ")
        yield Finding("measuring", False, what or doubt, remedy if what else "")
    if not doubts:
        yield Finding("measuring", True, f"nothing speaks against measuring on this {machine.cpu_model(root)}")
