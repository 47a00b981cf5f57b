"""The process that runs jobs for `lts.jobs.pool.Workers`.

In the mode ``serve`` it imports what the jobs need, once, and then forks a child for every job: milliseconds, where a
new interpreter with its imports takes half a second. It must have a single thread when it forks, and so never runs a
job itself. In the mode ``once`` it runs one job and ends.

It talks to its parent in packets over a socket; an end of file means that the parent is gone, and ends everything here.
The parent sends ``run`` with two file descriptors, one to read the job from and one to write the result to (both JSON),
and ``kill``. The worker sends ``ready`` and, in the mode ``serve``, ``ended`` with the wait status of a child.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from lts.errors import LtsError, MeasurementError

# A job sets its own number of threads; until then, libraries must not start threads when they are imported.
# ONNX Runtime 1.29 and later also starts one that sends usage data; that is switched off.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}

RESULT_BYTES = 64 << 20
"""The most that the result of a job may have, as JSON."""

_MESSAGE_LENGTH = 500
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Entry point: the number of the socket's file descriptor, the mode, and the modules to import beforehand."""
    number, mode, *modules = arguments
    channel = socket.socket(fileno=int(number))
    channel.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ConnectionError):  # the parent is gone
        if mode == "serve":
            _serve(channel, modules)
        else:
            _once(channel)


def _serve(channel: socket.socket, modules: Sequence[str]) -> None:
    for module in modules:
        # A job that needs a module which cannot be imported reports that itself.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    if (n := _threads()) > 1:
        sys.exit(f"importing {', '.join(modules)} has started {n - 1} threads, which a fork would not copy")
    gc.collect()
    gc.freeze()  # so that collections in children do not touch, and copy, what they share with us
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    channel.send(b"ready")
    child: int | None = None
    while True:
        readable, _, _ = select.select([channel.fileno(), wake], [], [])
        if channel.fileno() in readable:
            message, files, _, _ = socket.recv_fds(channel, 64, 2)
            if message == b"run":
                child = _fork(channel, files)
            elif child is not None:
                _kill_group(child)
            if not message:
                return
        if wake in readable:
            os.read(wake, 4096)
            if child is not None and (status := _reap(child)) is not None:
                child = None
                channel.send(b"ended %d" % status)


def _fork(channel: socket.socket, files: Sequence[int]) -> int:
    server = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            _die_with_parent(server)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            channel.close()
            _run(*files)
        finally:
            os._exit(1)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)  # the child does the same: it holds whichever of the two runs first
    for file in files:
        os.close(file)
    return child


def _reap(child: int) -> int | None:
    """The wait status of the child when it has ended; whatever it started is killed with it."""
    if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        return None
    _kill_group(child)
    return os.waitpid(child, 0)[1]


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _once(channel: socket.socket) -> None:
    _die_with_parent(os.getppid())
    channel.send(b"ready")
    message, files, _, _ = socket.recv_fds(channel, 64, 2)
    if message == b"run":
        _run(*files)


def _run(job_file: int, result_file: int) -> NoReturn:
    """Run the job and end this process, without any clean-up that could crash or hang after the result is known."""
    try:
        with os.fdopen(job_file, encoding="utf-8") as file:
            result = {"value": _call(**json.load(file))}
        text = json.dumps(result)
        if len(text) > RESULT_BYTES:
            raise MeasurementError(f"the result of the job has more than {RESULT_BYTES >> 20} MiB")
    except BaseException as error:  # a job may raise anything; SystemExit, too, is only its failure
        text = json.dumps({"error": _reason(error)})
    with os.fdopen(result_file, "w", encoding="utf-8") as file:
        file.write(text)
    os._exit(0)


def _call(function: str, arguments: dict[str, Any], cpus: Sequence[int], environment: dict[str, str]) -> Any:
    os.environ.update(environment)
    # This process may have lost the chosen processors since; then the job runs on those that are allowed.
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(0, cpus)
    # When memory runs out, the kernel is to kill the job rather than another program.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write("1000")
    return pkgutil.resolve_name(function)(**arguments)


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if not isinstance(error, LtsError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _MESSAGE_LENGTH else text[: _MESSAGE_LENGTH - 1] + "…"


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208
    except OSError:
        return 1


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
