"""A processor emulated by qemu: tells whether a model is correct and how many instructions it runs, not how long."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from lts.devices.device import Device
from lts.devices.qemu import Emulator, architecture, emulated_processors, find_emulator, runner_environment
from lts.errors import UsageError
from lts.jobs.job import MANIFEST, Job, JobResult, ProgramJob, RunnerJob, Runs
from lts.jobs.pool import Workers
from lts.system import machine
from lts.system.outside import parse_json, read_bytes, sentence
from lts.system.workdir import WorkDirectory
from lts.targets.target import Target

# Runner results that mean nothing under emulation.
_MEANINGLESS = ("samples_ns", "wall_ns", "peak_memory_mib")
# Name of the model in the folder of a job.
_MODEL = "model"
# Length of the path of that folder's parent: longer than that of any usual temporary directory.
_PATH_LENGTH = 200
# Options of the runner that are about time.
_TIMES = ("min_time", "max_time", "max_repeats")
# The most that the counts of a run may have: a line each is some fifty bytes.
_MARKS_BYTES = 1 << 16
# Runs that are counted, after a first run whose outputs are checked and whose memory the others reuse.
_RUNS = 1


class EmulatedDevice(Device):
    """A processor of any architecture that qemu emulates; it runs one process for each processor of this machine.

    ``instructions`` are those that the program executes in one run of the model, on one thread. Their number is the
    same every time, whatever else the machine does.
    """

    runs: tuple[Runs, ...] = ("runner",)
    costs = ("instructions", "decode_instructions")

    def __init__(self) -> None:
        cpus = machine.allowed_cpus()
        self.parallel = len(cpus)
        self._locals = [Workers(cpus=[cpu]) for cpu in cpus]
        self._idle: queue.Queue[Workers] = queue.Queue()
        for local in self._locals:
            self._idle.put(local)
        self._lock = threading.Lock()
        self._workdir: WorkDirectory | None = None
        self._emulators: dict[tuple[str, str], tuple[Emulator, dict[str, Any]]] = {}
        self._chosen: tuple[str, str] | None = None
        self._jobs = count()

    @classmethod
    def from_uri(cls, uri: str) -> EmulatedDevice:
        """Make the device of a URI, for `lts.devices.device.open_device`."""
        return cls()

    def check(self, target: Target) -> None:
        """Raise when a model for that target cannot be emulated; otherwise, models run on its processor from now on.

        Raises
        ------
        UsageError
            For a target whose processor qemu does not emulate, or that has more than one thread.
        MeasurementError
            When the emulator, or what it needs, is not installed.
        """
        if target.kind != "cpu" or architecture(target.triple) is None:
            raise UsageError(
                f"target '{target.name}' is for {target.kind} {target.triple}; the emulated device has Linux on "
                f"{', '.join(emulated_processors())}"
            )
        if target.threads > 1:
            raise UsageError(
                f"target '{target.name}' wants {target.threads} threads; the emulated device counts the instructions "
                "of one: use --threads 1"
            )
        self._chosen = (target.triple, target.cpu)
        self._emulator(*self._chosen)

    def run(self, job: Job | RunnerJob | ProgramJob, timeout: float) -> JobResult:
        """Run a compiled model for at most `timeout` seconds. If it crashes or hangs, that is an error in the result.

        Raises
        ------
        UsageError
            For a job in Python, or with more than one thread.
        MeasurementError
            When the emulator, or what it needs, is not installed.
        """
        if not isinstance(job, RunnerJob):
            raise UsageError("the emulated device runs compiled models alone; use --backend tvm")
        if job.threads > 1:
            raise UsageError(f"the job has {job.threads} threads; the emulated device counts the instructions of one")
        emulator, _ = self._emulator(*(self._chosen or (_triple_of(job.model), "")))
        options = {key: value for key, value in job.options.items() if key not in _TIMES}
        job = replace(job, options={**options, "mark": True, "min_repeats": _RUNS})
        with self._job_folder() as folder, self._local() as local:
            names = _link(job, folder)
            marks = folder / "marks"
            model = str(folder / _MODEL / MANIFEST)
            result = local.run(job.as_job(emulator.command(marks), timeout, model=model, files=names), timeout)
            shown = {
                str(folder / _MODEL): str(job.model),
                **{names[name]: str(path) for name, path in job.files.items()},
            }
            return replace(result, **_outcome(result, emulator, marks, shown))

    def environment(self, threads: int) -> dict[str, Any]:
        """What the counts depend on: the emulator, what it emulates, and the versions of what runs there.

        The triple and the processor are those of the last target that was checked.
        """
        if self._chosen is None:
            return {"emulator": "qemu", "triple": "", "cpu": "", "threads": threads}
        emulator, versions = self._emulator(*self._chosen)
        return {
            "emulator": emulator.name,
            "triple": emulator.triple,
            "cpu": emulator.cpu,
            **versions,
            "threads": threads,
        }

    def close(self) -> None:
        """End all processes. The next job starts new ones."""
        for local in self._locals:
            local.close()
        with self._lock:
            if self._workdir is not None:
                self._workdir.close()
                self._workdir = None
                self._emulators.clear()

    def _emulator(self, triple: str, cpu: str) -> tuple[Emulator, dict[str, Any]]:
        """The emulator, after a check that it works, and the versions of what runs in it."""
        directory = self._directory()
        with self._lock:
            if (triple, cpu) not in self._emulators:
                emulator = find_emulator(triple, cpu, self.observe)
                bundle = directory / triple
                shutil.copytree(emulator.runner.parent, bundle, dirs_exist_ok=True)
                emulator = replace(emulator, runner=bundle / emulator.runner.name)
                said = runner_environment(emulator, bundle / "marks")
                self._emulators[triple, cpu] = emulator, {key: said.get(key, "") for key in ("runner", "tvm")}
            return self._emulators[triple, cpu]

    def _directory(self) -> Path:
        """The folder of all files whose paths an emulated program is given.

        The lengths of these paths affect how the program's memory is laid out, and with it the count by a few hundred
        instructions. So all paths are made equally long.
        """
        with self._lock:
            if self._workdir is None:
                self._workdir = WorkDirectory()
            parent = self._workdir.path.resolve()
            directory = parent / ("_" * max(1, _PATH_LENGTH - len(str(parent))))
            directory.mkdir(exist_ok=True)
            return directory

    @contextmanager
    def _job_folder(self) -> Iterator[Path]:
        folder = self._directory() / f"{next(self._jobs):09}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _local(self) -> Iterator[Workers]:
        """Workers of this machine, for the block alone."""
        local = self._idle.get()
        try:
            yield local
        finally:
            self._idle.put(local)


def _triple_of(model: Path) -> str:
    """The triple that a compiled model was built for."""
    try:
        triple = parse_json(read_bytes(model / MANIFEST))["triple"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{model} is not a compiled model: {error}") from None
    if not isinstance(triple, str) or not machine.is_triple(triple) or architecture(triple) is None:
        raise UsageError(
            f"{model} is compiled for {sentence(triple)}; the emulated device has Linux on "
            f"{', '.join(emulated_processors())}"
        )
    return triple


def _link(job: RunnerJob, folder: Path) -> dict[str, str]:
    """Link the model and its files into the folder, and return the paths of the files by name."""
    (folder / _MODEL).symlink_to(job.model.resolve())
    names = {}
    for i, (name, path) in enumerate(sorted(job.files.items())):
        link = folder / f"file{i}"
        link.symlink_to(path.resolve())
        names[name] = str(link)
    return names


def _outcome(result: JobResult, emulator: Emulator, marks: Path, shown: Mapping[str, str]) -> dict[str, Any]:
    """Value and error of a job from what the runner has returned and the plugin has counted.

    `shown` maps paths of this device to the names that an error shows instead.
    """
    if result.error is not None:
        error = result.error
        for path, name in shown.items():
            error = error.replace(path, name)
        if "(SIGILL)" in error:
            error = (
                f"{error.partition(';')[0]}: {emulator.name} does not have an instruction of the "
                f"model on its processor '{emulator.cpu}'; compile for another cpu"
            )
        return {"value": None, "error": error}
    counts = _counted(marks)
    if counts is None or not isinstance(result.value, dict):
        return {"value": None, "error": f"{emulator.name} has not counted the run of the model"}
    (*_, before, _), (*_, after, threads) = counts
    if threads > 1:
        return {"value": None, "error": f"the model has run on {threads} threads; instructions are counted on one"}
    value = {key: content for key, content in result.value.items() if key not in _MEANINGLESS}
    value["instructions"] = after - before
    return {"value": value}


def _counted(marks: Path) -> list[tuple[int, int, int]] | None:
    """Number, instructions so far and threads of the last two marks; None when they are not what was asked for."""
    try:
        lines = [parse_json(line) for line in read_bytes(marks, _MARKS_BYTES).splitlines()]
        found = [(line["mark"], line["instructions"], line["threads"]) for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all(type(number) is int and 0 <= number < 1 << 63 for line in found for number in line):
        return None
    return found[-2:] if [mark for mark, *_ in found] == list(range(_RUNS + 1)) else None
