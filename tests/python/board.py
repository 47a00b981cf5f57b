"""Devices that are made up, so that tests are quick: one that measures architectures, and one that runs files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from lts import Architecture
from lts.devices.device import Device
from lts.jobs.job import Job, JobResult, RunnerJob, Runs
from lts.measure.evaluator import TargetEvaluator
from lts.measure.models import opening
from lts.measure.outcome import Outcome
from lts.targets.target import load_target

SMALL = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=128, n_layer=2)
LARGE = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=256, n_layer=2)


class Board(TargetEvaluator):
    """A device on which the wider model takes twice as long, and where every process is a little different."""

    provenance = "measured"
    varies = True

    def __init__(self, noise: Iterable[float] = (1.0, 1.002, 1.001), error: str | None = None) -> None:
        super().__init__(load_target("host"), "board", "onnxruntime")
        self.costs = ("latency_ms", "request_ms", "peak_memory_mib")
        self.noise: Iterator[float] = cycle(noise)
        self.error = error

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        columns = list(columns)
        if self.error is not None:
            return Outcome(error=self.error)
        time = sum(architecture.d_ff) * next(self.noise)
        known = {"latency_ms": time, "request_ms": 3 * time, "peak_memory_mib": 12.0}
        return Outcome(
            values={name: known[name] for name in columns},
            samples_ns={"latency": [int(1e6 * time)]},
            provenance=dict.fromkeys(columns, "measured"),
            environment="c0ffee12",
        )


def on_every_device(monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board that measures whatever device is named."""
    made = Board()
    monkeypatch.setattr(opening, "open_evaluator", lambda *_, **__: made)
    return made


class Clock(Device):
    """A device that runs no file, but says how long that takes: milliseconds, 9 at most, by the name of the file.

    What it was asked to run is kept in `jobs`. A value may also be the sentence with which a file fails, or something
    to call.
    """

    runs: tuple[Runs, ...] = ("python", "runner")
    costs: tuple[str, ...] = ("latency_ms", "decode_ms_per_token", "peak_memory_mib")

    def __init__(self, ms: dict[str, Any], noise: Iterable[float] = (1.0, 1.002, 1.001)) -> None:
        self.ms = ms
        self.uri = "local"
        self.noise = cycle(noise)
        self.jobs: list[Job | RunnerJob] = []
        self.software = "1.30.0"

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        self.jobs.append(job)
        path = Path(job.arguments["model"]) if isinstance(job, Job) else job.model
        said = self.ms[path.name]
        if callable(said):
            said = said()
        if isinstance(said, str):
            return JobResult(error=said)
        ns = int(1e6 * said * next(self.noise))
        return JobResult({"samples_ns": [ns] * 10, "peak_memory_mib": 12.0})

    def environment(self, threads: int) -> dict[str, Any]:
        return {"cpu": "made up", "onnxruntime": self.software, "threads": threads}
