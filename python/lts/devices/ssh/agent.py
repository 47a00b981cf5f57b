"""Runs Python jobs on a remote device: it reads jobs as lines of JSON on stdin, and writes their results to stdout.

The line ``begun`` precedes each result. The agent needs Python 3.11, what the jobs import, and the modules of
lts-engine that are copied with it. The end of its input means that the sender is gone, and ends all jobs.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from dataclasses import asdict
from importlib import import_module
from typing import Any

from lts.jobs.job import Job
from lts.jobs.pool import Workers


def main() -> None:
    """Run the jobs from standard input: each has the fields of a `Job`, a ``timeout``, and a ``folder`` to remove."""
    requests: list[dict[str, Any]] = []
    arrived = threading.Semaphore(0)
    threading.Thread(target=_listen, args=(requests, arrived), daemon=True).start()
    with Workers() as workers:
        while True:
            arrived.acquire()
            request = requests[0]
            print("begun", flush=True)
            job = {key: request[key] for key in ("function", "arguments", "threads")}
            result = workers.run(Job(**job, preload=tuple(request["preload"])), request["timeout"])
            requests.pop(0)
            _remove(request)
            print(json.dumps(asdict(result)), flush=True)


def importable(modules: list[str]) -> None:
    """Import modules; raises when one cannot be imported. For a worker process."""
    for module in modules:
        import_module(module)


def _listen(requests: list[dict[str, Any]], arrived: threading.Semaphore) -> None:
    for line in sys.stdin:
        requests.append(json.loads(line))
        arrived.release()
    for request in list(requests):
        _remove(request)
    os._exit(0)  # the server of workers notices, and kills the running job


def _remove(request: dict[str, Any]) -> None:
    if request["folder"]:
        shutil.rmtree(request["folder"], ignore_errors=True)
