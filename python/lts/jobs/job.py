"""Jobs for a device: a function in Python, a compiled model for lts-runner, or a program of the device's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lts.system.outside import parse_json, sentence

MANIFEST = "model.json"
"""Name of the file that describes a compiled model, in its folder."""

GENERATION = "generation"
"""The phase of a compiled model that does a prompt pass and decode steps: any, on a cache of its own."""

Runs: TypeAlias = Literal["python", "runner", "program"]
"""What a device can run: functions in Python, compiled models with lts-runner, or llama-bench, which it has itself."""


@dataclass(frozen=True)
class Job:
    """A function call for a worker process.

    Parameters
    ----------
    function
        Its name as ``package.module:name``; it must be importable in the worker.
    arguments
        Keyword arguments, JSON.
    threads
        Threads it may use: the worker is pinned to that many processors.
    preload
        Modules that it imports, which a device may import once for many jobs. They must start no threads.
    files
        Paths of files that the arguments refer to. A remote device copies them and replaces the paths in the arguments.
    """

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    preload: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RunnerJob:
    """A compiled model for lts-runner, see ``docs/runner.md``.

    Parameters
    ----------
    model
        Folder of the compiled model, with its manifest.
    files
        Paths of the files that the manifest names but the folder does not have, by these names: the weights.
    options
        Keys of the runner's request: how long to sample, and what to compare the output with (``file`` of ``expected``
        is one of the names in `files`).
    threads
        Threads to run with, pinned to that many processors.
    """

    model: Path
    files: Mapping[str, Path] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1

    def request(self, model: str | None = None, files: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The request for lts-runner, with the paths as the device knows them; by default those of this machine."""
        paths = dict(files) if files is not None else {name: str(path) for name, path in self.files.items()}
        options = dict(self.options)
        if "expected" in options:
            options["expected"] = {**options["expected"], "file": paths[options["expected"]["file"]]}
        model = str(self.model / MANIFEST) if model is None else model
        return {**options, "run": model, "files": paths, "threads": self.threads}

    def as_job(
        self,
        command: Sequence[str],
        timeout: float,
        *,
        model: str | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Job:
        """The job of a worker process on this machine that starts lts-runner by a command and gives it the request.

        `model` and `files` are paths on the machine that the runner runs on, if that is another one.
        """
        arguments = {"command": list(command), "request": self.request(model, files), "timeout": timeout}
        return Job("lts.jobs.runner_process:run", arguments, threads=self.threads)


@dataclass(frozen=True)
class ProgramJob:
    """A run of llama-bench with a model file; its value is that of `lts.jobs.llama_bench.run`.

    Parameters
    ----------
    program
        Its path on the device.
    model
        A GGUF file, which a remote device copies; beside it, the other parts of one that is split.
    options
        What follows ``-m MODEL``.
    threads
        Threads it may use: it is pinned to that many processors.
    keeps
        Whether a remote device keeps the copy for later; if not, that of the next model takes its place.
    memory
        Whether its peak of memory is wanted, for which it is looked at while it runs.
    """

    program: str
    model: Path
    options: Sequence[str] = ()
    threads: int = 1
    keeps: bool = True
    memory: bool = False

    def as_job(self, timeout: float) -> Job:
        """The job of a worker process on this machine that runs it."""
        command = [self.program, "-m", str(self.model), *self.options]
        arguments = {"command": command, "timeout": timeout, "threads": self.threads, "memory": self.memory}
        return Job("lts.jobs.llama_bench:run", arguments, threads=self.threads)


@dataclass(frozen=True)
class JobResult:
    """Result of a job: its value, JSON, or the reason why there is none; seconds from submission to end.

    `gone` says that the device went away while it ran, and `device` which one of several ran it, as `Device.uri`.
    """

    value: Any = None
    error: str | None = None
    seconds: float = 0.0
    gone: bool = False
    device: str = ""


def result_of(answer: Any) -> JobResult:
    """The result in what another process answers: ``{"value": ...}``, or ``{"error": "..."}``."""
    if not isinstance(answer, dict):
        return JobResult(error=f"the device's answer is wrong: it is no object but {sentence(repr(answer), 60)}")
    error = answer.get("error")
    if error is not None:
        return JobResult(error=sentence(error, 500) or "it failed without a word")
    if "value" not in answer:
        return JobResult(error="the device's answer is wrong: it has neither a value nor an error")
    return JobResult(value=answer["value"])


def result_of_line(line: str | bytes) -> JobResult:
    """The same of a line of JSON."""
    try:
        answer = parse_json(line)
    except ValueError as error:
        return JobResult(error=f"the device's answer is wrong: it is not JSON ({sentence(error, 100)})")
    return result_of(answer)
