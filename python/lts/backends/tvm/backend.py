"""Apache TVM as a backend: compiling in worker processes, running with lts-runner."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from lts.backends.backend import BuildError
from lts.backends.inputs import make_inputs
from lts.devices.local import runs_here
from lts.errors import UsageError
from lts.jobs.bundle import data_folder
from lts.jobs.job import GENERATION, MANIFEST, Job, RunnerJob, Runs
from lts.jobs.pool import Workers
from lts.jobs.toolchain import cxx
from lts.system import machine
from lts.targets.target import Target
from lts.targets.workload import Step

_PRELOAD = ("numpy", "onnx", "tvm")


class Tvm:
    """Compiles ONNX through Relax to a library for the target, with schedules of our own.

    Parameters
    ----------
    tune
        Trials of MetaSchedule for each model, 0 for the built-in schedules alone.
    database
        Folder for the schedules that tuning finds, which later builds with `tune` reuse; by default one for each
        processor, in lts-engine's data folder.
    tracker
        ``host:port/key`` of a TVM RPC tracker on whose devices tuning measures; by default this machine does.
    """

    name = "tvm"
    needs: Runs = "runner"
    generates = True

    def __init__(self, tune: int = 0, database: Path | None = None, tracker: str | None = None) -> None:
        if tune < 0:
            raise UsageError(f"tune is {tune}; it must be at least 0")
        self.tune = tune
        self.database = database
        self.tracker = tracker
        # One for each thread that compiles at the same time.
        self._workers: list[Workers] = []
        self._idle: SimpleQueue[Workers] = SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()

    def check(self, target: Target) -> None:
        """Raise `UsageError` unless it compiles the target's precision, and tuning can measure."""
        if self.tune > 0 and self.tracker is None and not runs_here(target):
            raise UsageError(
                f"tuning for target '{target.name}' measures on it: use --device rpc://TRACKER:PORT/KEY, or no --tune"
            )
        if target.precision != "float32" and target.kind == "gpu":
            raise UsageError(
                f"backend 'tvm' compiles float32 models for a gpu; target '{target.name}' has precision "
                f"{target.precision}"
            )
        if target.precision == "float16" and not target.triple.startswith("aarch64"):
            raise UsageError(
                f"backend 'tvm' compiles float16 for aarch64; target '{target.name}' is {target.triple}: choose "
                "float32, int8 or int4"
            )

    def build(self, model: Path, target: Target, step: Step, timeout: float) -> Path:
        """Compile an ONNX file into a folder beside it.

        Raises
        ------
        BuildError
            For a model that TVM does not compile, or not within `timeout` seconds.
        MeasurementError
            When there is no compiler that links for the target.
        """
        cxx(target.triple)
        folder = Path(tempfile.mkdtemp(prefix=f"{step.phase}-", dir=model.parent))
        arguments = {
            "model": str(model),
            "directory": str(folder),
            "target": asdict(target),
            **asdict(step),
            "tune": self.tune,
            "database": str(self._database(target)) if self.tune > 0 else None,
            "tracker": self.tracker,
        }
        # Tuning that measures on this machine gets the threads of the target; a compiler may use any processor.
        tunes_here = self.tune > 0 and self.tracker is None
        threads = target.threads if tunes_here else len(machine.allowed_cpus())
        job = Job("lts.backends.tvm.compile:build", arguments, threads, preload=_PRELOAD)
        try:
            with self._worker() as worker:
                result = worker.run(job, timeout)
            if result.error is not None:
                raise BuildError(result.error)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def job(self, built: Path, step: Step, *, threads: int, min_time: float, min_repeats: int) -> RunnerJob:
        """The job for lts-runner: the folder, and the weights that its manifest names."""
        manifest = json.loads((built / MANIFEST).read_text(encoding="utf-8"))
        files = {}
        for name in sorted({weight["file"] for weight in manifest["weights"]}):
            if not (built / name).is_file():
                files[name] = built.parent / name  # a fresh build lies beside the weights
            elif Path(name).name != name:
                files[name] = built / name
        options: dict[str, Any] = {"min_time": min_time, "min_repeats": min_repeats}
        if manifest["phase"] == GENERATION:
            options |= _tokens(step, manifest["vocab_size"])
        return RunnerJob(built, files, options, threads)

    def close(self) -> None:
        """End the worker processes, and what they compile. Harmless when repeated; nothing can be built any more."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.close()

    def _database(self, target: Target) -> Path:
        name = re.sub(r"[^\w.-]+", "-", f"{target.triple}-{target.cpu}")
        return self.database or data_folder() / "tuning" / name

    @contextmanager
    def _worker(self) -> Iterator[Workers]:
        """A worker process, for the block alone."""
        with self._lock:
            try:
                worker = self._idle.get_nowait()
            except Empty:
                worker = Workers()
                self._workers.append(worker)
        try:
            if self._closed:
                raise BuildError("the backend was closed")
            yield worker
        finally:
            if self._closed:  # between the question above and the job
                worker.close()
            self._idle.put(worker)


def _tokens(step: Step, vocab_size: int) -> dict[str, Any]:
    """What the runner is asked to run of a model that generates: tokens, and how many of them come before."""
    import numpy as np

    past = step.dims["past"] if step.phase == "decode" else 0
    shape = (1, past + step.dims["sequence"])
    ids = make_inputs([("input_ids", shape, np.dtype(np.int64))], {}, vocab_size)["input_ids"]
    return {"tokens": ids.ravel().tolist(), "past": past}
