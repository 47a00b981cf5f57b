"""Schedules of products in integers: as `matmul`, with instructions that multiply four neighbors at a time."""

from __future__ import annotations

from typing import Any

from lts.backends.tvm.elementwise import vectorize
from lts.backends.tvm.intrinsics import Integers
from lts.backends.tvm.reduction import schedule_rows
from lts.backends.tvm.tiles import Tiles


def schedule_integers(sch: Any, blocks: dict[str, list[Any]], last: Any, tiles: Tiles, integers: Integers) -> None:
    """Schedule a product of `lts.backends.tvm.integers`.

    Parameters
    ----------
    sch
        A `tvm.s_tir.Schedule`.
    blocks
        Its blocks by their rules.
    last
        The block that writes the output, into which what follows has been inlined.
    """
    (partial,) = blocks["integers"]
    unpacked = blocks.get("unpack")
    height, width = (int(sch.get(loop).extent) for loop in sch.get_loops(partial)[-4:-2])
    _schedule_rounding(sch, blocks, tiles)
    i, j = sch.get_loops(last)
    io, ii = sch.split(i, [None, height])
    jo, ji = sch.split(j, [None, width])
    sch.reorder(jo, io, ii, ji)
    reductions = []
    place = io
    for block in blocks.get("blocks", []):
        sch.compute_at(block, io, preserve_unit_loops=True)
        row, column, place = sch.get_loops(block)[-3:]
        vectors, lane = sch.split(column, [None, tiles.lanes])
        sch.reorder(place, row, vectors, lane)
        sch.unroll(row)
        sch.unroll(vectors)
        sch.vectorize(lane)
        reductions.append((block, place))
    sch.compute_at(partial, place, preserve_unit_loops=True)
    row, column, group, r = sch.get_loops(partial)[-4:]
    vectors, lane = sch.split(column, [None, integers.lanes])
    # Two groups at a time or more: both halves of a byte are used at once, and fewer jumps are taken.
    lefts = blocks.get("left", [])
    n_groups = int(sch.get(group).extent)
    group, step = sch.split(group, [None, integers.loaded if lefts else 2 if n_groups % 2 == 0 else 1])
    inner = [step, row, vectors] if integers.groups == 1 else [row, vectors, step]
    sch.reorder(group, *inner, lane, r)
    for loop in inner if integers.groups == 1 else inner[:-1]:
        sch.unroll(loop)
    for block in lefts:
        sch.compute_at(block, group, preserve_unit_loops=True)
        row, *inside = sch.get_loops(block)[-3:]
        sch.unroll(row)
        sch.vectorize(sch.fuse(*inside))
    for block in unpacked or []:
        sch.compute_at(block, group, preserve_unit_loops=True)
        pair, column, depth = sch.get_loops(block)[-3:]
        sch.unroll(pair)
        sch.vectorize(sch.split(sch.fuse(column, depth), [None, integers.lanes * integers.depth])[1])
    vectorize(sch, last, ji, tiles)
    if tiles.threads > 1:
        sch.parallel(jo)
    for block, loop in reductions:
        sch.decompose_reduction(block, loop)
    start = sch.decompose_reduction(partial, group)
    row, vectors, lanes = sch.get_loops(start)[-3:]
    sch.unroll(row)
    sch.unroll(vectors)
    sch.vectorize(lanes)
    kind = "int8" if unpacked is None else "int4"
    sch.tensorize(lane if integers.groups == 1 else step, integers.register(kind))


def _schedule_rounding(sch: Any, blocks: dict[str, list[Any]], tiles: Tiles) -> None:
    """Rows are rounded before the product begins."""
    (factor,), (rounded,) = blocks["factor"], blocks["rounded"]
    schedule_rows(sch, [*blocks.get("lanes", []), *blocks.get("stage", [])], factor, tiles)
    *outer, group, r = sch.get_loops(rounded)
    vectorize(sch, rounded, sch.fuse(group, r), tiles)
    if tiles.threads > 1 and int(sch.get(outer[0]).extent) > 1:
        sch.parallel(outer[0])
    for block in blocks.get("row_sums", []):
        *_, group, r = sch.get_loops(block)
        sch.decompose_reduction(block, sch.fuse(group, r))
