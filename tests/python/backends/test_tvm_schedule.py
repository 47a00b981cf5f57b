"""Every schedule rule against NumPy, and what the compiled code looks like."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tvm", reason="apache-tvm is not installed")

import tvm
from tvm import te

from lts.backends.tvm import approximate, products, rows
from lts.backends.tvm.llvm_target import tvm_target
from lts.backends.tvm.schedule import schedule_function, schedule_module
from lts.backends.tvm.tiles import Tiles, tiles_of
from lts.errors import UsageError
from lts.targets.target import Target, detect_target

HOST = tvm_target(detect_target())
V2 = Target("old", "x86_64-linux-gnu", "x86-64-v2", 1)
V3 = Target("laptop", "x86_64-linux-gnu", "x86-64-v3", 1)
V4 = Target("server", "x86_64-linux-gnu", "x86-64-v4", 1)
PI = Target("pi", "aarch64-linux-gnu", "cortex-a72", 4)

Array = np.ndarray[Any, Any]
Rule = Callable[..., Any]


def numbers(*shape: int) -> Array:
    return np.random.default_rng(len(shape) * 1000 + sum(shape)).standard_normal(shape).astype(np.float32)


def function_of(rule: Rule, shapes: list[tuple[int, ...]], dtype: str = "float32") -> Any:
    inputs = [te.placeholder(shape, dtype, f"x{i}") for i, shape in enumerate(shapes)]
    return te.create_prim_func([*inputs, rule(*inputs)])


def run(rule: Rule, arrays: list[Array], tiles: Tiles) -> Array:
    """The rule's expression, scheduled and compiled for this machine."""
    function = function_of(rule, [array.shape for array in arrays], str(arrays[0].dtype))
    shape = tuple(int(size) for size in function.params[-1].shape)
    scheduled = schedule_module(tvm.IRModule({"main": function.with_attr("global_symbol", "main")}), tiles)
    output = tvm.runtime.tensor(np.zeros(shape, arrays[0].dtype))
    tvm.compile(scheduled, HOST)["main"](*map(tvm.runtime.tensor, arrays), output)
    result: Array = output.numpy()
    return result


def assembly(rule: Rule, shapes: list[tuple[int, ...]], target: Target) -> str:
    goal = tvm_target(target)
    function = schedule_function(function_of(rule, shapes), tiles_of(goal, target.threads))
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    with tvm.transform.PassContext(config={"tirx.disable_assert": True}):
        text: str = tvm.tirx.build(module, goal).inspect_source("s")
    return text


# Tiles of the processors there are, on whichever processor this is: AVX-512, AVX2 and NEON.
EVERY = [
    pytest.param(Tiles(lanes=16, accumulators=16, rows=8), id="16-lanes"),
    pytest.param(Tiles(lanes=8, accumulators=12, rows=6), id="8-lanes"),
    pytest.param(Tiles(lanes=4, accumulators=20, rows=5, steps=4), id="4-lanes"),
    pytest.param(Tiles(lanes=8, accumulators=12, rows=6, threads=2), id="threads"),
]


@pytest.mark.parametrize("tiles", EVERY)
@pytest.mark.parametrize(("m", "k", "n"), [(128, 64, 96), (6, 60, 100), (17, 33, 77), (1, 64, 300), (2, 5, 3)])
@pytest.mark.parametrize("transposed", [False, True])
def test_product_with_a_packed_weight(tiles: Tiles, m: int, k: int, n: int, transposed: bool) -> None:
    x, weight = numbers(m, k), numbers(k, n)
    columns = tiles.of_product(m, n)[1]
    stored = np.ascontiguousarray(weight.T) if transposed else weight
    panels = run(lambda w: products.pack(w, columns, transposed), [stored], tiles)
    assert panels.shape == (-(-n // columns), k, columns)
    padded = np.zeros((k, panels.shape[0] * columns), np.float32)
    padded[:, :n] = weight
    np.testing.assert_array_equal(panels, padded.reshape(k, -1, columns).transpose(1, 0, 2))
    result = run(lambda a, p: products.packed_product(a, p, n, tiles), [x, panels], tiles)
    np.testing.assert_allclose(result, x @ weight, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tiles", EVERY)
@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3, 18, 20), (2, 3, 20, 33)), ((1, 4, 6, 17), (4, 17, 16)), ((2, 2, 7, 16), (1, 16, 16)), ((1, 8), (8, 9))],
)
@pytest.mark.parametrize("transposed", [False, True])
def test_product_of_batches(tiles: Tiles, left: tuple[int, ...], right: tuple[int, ...], transposed: bool) -> None:
    x, y = numbers(*left), numbers(*right)
    stored = np.ascontiguousarray(np.swapaxes(y, -1, -2)) if transposed else y
    result = run(lambda a, b: products.batched_product(a, b, transposed, tiles), [x, stored], tiles)
    np.testing.assert_allclose(result, x @ y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tiles", EVERY)
@pytest.mark.parametrize(("left", "right"), [((2, 3, 2, 20), (2, 3, 33, 20)), ((1, 64), (100, 64)), ((1, 17), (7, 17))])
def test_dot_products(tiles: Tiles, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x, y = numbers(*left), numbers(*right)
    result = run(lambda a, b: products.dot_product(a, b, tiles), [x, y], tiles)
    np.testing.assert_allclose(result, x @ np.swapaxes(y, -1, -2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tiles", EVERY)
def test_what_follows_a_product_is_part_of_its_tiles(tiles: Tiles) -> None:
    x, y, bias = numbers(12, 32), numbers(32, 40), numbers(40)

    def rule(a: Any, b: Any, c: Any) -> Any:
        product = products.batched_product(a, b, False, tiles)
        shifted = te.compute((12, 40), lambda i, j: product[i, j] + c[j], name="shifted")
        return te.compute((12, 40), lambda i, j: approximate.tanh(shifted[i, j]), name="bent")

    np.testing.assert_allclose(run(rule, [x, y, bias], tiles), np.tanh(x @ y + bias), rtol=1e-5, atol=1e-6)
    text = schedule_function(function_of(rule, [(12, 32), (32, 40), (40,)]), tiles).script()
    assert "bent" in text
    assert "shifted" not in text


SHAPES = [(3, 5, 64), (2, 129), (4, 100), (3, 7), (2, 1), (2, 1000)]


@pytest.mark.parametrize("tiles", EVERY)
@pytest.mark.parametrize("shape", SHAPES)
def test_softmax(tiles: Tiles, shape: tuple[int, ...]) -> None:
    x = 10 * numbers(*shape)
    x[0, ..., : shape[-1] // 2] = -1e30  # masked
    powers = np.exp(x - x.max(-1, keepdims=True), dtype=np.float64)
    expected = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(run(lambda a: rows.softmax(a, tiles.lanes), [x], tiles), expected, rtol=2e-6, atol=1e-30)
    result = run(lambda a: rows.softmax(a, tiles.lanes, logarithm=True), [x], tiles)
    seen = expected > 0
    np.testing.assert_allclose(result[seen], np.log(expected[seen]), rtol=1e-5, atol=1e-5)
    assert np.isfinite(result).all()


@pytest.mark.parametrize("tiles", EVERY)
@pytest.mark.parametrize("shape", SHAPES)
def test_norms(tiles: Tiles, shape: tuple[int, ...]) -> None:
    x, scale, bias = numbers(*shape) + 3, numbers(shape[-1]), numbers(shape[-1])
    wide = x.astype(np.float64)
    result = run(lambda a, s, b: rows.layer_norm(a, s, b, 1e-5, tiles.lanes), [x, scale, bias], tiles)
    variance = wide.var(-1, keepdims=True)
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(variance + 1e-5) * scale + bias
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
    result = run(lambda a, s: rows.rms_norm(a, s, 1e-6, tiles.lanes), [x, scale], tiles)
    expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-6) * scale
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_running_sum() -> None:
    x = np.arange(26, dtype=np.int64).reshape(2, 13) % 5
    np.testing.assert_array_equal(run(rows.running_sum, [x], tiles_of(HOST)), np.cumsum(x, 1))


@pytest.mark.parametrize(
    ("name", "low", "high", "absolute"),
    [("exp", -87, 88.7, 0), ("tanh", -12, 12, 0), ("sigmoid", -30, 30, 0), ("sin", -4000, 4000, 2e-7),
     ("cos", -4000, 4000, 2e-7), ("erf", -6, 6, 0)],
)  # fmt: skip
def test_approximations(name: str, low: float, high: float, absolute: float) -> None:
    x = np.concatenate([np.linspace(low, high, 20001), np.linspace(-1, 1, 2001)]).astype(np.float32)
    own = {"sigmoid": lambda v: 1 / (1 + np.exp(-v)), "erf": np.vectorize(math.erf)}
    exact = own.get(name) or getattr(np, name)
    rule = lambda a: te.compute(a.shape, lambda i: getattr(approximate, name)(a[i]))  # noqa: E731
    result = run(rule, [x], tiles_of(HOST))
    np.testing.assert_allclose(result, exact(x.astype(np.float64)), rtol=1e-6, atol=absolute or 1e-37)


def test_approximations_at_the_ends() -> None:
    x = np.array([-np.inf, -1000, 1000, np.inf, np.nan], np.float32)
    exp = run(lambda a: te.compute(a.shape, lambda i: approximate.exp(a[i])), [x], tiles_of(HOST))
    np.testing.assert_allclose(exp[:2], 0, atol=1e-37)
    assert exp[2] == exp[3] == np.inf
    assert np.isnan(exp[4])
    for bounded in (approximate.tanh, approximate.erf):
        ends = run(lambda a: te.compute(a.shape, lambda i: bounded(a[i])), [x], tiles_of(HOST))  # noqa: B023
        np.testing.assert_allclose(ends[:4], [-1, -1, 1, 1], rtol=1e-6)
        assert np.isnan(ends[4])


def product_of(target: Target) -> tuple[Rule, list[tuple[int, ...]]]:
    tiles = tiles_of(tvm_target(target))
    return lambda a, b: products.batched_product(a, b, False, tiles), [(64, 64), (64, 96)]


@pytest.mark.parametrize(
    ("target", "multiply", "fewest"),
    [
        (V2, r"mulps\s", 8),
        (V3, r"vfmadd\w+ps\s.*%ymm", 12),
        (V4, r"vfmadd\w+ps\s.*%zmm", 16),
        (PI, r"fmla\s+v\d+\.4s", 80),
    ],
)
def test_products_keep_their_sums_in_vector_registers(target: Target, multiply: str, fewest: int) -> None:
    rule, shapes = product_of(target)
    text = assembly(rule, shapes, target)
    assert len(re.findall(multiply, text)) >= fewest


def test_the_inner_loop_for_arm_multiplies() -> None:
    """At least 75 of every 100 instructions of the loop: what is left loads operands."""
    rule, shapes = product_of(PI)
    lines = [line.strip() for line in assembly(rule, shapes, PI).splitlines()]
    loops = re.split(r"\n\.LBB\w+:", "\n".join(lines))
    inner = max(loops, key=lambda loop: loop.count("fmla"))
    inner = inner[: inner.index("b.ne")]
    instructions = [line for line in inner.splitlines() if line and line[0] not in ".#/" and not line.endswith(":")]
    assert inner.count("fmla") >= 0.75 * len(instructions)


@pytest.mark.parametrize(
    ("rule", "shapes"),
    [
        (lambda a: rows.softmax(a, 8), [(4, 129)]),
        (lambda a, s, b: rows.layer_norm(a, s, b, 1e-5, 8), [(4, 100), (100,), (100,)]),
        (lambda a: te.compute(a.shape, lambda i, j: approximate.tanh(a[i, j])), [(4, 100)]),
    ],
)
def test_rows_and_elements_are_vectors(rule: Rule, shapes: list[tuple[int, ...]]) -> None:
    text = assembly(rule, shapes, V3)
    assert len(re.findall(r"v(fmadd\w+|mul|add|sub)ps\s.*%ymm", text)) >= 3
    assert "expf" not in text
    assert "tanhf" not in text


def test_threads_share_the_outer_loop() -> None:
    alone, together = Tiles(8, 12, 6), Tiles(8, 12, 6, threads=2)
    function = function_of(lambda a, b: products.batched_product(a, b, False, together), [(64, 64), (64, 96)])
    assert "T.parallel" not in schedule_function(function, alone).script()
    assert "T.parallel" in schedule_function(function, together).script()


def test_tiles() -> None:
    assert tiles_of(tvm_target(V4)).of_product(128, 768) == (8, 32)
    assert tiles_of(tvm_target(V3)).of_product(128, 768) == (6, 16)
    assert tiles_of(tvm_target(PI)).of_product(128, 768) == (5, 16)
    assert Tiles(16, 16, 8).of_product(9, 768)[0] == 5  # two tiles of 5 rather than 8 and 1
    assert Tiles(16, 16, 8).of_product(8, 20) == (8, 32)
    assert Tiles(16, 16, 8).of_product(1, 768)[1] >= 64
    assert Tiles(16, 16, 8).of_product(8, 3)[1] == 16


def test_targets() -> None:
    assert str(tvm_target(PI).attrs["mcpu"]) == "cortex-a72"
    flags = (
        "fpu",
        "avx2",
        "fma",
        "bmi1",
        "bmi2",
        "f16c",
        "movbe",
        "avx512f",
        "avx512bw",
        "avx512cd",
        "avx512dq",
        "avx512vl",
    )
    named = Target("host", "x86_64-linux-gnu", "AMD EPYC", 1, features=flags)
    assert str(tvm_target(named).attrs["mcpu"]) == "x86-64-v4"
    assert (
        str(tvm_target(Target("host", "x86_64-linux-gnu", "Some Core", 1, features=flags[:7])).attrs["mcpu"])
        == "x86-64-v3"
    )
    assert (
        str(tvm_target(Target("host", "x86_64-linux-gnu", "Some Core", 1, features=("fpu",))).attrs["mcpu"]) == "x86-64"
    )
    board = tvm_target(Target("board", "aarch64-linux-gnu", "ARMv8 Processor", 1, features=("fp", "asimd", "asimddp")))
    assert str(board.attrs["mcpu"]) == "generic"
    assert {str(feature) for feature in board.attrs["mattr"]} == {"+neon", "+dotprod"}
    assert str(tvm_target(Target("h100", "x86_64-linux-gnu", "sm_90", 1, kind="gpu")).attrs["arch"]) == "sm_90"
    with pytest.raises(UsageError, match="cpu is 'gfx90a'; TVM compiles for NVIDIA gpus"):
        tvm_target(Target("amd", "x86_64-linux-gnu", "gfx90a", 1, kind="gpu"))
    with pytest.raises(UsageError, match="LLVM does not know the cpu 'raspberry'"):
        tvm_target(Target("pi", "aarch64-linux-gnu", "raspberry", 1))
    with pytest.raises(UsageError, match="TVM's LLVM does not compile for pdp11-linux"):
        tvm_target(Target("old", "pdp11-linux", "pdp11", 1))
