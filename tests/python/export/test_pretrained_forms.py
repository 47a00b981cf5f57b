"""ONNX models of architectures as pretrained models have them, and of layers without parts, against transformers."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import reference_models
from export_runner import arrays, nothing, relative_error, rounded, run, session, tokens
from test_one_model import in_pieces
from transformers_classes import KINDS, draw, logits, masked, model, whole

import lts
from lts.backends.onnxruntime import bound
from lts.export import GivenWeights, RandomWeights, export, onnx_model
from lts.export.frequencies import rotary_frequencies
from lts.export.manifest import read_manifest

pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

N = 20  # architectures of a kind
CLOSE = 1e-5
SPLITS = ([24], [1] * 24, [7, 1, 1, 9, 6])


@pytest.mark.parametrize("number", range(N))
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(kind: str, number: int) -> None:
    """At every position: in one pass, token by token, and with several new tokens behind a cache."""
    architecture = draw(kind, random.Random(f"{kind} {number}"), missing=0.3 * (number % 2))
    weights, ids = arrays(architecture), tokens(architecture, 2, 24)
    expected = logits(model(kind, architecture, weights), ids)
    exported = session(onnx_model(architecture, weights=weights))
    for sizes in SPLITS:
        assert relative_error(in_pieces(exported, ids, sizes), expected) < CLOSE, (architecture, sizes)
    padded, mask = np.pad(ids, ((0, 0), (3, 0)), constant_values=5), np.ones((2, 27), np.int64)
    mask[:, :3] = 0
    assert relative_error(in_pieces(exported, padded, [20, 7], mask)[:, 3:], expected) < CLOSE, architecture


def layered(architecture: lts.Architecture, source: random.Random) -> lts.Architecture:
    """The same fields with other widths in every layer."""
    described = architecture.to_dict()
    for layer in range(architecture.n_layer):
        if architecture.n_head[layer]:
            n_kv_head = source.choice([1, 2, 3])
            group = 1 if architecture.traits.attention == "multi_head" else source.choice([1, 2, 5])
            described["n_head"][layer], described["n_kv_head"][layer] = group * n_kv_head, n_kv_head
        if architecture.d_ff[layer]:
            described["d_ff"][layer] = source.randint(1, 48)
    return lts.Architecture.from_dict(described)


@pytest.mark.parametrize("number", range(N))
@pytest.mark.parametrize("kind", KINDS)
def test_logits_of_layers_that_differ_are_those_of_the_reference(kind: str, number: int) -> None:
    source = random.Random(f"{kind} layered {number}")
    architecture = layered(draw(kind, source), source)
    weights, ids = arrays(architecture), tokens(architecture, 2, 24)
    expected = reference_models.logits(architecture, weights, ids)
    exported = session(onnx_model(architecture, weights=weights))
    for sizes in SPLITS:
        assert relative_error(in_pieces(exported, ids, sizes), expected) < CLOSE, (architecture, sizes)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_in_place(kind: str, number: int) -> None:
    architecture = draw(kind, random.Random(f"{kind} in place {number}"))
    weights, ids = arrays(architecture), tokens(architecture, 1, 24)
    expected = logits(model(kind, architecture, weights), ids)
    exported = session(onnx_model(architecture, cache="in_place", weights=weights))
    room = {
        value.name: np.full([32 if dim == "capacity" else 1 if dim == "batch" else dim for dim in value.shape], 7.0)
        for value in exported.get_inputs()
        if value.name.startswith("past")
    }
    room = {name: value.astype(np.float32) for name, value in room.items()}
    begin, found = 0, []
    for size in (7, 1, 1, 9, 6):
        step = {"input_ids": ids[:, begin : begin + size], "attention_mask": np.ones((1, begin + size), np.int64)}
        found.append(bound(exported, {**step, **room})()[0])
        begin += size
    assert relative_error(np.concatenate(found, axis=1), expected) < CLOSE, architecture


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_without_a_part_is_one_whose_part_gives_zeros(kind: str, number: int) -> None:
    architecture = draw(kind, random.Random(f"{kind} masked {number}"), missing=0.5)
    weights, ids = arrays(architecture), tokens(architecture, 2, 12)
    one = session(onnx_model(architecture, weights=weights))
    other = session(onnx_model(whole(architecture), weights=masked(architecture, weights)))
    assert relative_error(in_pieces(one, ids, [8, 1, 3]), in_pieces(other, ids, [8, 1, 3])) < CLOSE
    caches = [value.name for value in one.get_inputs() if value.name.startswith("past")]
    n_caches = sum(n_head > 0 for n_head in architecture.n_head)
    assert caches == [f"past_key_values.{i}.{part}" for i in range(n_caches) for part in ("key", "value")]


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_quantized(kind: str, number: int, precision: str) -> None:
    """Against the same rounded weights in transformers: what remains is that activations are rounded to 8 bits."""
    architecture = draw(kind, random.Random(f"{kind} quantized {number}"), missing=0.2)
    weights, ids = arrays(architecture), tokens(architecture, 2, 12)
    expected = logits(model(kind, architecture, rounded(architecture, precision, weights)), ids)
    exported = session(onnx_model(architecture, precision=precision, weights=weights))
    got = in_pieces(exported, ids, [8, 1, 3])
    spread = expected - expected.mean(-1, keepdims=True)
    assert np.sqrt(((got - expected) ** 2).sum() / (spread**2).sum()) < {"int8": 0.2, "int4": 0.08}[precision]


def test_frequencies_of_llama_3() -> None:
    """Those of the function that transformers has for it, for the numbers of Llama 3.1 and others."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    for theta, factor, low, high, original in ((500_000.0, 8.0, 1.0, 4.0, 8192), (10_000.0, 32.0, 0.5, 3.0, 100)):
        scaling = {"factor": factor, "low_freq_factor": low, "high_freq_factor": high}
        architecture = lts.Architecture(
            "llama", 100, 9000, 256, n_head=2, d_ff=8, n_layer=1, rotary_theta=theta,
            rotary_scaling={**scaling, "original_positions": original},
        )  # fmt: skip
        said = {"rope_type": "llama3", **scaling, "original_max_position_embeddings": original}
        config = LlamaConfig(
            hidden_size=256, num_attention_heads=2, max_position_embeddings=9000, rope_theta=theta, rope_scaling=said
        )
        expected, factor_of_attention = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        assert factor_of_attention == 1.0
        np.testing.assert_allclose(rotary_frequencies(architecture, 128), expected.numpy(), rtol=1e-6)


def with_empty_layers() -> lts.Architecture:
    return lts.Architecture(
        "llama", 131, 96, 32, n_head=[0, 4, 0, 2], n_kv_head=[0, 2, 0, 1], d_ff=[0, 0, 40, 24], head_dim=8
    )


@pytest.mark.parametrize("weights", ["arrays", "source"])
def test_empty_layers_are_left_out_of_files(weights: str, tmp_path: Path) -> None:
    architecture = with_empty_layers()
    given = arrays(architecture)
    export(architecture, tmp_path, ["onnx", "json"], weights=given if weights == "arrays" else GivenWeights(given))
    left = lts.without_empty_layers(architecture)
    assert left.n_layer == 3
    assert lts.Architecture.from_json((tmp_path / "architecture.json").read_text()) == left
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.architecture == left
    ids = tokens(architecture, 2, 12)
    expected = in_pieces(session(onnx_model(architecture, weights=given)), ids, [12])
    assert (in_pieces(session(tmp_path / "model.onnx"), ids, [12]) == expected).all()


def test_random_weights_without_empty_layers_are_those_of_the_architecture_that_is_left(tmp_path: Path) -> None:
    export(with_empty_layers(), tmp_path, ["onnx"], seed=3)
    ids = tokens(with_empty_layers(), 1, 9)
    left = onnx_model(lts.without_empty_layers(with_empty_layers()), weights=RandomWeights(3))
    assert (in_pieces(session(tmp_path / "model.onnx"), ids, [9]) == in_pieces(session(left), ids, [9])).all()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_no_attention_at_all(family: str, tmp_path: Path) -> None:
    import onnx

    architecture = lts.Architecture(family, 131, 96, 32, n_head=[0, 0], d_ff=[40, 24], head_dim=8)
    given, ids = arrays(architecture), tokens(architecture, 2, 9)
    for phase in ("any", "prefill", "decode"):
        built = onnx_model(architecture, phase, weights=given)
        onnx.checker.check_model(built, full_check=True)
        used = {name for node in built.graph.node for name in node.input} | {o.name for o in built.graph.output}
        assert all(set(node.output) & used for node in built.graph.node), "every node is of use"
    export(architecture, tmp_path, ["onnx"], weights=given)
    assert not (tmp_path / "genai_config.json").exists()
    exported = session(tmp_path / "model.onnx")
    assert nothing(exported, 2) == {}
    whole_pass = in_pieces(exported, ids, [9])
    assert relative_error(in_pieces(exported, ids, [4, 1, 4]), whole_pass) < CLOSE
    if family == "llama":  # a token's logits depend on itself alone
        alone = run(exported, {"input_ids": ids[:, 5:6], "attention_mask": np.ones((2, 6), np.int64)})["logits"]
        assert relative_error(alone, whole_pass[:, 5:6]) < CLOSE
