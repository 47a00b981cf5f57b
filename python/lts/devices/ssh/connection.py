"""The connection to a device over ssh: one master of OpenSSH's client, and commands that share it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lts.devices.ssh.address import Address
from lts.devices.ssh.facts import Machine, machine_of
from lts.devices.ssh.session import Session, last_line
from lts.errors import MeasurementError, UsageError
from lts.system.outside import sentence
from lts.system.workdir import WorkDirectory

# A device that is silent for 30 s counts as gone. Users and trusted keys are those of the user's own configuration of
# ssh. Nothing is forwarded, and nothing listens.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "LogLevel": "INFO",
    "RemoteCommand": "none",
    "ControlPersist": "no",
    "ClearAllForwardings": "yes",
    "ForwardX11": "no",
    "ForwardAgent": "no",
    "PermitLocalCommand": "no",
}
_GREETING_TIMEOUT = 60.0
# Seconds without any data after which a transfer or a command of ours counts as stuck.
_STALL = 120.0
# Seconds that a master needs to notice a broken connection after a command over it has noticed.
_NOTICE_TIMEOUT = 1.0
# Longest path of a socket (107 bytes), less the suffix of 17 bytes that OpenSSH adds while it makes the socket.
_SOCKET_LENGTH = 90

# The end of what a login shell prints before the script that is kept for a message.
_READ_LENGTH = 1 << 13

_NO_SPACE = re.compile("no space left|quota exceeded", re.IGNORECASE)
_FOLDER = 73  # exit code of a script that cannot write in our folder
_MARK = "lts-engine:"  # the output of a script begins after this line; a login shell may print something before it

# Our folder on the device is $0. Content unused for a week is removed. Beyond 4 GiB the oldest is removed, too, except
# the newest and any that was used within the hour. Jobs remove their folders unless the device is switched off.
_ENTER = 'umask 077; mkdir -p "$0/content" "$0/jobs" && cd "$0" || exit 73; '
_FIND = 'exec sh -c "$1" "${XDG_CACHE_HOME:-$HOME/.cache}/lts-engine"'
_GREETING = """
exec 2>/dev/null
find jobs -mindepth 1 -maxdepth 1 -mtime +0 -exec rm -rf {} ";"
find content -mindepth 1 -maxdepth 1 -name ".new*" -mtime +0 -exec rm -rf {} ";"
find content -mindepth 1 -maxdepth 1 -mtime +6 -exec rm -rf {} ";"
used=0
for name in $(ls -t content); do
    size=$(du -sk "content/$name" | cut -f 1)
    used=$((used + size))
    if [ $used -gt 4194304 ] && [ $used -gt "$size" ] && [ -z "$(find "content/$name" -maxdepth 0 -mmin -60)" ]; then
        rm -rf "content/$name"
        used=$((used - size))
    fi
done
library=gnu
getconf GNU_LIBC_VERSION >&2 || for file in /lib/ld-musl-*; do [ ! -e "$file" ] || library=musl; done
echo "$(uname -s) $(uname -m) $(getconf LONG_BIT || echo 64) $library $(nproc || echo 1) $0"
exec cat
"""
# The process may have ended long ago, and its number been reused. It gets two seconds to end by itself.
_END = """
ours() { grep -q "$2" "/proc/$1/cmdline" 2>/dev/null; }
for i in 1 2 3 4 5 6 7 8 9 10; do ours "$@" || break; sleep 0.2; done
if ours "$@"; then kill -9 "-$1" || kill -9 "$1"; fi
[ -z "$3" ] || rm -rf "$3"
"""


@dataclass(frozen=True)
class Left:
    """What may still run on an unreachable device: a process, a part of its command line, and its folder."""

    process: str
    mark: str
    folder: str = ""


class ConnectionLost(Exception):  # noqa: N818
    """The connection has ended; the message says why, as part of a sentence.

    `left` is what may still run there, and `begun` tells whether the job had begun.
    """

    def __init__(self, reason: str, left: Left | None = None, *, begun: bool = False) -> None:
        super().__init__(reason)
        self.left = left
        self.begun = begun


class RefusedError(MeasurementError):
    """The device refuses the connection until the user changes something."""


@dataclass(frozen=True)
class Answer:
    """Output and exit code of a command on the device."""

    output: str
    said: str
    code: int


class Connection:
    """An open connection. Its master is a child process that ends whenever this process does.

    Raises
    ------
    MeasurementError
        When the connection fails, or nothing can be written on the device, with the reason.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        options = [part for key, value in _OPTIONS.items() for part in ("-o", f"{key}={value}")]
        client = [*_client(), "-T", *options]
        self._directory = _Directory()
        self._command = [*client, "-S", f"{self._directory.path}/ssh".replace("%", "%%")]
        try:
            line = f"exec sh -c {shlex.quote(_FIND)} sh {shlex.quote(f'echo {_MARK}; {_ENTER}{_GREETING}')}"
            self._master = Session([*self._command, "-o", "ControlMaster=yes", *address.arguments(), line])
        except BaseException:
            self._directory.close()
            raise
        try:
            self.machine = self._greeted()
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the connection is up, as far as is known."""
        return self._master.alive

    def start(self, script: str, *arguments: str) -> Session:
        """Start a shell script in our folder on the device; `begin` skips what a login shell prints before it."""
        if not self.alive:
            raise self.lost()
        quoted = " ".join(shlex.quote(argument) for argument in (self.machine.folder, *arguments))
        line = f"exec sh -c {shlex.quote(f'echo {_MARK}; {_ENTER}{script}')} {quoted}"
        return Session([*self._command, "-o", "ControlMaster=no", *self.address.arguments(), line])

    def call(self, script: str, *arguments: str, feed: Iterable[bytes] = ()) -> Answer:
        """Run a shell script in our folder on the device and wait for its end; `feed` is its input.

        Raises
        ------
        ConnectionLost
            When the connection ends before the script.
        MeasurementError
            When our folder cannot be written.
        """
        session = self.start(script, *arguments)
        try:
            session.send(feed, close=True)
            output = session.rest(_STALL)
            if output is None:
                raise MeasurementError(f"{self.address} takes no data and gives none for {_STALL:.0f} s")
            session.close()
        except BaseException:
            session.kill()
            raise
        text = output.decode("utf-8", "replace")
        if f"{_MARK}\n" not in text or session.code == 255:
            raise self.lost(session.said)
        if session.code == _FOLDER:
            raise self.unwritable(session.said)
        return Answer(text.split(f"{_MARK}\n", 1)[1], session.said, session.code or 0)

    def begin(self, session: Session, timeout: float) -> str | None:
        """Read the output of a session up to the start of its script. None when it has begun, else what was read."""
        read = b""
        end = time.monotonic() + timeout
        while line := session.line(max(0.0, end - time.monotonic())):
            if line.strip() == _MARK.encode():
                return None
            read = (read + line)[-_READ_LENGTH:]
        return read.decode("utf-8", "replace")

    def end(self, left: Left) -> None:
        """Kill what an earlier connection has left, if it still runs. Raises as `call` does."""
        self.call(_END, left.process, left.mark, left.folder)

    def lost(self, said: str = "", left: Left | None = None, *, begun: bool = False) -> ConnectionLost:
        """The exception that says why the connection has ended."""
        self._master.line(_NOTICE_TIMEOUT)
        reason = last_line(self._master.said) or last_line(said) or "the ssh client ended without a word"
        return ConnectionLost(reason, left, begun=begun)

    def unwritable(self, said: str, needed: int | None = None) -> MeasurementError:
        """The exception that says why nothing (or not `needed` bytes) can be written on the device."""
        if _NO_SPACE.search(said):
            need = "" if needed is None else f": need {(needed >> 20) + 1} MiB"
            return MeasurementError(
                f"no space left on {self.address} in {self.machine.folder}{need}; make room there, or set "
                "XDG_CACHE_HOME there to a folder with more"
            )
        return MeasurementError(f"cannot write on {self.address} in {self.machine.folder}: {last_line(said)}")

    def close(self) -> None:
        """End the connection and with it all commands. Harmless when repeated."""
        try:
            self._master.close()
        finally:
            self._directory.close()

    def _greeted(self) -> Machine:
        read = self.begin(self._master, _GREETING_TIMEOUT)
        if read is None and (line := self._master.line(_GREETING_TIMEOUT)):
            if (found := machine_of(line)) is not None:
                return found
            says = sentence(line.decode("utf-8", "replace"))
            raise MeasurementError(f"{self.address} is no machine with Linux and a shell: it says '{says}'")
        if self._master.alive and self._master.line(_NOTICE_TIMEOUT) is None:
            raise MeasurementError(f"{self.address} accepts connections, but does not answer")
        said = last_line(self._master.said) or last_line(read or "") or "the ssh client ended without a word"
        if read is None:
            raise MeasurementError(f"cannot write on {self.address}: {said}")
        raise _failure(self.address, self._master.said, said)


def _client() -> list[str]:
    """The ssh client with its arguments: ``$LTS_SSH``."""
    text = os.environ.get("LTS_SSH", "")
    try:
        return shlex.split(text) or ["ssh"]
    except ValueError as error:
        raise UsageError(f"LTS_SSH is {text!r}, which is no command: {error}") from None


def _failure(address: Address, said: str, reason: str) -> MeasurementError:
    """The exception for a connection that could not be made."""
    if "IDENTIFICATION HAS CHANGED" in said:
        return RefusedError(
            f"the host key of {address} is not the one that ssh knows; if the device was set up anew, forget the old "
            f"one: ssh-keygen -R '{address.known_as}'"
        )
    if "Host key verification failed" in reason:
        return RefusedError(f"ssh does not know the host key of {address}; connect once by hand: {address.by_hand}")
    if "Permission denied" in reason:
        return RefusedError(
            f"{address} lets nobody in without a password ({reason}); set up a key: "
            f"{address.by_hand.replace('ssh', 'ssh-copy-id', 1)}"
        )
    return MeasurementError(f"cannot connect to {address}: {reason}")


class _Directory:
    """A private directory for the control socket, with a path that is short enough."""

    def __init__(self) -> None:
        self._work: WorkDirectory | None = WorkDirectory()
        self.path = self._work.path
        if len(os.fsencode(self.path)) > _SOCKET_LENGTH - len("/ssh"):
            self._work.close()
            self._work = None
            self.path = Path(tempfile.mkdtemp(prefix="lts-", dir="/tmp"))

    def close(self) -> None:
        if self._work is not None:
            self._work.close()
            self._work = None
        else:
            shutil.rmtree(self.path, ignore_errors=True)
