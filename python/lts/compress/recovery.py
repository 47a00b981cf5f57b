"""A sub-network learns to say what the original says on text: distillation (Hinton et al. 2015)."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import Architecture
from lts.compress.arrays import save, save_array
from lts.compress.blocks import Ends, computing, fast_dtype
from lts.compress.evaluate import divergence, final_states
from lts.compress.student import Student, check_teaching
from lts.errors import UsageError
from lts.system.files import make_directory
from lts.system.progress import Observer, Work, unobserved

import torch  # isort: skip  # after lts.networks, which says what to install where it is absent
from torch import Tensor

if TYPE_CHECKING:
    from lts.compress.original import Original
    from lts.export.encodings import Array
    from lts.measure.tokens import Ids

_HELD_OUT, _MOST_HELD_OUT = 1 / 8, 4  # of the windows, by which the best checkpoint is chosen
_LOOKS = 8  # at these, spread over the time
_WARMUP, _FINAL_RATE = 0.05, 0.1  # shares of the time, and of the peak learning rate
_SAVE_SECONDS = 60.0  # between checkpoints


@dataclass(frozen=True)
class Teaching:
    """How a sub-network is taught: AdamW, with warm-up and a cosine down to a tenth of the peak learning rate.

    Parameters
    ----------
    seconds
        How long, the original's answers included: of processor time per thread, or on a GPU of time.
    lr
        Peak learning rate.
    clip
        Largest norm of the gradient.
    lora_rank
        Rank of the adapters that are trained in place of the weights (Hu et al. 2022; needs peft); None for none.
    device
        Of PyTorch.
    seed
        Of the order of windows.
    """

    seconds: float
    lr: float = 1e-4
    clip: float = 1.0
    lora_rank: int | None = None
    device: str = "cpu"
    seed: int = 0

    def rate(self, done: float) -> float:
        """The learning rate after a share of the time."""
        if done < _WARMUP:
            return self.lr * max(done / _WARMUP, 0.1)
        share = min(1.0, (done - _WARMUP) / (1 - _WARMUP))
        return self.lr * (_FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * share)))


@dataclass(frozen=True)
class Recovered:
    """A sub-network after recovery.

    Attributes
    ----------
    weights
        Those with the least divergence on held-out windows, by the names of `lts.weights`.
    curve
        Steps, and the mean divergence from the original on held-out windows after them, in nats per token.
    complete
        Whether all time was used; otherwise the same call continues.
    """

    weights: Mapping[str, Array]
    curve: list[tuple[int, float]]
    complete: bool


def recover(
    original: Original,
    architecture: Architecture,
    weights: Mapping[str, Any],
    windows: Ids,
    folder: Path,
    teaching: Teaching,
    *,
    dtype: torch.dtype | None = None,
    threads: int = 1,
    observe: Observer = unobserved,
    stop: Callable[[], bool] = lambda: False,
) -> Recovered:
    """Teach a sub-network what the original says on windows of text, (n, length), of which some are held out.

    The original is computed once. What the sub-network learns is kept in the folder: the same call continues.

    Parameters
    ----------
    original, architecture, weights
        The teacher, and the sub-network.
    stop
        Called after every step; when it returns true, the state is written and teaching pauses.

    Raises
    ------
    UsageError
        For fewer than two windows, a device that is not there, an absent peft, or a file that cannot be written.
    """
    if len(windows) < 2:
        raise UsageError(f"recovery needs two windows of text or more, one of them held out; there are {len(windows)}")
    check_teaching(teaching.device, teaching.lora_rank)
    make_directory(folder)
    run = _Run(original, architecture, weights, windows, folder, teaching, dtype or fast_dtype(), threads)
    return run.go(observe, stop)


class _Run:
    def __init__(
        self,
        original: Original,
        architecture: Architecture,
        weights: Mapping[str, Any],
        windows: Ids,
        folder: Path,
        teaching: Teaching,
        dtype: torch.dtype,
        threads: int,
    ) -> None:
        self.teaching, self.dtype, self.threads, self.device = teaching, dtype, threads, torch.device(teaching.device)
        self.ids = torch.from_numpy(np.ascontiguousarray(windows, np.int64))
        self.n_held = min(_MOST_HELD_OUT, max(1, int(_HELD_OUT * len(windows))))
        digest = hashlib.sha256(f"{architecture.to_json()} {teaching} {dtype}".encode() + self.ids.numpy().tobytes())
        self.file = folder / f"recovery-{digest.hexdigest()[:16]}.pt"
        begun = self._clock()
        self.states = self._teacher(original, folder)
        self.ends = Ends(original.architecture, original.weights, dtype).to(self.device)
        self.student = Student(architecture, weights, teaching.lora_rank).to(self.device)
        self.learned = [each for each in self.student.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.learned, lr=teaching.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        )
        self.step, self.used = 0, self._clock() - begun  # the teacher's work counts
        self.curve: list[tuple[int, float]] = []
        self.best: dict[str, Tensor] = {}
        self._load()

    def go(self, observe: Observer, stop: Callable[[], bool]) -> Recovered:
        begun, saved = self._clock() - self.used, self._clock()
        with computing(self.dtype, self.threads):
            if not self.curve:
                self._look()
            while self.used < self.teaching.seconds:
                observe(Work("recovery", round(self.used), round(self.teaching.seconds), f"step {self.step}"))
                self._learn()
                self.step += 1
                self.used = self._clock() - begun
                if self.used / self.teaching.seconds >= len(self.curve) / _LOOKS:
                    self._look()
                if stop():
                    self._save()
                    return Recovered(self._weights(), self.curve, complete=False)
                if self._clock() - saved > _SAVE_SECONDS:
                    self._save()
                    saved = self._clock()
        self._save()
        return Recovered(self._weights(), self.curve, complete=True)

    def _learn(self) -> None:
        """Take a step, on one window."""
        n = len(self.ids) - self.n_held
        epoch, place = divmod(self.step, n)
        i = int(np.random.default_rng([self.teaching.seed, epoch]).permutation(n)[place])
        loss = self._divergence(i)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.learned, self.teaching.clip, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.teaching.rate(self.used / self.teaching.seconds)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _divergence(self, i: int) -> Tensor:
        with torch.no_grad():
            wanted = self.ends.logits(self.states[i].to(self.device))
        return divergence(self.student(self.ids[i : i + 1].to(self.device))[0].float(), wanted).mean()

    @torch.no_grad()
    def _look(self) -> None:
        """Add a point to the curve; keep what is learned where it is the best so far."""
        held = range(len(self.ids) - self.n_held, len(self.ids))
        found = sum(float(self._divergence(i)) for i in held) / len(held)
        if all(found < before for _, before in self.curve):
            self.best = {name: each.detach().cpu().clone() for name, each in self.student.learned().items()}
        self.curve.append((self.step, found))

    def _weights(self) -> Mapping[str, Array]:
        return self.student.weights(self.best)

    def _teacher(self, original: Original, folder: Path) -> Tensor:
        digest = hashlib.sha256(original.architecture.to_json().encode() + self.ids.numpy().tobytes()).hexdigest()[:16]
        file = folder / f"teacher-{digest}.npy"
        if not file.is_file():
            found = final_states(original.architecture, original.weights, self.ids.numpy(), self.dtype, self.threads)
            save_array(file, found.numpy())
        return torch.from_numpy(np.load(file))

    def _clock(self) -> float:
        return time.process_time() / self.threads if self.device.type == "cpu" else time.monotonic()

    def _save(self) -> None:
        buffer = io.BytesIO()  # so that a full disk is said in one sentence
        now = {name: each.detach() for name, each in self.student.learned().items()}
        state = {"step": self.step, "used": self.used, "curve": self.curve, "best": self.best}
        if self.used < self.teaching.seconds:  # at the end, only the best counts
            state |= {"now": now, "optimizer": self.optimizer.state_dict()}
        torch.save(state, buffer)
        save(self.file, buffer.getbuffer())

    def _load(self) -> None:
        if not self.file.is_file():
            return
        try:
            state = torch.load(self.file, map_location=self.device, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError):  # damaged: it begins anew
            return
        if "now" in state:
            self.student.learn(state["now"])
            self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.used, self.best = state["step"], state["used"], state["best"]
        self.curve = [(step, found) for step, found in state["curve"]]
