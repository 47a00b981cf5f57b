"""Compiled models on a device that is reached over ssh: copies lts-runner and the models, and runs them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts.devices.description import environment_of
from lts.devices.ssh.connection import Connection, Left
from lts.devices.ssh.facts import PROCESSORS, process_of, processors_of
from lts.devices.ssh.remote_files import RemoteFiles
from lts.devices.ssh.session import Session, TooMuchError, last_line
from lts.errors import MeasurementError
from lts.jobs.cause_of_death import cause_of_death
from lts.jobs.job import JobResult, RunnerJob, result_of
from lts.system import machine
from lts.system.outside import parse_json
from lts.system.progress import Observer, unobserved

_START_TIMEOUT = 60.0
# lts-runner enforces the timeout itself; without an answer for this many seconds more, it hangs.
_GRACE = 10.0
_BYTES = {"float32": 4, "float16": 2, "int64": 8, "int32": 4, "bool": 1}

# Arguments: folder of the job, lts-runner. Its input stays open as long as the answer is awaited.
_RUN = """
echo "$$"
"$2"
code=$?
rm -rf "$1"
exit $code
"""


@dataclass(frozen=True)
class Prepared:
    """A job whose files are on the device: its folder there, and the request for lts-runner."""

    folder: str
    request: Mapping[str, Any]


class RemoteRunner:
    """lts-runner on a device.

    Parameters
    ----------
    connection, files
        Connection to the device, and the files on it.
    observe
        Told what is done where lts-runner has to be compiled.

    Raises
    ------
    MeasurementError
        When there is no lts-runner for the device, or it does not run there.
    """

    def __init__(self, connection: Connection, files: RemoteFiles, observe: Observer = unobserved) -> None:
        from lts.jobs.bundle import make_bundle

        self._connection = connection
        self._files = files
        there = connection.machine
        if (there.system, there.library) != ("Linux", "gnu"):
            what = "C library musl" if there.system == "Linux" else f"system {there.system}"
            raise MeasurementError(f"{connection.address} has the {what}; lts-runner needs Linux with glibc")
        folder = make_bundle(there.triple, observe=observe)
        entries: dict[str, Path | bytes] = {path.name: path for path in folder.iterdir() if path.is_file()}
        self._content = files.folder("runner", entries)
        result = self.run(Prepared("", {"environment": True}), _START_TIMEOUT)
        if result.error is not None:
            raise MeasurementError(f"lts-runner does not run on {connection.address}: {result.error}")
        self.environment = environment_of(result.value, str(connection.address))
        """The fingerprint of the device."""
        self._processors = processors_of(connection.call(PROCESSORS).output)

    def prepare(self, job: RunnerJob) -> Prepared | None:
        """Copy the files of a job that the device lacks. None when other content has disappeared from it.

        Raises
        ------
        MeasurementError
            When the device has no space left.
        """
        ends = _ends(job.model / "model.json")
        entries: dict[str, Path | bytes] = {".": job.model}
        content: dict[str, str] = {}
        for name, path in job.files.items():
            if name in ends:
                content[name] = self._files.file(path, ends[name])
            else:
                entries[f"files/{name}"] = path
        folder = self._files.job(entries, {}, [self._content, *content.values()])
        if folder is None:
            return None
        paths = {name: self._files.path(kept) for name, kept in content.items()}
        paths |= {name: f"{folder}/files/{name}" for name in job.files if name not in content}
        request = {
            "cpus": machine.pick_cpus(job.threads, self._processors),
            **job.request(f"{folder}/model.json", paths),
        }
        return Prepared(folder, request)

    def run(self, job: Prepared, timeout: float) -> JobResult:
        """Run a job that was prepared.

        Raises
        ------
        ConnectionLost
            When the connection ends before the job.
        """
        session = self._connection.start(_RUN, job.folder, f"{self._files.path(self._content)}/lts-runner")
        process = ""
        try:
            limit = {"timeout": timeout} if "run" in job.request else {}
            session.send([json.dumps({**job.request, **limit}).encode() + b"\n"], close=False)
            deadline = time.monotonic() + timeout + _GRACE
            if self._connection.begin(session, _START_TIMEOUT) is None:
                process = process_of(session.line(_START_TIMEOUT))
            answer = _answer(session, deadline) if process else None
            if answer is not None:
                session.close()
                return result_of(answer)
            hangs = session.line(0.0) != b""
            session.close(0.0 if hangs else 2.0)
        except TooMuchError as error:
            session.kill()
            return JobResult(error=str(error))
        except BaseException:
            session.kill()  # closes the input there, so that lts-runner kills the model and ends
            raise
        left = Left(process, job.folder, job.folder) if process and job.folder else None
        if session.code == 255 or not self._connection.alive:
            raise self._connection.lost(session.said, left, begun=bool(process))
        if hangs:
            if left is not None:
                self._connection.end(left)
            return JobResult(error=f"no result within {timeout:.3g} s")
        return JobResult(error=_cause(session))


def _answer(session: Session, deadline: float) -> dict[str, Any] | None:
    """The answer of lts-runner in its output; None when it ends without one, or time runs out."""
    while line := session.line(max(0.0, deadline - time.monotonic())):
        try:
            found = parse_json(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.keys() & {"value", "error"}:
            return found
    return None


def _cause(session: Session) -> str:
    """The reason why lts-runner has ended without an answer. Shells add 128 to the number of a signal that kills."""
    said, code = last_line(session.said), session.code or 0
    if code in (126, 127):
        return said or "it cannot be executed"
    return cause_of_death("it", 128 - code if 128 < code < 255 else code, said)


def _ends(manifest: Path) -> dict[str, int | None]:
    """Number of bytes that a model uses of each file with its weights, from the beginning; None when unknown."""
    ends: dict[str, int | None] = {}
    for tensor in json.loads(manifest.read_text(encoding="utf-8")).get("weights", ()):
        size = _BYTES.get(tensor["dtype"])
        known = ends.get(tensor["file"], 0)
        if size is None or known is None:
            ends[tensor["file"]] = None
        else:
            ends[tensor["file"]] = max(known, tensor["offset"] + size * math.prod(tensor["shape"]))
    return ends
