"""Runs lts-runner for one request. For a worker process: it imports the standard library and little of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lts.errors import MeasurementError
from lts.jobs.cause_of_death import cause_of_death, last_words
from lts.jobs.program import run_program
from lts.system.outside import parse_json, sentence


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
        done = run_program(command, timeout, json.dumps(request).encode() + b"\n")
    except TimeoutError:
        raise MeasurementError(f"no result within {timeout:.3g} s") from None
    except OSError as error:
        raise MeasurementError(f"cannot start {command[0]}: {error.strerror or error}") from None
    try:
        response = parse_json(done.output.rpartition(b"\n")[0].rpartition(b"\n")[2])
    except ValueError:
        response = None
    if isinstance(response, dict) and isinstance(response.get("error"), str):
        raise MeasurementError(sentence(response["error"], 500) or "it failed without a word")
    if done.code < 0 or not isinstance(response, dict) or "value" not in response:
        said = last_words(done.said) or last_words(done.output)
        raise MeasurementError(cause_of_death("lts-runner", done.code, said))
    return response["value"]
