"""Attention over cached keys and values as TVM compiles it, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

tvm = pytest.importorskip("tvm", reason="TVM is not installed")

from lts.backends.tvm.attention import Attention, attention  # noqa: E402
from lts.backends.tvm.llvm_target import tvm_target  # noqa: E402
from lts.backends.tvm.lowering import CONFIG  # noqa: E402
from lts.backends.tvm.tiles import Tiles, tiles_of  # noqa: E402
from lts.targets.target import load_target  # noqa: E402

CAPACITY = 100


def expected(joined: Any, n_head: int, n_kv_head: int, width: int, frequencies: Any) -> Any:
    """Causal attention of all tokens at once, in float64."""
    tokens = len(joined)
    heads = joined.astype(np.float64).reshape(tokens, n_head + 2 * n_kv_head, width)
    query, key, value = np.split(heads, [n_head, n_head + n_kv_head], axis=1)
    if frequencies is not None:
        angle = np.arange(tokens)[:, None, None] * frequencies
        turn = np.exp(1j * angle)

        def turned(x: Any) -> Any:
            half = len(frequencies)
            both = (x[..., :half] + 1j * x[..., half : 2 * half]) * turn
            return np.concatenate([both.real, both.imag, x[..., 2 * half :]], axis=-1)

        query, key = turned(query), turned(key)
    group = n_head // n_kv_head
    scores = np.einsum("ihd,jhd->hij", query, key.repeat(group, axis=1)) / np.sqrt(width)
    scores[:, ~np.tri(tokens, dtype=bool)] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("hij,jhd->ihd", weights, value.repeat(group, axis=1)).reshape(tokens, -1)


@pytest.mark.parametrize(
    ("n_head", "n_kv_head", "width", "rotated"),
    [(4, 4, 16, 0), (6, 2, 10, 10), (3, 1, 25, 0), (8, 1, 2, 2), (4, 4, 16, 4), (2, 1, 25, 6)],
)
def test_pieces_are_one_pass(n_head: int, n_kv_head: int, width: int, rotated: int) -> None:
    goal = tvm_target(load_target("host"))
    tiles = tiles_of(goal)
    frequencies = (1e4 ** -(np.arange(0, rotated, 2) / rotated)).astype(np.float32) if rotated else None
    random = np.random.default_rng(1)
    joined = random.standard_normal((CAPACITY, (n_head + 2 * n_kv_head) * width)).astype(np.float32)
    functions = {}
    for tokens in (1, 9):
        layer = Attention(tokens, n_head, n_kv_head, width, CAPACITY, 1 / np.sqrt(width), rotated)
        with goal, tvm.transform.PassContext(opt_level=3, config=CONFIG):
            module = tvm.IRModule({"main": attention(layer, tiles).with_attr("global_symbol", "main")})
            functions[tokens] = tvm.compile(module, goal)
    # What was never written is not read: not a number stays out of sight.
    keys, values = (np.full(shape, np.nan, np.float32) for shape in layer.cache_shapes(tiles))
    values[..., width:] = 0.0
    cache = [tvm.runtime.tensor(array) for array in (keys, values)]
    more = [] if frequencies is None else [tvm.runtime.tensor(frequencies)]
    found = []
    while (past := sum(map(len, found))) < CAPACITY:
        tokens = 9 if past in (1, 30, 46, 91) else 1
        out = tvm.runtime.tensor(np.zeros((tokens, n_head * width), np.float32))
        new = tvm.runtime.tensor(joined[past : past + tokens])
        functions[tokens](new, tvm.runtime.tensor(np.array([past])), *cache, *more, out)
        found.append(out.numpy())
    np.testing.assert_allclose(
        np.concatenate(found), expected(joined, n_head, n_kv_head, width, frequencies), rtol=0, atol=5e-6
    )


def test_the_cache_has_room_for_whole_blocks() -> None:
    tiles = Tiles(lanes=8, accumulators=12, rows=6)
    keys, values = Attention(1, 2, 1, 12, 33, 1.0, 0).cache_shapes(tiles)
    assert (keys, values) == ((1, 3, 12, 16), (1, 48, 16))
