"""An ssh server of this machine's own user on the loopback interface, for tests of what goes over ssh."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

_TIMEOUT = 60.0


class Sshd:
    """A running sshd, with keys and a client configuration of its own in a folder.

    What jobs leave on the "device" is below `cache`, because sessions have XDG_CACHE_HOME set; with SHLVL, bash does
    not read the user's .bashrc. `options` are further lines of the server's configuration.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None or shutil.which("ssh") is None:
            pytest.skip("no ssh server or client; on Debian: apt-get install openssh-server openssh-client")
        self._program = program
        self.folder = folder
        folder.mkdir(parents=True)
        self.cache = folder / "cache"
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
        self.port = _free_port()
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {folder}/host",
            f"AuthorizedKeysFile {folder}/authorized",
            f"SetEnv XDG_CACHE_HOME={self.cache} SHLVL=1",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            *options,
        ]
        (folder / "sshd_config").write_text("\n".join(lines) + "\n")
        self.known_hosts = folder / "known_hosts"
        self.trust()
        self.client = folder / "ssh_config"
        self.client.write_text(
            f"Host *\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile none\n"
        )
        self.command = f"ssh -F {self.client}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def uri(self) -> str:
        """What `lts.devices.device.open_device` opens."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def trust(self, key: str | None = None) -> None:
        """Make the client know this host key, by default the right one."""
        key = key or " ".join((self.folder / "host.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key}\n")

    def start(self) -> None:
        """Start the server, again after `stop`."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            command = [self._program, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + _TIMEOUT
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"sshd does not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the server with all its connections. Harmless when repeated."""
        if self._process is not None:
            connections = self.connections()
            self._process.kill()
            self._process.wait()
            self._process = None
            _kill(connections)

    def disconnect(self) -> None:
        """Break all connections; the server keeps running and accepts new ones."""
        _kill(self.connections())

    def connections(self) -> list[int]:
        """The server's processes for open connections, without those that run in their sessions."""
        found = [self._process.pid] if self._process is not None else []
        for parent in found:
            found += [pid for pid in _children(parent) if _command(pid).startswith(b"sshd: ")]
        return found[1:]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                found.append(int(folder.name))
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
