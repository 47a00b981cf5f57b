"""llama-bench on a device that is reached over ssh: finds it, copies models, and runs it by nothing but a shell."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lts.devices.description import environment_of
from lts.devices.ssh.connection import Connection, Left
from lts.devices.ssh.facts import PROCESSORS, process_of, processors_of
from lts.devices.ssh.remote_files import RemoteFiles
from lts.devices.ssh.session import Session, TooMuchError, last_line
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import JobResult, ProgramJob
from lts.jobs.llama_bench import BUILT, tests_of, warnings_of
from lts.jobs.program import Finished
from lts.system import machine
from lts.system.outside import sentence

_START_TIMEOUT = 60.0
_GRACE = 10.0

# Argument: a path, or nothing. Prints the path of llama-bench, and what it says of its version.
_FIND = f"""
case "$1" in "~/"*) set -- "$HOME/${{1#??}}" ;; esac
cache="${{XDG_CACHE_HOME:-$HOME/.cache}}/lts-engine"
[ -n "$1" ] || set -- "$(command -v llama-bench)" "$HOME/llama.cpp/build/bin/llama-bench" \\
    "$HOME/.local/bin/llama-bench" /usr/local/bin/llama-bench "$cache"/{BUILT}
for program; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    echo "$program"
    "$program" --version 2>&1 </dev/null | grep "^version" | head -n 1
    exit
done
"""
_KERNEL = "proc/sys/kernel/osrelease"
_FACTS = ("proc/cpuinfo", "proc/meminfo", _KERNEL, "sys/firmware/devicetree/base/model")
_READ = 'head -c 65536 "$1" 2>/dev/null | tr -d "\\000"'
_PATH = re.compile(r"/[^\x00-\x1f\x7f]{1,1023}")
# Arguments: folder of the job, processors, how many looks to save of the first hundred, which follow fast; the program
# with its arguments. Prints its own number; then the program's exit code, its peak of memory in KiB (the mark that the
# kernel keeps, looked at until the end), and its output. When our input ends, nobody waits for that any more.
_RUN = """
echo "$$"
job=$1
if [ -n "$2" ] && taskset -c "$2" true 2>/dev/null; then pin="taskset -c $2"; else pin=; fi
n=$3
shift 3
exec 3<&0
(ulimit -f 16384; exec $pin "$@") </dev/null >"$job/.output" 2>"$job/.said" 3<&- & # blocks: some MiB of output
program=$!
{ cat >/dev/null; kill -9 "$program"; } <&3 2>/dev/null &
watcher=$!
peak=0 alive=yes
while [ "$alive" ]; do
    alive=
    while read -r key value rest; do
        if [ "$key" = VmHWM: ]; then peak=$value alive=yes; fi
    done 2>/dev/null <"/proc/$program/status"
    if [ $n -lt 100 ]; then n=$((n + 1)); sleep 0.01; else sleep 0.1; fi 2>/dev/null || sleep 1
done
wait "$program"
code=$?
kill -9 "$watcher" 2>/dev/null
echo "$code $peak"
tail -c 8000 "$job/.said" >&2
cat "$job/.output"
rm -rf "$job"
"""
_ENDED = re.compile(rb"([0-9]{1,3}) ([0-9]{1,15})\s*")


@dataclass(frozen=True)
class Prepared:
    """A job whose model is on the device: its folder there, the command, the processors to run on, and whether its
    memory is wanted."""

    folder: str
    command: Sequence[str]
    cpus: Sequence[int]
    memory: bool


class RemoteProgram:
    """What starts llama-bench on a device.

    Parameters
    ----------
    connection, files
        Connection to the device, and the files on it.
    """

    def __init__(self, connection: Connection, files: RemoteFiles) -> None:
        self._connection = connection
        self._files = files
        self._processors = processors_of(connection.call(PROCESSORS).output)
        self._passing = ""  # content that makes room for the next model

    def find(self, named: str | None) -> tuple[str, str]:
        """Path and version of llama-bench. Raises as `lts.devices.device.Device.llama_bench`."""
        lines = self._connection.call(_FIND, named or "").output.splitlines()
        address = self._connection.address
        if not lines or not _PATH.fullmatch(lines[0]):
            if named:
                raise UsageError(
                    f"{sentence(named)} is no program on {address}; expected the path of llama-bench there"
                )
            raise MeasurementError(
                f"llama-bench of llama.cpp is not found on {address}: not on PATH, nor in ~/llama.cpp/build/bin; build "
                f"it there, or name it as ssh://{address}?llama-bench=PATH"
            )
        return lines[0], sentence("".join(lines[1:2]).removeprefix("version:"), 60) or "unknown"

    def environment(self) -> dict[str, Any]:
        """The fingerprint of the device, from files of its kernel; `MeasurementError` when these cannot be right."""
        cpus, address = sorted(self._processors), str(self._connection.address)
        cores = len({processor.core for processor in self._processors.values()})
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name in (*_FACTS, f"sys/devices/system/cpu/cpu{cpus[0]}/cpufreq/scaling_governor"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(self._connection.call(_READ, f"/{name}").output, encoding="utf-8")
            try:
                found = {
                    "cpu": machine.cpu_model(root),
                    "cores": cores,
                    "governor": machine.governor(root, cpus[0]),
                    "memory_mib": machine.memory_mib(root),
                    "triple": self._connection.machine.triple,
                    "kernel": machine.read(root / _KERNEL),
                }
            except ValueError as error:
                raise MeasurementError(f"{address}: the device's answer is wrong: {sentence(error, 100)}") from None
        return environment_of(found, address)

    def prepare(self, job: ProgramJob) -> Prepared | None:
        """Copy the model of a job, if it is not there. None when it has disappeared again.

        Raises
        ------
        MeasurementError
            When the device has no space left.
        """
        name = self._files.file(job.model)
        if self._passing not in ("", name):
            self._files.remove(self._passing)
        self._passing = "" if job.keeps else name
        folder = self._files.job({}, {job.model.name: name}, [])
        if folder is None:
            return None
        command = [job.program, "-m", f"{folder}/{job.model.name}", *job.options]
        return Prepared(folder, command, machine.pick_cpus(job.threads, self._processors), job.memory)

    def run(self, job: Prepared, timeout: float) -> JobResult:
        """Run a job that was prepared.

        Raises
        ------
        ConnectionLost
            When the connection ends before the job.
        """
        cpus = ",".join(map(str, job.cpus))
        session = self._connection.start(_RUN, job.folder, cpus, "0" if job.memory else "100", *job.command)
        process = ""
        try:
            deadline = time.monotonic() + timeout
            session.send([], close=False)
            if self._connection.begin(session, _START_TIMEOUT) is None:
                process = process_of(session.line(_START_TIMEOUT))
            ended = session.line(max(0.0, deadline - time.monotonic())) if process else b""
            output = session.rest(_GRACE) if ended else b""
            session.close()
        except TooMuchError as error:
            session.kill()
            return JobResult(error=str(error))
        except BaseException:
            session.kill()  # closes the input there, which ends the program
            raise
        left = Left(process, job.folder, job.folder) if process else None
        if ended is None or output is None:
            if left is not None:
                self._connection.end(left)
            return JobResult(error=f"no result within {timeout:.3g} s")
        match = _ENDED.fullmatch(ended)
        if match is None or session.code == 255:
            if session.code == 255 or not self._connection.alive:
                raise self._connection.lost(session.said, left, begun=bool(process))
            return JobResult(error=last_line(session.said) or "it has ended without a word")
        return _result(session, int(match[1]), int(match[2]), output)


def _result(session: Session, code: int, peak_kib: int, output: bytes) -> JobResult:
    """Shells add 128 to the number of a signal that kills."""
    done = Finished(output, session.said.encode(), 128 - code if 128 < code < 255 else code)
    try:
        tests = tests_of(done)
    except MeasurementError as error:
        return JobResult(error=str(error))
    value: dict[str, Any] = {
        "tests": tests,
        "peak_memory_mib": peak_kib / 1024 or None,
        "warnings": warnings_of(done),
        "disturbed": False,
    }
    return JobResult(value=value)
