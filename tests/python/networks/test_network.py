"""The families in PyTorch against the plain reference, and against the exported models."""

from __future__ import annotations

import random

import numpy as np
import pytest
from export_runner import arrays, tokens
from reference_models import REASON, logits
from transformers_classes import KINDS, draw, model
from transformers_classes import logits as transformers_logits

import lts
from lts.errors import UsageError
from lts.export import RandomWeights

torch = pytest.importorskip("torch", reason=REASON)

from lts.networks.mixers import mix  # noqa: E402
from lts.networks.network import Network, weights_of  # noqa: E402


def architectures() -> list[lts.Architecture]:
    fixed = {"vocab_size": 60, "n_positions": 32, "d_model": 24}
    adaptive = {**fixed, "d_embed": 16, "cutoffs": [10, 25, 60]}
    return [
        lts.Architecture("gpt2", **fixed, n_head=[2, 3], d_ff=[40, 16]),
        lts.Architecture("gpt2", **adaptive, div_val=2, n_head=2, d_ff=16, n_layer=2),
        lts.Architecture("gpt2", **fixed, n_head=2, d_ff=16, n_layer=1, tie_embedding=False, head_dim=8),
        lts.Architecture("hw_gpt", **fixed, head_dim=16, n_head=[3, 1], d_ff=32),
        lts.Architecture("hw_gpt_gated_bias", **fixed, head_dim=16, n_head=[3, 1], d_ff=32),
        lts.Architecture("transformer_xl", **fixed, n_head=[5, 2], d_ff=[32, 16]),
        lts.Architecture("transformer_xl", **adaptive, div_val=1, n_head=2, d_ff=16, n_layer=2),
        lts.Architecture("transformer_xl", **adaptive, div_val=4, n_head=2, d_ff=16, n_layer=2),
        lts.Architecture("llama", **fixed, n_head=[6, 2], n_kv_head=[2, 1], d_ff=[20, 32]),
        lts.Architecture("llama", **fixed, n_head=[6, 0, 2], n_kv_head=[2, 0, 1], d_ff=[0, 20, 32], head_dim=4),
        lts.Architecture("gpt_neox", **fixed, n_head=[3, 2, 0], d_ff=[0, 16, 32], rotary_dim=2),
        lts.Architecture("gpt2", **fixed, n_head=[2, 3], d_ff=16, qkv_bias=False, feed_forward_bias=False),
    ]


def label(architecture: lts.Architecture) -> str:
    return f"{architecture.family}-{architecture.d_embed}-{architecture.div_val}"


def random_weights(architecture: lts.Architecture) -> dict[str, np.ndarray]:
    """All random, also biases and scales, which `RandomWeights` leaves at zero and one."""
    source = np.random.default_rng(3)
    return {
        weight.name: (0.2 * source.standard_normal(weight.shape) + (weight.kind == "scale")).astype(np.float32)
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


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(kind: str) -> None:
    """At every position, of other bases, scalings, epsilons and biases, and with layers that lack parts."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    for number in range(12):
        architecture = draw(kind, random.Random(f"{kind} network {number}"), missing=0.4 * (number % 2))
        given, ids = arrays(architecture), tokens(architecture, 2, 40)
        expected = transformers_logits(model(kind, architecture, given), ids)
        with torch.no_grad():
            found = Network(architecture, given)(torch.tensor(ids)).numpy()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5, err_msg=repr(architecture))


def test_counts_are_those_of_transformers() -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    for kind in KINDS:
        for number in range(8):
            architecture = draw(kind, random.Random(f"{kind} counts {number}"), missing=0)
            own = model(kind, architecture, arrays(architecture))
            assert sum(p.numel() for p in own.parameters()) == lts.total_params(architecture), architecture
            names = {name for name, _ in own.named_parameters() if name.endswith(".bias")}
            biases = [weight for weight in lts.weights(architecture) if weight.kind == "bias"]
            joined = 2 * architecture.n_layer if kind == "gpt_neox" and architecture.qkv_bias else 0
            assert len(names) == len(biases) - joined, architecture


def test_empty_layers_change_nothing() -> None:
    some = {"vocab_size": 60, "n_positions": 32, "d_model": 24, "head_dim": 4}
    a = lts.Architecture("llama", **some, n_head=[6, 0, 2], n_kv_head=[2, 0, 1], d_ff=[20, 0, 32])
    given = random_weights(a)
    fewer = lts.without_empty_layers(a)
    assert fewer.n_head == [6, 2]
    renamed = {name.replace("layers.2.", "layers.1."): array for name, array in given.items()}
    ids = torch.arange(20).reshape(2, 10)
    torch.testing.assert_close(Network(a, given)(ids), Network(fewer, renamed)(ids), rtol=0, atol=0)


def flexibert(mixer: str, n_ff: int = 1) -> lts.Architecture:
    return lts.Architecture("flexibert", 60, 32, 24, n_head=4, d_ff=32, n_layer=1, mixer=mixer, n_ff=n_ff)


def attention_of(architecture: lts.Architecture, given: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    network = Network(architecture, given, torch.float64)
    with torch.no_grad():
        return np.asarray(mix(network, 0, torch.tensor(x)))


def test_dynamic_convolution_against_transformers() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from transformers.models.convbert.modeling_convbert import ConvBertSelfAttention

    for kernel in (5, 9):
        architecture = flexibert(f"convolution_{kernel}")
        w = {name.removeprefix("layers.0."): array for name, array in random_weights(architecture).items()}
        config = transformers.ConvBertConfig(
            hidden_size=24, num_attention_heads=4, head_ratio=2, conv_kernel_size=kernel, embedding_size=24
        )
        module = ConvBertSelfAttention(config).double().eval()
        state = {
            "key_conv_attn_layer.depthwise.weight": w["depthwise.weight"].T[:, None],
            "key_conv_attn_layer.pointwise.weight": w["pointwise.weight"].T[..., None],
            "key_conv_attn_layer.bias": w["pointwise.bias"].reshape(-1, 1),
        }
        for theirs, ours in {
            **{role: role for role in ("query", "key", "value")},
            "conv_kernel_layer": "kernel",
            "conv_out_layer": "convolution",
        }.items():
            state |= {f"{theirs}.weight": w[f"{ours}.weight"].T, f"{theirs}.bias": w[f"{ours}.bias"]}
        module.load_state_dict({name: torch.tensor(np.ascontiguousarray(array)) for name, array in state.items()})
        x = np.random.default_rng(2).standard_normal((2, 11, 24))
        with torch.no_grad():
            mixed = module(torch.tensor(x))[0].numpy()
        expected = mixed @ w["attention_output.weight"] + w["attention_output.bias"]
        np.testing.assert_allclose(attention_of(architecture, random_weights(architecture), x), expected, rtol=1e-6)


def test_transforms_and_weighted_attention() -> None:
    fft = pytest.importorskip("scipy.fft", reason="scipy is not installed")
    x = np.random.default_rng(2).standard_normal((2, 11, 24))
    for mixer, mixed in (
        ("fourier", np.fft.fft2(x).real),  # FNet (Lee-Thorp et al. 2021)
        ("cosine", fft.dctn(x, axes=(1, 2), norm="ortho")),
    ):
        architecture = flexibert(mixer)
        w = random_weights(architecture)
        expected = mixed @ w["layers.0.attention_output.weight"] + w["layers.0.attention_output.bias"]
        np.testing.assert_allclose(attention_of(architecture, w, x), expected, rtol=1e-6, atol=1e-6)
    # With the identity between query and key it is plain attention.
    weighted = random_weights(flexibert("weighted_attention"))
    weighted["layers.0.score.weight"] = np.eye(24, dtype=np.float32)
    plain = {name: array for name, array in weighted.items() if "score" not in name}
    np.testing.assert_allclose(
        attention_of(flexibert("weighted_attention"), weighted, x), attention_of(flexibert("attention"), plain, x)
    )


@pytest.mark.parametrize("mixer", ["attention", "weighted_attention", "fourier", "cosine", "convolution_5"])
def test_every_weight_of_an_encoder_takes_part(mixer: str) -> None:
    architecture = flexibert(mixer, n_ff=3)
    network = Network(architecture, random_weights(architecture))
    ids = torch.arange(60).reshape(3, 20)
    network.loss(ids).backward()
    silent = [n for n, p in network.by_name.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    seen = []
    network.watch = lambda kind, name, value: (seen.append(kind), value)[1]
    with torch.no_grad():
        watched = network(ids)
        network.watch = None
        np.testing.assert_allclose(network(ids), watched, rtol=1e-4, atol=1e-4)
    assert ("attention" in seen) == (mixer not in ("fourier", "cosine"))
    # It reads both ways: the last token has a part in what becomes of the first.
    changed = ids.clone()
    changed[:, -1] = 7
    with torch.no_grad():
        assert not torch.allclose(network(ids)[:, 0], network(changed)[:, 0])


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
