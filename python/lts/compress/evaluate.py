"""How well a model says a text, and how far from the original it is: layer by layer, in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lts._core import Architecture
from lts.compress.blocks import Block, Ends, batches, computing

import torch  # isort: skip  # after lts.networks, which says what to install where it is absent
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from lts.measure.tokens import Ids


@dataclass(frozen=True)
class Evaluation:
    """What a model says of windows of text.

    Attributes
    ----------
    losses
        By window the mean cross entropy of all tokens but the first, in nats, (n,).
    divergences
        By window the mean Kullback-Leibler divergence from the original, in nats per token, (n,); None for itself.
    """

    losses: NDArray[np.float64]
    divergences: NDArray[np.float64] | None = None

    @property
    def perplexity(self) -> float:
        return math.exp(float(self.losses.mean()))


@torch.no_grad()
def final_states(
    architecture: Architecture,
    weights: Mapping[str, Any],
    windows: Ids,
    dtype: torch.dtype = torch.float32,
    threads: int = 1,
) -> Tensor:
    """What the last layer gives for windows of tokens, [n, length, d_model]: before the final norm."""
    ids = torch.from_numpy(np.ascontiguousarray(windows, np.int64))
    with computing(dtype, threads):
        states = Ends(architecture, weights).embed(ids)
        for layer in range(architecture.n_layer):
            block = Block(architecture, layer, weights, dtype)
            states = torch.cat([block(x) for x in batches(states)])
    return states


@torch.no_grad()
def evaluate(
    architecture: Architecture,
    weights: Mapping[str, Any],
    windows: Ids,
    reference: tuple[Ends, Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    threads: int = 1,
) -> Evaluation:
    """Losses on windows of tokens (n, length), and with the original's ends and final states the divergence from it."""
    states = final_states(architecture, weights, windows, dtype, threads)
    ends = Ends(architecture, weights, dtype)
    ids = torch.from_numpy(np.ascontiguousarray(windows, np.int64))
    losses, divergences = [], []
    with computing(dtype, threads):
        for i, window in enumerate(states):
            logits = ends.logits(window)
            losses.append(float(F.cross_entropy(logits[:-1], ids[i, 1:])))
            if reference is not None:
                divergences.append(float(divergence(logits, reference[0].logits(reference[1][i])).mean()))
    return Evaluation(np.array(losses), np.array(divergences) if reference is not None else None)


def divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the reference by row, in nats; both are logits [..., vocab_size]."""
    wanted = reference.log_softmax(-1)
    return F.kl_div(logits.log_softmax(-1), wanted, reduction="none", log_target=True).sum(-1)
