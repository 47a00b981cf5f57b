"""What runs in a worker: it opens the evaluator once, and evaluates one architecture at a time."""

from __future__ import annotations

import json
import os
import pickle
import socket
import threading
from collections.abc import Sequence
from typing import Any

from lts._core import Architecture, __version__
from lts.errors import LtsError
from lts.measure.evaluator import Evaluator
from lts.system.environment import environment_hash

_lock = threading.Lock()
_opened: dict[bytes, Evaluator] = {}


def hello(recipe: bytes) -> str:
    """Who this is, as JSON: host and process, the version of lts-engine, and the environment of measurements here."""
    return _answer(recipe, lambda evaluator: {"environment": evaluator.environment()})


def evaluate(recipe: bytes, architecture: str, columns: Sequence[str], timeout: float | None) -> str:
    """The outcome of an architecture, as JSON, with the hash of the environment here."""

    def evaluated(evaluator: Evaluator) -> dict[str, Any]:
        outcome = evaluator.evaluate(Architecture.from_json(architecture), columns, timeout).outcome()
        return {"outcome": {**outcome, "environment": environment_hash(evaluator.environment())}}

    return _answer(recipe, evaluated)


def _answer(recipe: bytes, call: Any) -> str:
    """What a call with the evaluator gives; "fault" says why this worker has no answer, which others may have."""
    about = {"version": __version__, "name": f"{socket.gethostname()}, process {os.getpid()}"}
    with _lock:  # two measurements at once would disturb each other
        try:
            if recipe not in _opened:
                _opened[recipe] = pickle.loads(recipe)()
            answer = {**about, **call(_opened[recipe])}
        except LtsError as error:
            answer = {**about, "fault": str(error)}
        except Exception as error:
            answer = {**about, "fault": f"{type(error).__name__}: {error}"}
    return json.dumps(answer)
