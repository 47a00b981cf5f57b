"""Exported models in float16, int8 and int4: their logits against float32's, what they are made of, what they weigh."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runner import Runner, arrays, draw, rounded, run, session, tokens
from test_export_onnx import ARCHITECTURES

import lts
from lts.backends.precisions import check_runtime
from lts.errors import UsageError
from lts.export import (
    PRECISIONS,
    MatrixError,
    PooledWeights,
    RandomWeights,
    StructureOnly,
    error_report,
    export,
    onnx_model,
    quantization_errors,
)
from lts.export.decoder import PHASES, decoder_graph

QUANTIZED = ["int8", "int4"]
MIDDLE = {
    "gpt2": lts.Architecture("gpt2", 5003, 128, 256, n_head=[4] * 6, d_ff=[1024] * 6),
    "llama": lts.Architecture("llama", 5003, 128, 256, n_head=[4] * 6, n_kv_head=[2] * 6, d_ff=[768] * 6),
    "xl": lts.Architecture("transformer_xl", 5003, 128, 256, n_head=[4] * 6, d_ff=[1024] * 6, cutoffs=[900, 5003]),
}
BOTH_WAYS = [  # a projection that the output shares with the embedding is rounded once for each direction
    name
    for name, a in ARCHITECTURES.items()
    if any("embedding_projection" in t.name for t in decoder_graph(a, "prefill", precision="int4")[1])
]


def needs(precision: str) -> None:
    try:
        check_runtime(precision, device="any")
    except UsageError as error:
        pytest.skip(str(error))


def logits(architecture: lts.Architecture, precision: str, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """Those of a prompt of 7 tokens, and of 4 steps after it, two sequences."""
    model = onnx_model(architecture, precision=precision, weights=weights)
    prompt, *steps = Runner(model)(tokens(architecture, 2, 11), 7)
    return prompt.astype(np.float64), np.stack(steps, 1).astype(np.float64)


def error(got: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference, relative to the spread of the logits of a position."""
    assert got.shape == expected.shape
    spread = expected - expected.mean(-1, keepdims=True)
    return float(np.sqrt(((got - expected) ** 2).sum() / (spread**2).sum()))


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in BOTH_WAYS])
def test_quantized_models_compute_with_the_rounded_weights(name: str, precision: str) -> None:
    """Against float32 with the same rounded weights: what remains is that activations are multiplied in 8 bits."""
    needs(precision)
    architecture, weights = ARCHITECTURES[name], arrays(ARCHITECTURES[name])
    got = logits(architecture, precision, weights)
    expected = logits(architecture, "float32", rounded(architecture, precision, weights))
    for one, other in zip(got, expected, strict=True):
        assert error(one, other) < {"int8": 0.2, "int4": 0.08}[precision]  # measured: up to 0.138 and 0.049


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_errors_of_given_weights(name: str) -> None:
    """Weights that let every term count, and so amplify what is rounded; measured: up to 0.002, 0.10 and 0.64."""
    weights = arrays(ARCHITECTURES[name])
    expected = logits(ARCHITECTURES[name], "float32", weights)
    for precision, bound in (("float16", 0.02), ("int8", 0.15), ("int4", 0.8)):
        if precision != "float16" or runs_float16():
            needs(precision)
            got = logits(ARCHITECTURES[name], precision, weights)
            for one, other in zip(got, expected, strict=True):
                assert error(one, other) < bound, precision


def test_massive_activations_of_a_token_do_not_round_those_of_others_away() -> None:
    """The hidden channel 0 of the first position is some thousands, and 0 elsewhere, as trained networks have it."""
    architecture = lts.Architecture("gpt2", 131, 40, 32, n_head=4, d_ff=64, n_layer=1)
    weights = arrays(architecture)
    weights["position_embedding.weight"][0] = 0
    weights["position_embedding.weight"][0, 0] = 100
    weights["layers.0.feed_forward_norm.scale"][0] = 1
    weights["layers.0.up.weight"][:, 0] = 0
    weights["layers.0.up.weight"][0, 0] = 2000
    weights["layers.0.up.bias"][0] = -9000  # that channel of a norm over 32 is 5.5 at the first position
    weights["layers.0.down.weight"][0] = 0  # so that the others' logits are all that is looked at
    expected = logits(architecture, "float32", rounded(architecture, "int8", weights))
    got = logits(architecture, "int8", weights)
    assert error(got[0][:, 1:], expected[0][:, 1:]) < 0.05


@pytest.mark.parametrize("name", [*ARCHITECTURES, *(f"{name}-middle" for name in MIDDLE)])
def test_errors_of_random_weights(name: str) -> None:
    """As a search has them; measured: up to 0.015 and 0.17, of the deeper ones 0.028 and 0.28."""
    middle = name.endswith("-middle")
    architecture = MIDDLE[name.removesuffix("-middle")] if middle else ARCHITECTURES[name]
    expected = logits(architecture, "float32", RandomWeights(0))
    for precision, bound in (("int8", 0.05 if middle else 0.03), ("int4", 0.4 if middle else 0.25)):
        needs(precision)
        got = logits(architecture, precision, RandomWeights(0))
        for one, other in zip(got, expected, strict=True):
            assert error(one, other) < bound, precision


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.slow
def test_errors_of_100_random_architectures(precision: str) -> None:
    """Of random weights; measured: up to 0.032 and 0.29, medians 0.022 and 0.19."""
    needs(precision)
    source = random.Random(11)
    families = [family.name for family in lts.families() if not family.encoder]
    done = 0
    while done < 100:
        architecture = draw(families[done % len(families)], source)
        if lts.total_params(architecture) > 3_000_000:
            continue
        expected = logits(architecture, "float32", RandomWeights(done))
        for one, other in zip(logits(architecture, precision, RandomWeights(done)), expected, strict=True):
            assert error(one, other) < {"int8": 0.06, "int4": 0.5}[precision], architecture
        done += 1


def runs_float16() -> bool:
    """Versions of ONNX Runtime around 1.23 crash while loading some models in float16 on x86-64."""
    import onnxruntime

    return tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 30)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_models_are_valid(name: str, precision: str) -> None:
    import onnx

    expected = [("", 17), ("com.microsoft", 1)] if precision == "int4" else [("", 17)]
    for phase in PHASES:
        for sizes in ({}, {"n_prompt": 7, "batch": 2, "logits": "last"}):
            model = onnx_model(ARCHITECTURES[name], phase, precision=precision, **sizes)
            onnx.checker.check_model(model, full_check=True)
            assert sorted((o.domain, o.version) for o in model.opset_import) == expected
            used = {name for node in model.graph.node for name in node.input} | {o.name for o in model.graph.output}
            assert all(set(node.output) & used for node in model.graph.node), "every node is of use"
            assert {i.name for i in model.graph.initializer} <= used
            real = onnx.TensorProto.FLOAT16 if precision == "float16" else onnx.TensorProto.FLOAT
            assert {o.type.tensor_type.elem_type for o in model.graph.output} == {real}


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_no_matrix_stays_float32(name: str, precision: str) -> None:
    graph = decoder_graph(ARCHITECTURES[name], "prefill", precision=precision)[1]
    kinds = {tensor.encoding.name: {p.weight.kind for p in tensor.pieces} for tensor in graph}
    assert {"scale", "bias"}.isdisjoint(kinds[precision])
    for tensor in graph:
        plain = tensor.encoding.name == "float32"
        assert plain == (len(tensor.shape_of_weights) == 1 or tensor.name == "position_embedding.weight")


@pytest.mark.parametrize("logits", ["all", "last"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "xl-div2"])
def test_onnx_runtime_fuses_products_in_int8(name: str, logits: str, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    for phase in PHASES:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        model = onnx_model(ARCHITECTURES[name], phase, precision="int8", logits=logits)
        products = sum(node.op_type == "MatMulInteger" for node in model.graph.node)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
        assert "MatMulInteger" not in kinds
        assert kinds.count("DynamicQuantizeMatMul") + kinds.count("MatMulIntegerToFloat") == products


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("name", ["gpt2", "gpt2-adaptive-div2", "xl-div2", "xl-one-cluster"])
def test_what_is_no_token_is_refused(name: str, precision: str) -> None:
    needs(precision)
    loaded = session(onnx_model(ARCHITECTURES[name], "prefill", precision=precision))
    for wrong in (131, -132):
        ids = np.array([[1, wrong, 2]])
        with pytest.raises(Exception, match=r"(?i)indices|out of"):
            run(loaded, {"input_ids": ids, "attention_mask": np.ones_like(ids)})


@pytest.mark.parametrize("precision", ["float16", *QUANTIZED])
@pytest.mark.parametrize("architecture", MIDDLE.values(), ids=MIDDLE)
def test_pooled_weights(architecture: lts.Architecture, precision: str, tmp_path: Path) -> None:
    needs(precision)
    if precision == "float16" and not runs_float16():
        pytest.skip("this ONNX Runtime may crash")
    source = PooledWeights(tmp_path / "weights.bin")
    for phase in PHASES:
        model = onnx_model(architecture, phase, precision=precision, weights=source, n_prompt=8, batch=1)
        inline = sum(len(i.raw_data) for i in model.graph.initializer if not i.external_data)
        assert inline < 400_000, "matrices, tables and scales lie outside"
        places: dict[str, list[tuple[int, int]]] = {}
        for initializer in model.graph.initializer:
            if entries := {e.key: e.value for e in initializer.external_data}:
                begin = int(entries["offset"])
                places.setdefault(entries["location"], []).append((begin, begin + int(entries["length"])))
        for location, ranges in places.items():
            ordered = sorted(ranges)
            assert all(end <= begin for (_, end), (begin, _) in pairwise(ordered))
            assert ordered[-1][1] <= (tmp_path / location).stat().st_size
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        loaded = session(tmp_path / "model.onnx")
        types = {"tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(float16)": np.float16}
        feeds = {i.name: np.ones(i.shape, types[i.type]) for i in loaded.get_inputs()}
        logits = run(loaded, feeds)["logits"].astype(np.float32)
        assert np.isfinite(logits).all()
        assert 1e-3 < (logits - logits.mean(-1, keepdims=True)).std() < 10
    files = {path.name for path in tmp_path.glob("weights*")} - {"weights.bin"}
    scales = {f"weights.{precision}.scales.bin"} if precision in QUANTIZED else set()
    assert files == {f"weights.{precision}.bin"} | scales


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weight_bytes_are_those_of_the_exported_weights(name: str, precision: str) -> None:
    architecture = ARCHITECTURES[name]
    for phase in PHASES:
        model = onnx_model(architecture, phase, precision=precision)
        held = sum(len(i.raw_data) for i in model.graph.initializer if not i.name.startswith("const."))
        assert lts.weight_bytes(architecture, precision=precision) == held
    if precision in ("float32", "float16"):
        assert held == lts.total_params(architecture) * int(precision[5:]) // 8


def any_architecture(source: random.Random) -> lts.Architecture:
    """A decoder with layers that differ; Transformer-XL and some GPT-2 with an adaptive embedding."""
    family = source.choice(["gpt2", "transformer_xl", "llama"])
    vocab_size, d_model, layers = source.randint(40, 200), source.choice([24, 40, 68]), range(source.randint(1, 3))
    more: dict[str, Any] = {"tie_embedding": source.random() < 0.5}
    if family == "transformer_xl" or (family == "gpt2" and source.random() < 0.5):
        ends = source.choice([[], [10, vocab_size], [10, 20, vocab_size], [10, 20, 500], [vocab_size]])
        more = {"cutoffs": ends, "d_embed": source.choice([-1, 16, 33, d_model]), "div_val": source.choice([1, 2, 4])}
        if source.random() < 0.6:
            more["tie_projs"] = [source.random() < 0.5 for _ in ends or [0]]
    widths: dict[str, Any] = {
        "n_head": [source.choice([1, 2]) for _ in layers],
        "d_ff": [source.choice([7, 32, 65]) for _ in layers],
    }
    return lts.Architecture(family, vocab_size, 64, d_model, **widths, **more)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_core_counts_the_bytes_of_all_tensors(precision: str) -> None:
    generator = random.Random(5)
    for architecture in [*MIDDLE.values(), *(any_architecture(generator) for _ in range(150))]:
        held = sum(tensor.n_bytes for tensor in decoder_graph(architecture, "prefill", precision=precision)[1])
        assert lts.weight_bytes(architecture, precision=precision) == held, architecture.to_json()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MIDDLE)
def test_exported_files(name: str, precision: str, tmp_path: Path) -> None:
    needs(precision)
    architecture = MIDDLE[name]
    export(architecture, tmp_path, ["onnx"], precision=precision, logits="last", seed=5)
    stored = (tmp_path / "weights.bin").stat().st_size
    aligned = 4096 * 12 * architecture.n_layer  # at most
    assert 0.99 * lts.weight_bytes(architecture, precision=precision) - 60_000 < stored
    assert stored < 1.01 * lts.weight_bytes(architecture, precision=precision) + aligned
    if precision == "float16":
        return
    ids = tokens(architecture, 1, 9)
    runner = Runner(tmp_path / "model.onnx")
    expected = Runner(onnx_model(architecture, precision=precision, weights=RandomWeights(5)))
    (prompt, *steps), (whole, *same) = runner(ids, 7), expected(ids, 7)
    assert prompt.shape == (1, 1, architecture.vocab_size)
    assert error(prompt, whole[:, -1:]) < (0.02 if precision == "int8" else 1e-4)  # rows of a batch share a scale
    for one, other in zip(steps, same, strict=True):
        assert error(one, other) < 1e-4


def test_errors_of_matrices() -> None:
    architecture = ARCHITECTURES["xl-div1-narrow"]
    weights = arrays(architecture)
    inventory = {weight.name: weight for weight in lts.weights(architecture)}
    for precision, low, high in (
        ("float32", 0, 0),
        ("float16", 1e-5, 5e-4),
        ("int8", 1e-3, 0.012),
        ("int4", 0.05, 0.12),
    ):
        errors = quantization_errors(architecture, precision, weights)
        names = [error.name for error in errors]
        assert len(set(names)) == len(names)
        assert {"layers.0.key_value.weight", "token_embedding.cluster.1", "embedding_projection.0.weight"} <= set(names)
        assert not any(inventory[name].kind in ("scale", "bias") for name in names if name in inventory)
        for error in errors:
            assert low <= error.relative <= high, error
            assert (error.maximum > 0) == (error.relative > 0)
    weights["layers.1.up.weight"] = np.zeros_like(weights["layers.1.up.weight"])
    weights["layers.1.down.weight"] = np.ones_like(weights["layers.1.down.weight"])
    found = {error.name: error for error in quantization_errors(architecture, "int8", weights)}
    assert found["layers.1.up.weight"].relative == found["layers.1.up.weight"].maximum == 0
    assert found["layers.1.down.weight"].relative < 1e-6


@pytest.mark.parametrize("precision", QUANTIZED)
@pytest.mark.parametrize("name", ["gpt2", "llama", "xl-div2"])
def test_weights_of_zero(name: str, precision: str) -> None:
    needs(precision)
    weights = {weight.name: np.zeros(weight.shape, np.float32) for weight in lts.weights(ARCHITECTURES[name])}
    for got, expected in zip(*(logits(ARCHITECTURES[name], p, weights) for p in (precision, "float32")), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_weights_that_cannot_be_quantized_give_one_clear_sentence() -> None:
    architecture = ARCHITECTURES["gpt2"]
    weights = arrays(architecture)
    weights["layers.1.key.weight"] = np.full_like(weights["layers.1.key.weight"], np.nan)
    message = "cannot quantize 'layers.1.query_key_value.weight': it holds numbers that are not finite"
    for precision in QUANTIZED:
        for call in (
            lambda p: onnx_model(architecture, precision=p, weights=weights),
            lambda p: quantization_errors(architecture, p, weights),
        ):
            with pytest.raises(UsageError) as caught:
                call(precision)
            assert str(caught.value) == message
    with pytest.raises(UsageError, match="StructureOnly has no numbers of its own to quantize"):
        quantization_errors(architecture, "int8", StructureOnly())


def test_the_report_begins_with_the_worst_matrix() -> None:
    errors = [MatrixError("a.weight", 0.005, 0.0004), MatrixError("b.weight", 0.0812, 0.01), MatrixError("c", 0.006, 0)]
    assert error_report(errors, 2).splitlines() == [
        "matrix       relative  maximum",
        "b.weight       8.12 %     0.01",
        "c               0.6 %        0",
        "median of 3     0.6 %   0.0004",
    ]
    assert error_report([]) == "no matrices"
    found = quantization_errors(ARCHITECTURES["gpt2"], "int8")
    assert len(error_report(found, 1000).splitlines()) == len(found) + 2


def test_unknown_precisions(tmp_path: Path) -> None:
    message = "unknown precision 'int2'; expected one of float32, float16, int8, int4; did you mean 'int8'?"
    architecture = ARCHITECTURES["gpt2"]
    for call in (
        lambda: onnx_model(architecture, precision="int2"),
        lambda: export(architecture, tmp_path / "new", ["json"], precision="int2"),
        lambda: quantization_errors(architecture, "int2"),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value).startswith(message)
    assert not (tmp_path / "new").exists()
