"""A TVM RPC tracker with servers on loopback, as a farm would have them on boards."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

KEY = "host"
_START_TIMEOUT = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _at(port: int) -> list[str]:
    return ["--port", str(port), "--port-end", str(port + 1)]


class Farm:
    """A tracker and `n` servers, each a group of processes that dies as one."""

    def __init__(self, folder: Path, n: int) -> None:
        for module in ("tvm", "tornado", "psutil", "cloudpickle"):
            pytest.importorskip(module, reason=f"{module} is not installed")
        self.folder = folder
        self.port = free_port()
        self.tracker = self._start("tracker", ["rpc_tracker", *_at(self.port)])
        self.servers: list[subprocess.Popen[bytes]] = []
        try:
            self._wait(lambda: self._listens(self.port), "the tracker does not listen")
            for _ in range(n):
                self.add_server()
            self.wait_for(n)
        except BaseException:
            self.close()
            raise

    @property
    def uri(self) -> str:
        return f"rpc://127.0.0.1:{self.port}/{KEY}"

    def add_server(self) -> None:
        arguments = ["rpc_server", *_at(free_port()), "--tracker", f"127.0.0.1:{self.port}", "--key", KEY]
        self.servers.append(self._start(f"server{len(self.servers)}", arguments))

    def wait_for(self, n: int, timeout: float = _START_TIMEOUT) -> None:
        """Wait until the tracker lists `n` servers."""
        self._wait(lambda: self._listed() == n, f"the tracker does not list {n} servers", timeout)

    def kill(self, i: int) -> None:
        """SIGKILL to a server and all that it has started."""
        self._signal(self.servers[i], signal.SIGKILL)
        self.servers[i].wait()

    def stop(self, i: int) -> None:
        """Make a server hang: its sockets stay open and nobody answers."""
        self._signal(self.servers[i], signal.SIGSTOP)

    def close(self) -> None:
        for process in (*self.servers, self.tracker):
            self._signal(process, signal.SIGKILL)
            process.wait()

    def _start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"tvm.exec.{arguments[0]}", "--host", "127.0.0.1", *arguments[1:]]
        # One thread, and without PyTorch, which TVM imports for seconds where it finds it.
        torch = self.folder / "torch.py"
        if not torch.exists():  # another server may just be importing it
            torch.write_text('raise ImportError("not in this farm")\n')
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "TVM_NUM_THREADS": "1",
            "PYTHONPATH": str(self.folder),
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, env=environment
            )

    def _listed(self) -> int:
        from tvm import rpc

        servers = rpc.connect_tracker("127.0.0.1", self.port).summary()["server_info"]
        return sum(server["key"] == f"server:{KEY}" for server in servers)

    def _listens(self, port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def _wait(self, condition: object, problem: str, timeout: float = _START_TIMEOUT) -> None:
        assert callable(condition)
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                logs = "\n".join(path.read_text(errors="replace")[-500:] for path in self.folder.glob("*.log"))
                raise AssertionError(f"{problem}\n{logs}")
            time.sleep(0.2)

    @staticmethod
    def _signal(leader: subprocess.Popen[bytes], number: int) -> None:
        """Send a signal to the whole session: servers start processes, some of them in groups of their own."""
        listed = subprocess.run(["ps", "-eo", "pid=,sess="], capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines():
            pid, session = map(int, line.split())
            if session == leader.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
