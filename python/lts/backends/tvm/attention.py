"""Attention over cached keys and values as one TensorIR function: its loops end where the used part of the cache does.

Everything else in a decoder has the same sizes at every context. So a library with this function serves any context at
the cost of that context, without masks over what is not there yet, and without code for several contexts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lts.backends.tvm import approximate
from lts.backends.tvm.tiles import Tiles

_MASKED = -1e30
_OPAQUE = 8  # TVM's number for what is not fused


@dataclass(frozen=True)
class Attention:
    """The attention of a layer, with its cache.

    Attributes
    ----------
    tokens
        New tokens.
    n_head, n_kv_head, width
        Query heads, key-value heads, and numbers of each head.
    capacity
        Tokens that the cache has room for, at least; see `cache_shapes`.
    scale
        What scores are multiplied with.
    rotated
        How many numbers of each query and key are rotated by their positions, the first ones; 0 for none. Otherwise
        frequencies are one argument more.
    """

    tokens: int
    n_head: int
    n_kv_head: int
    width: int
    capacity: int
    scale: float
    rotated: int

    def cache_shapes(self, tiles: Tiles) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of keys and values: [heads, blocks, width, tokens of a block], [heads, tokens, width and padding].

        A block's keys lie side by side, so that the scores of as many tokens are lanes of a few vectors. The padding
        of values is zero, and so is the cache before its first use.
        """
        block = _block(tiles)
        blocks = -(-self.capacity // block)
        padded = -(-self.width // tiles.lanes) * tiles.lanes
        return (self.n_kv_head, blocks, self.width, block), (self.n_kv_head, blocks * block, padded)


def _block(tiles: Tiles) -> int:
    """Tokens in a block of keys: as many vectors as fill the registers with a few rows of queries."""
    return tiles.lanes * (4 if tiles.lanes <= 4 else 2)


def attention(layer: Attention, tiles: Tiles) -> Any:
    """A `tvm.tirx.PrimFunc` of (joined, past_length, keys, values, frequencies, mixed), the fifth only where some are
    `rotated`.

    `joined` is float32 [tokens, (n_head + 2 n_kv_head) * width]: queries, keys and values of the new tokens;
    `past_length` int64 [1], the tokens in the cache; `frequencies` [rotated / 2]; `mixed` is [tokens, n_head * width].
    New keys and values are written behind those in the cache, which is an argument that changes.
    """
    from tvm.script import tirx as T  # noqa: N812  (its name in all scripts of TVM)

    tokens, n_head, n_kv, width = layer.tokens, layer.n_head, layer.n_kv_head, layer.width
    keys_shape, values_shape = layer.cache_shapes(tiles)
    lanes, block, room, padded = tiles.lanes, keys_shape[-1], values_shape[1], values_shape[-1]
    vectors = block // lanes
    group, half = n_head // n_kv, layer.rotated // 2
    rows = tokens * group  # that share keys and values
    height = min(rows, max(1, tiles.accumulators // vectors))
    n_tiles = -(-rows // height)
    strip = _divisor(padded // lanes, max(1, tiles.accumulators // height))  # vectors of values at a time
    n_strips = padded // lanes // strip
    loop = T.parallel if tiles.threads > 1 else T.serial
    exp, sin, cos = approximate.exp_of_negative, approximate.sin, approximate.cos
    scale = layer.scale

    @T.inline  # type: ignore[untyped-decorator]
    def remember(
        joined: Any, past: Any, keys: Any, values: Any, queries: Any, cosines: Any, sines: Any
    ) -> None:  # queries are scaled, and as keys rotated: Su et al. 2021
        for i, head in T.grid(tokens, n_head):
            if half > 0:
                for d in range(half):
                    queries[i, head, d] = scale * (
                        joined[i, head * width + d] * cosines[i, d] - joined[i, head * width + d + half] * sines[i, d]
                    )
                for d in range(half):
                    queries[i, head, d + half] = scale * (
                        joined[i, head * width + d + half] * cosines[i, d] + joined[i, head * width + d] * sines[i, d]
                    )
            if 2 * half < width:
                for d in range(2 * half, width):
                    queries[i, head, d] = scale * joined[i, head * width + d]
        for i, head in T.grid(tokens, n_kv):
            if half > 0:
                for d in range(half):
                    keys[head, (past + i) // block, d, (past + i) % block] = (
                        joined[i, (n_head + head) * width + d] * cosines[i, d]
                        - joined[i, (n_head + head) * width + d + half] * sines[i, d]
                    )
                    keys[head, (past + i) // block, d + half, (past + i) % block] = (
                        joined[i, (n_head + head) * width + d + half] * cosines[i, d]
                        + joined[i, (n_head + head) * width + d] * sines[i, d]
                    )
            if 2 * half < width:
                for d in range(2 * half, width):
                    keys[head, (past + i) // block, d, (past + i) % block] = joined[i, (n_head + head) * width + d]
            for d in range(width):
                values[head, past + i, d] = joined[i, (n_head + n_kv + head) * width + d]

    @T.inline  # type: ignore[untyped-decorator]
    def attend(past: Any, queries: Any, keys: Any, values: Any, mixed: Any) -> None:
        for head in loop(n_kv):
            for tile in range(n_tiles):
                scores = T.alloc_buffer((height, room), "float32")
                sums = T.alloc_buffer((height, block), "float32")
                greatest = T.alloc_buffer((height, lanes), "float32")
                total = T.alloc_buffer((height, lanes), "float32")
                outputs = T.alloc_buffer((height, strip * lanes), "float32")
                # The last tile repeats the last row.
                last: T.let[T.int32] = past + T.min(tile * height + height - 1, rows - 1) // group
                for a in T.unroll(height):
                    greatest[a, T.ramp(0, 1, lanes)] = T.broadcast(T.float32(_MASKED), lanes)
                    total[a, T.ramp(0, 1, lanes)] = T.broadcast(T.float32(0), lanes)
                for b in range(last // block + 1):
                    for a, v in T.grid(height, vectors):
                        sums[a, T.ramp(v * lanes, 1, lanes)] = T.broadcast(T.float32(0), lanes)
                    for d in range(width):
                        for a in T.unroll(height):
                            for v in T.unroll(vectors):
                                for lane in T.vectorized(lanes):
                                    sums[a, v * lanes + lane] = sums[a, v * lanes + lane] + (
                                        queries[
                                            T.min(tile * height + a, rows - 1) // group,
                                            head * group + T.min(tile * height + a, rows - 1) % group,
                                            d,
                                        ]
                                        * keys[head, b, d, v * lanes + lane]
                                    )
                    for a in T.unroll(height):
                        for v in T.unroll(vectors):
                            for lane in T.vectorized(lanes):
                                scores[a, b * block + v * lanes + lane] = T.Select(
                                    b * block + v * lanes + lane <= past + T.min(tile * height + a, rows - 1) // group,
                                    sums[a, v * lanes + lane],
                                    T.float32(_MASKED),
                                )
                            for lane in T.vectorized(lanes):
                                greatest[a, lane] = T.max(greatest[a, lane], scores[a, b * block + v * lanes + lane])
                for a in T.unroll(height):
                    for other in range(1, lanes):
                        greatest[a, 0] = T.max(greatest[a, 0], greatest[a, other])
                    for b in range((last // block + 1) * vectors):
                        for lane in T.vectorized(lanes):
                            scores[a, b * lanes + lane] = exp(scores[a, b * lanes + lane] - greatest[a, 0])
                        for lane in T.vectorized(lanes):
                            total[a, lane] = total[a, lane] + scores[a, b * lanes + lane]
                    for other in range(1, lanes):
                        total[a, 0] = total[a, 0] + total[a, other]
                for part in range(n_strips):
                    for a, v in T.grid(height, strip):
                        outputs[a, T.ramp(v * lanes, 1, lanes)] = T.broadcast(T.float32(0), lanes)
                    for t in range(last + 1):
                        for a in T.unroll(height):
                            for v in T.unroll(strip):
                                for lane in T.vectorized(lanes):
                                    outputs[a, v * lanes + lane] = outputs[a, v * lanes + lane] + (
                                        scores[a, t] * values[head, t, (part * strip + v) * lanes + lane]
                                    )
                    for a, d in T.grid(height, strip * lanes):
                        if part * strip * lanes + d < width:
                            mixed[
                                T.min(tile * height + a, rows - 1) // group,
                                (head * group + T.min(tile * height + a, rows - 1) % group) * width
                                + part * strip * lanes
                                + d,
                            ] = outputs[a, d] / total[a, 0]

    joined_shape, mixed_shape = (tokens, (n_head + 2 * n_kv) * width), (tokens, n_head * width)
    if layer.rotated:

        @T.prim_func(private=True, s_tir=True)  # type: ignore[untyped-decorator]
        def function(x: T.handle, p: T.handle, k: T.handle, v: T.handle, f: T.handle, y: T.handle) -> None:
            joined = T.match_buffer(x, joined_shape, "float32")
            past_length = T.match_buffer(p, (1,), "int64")
            keys = T.match_buffer(k, keys_shape, "float32")
            values = T.match_buffer(v, values_shape, "float32")
            frequencies = T.match_buffer(f, (half,), "float32")
            mixed = T.match_buffer(y, mixed_shape, "float32")
            queries = T.alloc_buffer((tokens, n_head, width), "float32")
            cosines = T.alloc_buffer((tokens, half), "float32")
            sines = T.alloc_buffer((tokens, half), "float32")
            past: T.let[T.int32] = T.Cast("int32", past_length[0])
            for i, d in T.grid(tokens, half):
                cosines[i, d] = cos(T.Cast("float32", past + i) * frequencies[d])
                sines[i, d] = sin(T.Cast("float32", past + i) * frequencies[d])
            remember(joined, past, keys, values, queries, cosines, sines)
            attend(past, queries, keys, values, mixed)

    else:

        @T.prim_func(private=True, s_tir=True)  # type: ignore[untyped-decorator]
        def function(x: T.handle, p: T.handle, k: T.handle, v: T.handle, y: T.handle) -> None:
            joined = T.match_buffer(x, joined_shape, "float32")
            past_length = T.match_buffer(p, (1,), "int64")
            keys = T.match_buffer(k, keys_shape, "float32")
            values = T.match_buffer(v, values_shape, "float32")
            mixed = T.match_buffer(y, mixed_shape, "float32")
            queries = T.alloc_buffer((tokens, n_head, width), "float32")
            past: T.let[T.int32] = T.Cast("int32", past_length[0])
            remember(joined, past, keys, values, queries, queries, queries)
            attend(past, queries, keys, values, mixed)

    return function.with_attr("tirx.is_scheduled", True).with_attr("op_pattern", _OPAQUE)


def _divisor(number: int, most: int) -> int:
    """The largest divisor that is at most `most`."""
    return next(size for size in range(min(number, most), 0, -1) if number % size == 0)
