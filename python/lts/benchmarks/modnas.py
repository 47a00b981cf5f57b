"""MODNAS (Sukthanker et al. 2024, arXiv 2402.18213) as a baseline: one hypernetwork for all devices and preferences.

It maps what is known of a device and a preference to a distribution over architectures. The paper trains it on a
super-network and on predicted latencies, with the sum of objectives by the preference as its loss. Here objectives are
additive models that are fitted to what was measured; and the loss is Chebyshev's by default, whose answers reach all of
a front. Devices count equally in every step, where the paper weighs their gradients (multiple gradient descent).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gumbel_softmax, one_hot

from lts._core import Architecture, LayerQuality, Surrogate, cost_term_names, cost_terms, decoder_params
from lts.benchmarks.domain import Domain
from lts.benchmarks.optimizers import Evaluations
from lts.errors import UsageError
from lts.study.design import first_design
from lts.study.layered import is_quality
from lts.study.seeds import unseeded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MEASURED = 10
"""Measurements of a device that its costs are fitted to."""
PREFERENCES = 24

# From so many evaluations on, quality by layer ranks better than decoder parameters.
_KNOWN = 30
# Training: its first steps, and those after more was evaluated; preferences for each device and step.
_STEPS, _MORE_STEPS, _BATCH = 5000, 300, 48
_HIDDEN, _LEARNING_RATE = 128, 3e-3
_WARM, _COLD = 2.0, 0.1  # temperatures of sampling, first and last
# Architectures that are drawn for a preference, a depth and a width; the best by the models is the answer.
_DRAWN = 64
_SCALED_BY = 1000  # random architectures that tell the range of every objective
_AUGMENTED = 1e-3


Predict = Callable[[list[Architecture]], Any]


class Table:
    """An additive model by choice, so that its values are differentiable in these.

    A value is what depth and width have with the first choices of heads and feed-forward networks, and for each layer
    what another choice adds.

    Parameters
    ----------
    domain
        The choices.
    predict
        Values of architectures, (n,), by an additive model.
    """

    def __init__(self, domain: Domain, predict: Predict) -> None:
        deepest, n_heads, n_ff = max(domain.n_layer), len(domain.heads), len(domain.d_ff)
        asked: list[Architecture] = []

        def value(depth: int, width: int, layer: int = 0, heads: int = 0, d_ff: int = 0) -> int:
            x = [depth, width, *[0] * (2 * deepest)]
            x[2 + layer], x[2 + deepest + layer] = heads, d_ff
            asked.append(domain.architecture(x))
            return len(asked) - 1

        depths, widths, last = range(len(domain.n_layer)), range(len(domain.d_model)), len(domain.n_layer) - 1
        layers = range(deepest)
        base = np.array([[value(n, d) for d in widths] for n in depths])
        attention = np.array([[[value(last, d, i, heads=h) for h in range(n_heads)] for d in widths] for i in layers])
        feed_forward = np.array([[[value(last, d, i, d_ff=f) for f in range(n_ff)] for d in widths] for i in layers])
        known = torch.tensor(np.asarray(predict(asked), dtype=np.float64))
        self._base = known[base]
        self._attention = known[attention] - self._base[last][:, None]
        self._feed_forward = known[feed_forward] - self._base[last][:, None]
        self._active = torch.tensor([[float(i < n) for i in layers] for n in domain.n_layer]).double()

    def of(self, depth: Tensor, width: Tensor, heads: Tensor, d_ff: Tensor) -> Tensor:
        """Values, (n,), of one-hot choices: (n, .), (n, .), (n, n_layer, .) and (n, n_layer, .)."""
        active = depth @ self._active
        added = torch.einsum("blh,ldh->bld", heads, self._attention)
        added = added + torch.einsum("blf,ldf->bld", d_ff, self._feed_forward)
        every: Tensor = depth @ self._base + torch.einsum("bl,bld->bd", active, added)
        return (every * width).sum(dim=1)


class Modnas:
    """The hypernetwork.

    Parameters
    ----------
    domain
        What is searched.
    linear
        Whether the loss is the sum of objectives by the preference, as published, rather than Chebyshev's.
    seed
        Of everything random.
    """

    def __init__(self, domain: Domain, *, linear: bool = False, seed: int = 0) -> None:
        self._domain = domain
        self._linear = linear
        self._deepest = max(domain.n_layer)
        self._sizes = [len(domain.n_layer), len(domain.d_model), len(domain.heads), len(domain.d_ff)]
        self._random = np.random.default_rng(seed)
        n_depth, n_width, n_heads, n_ff = self._sizes
        self._shapes = torch.tensor([[i, j] for i in range(n_depth) for j in range(n_width)])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._network = nn.Sequential(
                nn.Linear(len(cost_term_names()) + 2 + n_depth + n_width, _HIDDEN),
                nn.ReLU(),
                nn.Linear(_HIDDEN, _HIDDEN),
                nn.ReLU(),
                nn.Linear(_HIDDEN, self._deepest * (n_heads + n_ff)),
            ).double()

    def fit(self, quality: Predict, costs: Sequence[Surrogate], *, steps: int = _STEPS) -> None:
        """Train on a quality to minimize, and on the costs of devices, from where it stands.

        Parameters
        ----------
        quality
            Predicts quality.
        costs
            The model of the cost of each device.
        """
        self._models = [(quality, cost.predict) for cost in costs]
        self._tables = [
            (Table(self._domain, quality), Table(self._domain, _without_widest(cost).predict)) for cost in costs
        ]
        ends = [[each * (size - 1) for size in self._domain.sizes] for each in (0, 1)]
        some = [*self._domain.space.sample(_SCALED_BY, 0), *(self._domain.architecture(end) for end in ends)]
        amounts = np.asarray(cost_terms(some)).mean(axis=0)
        shares = np.array([list(cost.coefficients.values()) for cost in costs]) * amounts
        self._features = torch.tensor(shares / shares.sum(axis=1, keepdims=True))
        values = np.stack([self._values(some, device) for device in range(len(costs))])
        self._low, self._high = torch.tensor(values.min(axis=1)), torch.tensor(values.max(axis=1))
        optimizer = torch.optim.Adam(self._network.parameters(), lr=_LEARNING_RATE)
        for step in range(steps):
            temperature = _WARM * (_COLD / _WARM) ** (step / max(1, steps - 1))
            loss = torch.zeros((), dtype=torch.float64)
            for device, tables in enumerate(self._tables):
                weights = torch.tensor(_weights(self._random.uniform(0, 1, _BATCH)))
                shapes = self._shapes[self._random.integers(len(self._shapes), size=_BATCH)]
                sampled = self._sampled(self._logits(device, weights, shapes), temperature)
                values_of = torch.stack([table.of(*self._one_hot(shapes), *sampled) for table in tables], dim=1)
                loss = loss + self._losses(values_of, device, weights).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def answers(self, device: int, weights: Array) -> list[list[Architecture]]:
        """For each preference, (n, 2), weights of quality and cost, architectures, the best by the models first."""
        shapes = self._shapes.repeat_interleave(_DRAWN, dim=0)
        found = []
        with torch.no_grad():
            for weight in torch.tensor(weights):
                logits = self._logits(device, weight.repeat(len(shapes), 1), shapes)
                drawn = [
                    torch.cat([likely.argmax(-1), each.argmax(-1)], dim=0)
                    for likely, each in zip(self._split(logits[::_DRAWN]), self._sampled(logits, 1.0), strict=True)
                ]
                x = torch.cat([torch.cat([self._shapes, shapes]), *drawn], dim=1)
                architectures = list(dict.fromkeys(self._domain.architecture(each) for each in x.tolist()))
                values = torch.tensor(self._values(architectures, device))
                losses = self._losses(values, device, weight.repeat(len(architectures), 1))
                found.append([architectures[i] for i in losses.argsort(stable=True).tolist()])
        return found

    def _one_hot(self, shapes: Tensor) -> list[Tensor]:
        """Depth and width, (n, .) each, of their positions, (n, 2)."""
        return [one_hot(shapes[:, i], self._sizes[i]).double() for i in (0, 1)]

    def _logits(self, device: int, weights: Tensor, shapes: Tensor) -> Tensor:
        features = self._features[device].expand(len(weights), -1)
        logits: Tensor = self._network(torch.cat([features, weights, *self._one_hot(shapes)], dim=1))
        return logits

    def _split(self, logits: Tensor) -> list[Tensor]:
        """Those of heads and of feed-forward networks, (n, n_layer, .) each."""
        n_heads, n_ff = self._sizes[2:]
        by_layer = logits.reshape(len(logits), self._deepest, n_heads + n_ff)
        return [by_layer[..., :n_heads], by_layer[..., n_heads:]]

    def _sampled(self, logits: Tensor, temperature: float) -> list[Tensor]:
        """One-hot choices, with gradients as if they were the probabilities (straight through: Jang et al. 2017)."""
        with torch.random.fork_rng():
            torch.manual_seed(int(self._random.integers(2**31)))
            return [gumbel_softmax(part, tau=temperature, hard=True) for part in self._split(logits)]

    def _values(self, architectures: list[Architecture], device: int) -> Array:
        """Objectives as the models have them, minimized: (n, 2), quality and cost."""
        return np.column_stack([np.asarray(predict(architectures)) for predict in self._models[device]])

    def _losses(self, values: Tensor, device: int, weights: Tensor) -> Tensor:
        scaled = (values - self._low[device]) / (self._high[device] - self._low[device])
        if self._linear:
            return (weights * scaled).sum(dim=1)
        parts = weights / weights.amax(dim=1, keepdim=True) * scaled
        return parts.amax(dim=1) + _AUGMENTED * parts.sum(dim=1)


def _without_widest(cost: Surrogate) -> Surrogate:
    """The same without the term of the widest layer, which is no sum over layers."""
    state = json.loads(cost.to_json())
    state["coefficients"]["widest"] = 0.0
    return Surrogate.from_json(json.dumps(state))


def by_parameters(architectures: list[Architecture]) -> Array:
    """Decoder parameters in place of quality, minimized."""
    return -np.array([float(decoder_params(architecture)) for architecture in architectures])


def preferences(n: int = PREFERENCES) -> Array:
    """Weights of quality and cost, evenly spread, (n, 2)."""
    return _weights((np.arange(n) + 0.5) / n)


def _weights(share: Array) -> Array:
    return np.column_stack([share, 1 - share])


def chebyshev(evaluations: Evaluations, seed: int) -> None:
    """With Chebyshev's loss."""
    _run(evaluations, seed, linear=False)


def linear(evaluations: Evaluations, seed: int) -> None:
    """With sums by preference, as published."""
    _run(evaluations, seed, linear=True)


def _run(evaluations: Evaluations, seed: int, *, linear: bool) -> None:
    """Ten measurements of the cost, then the answers to 24 preferences; again, with all that was measured, for others.

    Raises
    ------
    UsageError
        For other objectives than a quality and a cost that is not counted.
    """
    problem = evaluations.problem
    names = [objective.name for objective in problem.objectives]
    reason = unseeded(problem.objectives) or (f"there are {len(names)} objectives, not two" if len(names) != 2 else "")
    if reason:
        raise UsageError(f"modnas is not applicable: {reason}")
    good = int(is_quality(names[1]))
    seen = list(first_design(problem.domain.space, MEASURED, seed))
    for architecture in seen:
        evaluations.of(architecture)
    network = Modnas(problem.domain, linear=linear, seed=seed)
    weights, steps = preferences(), _STEPS
    while evaluations.left:
        points = np.array(evaluations.points)
        cost = Surrogate.fit(seen, np.abs(points[:, 1 - good]))
        quality = by_parameters
        if len(seen) >= _KNOWN:
            quality = LayerQuality.fit(seen, points[:, good], n_layer=max(problem.domain.n_layer)).predict
        network.fit(quality, [cost], steps=steps)
        for answers in network.answers(0, weights):
            known = {architecture.to_json() for architecture in seen}
            new = next((each for each in answers if each.to_json() not in known), answers[0])
            evaluations.of(new)
            seen.append(new)
        weights, steps = _weights(np.random.default_rng([seed, len(seen)]).uniform(0, 1, PREFERENCES)), _MORE_STEPS
