"""Products with matrices of int8 and int4, in integers: rows of the left side are rounded to 8 bits as they come.

A row has one scale, by which its largest magnitude becomes 127. The right side lies in panels of groups of
neighbors along the inner dimension, which one instruction multiplies and adds up in each lane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lts.backends.tvm.intrinsics import Integers
from lts.backends.tvm.products import RULE, row_of_tile
from lts.backends.tvm.rows import reduce_row
from lts.backends.tvm.tiles import Tiles

_OFFSET = {"int8": 128, "int4": 8}
_LEAST = 1e-30  # largest magnitude of a row below which it counts as zeros
# Most products of a byte without and one with a sign whose sum fits into 32 bits.
MOST_INPUTS = (2**31 - 1) // (255 * 127)


def pack_int8(weight: Any, columns: int, kind: Integers) -> Any:
    """A matrix [K, N] as panels [N / columns, K / depth, columns, depth], with zeros at the ends."""
    from tvm import te, tirx

    k, n = (int(size) for size in weight.shape)
    groups, depth = _up(k, kind.step) // kind.depth, kind.depth

    def element(panel: Any, group: Any, column: Any, r: Any) -> Any:
        i, j = group * depth + r, panel * columns + column
        return _within(tirx, weight[i, j], "int8", [(i, k, groups * depth), (j, n, _up(n, columns))])

    return te.compute((-(-n // columns), groups, columns, depth), element, name="panels", attrs={RULE: "pack"})


def column_sums(weight: Any) -> Any:
    """Sums of the columns of an int8 matrix [K, N], times the offset of a left side without a sign; int32 [N]."""
    from tvm import te

    k = te.reduce_axis((0, weight.shape[0]), "k")
    return te.compute(
        (weight.shape[1],),
        lambda j: te.sum(weight[k, j].astype("int32") * _OFFSET["int8"], k),
        name="column_sums",
        attrs={RULE: "sums"},
    )


def pack_int4(weight: Any, columns: int, kind: Integers) -> Any:
    """Numbers of 4 bits [N, blocks, block / 2] as panels [N / columns, K / (2 depth), columns, depth].

    The low bits of a byte are of one group of neighbors, the high bits of the next.
    """
    from tvm import te, tirx

    n, blocks, pairs = (int(size) for size in weight.shape)
    depth = kind.depth
    both = blocks * pairs // depth

    def element(panel: Any, two: Any, column: Any, r: Any) -> Any:
        j = panel * columns + column

        def number(i: Any) -> Any:
            pair = weight[j, i // (2 * pairs), i // 2 % pairs]
            return (pair >> tirx.Cast("uint8", i % 2 * 4)) & tirx.const(15, "uint8")

        first = two * 2 * depth + r
        value = number(first) | (number(first + depth) << tirx.const(4, "uint8"))
        return _within(tirx, value, "uint8", [(j, n, _up(n, columns))])

    return te.compute((-(-n // columns), both, columns, depth), element, name="panels", attrs={RULE: "pack"})


def pack_scales(scales: Any, columns: int) -> Any:
    """Scales of blocks [N, blocks] as panels [N / columns, blocks, columns]."""
    from tvm import te, tirx

    n, blocks = (int(size) for size in scales.shape)

    def element(panel: Any, block: Any, column: Any) -> Any:
        j = panel * columns + column
        return _within(tirx, scales[j, block], "float32", [(j, n, _up(n, columns))])

    return te.compute((-(-n // columns), blocks, columns), element, name="scales", attrs={RULE: "pack"})


def int8_product(x: Any, panels: Any, scales: Any, offsets: Any | None, tiles: Tiles, kind: Integers) -> Any:
    """[M, K] times packed int8; [M, N].

    Parameters
    ----------
    x
        float32 [M, K].
    panels
        Of `pack_int8`.
    scales
        float32 [N].
    offsets
        Of `column_sums`, where the left side has no sign.
    """
    from tvm import te

    m = int(x.shape[0])
    n = int(scales.shape[0])
    count, groups, width, depth = (int(size) for size in panels.shape)
    rows, scale = _rounded(x, (groups, depth), kind.types("int8")[0], tiles)
    height = tiles.of_integers(m, n)[0]
    left = _left(rows, height, kind)
    group, r = te.reduce_axis((0, groups), "group"), te.reduce_axis((0, depth), "r")
    sums = te.compute(
        (count, -(-m // height), height, width),
        lambda jo, io, i, j: te.sum(
            left(io, i, group, r).astype("int32") * panels[jo, group, j, r].astype("int32"),
            [group, r],
        ),
        name="sums",
        attrs={RULE: "integers"},
    )

    def place(i: Any, j: Any) -> Any:
        total = sums[j // width, i // height, i % height, j % width]
        if offsets is not None:
            total = total - offsets[j]
        return total.astype("float32") * (scales[j] * scale(i))

    return te.compute((m, n), place, name="product")


def int4_product(x: Any, panels: Any, scales: Any, n: int, tiles: Tiles, kind: Integers) -> Any:
    """[M, K] times packed int4 with scales of blocks; [M, N].

    Parameters
    ----------
    x
        float32 [M, K].
    panels, scales
        Of `pack_int4` and `pack_scales`.
    n
        Columns of the result.
    """
    from tvm import te, tirx

    m = int(x.shape[0])
    count, both, width, depth = (int(size) for size in panels.shape)
    blocks = int(scales.shape[1])
    groups = 2 * both
    of_block = groups // blocks
    left_type, right = kind.types("int4")
    rows, scale = _rounded(x, (groups, depth), left_type, tiles)
    height = tiles.of_integers(m, n)[0]
    four = tirx.const(4, "uint8")

    def number(jo: Any, group: Any, j: Any, r: Any) -> Any:
        pair = panels[jo, group // 2, j, r]
        return tirx.Select(group % 2 == 0, pair & tirx.const(15, "uint8"), pair >> four).astype(right)

    numbers = te.compute((count, groups, width, depth), number, name="numbers", attrs={RULE: "unpack"})
    g, r = te.reduce_axis((0, of_block), "g"), te.reduce_axis((0, depth), "r")
    row_sums = te.compute(
        (m, blocks),
        lambda i, b: te.sum(rows[i, b * of_block + g, r].astype("int32") * _OFFSET["int4"], [g, r]),
        name="row_sums",
        attrs={RULE: "row_sums"},
    )
    left = _left(rows, height, kind)
    group, r = te.reduce_axis((0, of_block), "group"), te.reduce_axis((0, depth), "r")
    partial = te.compute(
        (count, -(-m // height), blocks, height, width),
        lambda jo, io, b, i, j: te.sum(
            left(io, i, b * of_block + group, r).astype("int32")
            * numbers[jo, b * of_block + group, j, r].astype("int32"),
            [group, r],
        ),
        name="partial",
        attrs={RULE: "integers"},
    )
    b = te.reduce_axis((0, blocks), "b")
    sums = te.compute(
        (count, -(-m // height), height, width),
        lambda jo, io, i, j: te.sum(
            (partial[jo, io, b, i, j] - row_sums[row_of_tile(io, i, height, m), b]).astype("float32")
            * scales[jo, b, j],
            b,
        ),
        name="sums",
        attrs={RULE: "blocks"},
    )
    return te.compute(
        (m, n),
        lambda i, j: sums[j // width, i // height, i % height, j % width] * scale(i),
        name="product",
    )


def pack_pairs(weight: Any, columns: int) -> Any:
    """Numbers of 4 bits [N, blocks, block / 2] as panels [N / columns, K / 2, columns], for `unpacked`."""
    from tvm import te, tirx

    n, blocks, pairs = (int(size) for size in weight.shape)

    def element(panel: Any, pair: Any, column: Any) -> Any:
        j = panel * columns + column
        return _within(tirx, weight[j, pair // pairs, pair % pairs], "uint8", [(j, n, _up(n, columns))])

    return te.compute((-(-n // columns), blocks * pairs, columns), element, name="panels", attrs={RULE: "pack"})


def unpacked(panels: Any, scales: Any) -> Any:
    """Panels of `pack_pairs` and `pack_scales` as float32 [N / columns, K, columns], for `packed_product`."""
    from tvm import te, tirx

    count, pairs, width = (int(size) for size in panels.shape)
    of_block = 2 * pairs // int(scales.shape[1])

    def number(jo: Any, k: Any, j: Any) -> Any:
        bits = (panels[jo, k // 2, j].astype("int32") >> (k % 2 * 4)) & tirx.const(15, "int32")
        return (bits - _OFFSET["int4"]).astype("float32") * scales[jo, k // of_block, j]

    return te.compute((count, 2 * pairs, width), number, name="numbers", attrs={RULE: "unpack"})


def _rounded(x: Any, shape: tuple[int, int], dtype: str, tiles: Tiles) -> tuple[Any, Any]:
    """Rows of x in units of their scales [M, *shape], and the scale of a row."""
    from tvm import te, tirx

    m, k = (int(size) for size in x.shape)
    groups, depth = shape
    size = groups * depth
    greatest = reduce_row([m, k], lambda *i: tirx.abs(x[i]), tiles.lanes, "max")
    least, most = tirx.const(_LEAST, "float32"), tirx.const(127, "float32")
    factor = te.compute((m, 1), lambda i, _: most / te.max(greatest(i), least), name="factor", attrs={RULE: "factor"})

    def element(i: Any, group: Any, r: Any) -> Any:
        column = group * depth + r
        value = x[i, column] if size == k else tirx.if_then_else(column < k, x[i, column], tirx.const(0, "float32"))
        number = tirx.nearbyint(value * factor[i, 0]).astype("int32")
        return (number + _OFFSET["int8"] if dtype == "uint8" else number).astype(dtype)

    rows = te.compute((m, groups, depth), element, name="rows", attrs={RULE: "rounded"})
    scale = te.compute((m,), lambda i: tirx.const(1, "float32") / factor[i, 0], name="scale", attrs={RULE: "scale"})
    return rows, lambda i: scale[i]


def _left(rows: Any, height: int, kind: Integers) -> Callable[..., Any]:
    """A function that reads a rounded number by tile, row of the tile, group, and place in the group."""
    from tvm import te

    m, groups, depth = (int(size) for size in rows.shape)
    if kind.loaded == 1 or groups % kind.loaded:
        return lambda tile, i, group, r: rows[row_of_tile(tile, i, height, m), group, r]
    stage = te.compute(
        (-(-m // height), groups // kind.loaded, height, kind.loaded, depth),
        lambda tile, more, i, group, r: rows[row_of_tile(tile, i, height, m), more * kind.loaded + group, r],
        name="left",
        attrs={RULE: "left"},
    )
    return lambda tile, i, group, r: stage[tile, group // kind.loaded, i, group % kind.loaded, r]


def _within(tirx: Any, value: Any, dtype: str, bounds: list[tuple[Any, int, int]]) -> Any:
    """The value, or 0 where an index is beyond its end; of indices with their ends and the most that they may be."""
    for index, end, most in bounds:
        if end < most:
            value = tirx.if_then_else(index < end, value, tirx.const(0, dtype))
    return value


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
