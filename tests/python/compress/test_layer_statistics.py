from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trained import trained, windows

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from torch import Tensor

from lts.compress.blocks import PARTS, Ends
from lts.compress.evaluate import evaluate, final_states
from lts.compress.sensitivity import Sensitivities, trimmed_mean
from lts.compress.statistics import Statistics
from lts.networks.network import Network

OUTPUTS = {"attention": "attention_output", "feed_forward": "down"}


class Reading(Network):
    """A whole network that keeps what its projections read."""

    def linear(self, x: Tensor, name: str) -> Tensor:
        self.read[name] = x.detach().flatten(0, 1).double().numpy()
        return super().linear(x, name)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def statistics(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Statistics:
    found = Statistics(trained(request.param), windows(24), tmp_path_factory.mktemp("statistics"))
    found.collect()
    return found


def test_moments_of_what_is_read(statistics: Statistics) -> None:
    original = statistics.original
    network = Reading(original.architecture, original.weights)
    network.read = {}
    with torch.no_grad():
        network(torch.from_numpy(windows(24)))
    for layer in range(3):
        for part in PARTS:
            found, read = statistics.moments(layer, part), network.read[f"layers.{layer}.{OUTPUTS[part]}"]
            np.testing.assert_allclose(found.gram, read.T @ read / len(read), rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(found.mean, read.mean(0), rtol=1e-3, atol=1e-5)


def test_fisher_and_gram_say_what_a_small_change_costs(statistics: Statistics) -> None:
    original, random = statistics.original, np.random.default_rng(0)
    a, weights, text = original.architecture, original.weights, windows(24)
    reference = Ends(a, weights), final_states(a, weights, text)
    for layer in range(3):
        for part in PARTS:
            name, moments = f"layers.{layer}.{OUTPUTS[part]}.weight", statistics.moments(layer, part)
            change = 0.05 * weights[name].std() * random.normal(size=weights[name].shape)
            predicted = 0.5 * np.trace(moments.fisher @ change.T @ moments.gram @ change)
            changed = dict(weights) | {name: (weights[name] + change).astype(np.float32)}
            divergences = evaluate(a, changed, text, reference).divergences
            assert divergences is not None
            assert 0.5 < predicted / divergences.mean() < 2.0, (layer, part)


def test_sensitivities_are_divergences(tmp_path: Path, statistics: Statistics) -> None:
    original, text = statistics.original, windows(8, 30)
    a = original.architecture
    changed = {}
    for layer in range(3):
        name = f"layers.{layer}.down.weight"
        changed[f"v{layer}"] = (a, dict(original.weights) | {name: 0.5 * original.weights[name]})
    layers = {f"v{layer}": layer for layer in range(3)}
    found = Sensitivities(original, text, layers, changed.__getitem__, tmp_path).measure()
    ids = torch.from_numpy(text)
    with torch.no_grad():
        wanted = Network(a, original.weights)(ids).log_softmax(-1)
        for name, (_, weights) in changed.items():
            other = Network(a, weights)(ids).log_softmax(-1)
            divergences = (wanted.exp() * (wanted - other)).sum(-1)[:, ::2].mean(1)
            np.testing.assert_allclose(found[name], divergences.numpy(), rtol=1e-3, atol=1e-6)


def test_a_trimmed_mean() -> None:
    assert trimmed_mean(np.array([5.0, 1.0, 100.0, 3.0])) == 4.0
    assert trimmed_mean(np.array([1.0, 3.0])) == 2.0
