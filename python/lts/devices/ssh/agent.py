"""Runs Python jobs on a device that is reached from elsewhere: they come in as lines of JSON, and results go out.

Before a result goes the line ``begun``. It needs Python 3.11 with what the jobs import, and of lts-engine only the
modules that are copied with this one. When its input ends, the one who sent the jobs is gone, and everything here ends.
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
    """Run the jobs of standard input: the fields of a `Job`, a ``timeout``, and a ``folder`` to remove."""
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
    """Import modules, which fails where they cannot be imported. For a worker process."""
    for module in modules:
        import_module(module)


def _listen(requests: list[dict[str, Any]], arrived: threading.Semaphore) -> None:
    for line in sys.stdin:
        requests.append(json.loads(line))
        arrived.release()
    for request in list(requests):
        _remove(request)
    os._exit(0)  # the server of workers notices, and kills what runs


def _remove(request: dict[str, Any]) -> None:
    if request["folder"]:
        shutil.rmtree(request["folder"], ignore_errors=True)
