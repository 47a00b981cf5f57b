"""Tests how well proxies rank small models of your own space, trained on your own text. Needs PyTorch.

The experiment of LiteTransformerSearch (Javaheripi et al. 2022, arXiv 2203.02094), made small enough to take minutes.
Models read bytes: whatever the space says, the vocabulary has 256 entries, and there is one position for each byte of a
sequence. So the decoder is ranked, not the embedding.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lts._core import Architecture, SearchSpace, __version__, decoder_params
from lts.errors import UsageError
from lts.networks.training import Corpus, Recipe, Trained, Trainer, gave_up, train
from lts.proxies.experiment_files import ExperimentFiles
from lts.proxies.stratified import interleaved, stratified
from lts.system.environment import fingerprint
from lts.system.machine import allowed_cpus, cores
from lts.system.uninterrupted import without_interrupts

import torch  # isort: skip  # after lts.networks.training, which says what to install where it is absent

SCHEMA = 1
_LEAST_STEPS = 20
_USED = 0.9  # share of the budget that the plan uses
_SHARED = 1.1  # factor by which models trained side by side are slower
_LOOK = 0.4  # time of a batch of held-out text (forward only), in training steps


@dataclass(frozen=True)
class Progress:
    """Model `n` of `models` has taken `step` of `steps`; `left` is the expected time until all are trained, in seconds.

    `record` is what was stored about the model, once it has finished.
    """

    n: int
    models: int
    step: int
    steps: int
    loss: float | None
    left: float
    record: Mapping[str, Any] | None = None


class Experiment:
    """A directory with ``plan.json``, ``models.jsonl``, ``table.csv`` and checkpoints. Use as a context manager.

    Parameters
    ----------
    directory
        Where it is; created if absent.
    space, text, models, max_params, recipe
        What is trained and how; the steps of the recipe are chosen by `run`.
    device
        PyTorch's name of it: cpu, cuda or cuda:1.
    parallel
        Models trained at once, each with one thread: more threads make small models slower, not faster.

    Raises
    ------
    UsageError
        For a wrong argument, a directory that cannot be written or is in use, or that has another experiment.
    """

    def __init__(
        self,
        directory: Path,
        space: SearchSpace,
        text: bytes,
        *,
        recipe: Recipe,
        models: int = 24,
        max_params: int = 1_000_000,
        device: str = "cpu",
        parallel: int = 1,
    ) -> None:
        self.corpus = Corpus.of(text, recipe.length)
        self.directory, self.device, self.parallel = directory, device, parallel
        self._name = _device_name(device)
        self._asked = {
            "space": json.loads(space.to_json()),
            "text": {"sha256": self.corpus.digest, "bytes": self.corpus.n_bytes},
            "models": models,
            "max_params": max_params,
            "device": device,
            **{name: value for name, value in asdict(recipe).items() if name != "steps"},
        }
        self._recipe = recipe
        self.architectures: list[Architecture] = []
        self.records: dict[int, dict[str, Any]] = {}
        self.plan: dict[str, Any] | None = None
        sample = (space, models, max_params, recipe.length, recipe.seed)
        if not (directory / "plan.json").exists():  # first, so that what is wrong leaves no directory behind
            self.architectures = stratified(*sample)
        self._files = ExperimentFiles(directory)
        try:
            self.plan = self._files.plan(self._asked, asdict(recipe))
            if self.plan is not None:
                self.architectures = [Architecture.from_dict(record) for record in self.plan["architectures"]]
                self.records = self._files.records(self.architectures)
            self.architectures = self.architectures or stratified(*sample)
        except BaseException:
            self._files.close()
            raise

    def __enter__(self) -> Experiment:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def complete(self) -> list[dict[str, Any]]:
        """Records of the models that were trained, by decoder parameters."""
        return [self.records[i] for i in sorted(self.records) if self.records[i]["state"] == "complete"]

    def run(self, budget: float, progress: Callable[[Progress], None] | None = None) -> bool:
        """Train the models that are still missing, small and large ones interleaved; true when none is missing.

        Parameters
        ----------
        budget
            Seconds.
        progress
            Called now and then, and for every model that has finished.

        Raises
        ------
        UsageError
            When the budget is too short to train models at all, or the directory cannot be written any more.
        KeyboardInterrupt
            When interrupted, with everything on disk.
        """
        deadline = time.monotonic() + budget
        torch.set_num_threads(1)
        if self.plan is None:
            self._make_plan(budget, deadline)
        lock = threading.Lock()
        ended = threading.Event()
        n = len(self.architectures)
        try:
            with without_interrupts() as kept, ThreadPoolExecutor(self.parallel, "lts-training") as pool:

                def over() -> bool:
                    return kept() or ended.is_set() or time.monotonic() > deadline

                def tell(i: int, step: int, loss: float | None) -> None:
                    with lock:
                        if progress is not None:
                            progress(self._progress(i, step, loss))

                try:
                    missing = [i for i in interleaved(n) if i not in self.records]
                    for done in as_completed([pool.submit(self._train, i, over, tell, lock) for i in missing]):
                        done.result()
                finally:
                    ended.set()
        except BaseException:
            with suppress(UsageError):  # the first problem is the one to tell
                self._files.write_table(self.complete)
            raise
        self._files.write_table(self.complete)
        return len(self.records) == n

    def _train(
        self,
        i: int,
        over: Callable[[], bool],
        tell: Callable[[int, int, float | None], None],
        lock: threading.Lock,
    ) -> None:
        """Train a model, in a thread of its own, and store the result unless time runs out first."""
        if over():
            return
        assert self.plan is not None
        torch.set_num_threads(1)
        tell(i, 0, None)
        try:
            trained = train(
                self.architectures[i],
                self.corpus,
                Recipe(**self.plan["recipe"]),
                device=self.device,
                checkpoint=self._files.checkpoint(i),
                stop=over,
                progress=lambda step, loss: tell(i, step, loss),
            )
        except OSError as error:
            raise self._files.failed(error) from None
        if trained.state != "paused":
            with lock:
                self._append(i, trained)
            tell(i, trained.steps, trained.valid_loss)

    def _progress(self, i: int, step: int, loss: float | None) -> Progress:
        assert self.plan is not None
        record, n = self.records.get(i), len(self.architectures)
        done = len(self.records) + (record is None)
        return Progress(done, n, step, self.plan["recipe"]["steps"], loss, self._left(i, step), record)

    def _left(self, now: int, step: int) -> float:
        assert self.plan is not None
        times, steps = self.plan["step_seconds"], self.plan["recipe"]["steps"]
        missing = sum(times[i] for i in range(len(times)) if i not in self.records)
        return float(missing * steps - (0 if now in self.records else times[now] * step)) / self._at_once()

    def _at_once(self) -> int:
        """Number of models that are trained at the same time with a core of their own."""
        return min(self.parallel, cores(allowed_cpus()), len(self.architectures))

    def _make_plan(self, budget: float, deadline: float) -> None:
        """Choose the number of steps that the budget allows for all models, after timing a few steps."""
        times = []
        for architecture in self.architectures:
            try:
                times.append(
                    Trainer(architecture, self.corpus, replace(self._recipe, steps=100), self.device).seconds()
                )
            except (RuntimeError, MemoryError) as error:
                raise gave_up(error, self.device) from None
            if time.monotonic() > deadline - budget / 2:
                break
        at_once = self._at_once()
        total = sum(times) * len(self.architectures) / len(times) / at_once
        if at_once > 1:  # at the end a single model is left, and models trained side by side share memory
            total = _SHARED * (total + max(times) * (1 - 1 / at_once))
        left = _USED * (deadline - time.monotonic())
        steps = int(left / total) if total > 0 else _LEAST_STEPS
        look = _LOOK * len(self.corpus.valid) / self._recipe.batch  # time of a validation loss, in training steps
        steps = int(steps - look * replace(self._recipe, steps=max(1, steps)).looks)
        if steps < _LEAST_STEPS or len(times) < len(self.architectures):
            needed = budget - deadline + time.monotonic() + (_LEAST_STEPS + look) * total / _USED
            raise UsageError(
                f"the budget is too short to train {len(self.architectures)} models for {_LEAST_STEPS} steps each, "
                f"which takes about {math.ceil(max(needed, 1.2 * budget))} s; allow more with --timeout, or fewer "
                "--models, or less with --max-params"
            )
        plan = {
            "schema": SCHEMA,
            **self._asked,
            "recipe": asdict(replace(self._recipe, steps=steps)),
            "architectures": [architecture.to_dict() for architecture in self.architectures],
            "step_seconds": times,
            "device_name": self._name,
            "environment": {**fingerprint(self.parallel), "torch": str(torch.__version__)},
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lts_version": __version__,
        }
        self._files.write_plan(plan)
        self.plan = plan

    def _append(self, i: int, trained: Trained) -> None:
        record = {
            "schema": SCHEMA,
            "model": i,
            **asdict(trained),
            "architecture": self.architectures[i].to_dict(),
            "decoder_params": decoder_params(self.architectures[i]),
            "provenance": "measured",
            "device": self._name,
        }
        self._files.append(record)
        self.records[i] = record


def _device_name(device: str) -> str:
    """Name of the device's hardware. Raises `UsageError` for a device that PyTorch does not have."""
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0))]
    if (f"{device}:0" if device == "cuda" else device) not in there:
        raise UsageError(f"PyTorch has no device '{device}' here; there is {', '.join(there)}")
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)
