"""Python jobs on a device that is reached over ssh: copies the agent with what it needs, and talks to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lts.devices.description import environment_of
from lts.devices.ssh.connection import Connection, Left
from lts.devices.ssh.facts import process_of
from lts.devices.ssh.remote_files import RemoteFiles
from lts.devices.ssh.session import Session, TooMuchError, last_line
from lts.errors import MeasurementError
from lts.jobs.job import Job, JobResult, result_of_line

_PACKAGE = Path(__file__).parents[2]
# Code that runs on a device needs none of these, and the package's __init__ would load the core, which is compiled.
_LEFT_OUT = ("__init__.py", "cli", "export", "measure", "networks", "proxies", "report", "spaces", "study")
_PACKAGE_THERE = b'"""The modules of lts-engine that run jobs on a device."""\n'

# Argument: the folder of the modules, which come before those of an installed lts-engine.
_BOOT = """
import sys
if sys.version_info < (3, 11):
    sys.exit("Python %d.%d is too old; 3.11 is needed" % sys.version_info[:2])
from importlib.machinery import PathFinder
sys.meta_path.insert(0, PathFinder)
sys.path.insert(0, sys.argv[1])
from lts.devices.ssh.agent import main
main()
"""
# Arguments: Python, the code, the folder of the modules. A path may begin with ~/.
_START = """
python=$1
case "$python" in "~/"*) python="$HOME/${python#??}" ;; esac
echo "$$"
exec "$python" -c "$2" "$0/content/$3"
"""
_START_TIMEOUT = 120.0
# Files of a job that have at least this size are kept on the device.
_KEPT_BYTES = 16 << 20


@dataclass(frozen=True)
class Prepared:
    """A job with its paths on the device, and the folder there with its files, if any."""

    job: Job
    folder: str = ""


class RemotePython:
    """A running agent.

    Parameters
    ----------
    connection, files
        Connection to the device, and the files on it.
    python
        Path of an interpreter there.

    Raises
    ------
    MeasurementError
        When that interpreter does not run the agent.
    """

    def __init__(self, connection: Connection, files: RemoteFiles, python: str) -> None:
        self._connection = connection
        self._files = files
        self._python = python
        self._imported: set[str] = set()
        self._content = files.folder("python", {f"lts/{name}": entry for name, entry in _modules().items()})
        self._session: Session = connection.start(_START, python, _BOOT, self._content)
        try:
            connection.begin(self._session, _START_TIMEOUT)
            self._process = process_of(self._session.line(_START_TIMEOUT))
            result = self._ask(Prepared(Job("lts.system.environment:fingerprint")), _START_TIMEOUT)
        except BaseException:
            self.close()
            raise
        if result.error is not None:
            self.close()
            raise MeasurementError(f"Python at {python} on {connection.address} runs no jobs: {result.error}")
        try:
            self.environment = environment_of(result.value, str(connection.address))
        except BaseException:
            self.close()
            raise
        """The fingerprint of the device."""

    @property
    def alive(self) -> bool:
        """Whether the agent runs."""
        return self._session.alive

    def prepare(self, job: Job) -> Prepared | None:
        """Copy the files of a job that the device lacks. None when other content has disappeared from it.

        Raises
        ------
        MeasurementError
            When a module in `preload` cannot be imported there, or the device has no space left.
        """
        if missing := [module for module in job.preload if module not in self._imported]:
            self._import(missing)
        if not job.files:
            return Prepared(job)
        kept = {path.name: self._files.file(path) for path in job.files if path.is_file() and _is_kept(path)}
        sent: dict[str, Path | bytes] = {path.name: path for path in job.files if path.name not in kept}
        folder = self._files.job(sent, kept, [self._content])
        if folder is None:
            self.close()
            return None
        paths = {str(path): f"{folder}/{path.name}" for path in job.files}
        return Prepared(replace(job, arguments=_renamed(dict(job.arguments), paths)), folder)

    def run(self, job: Prepared, timeout: float) -> JobResult:
        """Run a job that was prepared.

        Raises
        ------
        ConnectionLost
            When the connection ends before the job.
        """
        return self._ask(job, timeout)

    def close(self) -> None:
        """End the agent and what it runs. Harmless when repeated."""
        self._session.close()

    def _import(self, modules: list[str]) -> None:
        check = Job("lts.devices.ssh.agent:importable", {"modules": modules}, preload=tuple(modules))
        result = self._ask(Prepared(check), _START_TIMEOUT)
        if result.error is not None:
            raise MeasurementError(
                f"Python at {self._python} on {self._connection.address} does not import {' and '.join(modules)} "
                f"({result.error}); install what is missing there: {self._python} -m pip install {' '.join(modules)}"
            )
        self._imported.update(modules)

    def _ask(self, prepared: Prepared, timeout: float) -> JobResult:
        """The agent's result; when it gives none, an error, and the agent is ended."""
        job = prepared.job
        request: dict[str, Any] = {
            "function": job.function,
            "arguments": dict(job.arguments),
            "threads": job.threads,
            "preload": list(job.preload),
            "timeout": timeout,
            "folder": prepared.folder,
        }
        try:
            self._session.send([json.dumps(request).encode() + b"\n"], close=False)
            # The agent enforces the timeout; starting its workers does not count.
            begun = bool(self._session.line(_START_TIMEOUT))
            line = self._session.line(timeout + _START_TIMEOUT) if begun else b""
        except TooMuchError as error:
            self._session.kill()
            return JobResult(error=str(error))
        except BaseException:
            self._session.kill()
            raise
        if line:
            return result_of_line(line)
        self._session.close()
        left = Left(self._process, self._content, prepared.folder) if self._process else None
        if self._session.code == 255 or not self._connection.alive:
            raise self._connection.lost(self._session.said, left, begun=begun)
        if line is None:
            if left is not None:
                self._connection.end(left)
            return JobResult(error=f"no result within {timeout:.3g} s")
        return JobResult(error=last_line(self._session.said) or "it has ended without a word")


def _is_kept(path: Path) -> bool:
    """Whether a file is kept on the device as content, rather than copied for one job."""
    return path.suffix == ".bin" or path.stat().st_size >= _KEPT_BYTES


def _renamed(value: Any, paths: Mapping[str, str]) -> Any:
    """JSON with its paths replaced."""
    if isinstance(value, Mapping):
        return {key: _renamed(inner, paths) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(inner, paths) for inner in value]
    return paths.get(value, value) if isinstance(value, str) else value


def _modules() -> Mapping[str, Path | bytes]:
    """The modules of this package that run without its compiled core, by their paths in the package."""
    modules: dict[str, Path | bytes] = {"__init__.py": _PACKAGE_THERE}
    for path in sorted(_PACKAGE.rglob("*.py")):
        inside = path.relative_to(_PACKAGE)
        if inside.parts[0] not in _LEFT_OUT:
            modules[inside.as_posix()] = path
    return modules
