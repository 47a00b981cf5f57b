"""Small decoders trained on bytes, every one with the same batches, resumable at any step. Needs PyTorch."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from lts._core import Architecture, weights
from lts.errors import MeasurementError, UsageError, first_line
from lts.export.weights import RandomWeights
from lts.networks.network import Network
from lts.system.files import replace_file

import torch  # isort: skip  # after lts.networks.network, which says what to install where it is absent

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HELD_OUT = 0.05
_LEAST_BLOCKS = 8  # blocks of held-out text
_MOST_BLOCKS = 256
_LEAST_TEXT = 64  # blocks of text in all
_POINTS = 100  # points of a curve
_LONG = 2.0  # seconds; a step that takes longer is timed once
_FINAL_RATE = 0.1  # learning rate at the end of the cosine, as a share of the peak

CurvePoint = tuple[int, float, float, float | None]
"""Step, seconds so far, mean training loss since the last point, validation loss where it was computed."""


@dataclass(frozen=True)
class Recipe:
    """How models are trained: AdamW with warm-up and a cosine down to a tenth of the peak learning rate.

    Parameters
    ----------
    steps, batch, length
        Steps of `batch` sequences of `length` bytes.
    lr
        Peak learning rate.
    warmup
        Share of the steps over which the learning rate rises.
    weight_decay
        Weight decay of matrices and tables; scales and biases have none.
    clip
        Largest norm of the gradient.
    seed
        Seed of the batches and of the initial weights.
    """

    steps: int
    batch: int = 8
    length: int = 128
    lr: float = 3e-3
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0

    @property
    def looks(self) -> int:
        """Number of times that the validation loss is computed, the end included."""
        return 1 + min(4, self.steps // 200)

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm = max(1, round(self.warmup * self.steps))
        if step < warm:
            return self.lr * (step + 1) / warm
        done = (step - warm) / max(1, self.steps - warm)
        return self.lr * (_FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass(frozen=True)
class Corpus:
    """A text for sequences of one length: bytes to train on, and held-out blocks [n, length + 1]."""

    train: NDArray[np.uint8]
    valid: NDArray[np.int64]
    digest: str
    n_bytes: int

    @staticmethod
    def of(text: bytes, length: int) -> Corpus:
        """Split a text: the last 5 % are held out, of which at most 256 evenly spread blocks are used.

        Raises
        ------
        UsageError
            When the text is shorter than 64 blocks.
        """
        block = length + 1
        if len(text) < _LEAST_TEXT * block:
            raise UsageError(
                f"the text has {len(text)} bytes; sequences of {length} need {_LEAST_TEXT * block} or more"
            )
        data = np.frombuffer(text, dtype=np.uint8)
        n = max(_LEAST_BLOCKS, int(_HELD_OUT * len(data)) // block)
        held = data[len(data) - n * block :].reshape(n, block)
        some = np.linspace(0, n - 1, min(n, _MOST_BLOCKS)).round().astype(int)
        digest = hashlib.sha256(text).hexdigest()
        return Corpus(data[: len(data) - n * block], held[some].astype(np.int64), digest, len(text))

    def batch(self, recipe: Recipe, step: int) -> NDArray[np.int64]:
        """The sequences of a step [batch, length + 1]; they depend on the text, the seed and the step only."""
        random = np.random.default_rng([recipe.seed, step])
        begins = random.integers(len(self.train) - recipe.length, size=recipe.batch)
        found: NDArray[np.int64] = self.train[begins[:, None] + np.arange(recipe.length + 1)].astype(np.int64)
        return found


@dataclass(frozen=True)
class Trained:
    """Result of training a model. `paused`: it was stopped, and its checkpoint resumes it. Losses in nats per byte."""

    state: Literal["complete", "failed", "paused"]
    steps: int
    seconds: float
    curve: list[CurvePoint]
    train_loss: float | None = None
    valid_loss: float | None = None
    error: str | None = None


class Trainer:
    """A model in training: `architecture` has a vocabulary of 256 and a position for every byte of a sequence."""

    def __init__(self, architecture: Architecture, corpus: Corpus, recipe: Recipe, device: str = "cpu") -> None:
        self.corpus, self.recipe, self.device = corpus, recipe, device
        self.network = Network(architecture, RandomWeights(recipe.seed)).to(device)
        kinds = {weight.name: weight.kind for weight in weights(architecture)}
        decayed = [p for name, p in self.network.by_name.items() if kinds[name] not in ("scale", "bias")]
        others = [p for name, p in self.network.by_name.items() if kinds[name] in ("scale", "bias")]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.lr,
            betas=(0.9, 0.95),
            fused=True,
        )
        self.parameters = list(self.network.parameters())

    def step(self, step: int) -> torch.Tensor:
        """Take a step and return its loss, without waiting for the device."""
        ids = torch.from_numpy(self.corpus.batch(self.recipe, step)).to(self.device)
        loss = self.network.loss(ids)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def valid_loss(self) -> float:
        """Mean loss over the held-out blocks."""
        held, total = self.corpus.valid, 0.0
        with torch.no_grad():
            for part in np.array_split(held, math.ceil(len(held) / self.recipe.batch)):
                total += len(part) * float(self.network.loss(torch.from_numpy(part).to(self.device)))
        return total / len(held)

    def seconds(self, repeats: int = 3) -> float:
        """Median seconds of a step, after one to warm up."""
        start = time.perf_counter()
        float(self.step(0))
        if (first := time.perf_counter() - start) > _LONG:
            return first
        times = []
        for i in range(repeats):
            start = time.perf_counter()
            float(self.step(i + 1))
            times.append(time.perf_counter() - start)
        return float(np.median(times))


def train(
    architecture: Architecture,
    corpus: Corpus,
    recipe: Recipe,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    save_seconds: float = 30.0,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train one model, resuming its checkpoint when there is one; the same number of threads gives the same bits.

    Parameters
    ----------
    architecture, corpus, recipe, device
        As for `Trainer`.
    checkpoint
        File with what is needed to resume; that of another model, text or recipe is overwritten.
    save_seconds
        Seconds between checkpoints; a kill loses no more than that.
    stop
        Called after every step; when it returns true, the checkpoint is written and training pauses. For Ctrl-C, see
        `lts.system.uninterrupted`.
    progress
        Called at every point of the curve with the steps taken and the training loss.

    Raises
    ------
    OSError
        When the checkpoint cannot be written.
    MeasurementError
        When the device fails, for example for lack of memory; that says nothing about the model.
    """
    key = hashlib.sha256(f"{architecture.to_json()} {asdict(recipe)} {corpus.digest}".encode()).hexdigest()
    try:
        run = _Run(Trainer(architecture, corpus, recipe, device), key, checkpoint, save_seconds)
        return run.go(stop, progress)
    except (RuntimeError, MemoryError) as error:
        raise gave_up(error, device) from None


def gave_up(error: Exception, device: str) -> MeasurementError:
    """The exception for an error of PyTorch, such as running out of memory, in one sentence."""
    return MeasurementError(f"training on {device} stopped: {first_line(error)}")


class _Run:
    def __init__(self, trainer: Trainer, key: str, checkpoint: Path | None, save_seconds: float) -> None:
        self.trainer, self.key, self.checkpoint, self.save_seconds = trainer, key, checkpoint, save_seconds
        steps = trainer.recipe.steps
        looks = trainer.recipe.looks
        self.looks = {round(steps * (i + 1) / looks) for i in range(looks)}
        self.points = {*range(0, steps, max(1, steps // _POINTS)), *self.looks} - {0}
        self.step = 0
        self.curve: list[CurvePoint] = []
        self.losses: list[torch.Tensor] = []  # since the last point, still on the device
        self.earlier: list[float] = []  # since the last point, before the checkpoint
        self.before = 0.0  # seconds until the checkpoint
        self._load()
        self.start = self.saved = time.monotonic()

    def go(self, stop: Callable[[], bool], progress: Callable[[int, float], None] | None) -> Trained:
        while self.step < self.trainer.recipe.steps:
            self.losses.append(self.trainer.step(self.step))
            self.step += 1
            if self.step in self.points:
                if problem := self._point():
                    return Trained("failed", self.step, self._seconds(), self.curve, error=problem)
                if progress is not None:
                    progress(self.step, self.curve[-1][2])
            if self.step == self.trainer.recipe.steps:
                break
            if stop():
                self._save()
                return Trained("paused", self.step, self._seconds(), self.curve)
            if time.monotonic() - self.saved > self.save_seconds:
                self._save()
        last = self.curve[-max(1, len(self.curve) // 10) :]
        mean = sum(point[2] for point in last) / len(last)
        return Trained("complete", self.step, self._seconds(), self.curve, mean, self.curve[-1][3])

    def _point(self) -> str | None:
        """Add a point to the curve; the reason when the loss is no longer a number."""
        losses = self._collected()
        self.earlier = []
        loss = sum(losses) / len(losses)
        if not math.isfinite(loss):
            return f"the training loss is {loss} within steps {self.step - len(losses) + 1} to {self.step}"
        valid = self.trainer.valid_loss() if self.step in self.looks else None
        if valid is not None and not math.isfinite(valid):
            return f"the validation loss is {valid} after {self.step} steps"
        self.curve.append((self.step, round(self._seconds(), 3), loss, valid))
        return None

    def _collected(self) -> list[float]:
        """The losses since the last point; this waits for the device."""
        found: list[float] = torch.stack(self.losses).tolist() if self.losses else []
        self.losses.clear()
        return self.earlier + found

    def _seconds(self) -> float:
        return self.before + time.monotonic() - self.start

    def _save(self) -> None:
        self.saved = time.monotonic()
        if self.checkpoint is None:
            return
        self.earlier = self._collected()
        buffer = io.BytesIO()  # so that a full disk is an OSError
        torch.save(
            {
                "key": self.key,
                "step": self.step,
                "seconds": self._seconds(),
                "curve": self.curve,
                "losses": self.earlier,
                "network": self.trainer.network.state_dict(),
                "optimizer": self.trainer.optimizer.state_dict(),
            },
            buffer,
        )
        replace_file(self.checkpoint, buffer.getbuffer())

    def _load(self) -> None:
        if self.checkpoint is None or not self.checkpoint.is_file():
            return
        try:
            state = torch.load(self.checkpoint, map_location=self.trainer.device, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError):  # damaged: the model begins anew
            return
        if not isinstance(state, dict) or state.get("key") != self.key:
            return
        self.trainer.network.load_state_dict(state["network"])
        self.trainer.optimizer.load_state_dict(state["optimizer"])
        self.step, self.before, self.earlier = state["step"], state["seconds"], state["losses"]
        self.curve = [tuple(point) for point in state["curve"]]
