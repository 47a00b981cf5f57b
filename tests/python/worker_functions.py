"""What tests send to workers: functions of a module that they can import."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lts._core import Architecture
from lts.errors import MeasurementError
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.measure.outcome import Outcome


def layers(architecture: Architecture) -> Mapping[str, float]:
    """At once."""
    return {"layers": float(architecture.n_layer), "process": float(os.getpid())}


def slowly(architecture: Architecture) -> Mapping[str, float]:
    """In a tenth of a second."""
    time.sleep(0.1)
    return layers(architecture)


def for_ever(architecture: Architecture) -> Mapping[str, float]:
    time.sleep(3600)
    return {}


def dying(architecture: Architecture) -> Mapping[str, float]:
    """The worker dies with architectures of two layers."""
    if architecture.n_layer == 2:
        os._exit(1)
    return layers(architecture)


def function(call: Callable[[Architecture], Mapping[str, float]]) -> Evaluator:
    return FunctionEvaluator(call)


class Machine(FunctionEvaluator):
    """Says that every process is another machine."""

    varies = True

    def __init__(self) -> None:
        super().__init__(layers, provenance="measured")

    def environment(self) -> dict[str, Any]:
        return {"cpu": f"processor {os.getpid()}"}


class Broken(FunctionEvaluator):
    """Opens, and has no device."""

    def __init__(self) -> None:
        super().__init__(layers)

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        raise MeasurementError("the device is gone")
