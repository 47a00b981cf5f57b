"""The literature's proxies against their definitions: transformers' own model, and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_models import REASON

import lts
from lts.errors import UsageError
from lts.proxies.ranking import CLOSED_FORMS, PROXIES, rank, score
from lts.system.progress import Work

torch = pytest.importorskip("torch", reason=REASON)

from lts.networks.network import Network  # noqa: E402
from lts.proxies.zero_cost import SCORES, Batch, Model, zero_cost  # noqa: E402

GPT2 = lts.Architecture("gpt2", 50, 16, 24, n_head=3, d_ff=40, n_layer=2)
ARCHITECTURES = [
    GPT2,
    lts.Architecture("llama", 50, 16, 24, n_head=[6, 2], n_kv_head=[2, 1], d_ff=[20, 32]),
    lts.Architecture("transformer_xl", 50, 16, 24, n_head=[5, 2], d_ff=[32, 16], cutoffs=[10, 25, 50], div_val=2),
    lts.Architecture("hw_gpt_gated", 50, 16, 24, n_head=[3, 1], head_dim=8, d_ff=32),
    lts.Architecture("flexibert", 50, 16, 24, n_head=4, d_ff=32, mixer=["convolution_5", "fourier"], n_ff=[1, 3]),
]
BATCH = Batch(sequences=4, length=9, seed=2)


def weights_for(architecture: lts.Architecture) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {
        w.name: (0.15 * random.standard_normal(w.shape) + (w.kind == "scale")).astype(np.float32)
        for w in lts.weights(architecture)
    }


def model(architecture: lts.Architecture = GPT2, given: dict[str, np.ndarray] | None = None) -> Model:
    return Model(architecture, BATCH, given or weights_for(architecture), torch.float64)


def loss(architecture: lts.Architecture, given: dict[str, np.ndarray], ids: Any = None) -> float:
    network = Network(architecture, {n: np.asarray(a, np.float32) for n, a in given.items()}, torch.float64)
    for name, array in given.items():  # beyond float32
        network.by_name[name].data = torch.tensor(np.asarray(array, np.float64))
    with torch.no_grad():
        return float(network.loss(BATCH.of(architecture) if ids is None else ids))


def derivative(function: Callable[[float], float], step: float = 1e-4) -> float:
    return (function(step) - function(-step)) / (2 * step)


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The same GPT-2 in transformers, with the gradients of the mean loss of the next token."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    w = weights_for(GPT2)
    config = transformers.GPT2Config(
        vocab_size=50,
        n_positions=16,
        n_embd=24,
        n_layer=2,
        n_head=3,
        n_inner=40,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        attn_implementation="eager",
    )
    found = transformers.GPT2LMHeadModel(config).double().eval()
    state = {"transformer.wte.weight": w["token_embedding.0.weight"], "lm_head.weight": w["token_embedding.0.weight"]}
    state["transformer.wpe.weight"] = w["position_embedding.weight"]
    pairs = [("ln_1", "attention_norm"), ("ln_2", "feed_forward_norm"), ("attn.c_proj", "attention_output")]
    for layer in range(2):
        for name, ours in [*pairs, ("mlp.c_fc", "up"), ("mlp.c_proj", "down")]:
            kind = "scale" if "norm" in ours else "weight"
            state[f"transformer.h.{layer}.{name}.weight"] = w[f"layers.{layer}.{ours}.{kind}"]
            state[f"transformer.h.{layer}.{name}.bias"] = w[f"layers.{layer}.{ours}.bias"]
        for kind in ("weight", "bias"):
            parts = [w[f"layers.{layer}.{role}.{kind}"] for role in ("query", "key", "value")]
            state[f"transformer.h.{layer}.attn.c_attn.{kind}"] = np.concatenate(parts, axis=-1)
    state |= {"transformer.ln_f.weight": w["final_norm.scale"], "transformer.ln_f.bias": w["final_norm.bias"]}
    found.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    ids = BATCH.of(GPT2)
    found(input_ids=ids, labels=ids).loss.backward()
    return found


def parts_of(theirs: Any) -> list[tuple[str, Any, Any]]:
    """(name, weight, gradient) of every matrix of the layers, queries, keys and values apart."""
    result = []
    for name, parameter in theirs.named_parameters():
        if ".h." in name and name.endswith("weight") and "ln_" not in name:
            pieces = 3 if "c_attn" in name else 1
            for weight, gradient in zip(parameter.chunk(pieces, 1), parameter.grad.chunk(pieces, 1), strict=True):
                result.append((name, weight.detach(), gradient))
    return result


def test_gradients_against_transformers(theirs: Any) -> None:
    parts = parts_of(theirs)
    assert len(parts) == 12
    nuclear = {name: torch.linalg.svdvals for name, _, _ in parts}
    expected = {
        "snip": sum((w * g).abs().sum() for _, w, g in parts),
        "grad_norm": sum(g.square().sum().sqrt() for _, _, g in parts),
        "synaptic_diversity": sum(nuclear[n](w).sum() * nuclear[n](g).sum() for n, w, g in parts if "attn" in n),
        "synaptic_saliency": sum((w * g).abs().sum() for n, w, g in parts if "mlp" in n),
    }
    for name, value in expected.items():
        assert SCORES[name](model()) == pytest.approx(float(value), rel=1e-5), name


def test_activations_against_transformers(theirs: Any) -> None:
    ids = BATCH.of(GPT2)
    attentions = theirs(input_ids=ids[:, :-1], output_attentions=True).attentions
    assert SCORES["softmax_confidence"](model()) == pytest.approx(
        float(torch.stack([a.amax(-1).mean() for a in attentions]).mean().detach()), rel=1e-6
    )
    outputs: dict[str, Any] = {}
    hooks = []
    for name, module in theirs.named_modules():
        if name.endswith(("c_attn", "c_proj", "c_fc")):

            def keep(_: Any, __: Any, output: Any, name: str = name) -> None:
                output.retain_grad()
                outputs[name] = output

            hooks.append(module.register_forward_hook(keep))
    heads: list[Any] = []
    hooks += [
        block.attn.c_proj.register_forward_pre_hook(lambda _, arguments: heads.append(arguments[0]))
        for block in theirs.transformer.h
    ]
    theirs(input_ids=ids, labels=ids).loss.backward()
    for hook in hooks:
        hook.remove()
    fisher = 0.0
    for output in outputs.values():
        # In transformers the last token is computed, too; it has no part in the loss.
        fisher += float(0.5 * (output.detach() * output.grad).sum(1).square().mean(0).sum())
    assert SCORES["fisher"](model()) == pytest.approx(fisher, rel=1e-6)
    largest = [value[:, :-1].unflatten(-1, (3, 8)).abs().amax(-1).mean() for value in heads]
    assert SCORES["attention_confidence"](model()) == pytest.approx(
        float(torch.stack(largest).mean().detach()), rel=1e-6
    )


def test_jacobian_covariance_against_transformers(theirs: Any) -> None:
    ids = BATCH.of(GPT2)
    rows = []
    for sequence in ids:
        x = theirs.transformer.wte(sequence[None]).detach().requires_grad_()
        theirs(inputs_embeds=x).logits.sum().backward()
        rows.append(x.grad.flatten().numpy())
    values = np.linalg.eigvalsh(np.corrcoef(rows))
    expected = -np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5))
    assert SCORES["jacobian_covariance"](model()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.family)
def test_grasp_by_finite_differences(architecture: lts.Architecture) -> None:
    """-w H g is minus the change along g of the change of the loss along w."""
    given = {name: array.astype(np.float64) for name, array in weights_for(architecture).items()}
    made = model(architecture)
    gradients = {name: g.numpy() for name, g in made.gradients().items()}

    def along(by_weight: float, by_gradient: float) -> float:
        moved = {n: a * (1 + by_weight) + by_gradient * gradients[n] if n in gradients else a for n, a in given.items()}
        return loss(architecture, moved)

    # Moving w by s w and then g by t: the mixed derivative is w H g; nothing else depends on both.
    expected = -derivative(lambda s: derivative(lambda t: along(s, t)))
    assert SCORES["grasp"](made) == pytest.approx(expected, rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.family)
def test_synflow_by_finite_differences(architecture: lts.Architecture) -> None:
    given = {name: np.abs(array).astype(np.float64) for name, array in weights_for(architecture).items()}
    chosen = set(model(architecture).matrices)
    network = Network(architecture, {n: a.astype(np.float32) for n, a in given.items()}, torch.float64)
    network.linearized = True
    ones = torch.ones(1, BATCH.length, architecture.d_model, dtype=torch.float64)

    def flow(step: float) -> float:
        for name, array in given.items():
            network.by_name[name].data = torch.tensor(array * (1 + step if name in chosen else 1))
        with torch.no_grad():
            return float(network.head(network.decode(ones)).sum())

    expected = np.log(abs(derivative(flow)))
    assert SCORES["synflow"](model(architecture)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES[:4], ids=lambda a: a.family)
def test_head_importance_by_finite_differences(architecture: lts.Architecture) -> None:
    """The derivative of the loss of each sequence by a factor of each head (Michel et al. 2019, section 4.1)."""
    given = {name: array.astype(np.float64) for name, array in weights_for(architecture).items()}
    ids = BATCH.of(architecture)
    expected = 0.0
    for layer, (n_head, width) in enumerate(zip(architecture.n_head, architecture.head_dims, strict=True)):
        name = f"layers.{layer}.attention_output.weight"
        for head in range(n_head):
            rows = np.repeat(np.arange(n_head) == head, width)[:, None]

            def scaled(step: float, sequence: Any, name: str = name, rows: Any = rows) -> float:
                return loss(architecture, {**given, name: given[name] * (1 + step * rows)}, sequence[None])

            for sequence in ids:
                expected += abs(derivative(partial(scaled, sequence=sequence))) / len(ids)
    assert SCORES["head_importance"](model(architecture)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.family)
def test_every_family_has_every_score(architecture: lts.Architecture) -> None:
    found = zero_cost(architecture, SCORES, BATCH)
    assert list(found) == list(SCORES)
    assert all(np.isfinite(value) and seconds > 0 for value, seconds in found.values())
    assert {name: value for name, (value, _) in zero_cost(architecture, SCORES, BATCH).items()} == {
        name: value for name, (value, _) in found.items()
    }
    # One at a time, or all of one model: the same.
    for name in ("fisher", "head_importance", "grasp"):
        assert zero_cost(architecture, [name], BATCH)[name][0] == pytest.approx(found[name][0], rel=1e-6)


def test_the_list_is_that_of_the_scores() -> None:
    assert {proxy.name for proxy in PROXIES if proxy.needs == "torch"} == set(SCORES)
    assert set(CLOSED_FORMS) == {proxy.name for proxy in PROXIES} - set(SCORES)


def test_own_tokens() -> None:
    tokens = np.random.default_rng(1).integers(50, size=(3, 7))
    own = zero_cost(GPT2, ["snip"], Batch(tokens=tokens))["snip"][0]
    assert own != zero_cost(GPT2, ["snip"], Batch(sequences=3, length=7))["snip"][0]
    for wrong, message in (
        (np.zeros((3, 7)), "must be integers"),
        (np.zeros(7, int), r"have shape \(7,\)"),
        (tokens - tokens.max() + 50, "reach from [0-9]+ to 50; the vocabulary has 50"),
        (np.zeros((2, 30), int), "29 tokens are more than the 16 positions"),
    ):
        with pytest.raises(UsageError, match=message):
            zero_cost(GPT2, ["snip"], Batch(tokens=wrong))
    with pytest.raises(UsageError, match=r"unknown proxy 'magic'; expected one of snip"):
        zero_cost(GPT2, ["magic"])
    with pytest.raises(UsageError, match="could not be made"):
        zero_cost(GPT2, ["snip"], Batch(device="nonsense"))


def test_scores_and_ranks() -> None:
    architectures = lts.SearchSpace.load("gpt2-tiny").sample(6, 1)
    told: list[Work] = []
    scored = score(architectures, ["snip", "decoder_params"], observe=told.append)
    assert list(scored) == ["snip", "decoder_params"]
    assert [work.done for work in told if work.total == 6] == [0, 1, 2, 3, 4, 5]
    ranking = rank(architectures, scored["snip"].values, "snip", scored=scored["snip"], bootstrap=5)
    assert ranking.agreements[0].spearman == 1.0
    assert ranking.seconds == scored["snip"].seconds > scored["decoder_params"].seconds


def test_small_published_models(published: Path) -> None:
    """Those of WikiText-103 with their own vocabulary of 267,735 words; the smallest ones, to save time."""
    from lts.measure.tables.reader import read_table

    table = read_table(published / "random_gpt2_wt103.csv", "gpt2")
    smallest = sorted(table.architectures, key=lts.total_params)[:2]
    batch = Batch(sequences=2, length=8)
    for architecture in smallest:
        for name, (value, _) in zero_cost(architecture, SCORES, batch).items():
            assert np.isfinite(value), name
