"""Runs lts-runner for one request. For a worker process: it imports nothing but the standard library."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from lts.errors import MeasurementError


def run(command: Sequence[str], request: Mapping[str, Any], timeout: float) -> Any:
    """Run a program that answers a request on stdin with a line of JSON on stdout, and return the value.

    Parameters
    ----------
    command
        The program with its arguments, for example ``[".../lts-runner", "--once"]``, or an emulator that runs them.
    request
        See ``docs/runner.md``.
    timeout
        Seconds after which the program is killed.

    Raises
    ------
    MeasurementError
        With the program's error, or the reason why there is no answer.
    """
    try:
        done = subprocess.run(
            list(command), input=json.dumps(request).encode() + b"\n", capture_output=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"no result within {timeout:.3g} s") from None
    except OSError as error:
        raise MeasurementError(f"cannot start {command[0]}: {error.strerror or error}") from None
    try:
        response = json.loads(done.stdout.rpartition(b"\n")[0].rpartition(b"\n")[2])
    except ValueError:
        response = None
    if isinstance(response, dict) and isinstance(response.get("error"), str):
        raise MeasurementError(response["error"])
    if done.returncode < 0:
        raise MeasurementError(_killed(-done.returncode, done.stderr))
    if not isinstance(response, dict) or "value" not in response:
        said = _last_line(done.stderr) or _last_line(done.stdout)
        words = f"; its last words: {said}" if said else ""
        raise MeasurementError(f"lts-runner ended with code {done.returncode} and no result{words}")
    return response["value"]


def _killed(number: int, stderr: bytes) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    if number == signal.SIGKILL:
        return f"killed by signal {number} ({name}): probably out of memory"
    said = _last_line(stderr)
    return f"killed by signal {number} ({name})" + (f"; its last words: {said}" if said else "")


def _last_line(output: bytes) -> str:
    return " ".join(output.decode(errors="replace").strip().rpartition("\n")[2].split())[-300:]
