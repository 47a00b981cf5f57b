"""Products of matrices as tensor expressions in the tiles that `matmul` and `gemv` schedule.

Each computes its sums in a stage of its own that is laid out in tiles; the last stage has the layout that the model
expects, and takes what follows element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lts.backends.tvm.tiles import Tiles

# Annotation by which the schedule recognizes blocks.
RULE = "lts.rule"
# Largest number of rows of the right side whose dot products with a row of the left side are computed together.
_DOT_ROWS = 8


def pack(weight: Any, columns: int, transposed: bool) -> Any:
    """A weight [K, N], or if transposed [N, K], as panels [N / columns, K, columns], with zeros at the end."""
    from tvm import te, tirx

    n, k = weight.shape if transposed else (weight.shape[1], weight.shape[0])

    def element(panel: Any, row: Any, column: Any) -> Any:
        j = panel * columns + column
        value = weight[j, row] if transposed else weight[row, j]
        return value if n % columns == 0 else tirx.if_then_else(j < n, value, tirx.const(0, weight.dtype))

    return te.compute((-(-n // columns), k, columns), element, name="panels", attrs={RULE: "pack"})


def packed_product(x: Any, panels: Any, columns: int, tiles: Tiles) -> Any:
    """[M, K] times packed weights; [M, columns]."""
    from tvm import te

    m, inner = (int(size) for size in x.shape)
    height, width = tiles.of_product(m, columns)[0], int(panels.shape[2])
    k = te.reduce_axis((0, inner), "k")
    left = _left(x, height, tiles)
    sums = te.compute(
        (int(panels.shape[0]), -(-m // height), height, width),
        lambda jo, io, i, j: te.sum(left((), io, i, k) * panels[jo, k, j], k),
        name="sums",
        attrs={RULE: "tile"},
    )
    return te.compute((m, columns), lambda i, j: sums[j // width, i // height, i % height, j % width], name="product")


def converted(panels: Any) -> Any:
    """Packed weights of another type as float32, for `packed_product`, which converts them as it uses them."""
    from tvm import te

    return te.compute(panels.shape, lambda *i: panels[i].astype("float32"), name="numbers", attrs={RULE: "unpack"})


def scaled(product: Any, scales: Any) -> Any:
    """A product [M, N], its columns times scales [N]."""
    from tvm import te

    return te.compute(product.shape, lambda i, j: product[i, j] * scales[j], name="scaled")


def batched_product(x: Any, y: Any, transposed: bool, tiles: Tiles) -> Any:
    """Products of the matrices in x [..., M, K] and y [..., K, N], or if transposed y [..., N, K]; [..., M, N].

    The leading dimensions of y may be fewer than those of x, or 1.
    """
    from tvm import te, tirx

    *batch, m, inner = (int(size) for size in x.shape)
    n = int(y.shape[-2 if transposed else -1])
    height, width = tiles.of_product(m, n)
    k = te.reduce_axis((0, inner), "k")
    left = _left(x, height, tiles)
    right = _broadcast(y, len(batch))
    dims = len(batch)
    panels = -(-n // width)

    if transposed or n % width:

        def element(*index: Any) -> Any:
            j = index[dims] * width + index[dims + 2]
            value = (
                right(index[:dims], index[dims + 1], j) if not transposed else right(index[:dims], j, index[dims + 1])
            )
            return value if n % width == 0 else tirx.if_then_else(j < n, value, tirx.const(0, y.dtype))

        packed = te.compute((*batch, panels, inner, width), element, name="panels", attrs={RULE: "pack"})

        def operand(index: tuple[Any, ...], jo: Any, row: Any, j: Any) -> Any:
            return packed[(*index, jo, row, j)]
    else:

        def operand(index: tuple[Any, ...], jo: Any, row: Any, j: Any) -> Any:
            return right(index, row, jo * width + j)

    def sum_of(*index: Any) -> Any:
        lead, (jo, io, i, j) = index[:dims], index[dims:]
        return te.sum(left(lead, io, i, k) * operand(lead, jo, k, j), k)

    sums = te.compute((*batch, panels, -(-m // height), height, width), sum_of, name="sums", attrs={RULE: "tile"})

    def place(*index: Any) -> Any:
        i, j = index[dims:]
        return sums[(*index[:dims], j // width, i // height, i % height, j % width)]

    return te.compute((*batch, m, n), place, name="product")


def dot_product(x: Any, y: Any, tiles: Tiles) -> Any:
    """Products of the matrices in x [..., M, K] and y [..., N, K], of few rows M: [..., M, N].

    Every number is the sum over the lanes of a vector of partial sums; y, of any type, is read as it lies in memory.
    """
    from tvm import te

    *batch, m, inner = (int(size) for size in x.shape)
    n = int(y.shape[-2])
    dims, lanes = len(batch), tiles.lanes
    while lanes > inner:
        lanes //= 2
    whole = inner // lanes
    rest = range(whole * lanes, inner)
    height = next(height for height in (_DOT_ROWS, 4, 3, 2, 1) if n % height == 0 or height == 1)
    plain = str(y.dtype) == "float32"
    element = _broadcast(y, dims)

    def right(*index: Any) -> Any:
        return element(*index) if plain else element(*index).astype("float32")

    k = te.reduce_axis((0, whole), "k")
    shape = (*batch, m, n // height, height)

    def partial(*index: Any) -> Any:
        lead, (i, jo, j, lane) = index[:dims], index[dims:]
        return te.sum(x[(*lead, i, k * lanes + lane)] * right(lead, jo * height + j, k * lanes + lane), k)

    stage = te.compute((*shape, lanes), partial, name="sums", attrs={RULE: "dot"})
    while lanes > 1:
        lanes //= 2
        stage = _halved(te, stage, (*shape, lanes), lanes)

    def place(*index: Any) -> Any:
        lead, (i, j) = index[:dims], index[dims:]
        value = stage[(*lead, i, j // height, j % height, 0)]
        for row in rest:
            value = value + x[(*lead, i, row)] * right(lead, j, row)
        return value

    return te.compute((*batch, m, n), place, name="product")


def _halved(te: Any, stage: Any, shape: tuple[int, ...], lanes: int) -> Any:
    def pair(*index: Any) -> Any:
        return stage[index] + stage[(*index[:-1], index[-1] + lanes)]

    return te.compute(shape, pair, name=f"half{lanes}", attrs={RULE: "half"})


def _left(x: Any, height: int, tiles: Tiles) -> Callable[..., Any]:
    """A function that reads an element of x by the leading indices, a tile, a row of the tile, and a column."""
    from tvm import te

    *batch, m, inner = (int(size) for size in x.shape)
    if tiles.steps == 1 or inner % tiles.steps:
        return lambda lead, tile, i, k: x[(*lead, row_of_tile(tile, i, height, m), k)]

    def element(*index: Any) -> Any:
        tile, ko, i, ki = index[len(batch) :]
        return x[(*index[: len(batch)], row_of_tile(tile, i, height, m), ko * tiles.steps + ki)]

    shape = (*batch, -(-m // height), inner // tiles.steps, height, tiles.steps)
    stage = te.compute(shape, element, name="left", attrs={RULE: "left"})
    return lambda lead, tile, i, k: stage[(*lead, tile, k // tiles.steps, i, k % tiles.steps)]


def row_of_tile(tile: Any, i: Any, height: int, rows: int) -> Any:
    """Index of a row of a tile; the last row is repeated where a tile ends after it."""
    from tvm import te

    return tile * height + i if rows % height == 0 else te.min(tile * height + i, rows - 1)


def _broadcast(y: Any, dims: int) -> Callable[..., Any]:
    """A function that reads an element of y by the leading indices of an operand with `dims` of them."""
    lead = [int(size) for size in y.shape[:-2]]

    def element(index: tuple[Any, ...], row: Any, column: Any) -> Any:
        own = index[dims - len(lead) :] if lead else ()
        return y[(*(0 if size == 1 else i for size, i in zip(lead, own, strict=True)), row, column)]

    return element
