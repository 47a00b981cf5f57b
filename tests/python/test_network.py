"""The families in PyTorch against the plain reference, and against the exported models."""

from __future__ import annotations

import numpy as np
import pytest
from reference_models import REASON, logits

import lts
from lts.errors import UsageError
from lts.export import RandomWeights

torch = pytest.importorskip("torch", reason=REASON)

from lts.network import Network, weights_of  # noqa: E402


def architectures() -> list[lts.Architecture]:
    fixed = {"vocab_size": 60, "n_positions": 32, "d_model": 24}
    adaptive = {**fixed, "d_embed": 16, "cutoffs": [10, 25, 60]}
    return [
        lts.Architecture("gpt2", **fixed, n_head=[2, 3], d_ff=[40, 16]),
        lts.Architecture("gpt2", **adaptive, div_val=2, n_head=2, d_ff=16, n_layer=2),
        lts.Architecture("gpt2", **fixed, n_head=2, d_ff=16, n_layer=1, tie_embedding=False, head_dim=8),
        lts.Architecture("hw_gpt", **fixed, head_dim=16, n_head=[3, 1], d_ff=32),
        lts.Architecture("transformer_xl", **fixed, n_head=[5, 2], d_ff=[32, 16]),
        lts.Architecture("transformer_xl", **adaptive, div_val=1, n_head=2, d_ff=16, n_layer=2),
        lts.Architecture("transformer_xl", **adaptive, div_val=4, n_head=2, d_ff=16, n_layer=2),
        lts.Architecture("llama", **fixed, n_head=[6, 2], n_kv_head=[2, 1], d_ff=[20, 32]),
    ]


def label(architecture: lts.Architecture) -> str:
    return f"{architecture.family}-{architecture.d_embed}-{architecture.div_val}"


def random_weights(architecture: lts.Architecture) -> dict[str, np.ndarray]:
    """All random, also biases and scales, which `RandomWeights` leaves at zero and one."""
    random = np.random.default_rng(3)
    return {
        weight.name: (0.2 * random.standard_normal(weight.shape) + (weight.kind == "scale")).astype(np.float32)
        for weight in lts.weights(architecture)
    }


@pytest.mark.parametrize("architecture", architectures(), ids=label)
def test_logits_against_the_reference(architecture: lts.Architecture) -> None:
    given = random_weights(architecture)
    ids = np.random.default_rng(5).integers(architecture.vocab_size, size=(2, 9))
    network = Network(architecture, given, torch.float64)
    expected = logits(architecture, given, ids)
    with torch.no_grad():
        np.testing.assert_allclose(network(torch.tensor(ids)).numpy(), expected, rtol=1e-5, atol=1e-5)
        network.watch = lambda kind, name, value: value  # attention step by step
        np.testing.assert_allclose(network(torch.tensor(ids)).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in network.parameters()) == lts.total_params(architecture)
    for name, array in weights_of(network).items():
        np.testing.assert_array_equal(array, given[name])


@pytest.mark.parametrize("architecture", architectures(), ids=label)
def test_every_weight_takes_part(architecture: lts.Architecture) -> None:
    network = Network(architecture, random_weights(architecture))
    ids = torch.arange(60).reshape(3, 20)
    network.loss(ids).backward()
    # What a softmax over keys cancels: a bias of the keys shifts all scores of a query alike.
    silent = [name for name, p in network.by_name.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_the_loss_is_that_of_the_next_token() -> None:
    architecture = architectures()[0]
    network = Network(architecture, random_weights(architecture), torch.float64)
    ids = torch.tensor(np.random.default_rng(1).integers(60, size=(2, 7)))
    with torch.no_grad():
        probabilities = network(ids).softmax(-1)
    expected = -np.mean([float(probabilities[b, t, ids[b, t + 1]].log()) for b in range(2) for t in range(6)])
    assert float(network.loss(ids).detach()) == pytest.approx(expected, rel=1e-6)


def test_moving_keeps_the_names() -> None:
    network = Network(architectures()[0], RandomWeights(2)).double()
    assert all(p.dtype == torch.float64 for p in network.by_name.values())
    assert {id(p) for p in network.by_name.values()} == {id(p) for p in network.parameters()}


def test_wrong_arguments() -> None:
    architecture = architectures()[0]
    with pytest.raises(UsageError, match=r"the given weights lack 'token_embedding\.0\.weight'"):
        Network(architecture, {})
    with pytest.raises(UsageError, match="33 tokens are more than the 32 positions there are"):
        Network(architecture)(torch.zeros(1, 33, dtype=torch.long))
