"""Models with stored matrices, compiled by TVM: products against NumPy, models against ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from export_runner import arrays
from test_tvm_compile import ODD
from tvm_models import compiled_outputs, dims_of, error_of, expected_outputs

import lts
from lts.errors import UsageError
from lts.export import encodings, onnx_model
from lts.targets.target import Target, detect_target

pytest.importorskip("tvm", reason="apache-tvm is not installed")

import tvm
from tvm import te

from lts.backends.stored import without_rounding
from lts.backends.tvm import integers, products
from lts.backends.tvm.backend import Tvm
from lts.backends.tvm.compile import build
from lts.backends.tvm.intrinsics import Integers
from lts.backends.tvm.llvm_target import tvm_target
from lts.backends.tvm.onnx_model import fixed_model
from lts.backends.tvm.schedule import schedule_function, schedule_module
from lts.backends.tvm.tiles import Tiles, tiles_of

HERE = detect_target()
HOST = tvm_target(HERE)
MULTIPLIES = tiles_of(HOST).integers is not None
BOARDS = {
    "neon": Target("a72", "aarch64-linux-gnu", "cortex-a72", 4),
    "dotprod": Target("a76", "aarch64-linux-gnu", "cortex-a76", 4),
    "vnni": Target("server", "x86_64-linux-gnu", "icelake-server", 4),
    "avxvnni": Target("laptop", "x86_64-linux-gnu", "alderlake", 4),
}
SIZES = [(64, 64, 96), (6, 60, 100), (17, 33, 77), (1, 96, 300), (2, 5, 3)]

Array = np.ndarray[Any, Any]


def numbers(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def run(rule: Callable[..., Any], *arrays: Array, tiles: Tiles) -> Array:
    """The rule's expression, scheduled and compiled for this machine."""
    inputs = [te.placeholder(array.shape, str(array.dtype), f"x{i}") for i, array in enumerate(arrays)]
    result = rule(*inputs)
    function = te.create_prim_func([*inputs, result]).with_attr("global_symbol", "main")
    output = tvm.runtime.tensor(np.zeros([int(size) for size in result.shape], str(result.dtype)))
    tvm.compile(schedule_module(tvm.IRModule({"main": function}), tiles), HOST)["main"](
        *map(tvm.runtime.tensor, arrays), output
    )
    found: Array = output.numpy()
    return found


def in_8_bits(x: Array) -> Array:
    """Rows as they are multiplied: rounded to the nearest of 255 steps."""
    unit = np.abs(x).max(1, keepdims=True) / np.float32(127)
    result: Array = np.rint(x / np.where(unit == 0, 1, unit)) * unit
    return result


@pytest.mark.skipif(not MULTIPLIES, reason="this processor multiplies no integers of 8 bits")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_products_in_integers(m: int, k: int, n: int, threads: int) -> None:
    tiles = replace(tiles_of(HOST), threads=threads)
    kind = tiles.integers
    assert kind is not None
    x, weight = numbers(m, k), numbers(k, n)
    x[-1] = 0
    columns = tiles.of_integers(m, n)[1]
    values, scales = encodings.int8_values(weight), encodings.int8_scales(weight)
    panels = run(lambda w: integers.pack_int8(w, columns, kind), values, tiles=tiles)
    offsets = run(integers.column_sums, values, tiles=tiles)
    np.testing.assert_array_equal(offsets, 128 * values.sum(0, dtype=np.int32))
    result = run(
        lambda a, p, s, o: integers.int8_product(a, p, s, o, tiles, kind), x, panels, scales, offsets, tiles=tiles
    )
    np.testing.assert_allclose(result, in_8_bits(x) @ encodings.from_int8(values, scales), rtol=1e-3, atol=1e-3)

    rows = np.ascontiguousarray(weight.T)
    values, scales = encodings.int4_values(rows), encodings.int4_scales(rows)
    panels = run(lambda w: integers.pack_int4(w, columns, kind), values, tiles=tiles)
    packed = run(lambda s: integers.pack_scales(s, columns), scales, tiles=tiles)
    result = run(lambda a, p, s: integers.int4_product(a, p, s, n, tiles, kind), x, panels, packed, tiles=tiles)
    np.testing.assert_allclose(result, in_8_bits(x) @ encodings.from_int4(values, scales, k).T, rtol=1e-3, atol=1e-3)


# Tiles of processors that multiply no integers, on whichever processor this is.
CONVERTING = [
    pytest.param(Tiles(lanes=16, accumulators=16, rows=8), id="16-lanes"),
    pytest.param(Tiles(lanes=8, accumulators=12, rows=6, threads=2), id="8-lanes"),
    pytest.param(Tiles(lanes=4, accumulators=20, rows=5, steps=4), id="4-lanes"),
]


@pytest.mark.parametrize("tiles", CONVERTING)
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_products_that_convert_as_they_go(m: int, k: int, n: int, tiles: Tiles) -> None:
    x, weight = numbers(m, k), numbers(k, n)
    columns = tiles.of_product(m, n)[1]

    def converted(panels: Array) -> Array:
        return run(lambda a, p: products.packed_product(a, products.converted(p), n, tiles), x, panels, tiles=tiles)

    half = weight.astype(np.float16)
    panels = run(lambda w: products.pack(w, columns, False), half, tiles=tiles)
    assert panels.dtype == np.float16
    np.testing.assert_allclose(converted(panels), x @ half.astype(np.float32), rtol=1e-5, atol=1e-5)

    values, scales = encodings.int8_values(weight), encodings.int8_scales(weight)
    panels = run(lambda w: products.pack(w, columns, False), values, tiles=tiles)
    result = run(products.scaled, converted(panels), scales, tiles=tiles)
    np.testing.assert_allclose(result, x @ encodings.from_int8(values, scales), rtol=1e-4, atol=1e-4)

    rows = np.ascontiguousarray(weight.T)
    values, scales = encodings.int4_values(rows), encodings.int4_scales(rows)
    panels = run(lambda w: integers.pack_pairs(w, columns), values, tiles=tiles)
    packed = run(lambda s: integers.pack_scales(s, columns), scales, tiles=tiles)
    result = run(
        lambda a, p, s: products.packed_product(a, integers.unpacked(p, s), n, tiles), x, panels, packed, tiles=tiles
    )
    np.testing.assert_allclose(result, x @ encodings.from_int4(values, scales, k).T, rtol=1e-4, atol=1e-4)


def test_the_largest_and_smallest_numbers_are_exact() -> None:
    """Sums of products of the ends of the range: nothing saturates on the way."""
    tiles = tiles_of(HOST)
    if tiles.integers is None:
        pytest.skip("this processor multiplies no integers of 8 bits")
    kind, k = tiles.integers, 4096
    x = np.full((2, k), 127, np.float32)
    x[1] = -127
    values = np.full((k, 16), 127, np.int8)
    values[:, 8:] = -127
    columns = tiles.of_integers(2, 16)[1]
    panels = run(lambda w: integers.pack_int8(w, columns, kind), values, tiles=tiles)
    offsets = run(integers.column_sums, values, tiles=tiles)
    result = run(
        lambda a, p, s, o: integers.int8_product(a, p, s, o, tiles, kind),
        x,
        panels,
        np.ones(16, np.float32),
        offsets,
        tiles=tiles,
    )
    np.testing.assert_allclose(result, x.astype(np.float64) @ values, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "instruction", "fewest"),
    [
        ("vnni", "int8", r"vpdpbusd\s.*%zmm", 16),
        ("vnni", "int4", r"vpdpbusd\s.*%zmm", 16),
        ("avxvnni", "int8", r"vpdpbusd\s.*%ymm", 8),
        ("dotprod", "int8", r"sdot\s+v\d+\.4s, v\d+\.16b", 80),
        ("dotprod", "int4", r"sdot\s+v\d+\.4s, v\d+\.16b", 80),
        ("neon", "int8", r"sm(ull|lal)2\s", 16),
        ("neon", "int4", r"sm(ull|lal)2\s", 16),
    ],
)
def test_instructions_multiply_neighbors(name: str, kind: str, instruction: str, fewest: int) -> None:
    goal = tvm_target(BOARDS[name])
    tiles = tiles_of(goal)
    own = tiles.integers
    assert own is not None
    m, k, n = 64, 128, 256
    columns = tiles.of_integers(m, n)[1]
    x = te.placeholder((m, k), "float32", "x")
    if kind == "int8":
        weight = te.placeholder((k, n), "int8", "w")
        panels = te.placeholder(integers.pack_int8(weight, columns, own).shape, "int8", "p")
        scales = te.placeholder((n,), "float32", "s")
        result = integers.int8_product(x, panels, scales, None, tiles, own)
    else:
        weight = te.placeholder((n, k // 32, 16), "uint8", "w")
        panels = te.placeholder(integers.pack_int4(weight, columns, own).shape, "uint8", "p")
        scales = te.placeholder((-(-n // columns), k // 32, columns), "float32", "s")
        result = integers.int4_product(x, panels, scales, n, tiles, own)
    function = te.create_prim_func([x, panels, scales, result]).with_attr("global_symbol", "main")
    module = tvm.IRModule({"main": schedule_function(function, tiles)})
    text = tvm.tirx.build(module, goal).inspect_source("s")
    assert len(re.findall(instruction, text)) >= fewest


def test_which_processors_multiply_integers() -> None:
    kinds = {name: tiles_of(tvm_target(target)).integers for name, target in BOARDS.items()}
    assert {name: kind.name for name, kind in kinds.items() if kind} == {**{n: n for n in kinds}, "avxvnni": "vnni"}
    assert tiles_of(tvm_target(Target("old", "x86_64-linux-gnu", "x86-64-v4", 1))).integers is None
    features = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma", "avx512_vnni")
    named = Target("host", "x86_64-linux-gnu", "AMD EPYC", 1, features=features)
    assert tiles_of(tvm_target(named)).integers == Integers("vnni", 16)
    board = Target("board", "aarch64-linux-gnu", "ARMv8 Processor", 1, features=("asimd", "asimddp"))
    kind = tiles_of(tvm_target(board)).integers
    assert kind is not None
    assert kind.name == "dotprod"


def compiled(
    folder: Path, architecture: lts.Architecture, phase: str, precision: str, **target: Any
) -> tuple[list[Array], list[Array]]:
    """Outputs of the compiled model, and of ONNX Runtime where products take their rows as they are."""
    dims = dims_of(phase, 6, 2)
    model = onnx_model(architecture, phase, precision=precision, weights=arrays(architecture))
    path = folder / f"{precision}.onnx"
    path.write_bytes(model.SerializeToString())
    build(str(path), str(folder / "out"), {**asdict(HERE), **target}, phase, dims, architecture.vocab_size)
    without_rounding(model.graph)
    path.write_bytes(model.SerializeToString())
    return compiled_outputs(folder / "out", {}), expected_outputs(path, dims, architecture.vocab_size)


# Each family in one phase or the other.
MODELS = [("gpt2", "prefill"), ("gpt2-17", "decode"), ("llama", "decode"), ("gated", "prefill")]
MODELS += [("transformer_xl", "prefill"), ("transformer_xl", "decode")]


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize(("name", "phase"), MODELS)
def test_models_that_convert_are_those_of_the_rounded_weights(
    tmp_path: Path, name: str, phase: str, precision: str
) -> None:
    """Without instructions for integers, activations are not rounded: what is left is the order of sums."""
    outputs, expected = compiled(tmp_path, ODD[name], phase, precision, cpu="x86-64-v2")
    assert error_of(outputs, expected) < 1e-4


@pytest.mark.skipif(not MULTIPLIES, reason="this processor multiplies no integers of 8 bits")
@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize(("name", "phase"), MODELS)
def test_models_in_integers_round_their_activations(tmp_path: Path, name: str, phase: str, precision: str) -> None:
    """These weights amplify what is rounded; measured: up to 0.036."""
    outputs, expected = compiled(tmp_path, ODD[name], phase, precision)
    for output, right in zip(outputs, expected, strict=True):
        assert 0 < np.sqrt(np.mean((output - right) ** 2)) / right.std() < 0.1


@pytest.mark.parametrize(("name", "phase"), [("gpt2", "prefill"), ("llama", "decode"), ("transformer_xl", "decode")])
def test_models_in_float16_compute_in_float32(tmp_path: Path, name: str, phase: str) -> None:
    architecture, dims = ODD[name], dims_of(phase, 6, 2)
    given = arrays(architecture)
    path = tmp_path / "float16.onnx"
    path.write_bytes(onnx_model(architecture, phase, precision="float16", weights=given).SerializeToString())
    build(str(path), str(tmp_path / "out"), asdict(HERE), phase, dims, architecture.vocab_size)
    outputs = compiled_outputs(tmp_path / "out", {})
    same = tmp_path / "float32.onnx"
    halves = {name: array.astype(np.float16).astype(np.float32) for name, array in given.items()}
    same.write_bytes(onnx_model(architecture, phase, weights=halves).SerializeToString())
    assert all(output.dtype == np.float16 for output in outputs)
    assert error_of(outputs, expected_outputs(same, dims, architecture.vocab_size)) < 5e-3


def test_stored_matrices_are_the_weights_of_the_manifest(tmp_path: Path) -> None:
    """What is loaded is as small as what was exported."""
    architecture = ODD["gpt2"]
    for precision in ("int8", "int4"):
        path = tmp_path / f"{precision}.onnx"
        path.write_bytes(onnx_model(architecture, "prefill", precision=precision).SerializeToString())
        fixed = fixed_model(path, dims_of("prefill", 8))
        size = sum(int(np.prod(weight.shape)) * np.dtype(weight.dtype).itemsize for weight in fixed.weights)
        exported = sum(
            len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer if not tensor.name.startswith("const.")
        )
        assert size == pytest.approx(exported, rel=0.05)


def test_what_is_refused_before_anything_is_compiled() -> None:
    compiler = Tvm()
    for precision in ("int8", "int4"):
        compiler.check(replace(detect_target(), precision=precision))
    compiler.check(replace(BOARDS["neon"], precision="float16"))
    with pytest.raises(UsageError, match="float16 for aarch64; target 'server' is x86_64-linux-gnu: choose float32"):
        compiler.check(replace(BOARDS["vnni"], precision="float16"))
    with pytest.raises(UsageError, match="float32 models for a gpu; target 'h100' has precision int8"):
        compiler.check(Target("h100", "x86_64-linux-gnu", "sm_90", 1, kind="gpu", precision="int8"))
    compiler.close()
