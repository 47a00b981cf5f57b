"""qemu's user-mode emulators: finding the one for a target, and the plugin that counts instructions in it."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts.devices.description import environment_of
from lts.errors import MeasurementError
from lts.jobs.bundle import RUNNER, data_folder, make_bundle
from lts.jobs.cause_of_death import last_words
from lts.jobs.program import run_program
from lts.jobs.toolchain import cxx
from lts.system import machine
from lts.system.outside import parse_json
from lts.system.progress import Observer, unobserved

# Processors whose system calls the plugin knows: the first part of their triple, and qemu's name.
_QEMU = {
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "arm": "arm",
    "armv7": "arm",
    "armv7l": "arm",
    "i386": "i386",
    "i686": "i386",
    "riscv64": "riscv64",
    "x86_64": "x86_64",
    "amd64": "x86_64",
}
# Name, the same in all emulators, of the processor with every extension that the emulator knows.
_ANY_CPU = "max"
_FLAGS = ("-x", "c", "-O2", "-Wall", "-shared", "-fPIC", "-fvisibility=hidden")
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Emulator:
    """An emulator that runs and counts programs of a triple.

    Attributes
    ----------
    program, version
        For example ``/usr/bin/qemu-aarch64``, ``7.2.22``.
    triple, cpu
        What is emulated; the processor as qemu calls it.
    sysroot
        Folder with the C library of the triple.
    plugin
        The compiled ``cpp/emulator/instructions.c``.
    runner
        lts-runner for the triple.
    """

    program: Path
    version: str
    triple: str
    cpu: str
    sysroot: Path
    plugin: Path
    runner: Path

    @property
    def name(self) -> str:
        """Name and version for messages, for example ``qemu-aarch64 7.2.22``."""
        return f"{self.program.name} {self.version}"

    def command(self, marks: Path) -> list[str]:
        """The command that runs lts-runner for one request; the counts go into the file `marks`.

        It passes no environment variables, because their number affects how the program's memory is laid out.
        """
        # In qemu's options a comma separates; two commas stand for one.
        plugin, out = (str(path).replace(",", ",,") for path in (self.plugin, marks))
        return [
            *(
                "env",
                "-i",
                str(self.program),
                "-L",
                str(self.sysroot),
                "-cpu",
                self.cpu,
                "-plugin",
                f"file={plugin},out={out}",
            ),
            *(str(self.runner), "--once"),
        ]


def emulated_processors() -> list[str]:
    """Names of the processor architectures that can be emulated, where qemu is installed."""
    return sorted(set(_QEMU.values()))


def architecture(triple: str) -> str | None:
    """qemu's name of a triple's processor architecture; None where instructions cannot be counted."""
    name, _, rest = triple.partition("-")
    return _QEMU.get(name.lower()) if "linux" in rest else None


def find_emulator(triple: str, cpu: str, observe: Observer = unobserved) -> Emulator:
    """The emulator for a triple and a processor by LLVM's name.

    A processor that qemu does not know is replaced by the one with all extensions. The plugin and the runner are built
    on first use, which `observe` is told.

    Raises
    ------
    MeasurementError
        When something is not installed, with the command that installs it.
    """
    name = f"qemu-{architecture(triple)}"
    found = shutil.which(name)
    if found is None:
        raise MeasurementError(f"no emulator for {triple}: '{name}' is not there; on Debian: apt-get install qemu-user")
    program = Path(found)
    sysroot = Path("/") if machine.same_architecture(triple, machine.triple()) else Path("/usr") / triple
    if not (sysroot / "lib").is_dir():
        raise MeasurementError(
            f"no C library for {triple}: {sysroot / 'lib'} is not there; "
            f"on Debian: apt-get install g++-{triple.replace('_', '-')}"
        )
    version = version_of(program)
    return Emulator(
        program=program,
        version=version,
        triple=triple,
        cpu=cpu if cpu in _cpus(program) else _ANY_CPU,
        sysroot=sysroot,
        plugin=plugin(version),
        runner=make_bundle(triple, observe=observe) / RUNNER,
    )


def runner_environment(emulator: Emulator, marks: Path) -> Mapping[str, Any]:
    """The fingerprint that the emulated runner reports: emulator, plugin, C library and runner work together.

    Raises
    ------
    MeasurementError
        With the last output of the one that does not work.
    """
    try:
        done = run_program(emulator.command(marks), _TIMEOUT, json.dumps({"environment": True}).encode() + b"\n")
    except TimeoutError:
        raise MeasurementError(f"{emulator.name} does not run lts-runner: no answer in {_TIMEOUT:.0f} s") from None
    except OSError as error:
        raise MeasurementError(f"{emulator.name} does not start: {error.strerror or error}") from None
    try:
        value = parse_json(done.output)["value"]
    except (ValueError, KeyError, TypeError):
        said = last_words(done.said or done.output)
        raise MeasurementError(
            f"{emulator.name} does not run lts-runner with the plugin that counts instructions "
            f"(it needs qemu 4.2 to 8.2, with plugins): {said or f'it ended with code {done.code}'}"
        ) from None
    return environment_of(value, emulator.name)


def plugin(version: str, folder: Path | None = None) -> Path:
    """The plugin that counts instructions, for a version of qemu; compiled on first use.

    It lies in `folder`, by default `lts.jobs.bundle.data_folder`.

    Raises
    ------
    MeasurementError
        When there is no compiler, or it does not compile the plugin.
    """
    source = _source()
    key = hashlib.sha256(repr(_FLAGS).encode() + source.read_bytes()).hexdigest()[:12]
    folder = data_folder() / "emulator" if folder is None else folder
    built = folder / f"instructions-{key}-qemu-{version}.so"
    if built.is_file():
        return built
    compiler = cxx(machine.triple())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Renamed once it is complete: several processes may be doing this at the same time.
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            made = Path(unfinished) / "instructions.so"
            done = subprocess.run(
                [compiler, *_FLAGS, "-o", str(made), str(source)],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_TIMEOUT,
            )
            if done.returncode != 0 or not made.is_file():
                said = next((line for line in done.stderr.splitlines() if "error" in line), "no reason given")
                raise MeasurementError(f"'{compiler}' does not compile {source}: {said}")
            made.replace(built)
    except OSError as error:
        raise MeasurementError(f"cannot build the emulator's plugin in {folder}: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"'{compiler}' does not compile {source}: no end in {_TIMEOUT:.0f} s") from None
    return built


@functools.cache
def version_of(program: Path) -> str:
    """Version of one of qemu's programs, for example ``7.2.22``."""
    found = re.search(r"version (\d+(?:\.\d+)*)", _output(program, "--version"))
    if found is None:
        raise MeasurementError(f"'{program} --version' names no version; expected qemu's user-mode emulator")
    return found[1]


@functools.cache
def _cpus(program: Path) -> frozenset[str]:
    """Names of the processors that the emulator knows."""
    lines = _output(program, "-cpu", "help").splitlines()
    return frozenset(match[1] for line in lines if (match := re.match(r"(?:x86)?\s+(\S+)", line)))


def _output(*command: str | Path) -> str:
    try:
        return run_program([str(part) for part in command], _TIMEOUT).output.decode("utf-8", "replace")
    except (OSError, MeasurementError) as error:  # that it takes too long is one, too
        raise MeasurementError(f"{command[0]} does not start: {error}") from None


def _source() -> Path:
    """The plugin's source: in the package when it is installed, in the checkout otherwise."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1], here.parents[3] / "cpp"):
        if (path := folder / "emulator" / "instructions.c").is_file():
            return path
    raise MeasurementError(f"the source of the emulator's plugin is not in {here.parents[1]}: install lts-engine again")
