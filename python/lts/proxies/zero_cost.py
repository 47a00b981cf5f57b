"""Gradients and activations of untrained models as scores, as the literature defines them. Needs PyTorch.

The definitions are those of the papers that `lts.proxies.ranking.PROXIES` names, carried over to language models: the
loss is the cross entropy of the next token, a batch is random tokens or your own, and weights are the matrices of the
layers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lts._core import Architecture, weights
from lts.errors import MeasurementError, UsageError, first_line
from lts.export.weights import Weights
from lts.networks.network import Network

_STABILIZER = 1e-5  # added to the eigenvalues in the Jacobian covariance, as published


@dataclass(frozen=True)
class Batch:
    """The tokens that scores are computed on, and the device.

    Parameters
    ----------
    tokens
        Token ids [sequences, length] in the vocabulary of every architecture; None for random ones.
    sequences, length
        Size of the random tokens.
    seed
        Seed of the random tokens.
    device
        ``cpu`` or ``cuda``.
    """

    tokens: Any = None
    sequences: int = 8
    length: int = 32
    seed: int = 0
    device: str = "cpu"

    def of(self, architecture: Architecture) -> Tensor:
        """Token ids, int64 [sequences, length]."""
        if self.tokens is None:
            generator = torch.Generator().manual_seed(self.seed)
            shape = (self.sequences, min(self.length, architecture.n_positions))
            if min(shape) < 2:
                raise UsageError(f"scores need 2 sequences of 2 tokens; there are {shape[0]} of {shape[1]}")
            return torch.randint(architecture.vocab_size, shape, generator=generator).to(self.device)
        ids = np.asarray(self.tokens)
        if ids.ndim != 2 or min(ids.shape) < 2 or not np.issubdtype(ids.dtype, np.integer):
            raise UsageError(
                f"the tokens have shape {ids.shape} and type {ids.dtype}; they must be integers [sequences, length], "
                "at least 2 by 2"
            )
        if ids.min() < 0 or ids.max() >= architecture.vocab_size:
            raise UsageError(
                f"the tokens reach from {ids.min()} to {ids.max()}; the vocabulary has {architecture.vocab_size}"
            )
        return torch.tensor(ids.astype(np.int64), device=self.device)


class Model:
    """A network with a batch; gradients are computed once for all scores that need them."""

    def __init__(
        self, architecture: Architecture, batch: Batch, source: Weights = None, dtype: torch.dtype = torch.float32
    ) -> None:
        self.network = Network(architecture, source, dtype).to(batch.device)
        self.ids = batch.of(architecture)
        self.matrices = {
            weight.name: weight.sublayer
            for weight in weights(architecture)
            if weight.layer is not None and weight.kind in ("matrix", "convolution")
        }
        self._gradients: dict[str, Tensor] | None = None

    def parameters(self, sublayer: str | None = None) -> list[tuple[Tensor, Tensor]]:
        """Matrices of the layers, of ``attention``, ``feed_forward`` or both, with their gradients."""
        gradients = self.gradients()
        return [
            (self.network.by_name[name].detach(), gradients[name])
            for name, found in self.matrices.items()
            if sublayer in (None, found)
        ]

    def gradients(self) -> dict[str, Tensor]:
        if self._gradients is None:
            self._gradients = dict(zip(self.matrices, self._differentiate(self.network.loss(self.ids)), strict=True))
        return self._gradients

    def _differentiate(self, value: Tensor, again: bool = False) -> list[Tensor]:
        chosen = [self.network.by_name[name] for name in self.matrices]
        return list(torch.autograd.grad(value, chosen, create_graph=again, materialize_grads=True))

    def watched(self, kind: str) -> tuple[Tensor, list[Tensor]]:
        """The loss, and the network's intermediate values of one kind, which keep their gradients."""
        seen: list[Tensor] = []

        def watch(found: str, name: str, value: Tensor) -> Tensor:
            if found == kind:
                seen.append(value)
            return value

        self.network.watch = watch
        try:
            return self.network.loss(self.ids), seen
        finally:
            self.network.watch = None

    def hessian_gradient(self) -> list[tuple[Tensor, Tensor]]:
        """Weights with the product of the Hessian of the loss and its gradient."""
        self.network.watch = lambda kind, name, value: value  # makes attention twice differentiable
        try:
            first = self._differentiate(self.network.loss(self.ids), again=True)
        finally:
            self.network.watch = None
        product = torch.stack([(gradient.detach() * gradient).sum() for gradient in first]).sum()
        second = self._differentiate(product)
        return [(self.network.by_name[n].detach(), g) for n, g in zip(self.matrices, second, strict=True)]


def _snip(model: Model) -> float:
    return _total((weight * gradient).abs().sum() for weight, gradient in model.parameters())


def _grasp(model: Model) -> float:
    return -_total((weight * product).sum() for weight, product in model.hessian_gradient())


def _fisher(model: Model) -> float:
    loss, outputs = model.watched("linear")
    gradients = torch.autograd.grad(loss, outputs)
    return _total(
        0.5 * (value.detach() * gradient).flatten(1, -2).sum(1).square().mean(0).sum()
        for value, gradient in zip(outputs, gradients, strict=True)
        if value.dim() > 2  # values that depend on positions alone have no batch
    )


def _grad_norm(model: Model) -> float:
    return _total(gradient.norm() for _, gradient in model.parameters())


def _synflow(model: Model) -> float:
    """The logarithm of the flow, which grows exponentially with the depth."""
    network = model.network
    linear = Network(
        network.architecture, {n: p.detach().cpu().abs().numpy() for n, p in network.by_name.items()}, torch.float64
    ).to(model.ids.device)
    linear.linearized = True
    ones = torch.ones(1, model.ids.shape[1], network.architecture.d_model, dtype=torch.float64, device=model.ids.device)
    chosen = [linear.by_name[name] for name in model.matrices]
    gradients = torch.autograd.grad(linear.head(linear.decode(ones)).sum(), chosen, materialize_grads=True)
    flow = abs(_total((p.detach() * g).sum() for p, g in zip(chosen, gradients, strict=True)))
    return math.log(flow) if 0 < flow < math.inf else math.nan  # mostly networks too deep for float64


def _jacobian_covariance(model: Model) -> float:
    x = model.network.embed(model.ids).detach().requires_grad_()
    (jacobian,) = torch.autograd.grad(model.network.head(model.network.decode(x)).sum(), x)
    correlations = torch.corrcoef(jacobian.flatten(1).double())
    values = torch.linalg.eigvalsh(correlations) + _STABILIZER
    return -_total([(values.log() + 1 / values).sum()])


def _synaptic_diversity(model: Model) -> float:
    return _total(
        torch.linalg.matrix_norm(weight, "nuc") * torch.linalg.matrix_norm(gradient, "nuc")
        for weight, gradient in model.parameters("attention")
    )


def _synaptic_saliency(model: Model) -> float:
    return _total((weight * gradient).abs().sum() for weight, gradient in model.parameters("feed_forward"))


def _attention_confidence(model: Model) -> float:
    with torch.no_grad():
        return _mean(value.abs().amax(-1).mean() for value in model.watched("head")[1])


def _softmax_confidence(model: Model) -> float:
    with torch.no_grad():
        return _mean(value.amax(-1).mean() for value in model.watched("attention")[1])


def _head_importance(model: Model) -> float:
    loss, outputs = model.watched("head")
    if not outputs:
        return 0.0
    gradients = torch.autograd.grad(loss, outputs)
    # The loss is a mean over sequences; the published expectation is over the loss of each.
    n = len(model.ids)
    return _total(
        n * (value.detach() * gradient).sum((-1, -2)).abs().mean(0).sum()
        for value, gradient in zip(outputs, gradients, strict=True)
    )


def _total(values: Iterable[Tensor]) -> float:
    return float(sum(float(value) for value in values))


def _mean(values: Iterable[Tensor]) -> float:
    found = [float(value) for value in values]
    return sum(found) / len(found) if found else 0.0


SCORES: dict[str, Callable[[Model], float]] = {
    "snip": _snip,
    "grasp": _grasp,
    "fisher": _fisher,
    "grad_norm": _grad_norm,
    "synflow": _synflow,
    "jacobian_covariance": _jacobian_covariance,
    "synaptic_diversity": _synaptic_diversity,
    "synaptic_saliency": _synaptic_saliency,
    "attention_confidence": _attention_confidence,
    "softmax_confidence": _softmax_confidence,
    "head_importance": _head_importance,
}


def zero_cost(
    architecture: Architecture, names: Iterable[str], batch: Batch | None = None, source: Weights = None
) -> dict[str, tuple[float, float]]:
    """Scores of an untrained model, and the seconds that each took.

    The seconds of each include building the model; the time for gradients that scores share counts for the first.

    Parameters
    ----------
    architecture
        What to build.
    names
        Names from `SCORES`.
    batch
        By default 8 sequences of 32 random tokens.
    source
        Where its weights come from, as for `lts.networks.network.Network`; by default random ones.

    Raises
    ------
    UsageError
        For an unknown name, tokens that do not fit, or a device that PyTorch does not have.
    MeasurementError
        When a score cannot be computed, for example for lack of memory.
    """
    start = time.perf_counter()
    try:
        model = Model(architecture, batch or Batch(), source)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"the model of {architecture.family} could not be made: {first_line(error)}") from None
    built = time.perf_counter() - start
    found = {}
    for name in names:
        if name not in SCORES:
            raise UsageError(f"unknown proxy '{name}'; expected one of {', '.join(SCORES)}")
        start = time.perf_counter()
        try:
            value = SCORES[name](model)
        except (RuntimeError, MemoryError) as error:
            raise MeasurementError(f"{name} could not be computed for {architecture}: {first_line(error)}") from None
        found[name] = (value, built + time.perf_counter() - start)
    return found
