"""ZeroLM on real weights, its alpha, and weights read back from checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lts
from lts.errors import UsageError
from lts.export import RandomWeights, export
from lts.export.checkpoint import read_checkpoint
from lts.measure.tables.reader import read_table
from lts.proxies.capacity import ALPHAS, capacity_of, choose_alpha

TINY = lts.Architecture("gpt2", 60, 16, 24, n_head=[2, 3], d_ff=[40, 16])


@pytest.mark.parametrize("family", ["gpt2", "llama", "flexibert"])
def test_the_closed_form_is_the_mean_of_the_definition(family: str) -> None:
    """Fifty random initializations; the singular values are those of numpy."""
    more = {"mixer": "convolution_5", "n_ff": 3} if family == "flexibert" else {}
    architecture = lts.Architecture(family, 100, 16, 32, n_head=4, d_ff=48, n_layer=2, **more)
    found = [capacity_of(architecture, RandomWeights(seed)) for seed in range(50)]
    for alpha in (0.0, 0.3, 0.5, 1.0):
        scores = [each.score(alpha) for each in found]
        error = np.std(scores, ddof=1) / np.sqrt(len(scores))
        assert lts.zerolm(architecture, alpha=alpha) == pytest.approx(np.mean(scores), abs=3 * error)


def test_capacity_is_the_frobenius_norm_over_the_smaller_side() -> None:
    weights = {w.name: RandomWeights(3).array(w) for w in lts.weights(TINY)}
    expected = sum(
        float(np.sum(weights[w.name].astype(float) ** 2)) / min(w.shape)
        for w in lts.weights(TINY)
        if w.role in ("up", "down") and w.kind == "matrix"
    )
    assert capacity_of(TINY, weights).feed_forward == pytest.approx(expected, rel=1e-9)
    weights["layers.1.up.weight"][0, 0] = np.nan
    with pytest.raises(UsageError, match=r"the weight 'layers\.1\.up\.weight' is not finite"):
        capacity_of(TINY, weights)


def architectures(n: int = 40) -> list[lts.Architecture]:
    return lts.SearchSpace.load("gpt2-small").sample(n, 1, method="choices")


def test_alpha_from_labels() -> None:
    sample = architectures()
    for truth in (0.8, -0.3):
        choice = choose_alpha(sample, [lts.zerolm(a, alpha=truth) for a in sample])
        assert choice.agreement[ALPHAS.index(truth)] == pytest.approx(1.0, abs=1e-3)  # equal ones, rounded apart
        assert choice.alpha == pytest.approx(truth, abs=0.15)
        # The mean of the two best of the grid.
        best = sorted(range(len(ALPHAS)), key=lambda i: -choice.agreement[i])[:2]
        assert choice.alpha == round((ALPHAS[best[0]] + ALPHAS[best[1]]) / 2, 2)


def test_alpha_without_labels_hears_both_parts() -> None:
    sample = architectures()
    choice = choose_alpha(sample)
    chosen = max(choice.agreement)
    for alpha in (-1.5, 0.0, 1.0, 1.5):
        assert choice.agreement[ALPHAS.index(alpha)] < chosen
    scores = [lts.zerolm(a, alpha=choice.alpha) for a in sample]
    for part in (0.0, 1.0):
        assert lts.spearman(scores, [lts.zerolm(a, alpha=part) for a in sample]) > 0.3


def test_alpha_from_labels_beats_the_middle_on_published_models(published: Path) -> None:
    table = read_table(published / "random_gpt2_wt103.csv", "gpt2")
    quality = [-value for value in table.column("valid_ppl")]
    alpha = choose_alpha(table.architectures[:40], quality[:40]).alpha
    rest, truth = table.architectures[40:], quality[40:]
    chosen, middle = (lts.spearman([lts.zerolm(a, alpha=x) for a in rest], truth) for x in (alpha, 0.5))
    assert chosen > 0.95 > middle


def test_samples_that_tell_nothing() -> None:
    sample = architectures(5)
    with pytest.raises(UsageError, match="3 architectures; choosing alpha needs 4 or more"):
        choose_alpha(sample[:3])
    with pytest.raises(UsageError, match="5 architectures, but a quality for 4"):
        choose_alpha(sample, [1, 2, 3, 4])
    with pytest.raises(UsageError, match="finite, and not the same"):
        choose_alpha(sample, [1.0] * 5)
    with pytest.raises(UsageError, match="nothing tells an alpha from another"):
        choose_alpha(sample[:1] * 6)


@pytest.mark.parametrize(
    "architecture",
    [
        TINY,
        lts.Architecture("gpt2", 60, 16, 24, n_head=2, d_ff=40, n_layer=2),
        lts.Architecture("gpt2", 60, 16, 24, n_head=2, d_ff=40, n_layer=1, tie_embedding=False),
        lts.Architecture("llama", 60, 16, 24, n_head=2, n_kv_head=1, d_ff=40, n_layer=2),
        lts.Architecture("transformer_xl", 60, 16, 24, n_head=5, d_ff=40, n_layer=1, cutoffs=[20, 60], div_val=2),
    ],
    ids=["per-layer", "gpt2", "gpt2-untied", "llama", "transformer_xl"],
)
def test_exported_weights_are_read_back(architecture: lts.Architecture, tmp_path: Path) -> None:
    export(architecture, tmp_path, formats=["hf"], seed=4)
    read = read_checkpoint(architecture, tmp_path / "model.safetensors")
    assert set(read) == {weight.name for weight in lts.weights(architecture)}
    for weight in lts.weights(architecture):
        np.testing.assert_array_equal(read[weight.name], RandomWeights(4).array(weight))


def test_checkpoints_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    architecture = lts.Architecture("gpt2", 60, 16, 24, n_head=2, d_ff=40, n_layer=2)
    config = transformers.GPT2Config(vocab_size=60, n_positions=16, n_embd=24, n_layer=2, n_head=2, n_inner=40)
    model = transformers.GPT2LMHeadModel(config)
    for dtype, tolerance in (("float32", 0), ("bfloat16", 0.01)):
        import torch

        model.to(getattr(torch, dtype)).save_pretrained(tmp_path / dtype)
        read = read_checkpoint(architecture, tmp_path / dtype / "model.safetensors")
        expected = model.transformer.h[1].attn.c_attn.weight.detach().float().numpy()[:, 24:48]
        np.testing.assert_allclose(read["layers.1.key.weight"], expected, atol=tolerance)


def test_wrong_checkpoints(tmp_path: Path) -> None:
    architecture = lts.Architecture("gpt2", 60, 16, 24, n_head=2, d_ff=40, n_layer=2)
    export(architecture, tmp_path, formats=["hf"])
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    wider = lts.Architecture("gpt2", 60, 16, 24, n_head=2, d_ff=41, n_layer=2)
    with pytest.raises(UsageError, match=r"'transformer\.h\.0\.mlp\.c_fc\.weight' has shape \[24, 40\]"):
        read_checkpoint(wider, path)
    deeper = lts.Architecture("gpt2", 60, 16, 24, n_head=2, d_ff=40, n_layer=3)
    with pytest.raises(UsageError, match=r"lacks the tensor 'transformer\.h\.2\."):
        read_checkpoint(deeper, path)
    with pytest.raises(UsageError, match="cannot read"):
        read_checkpoint(architecture, tmp_path / "absent")
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    header["transformer.wte.weight"]["dtype"] = "I8"
    other = json.dumps(header).encode()
    for content, message in (
        (b"", "cannot read|no safetensors file"),
        (b"{}", "no safetensors file"),
        (whole[:100], "its header is cut off"),
        (whole[: 8 + size + 50], "is cut off"),
        ((2).to_bytes(8, "little") + b"[]", "no JSON object"),
        (len(other).to_bytes(8, "little") + other + whole[8 + size :], "has type I8; expected one of F64, F32"),
    ):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            read_checkpoint(architecture, path)
