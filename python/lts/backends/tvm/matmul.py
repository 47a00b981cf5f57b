"""Schedules of products in register tiles: the sums of a tile stay in registers over the whole inner dimension."""

from __future__ import annotations

from typing import Any

from lts.backends.tvm.elementwise import vectorize
from lts.backends.tvm.tiles import Tiles


def schedule_tiles(
    sch: Any, sums: Any, last: Any, packs: list[Any], lefts: list[Any], tiles: Tiles, unpacked: list[Any] | None = None
) -> None:
    """Schedule a product of `lts.backends.tvm.products`.

    Panels of the right side are the outer loop, so that one panel stays in the cache while all rows use it.

    Parameters
    ----------
    sch
        A `tvm.s_tir.Schedule`.
    sums
        The block of the sums.
    last
        The block that reads them and writes the output, into which what follows has been inlined.
    packs
        Blocks that pack the right side within the function.
    lefts
        Blocks that load vectors of the left side.
    unpacked
        Blocks that convert the right side to float32, a row of a tile at a time.
    """
    height, width = (int(sch.get(loop).extent) for loop in sch.get_loops(sums)[-3:-1])
    *batch, i, j = sch.get_loops(last)
    io, ii = sch.split(i, [None, height])
    jo, ji = sch.split(j, [None, width])
    sch.reorder(*batch, jo, io, ii, ji)
    sch.compute_at(sums, io, preserve_unit_loops=True)
    for block in packs:
        sch.compute_at(block, jo, preserve_unit_loops=True)
        vectorize(sch, block, sch.get_loops(block)[-1], tiles)
    row, column, k = sch.get_loops(sums)[-3:]
    vectors, lane = sch.split(column, [None, tiles.lanes])
    steps = tiles.steps if lefts else 1
    again = 2 if lefts and int(sch.get(k).extent) % (2 * steps) == 0 else 1
    k, twice, step = sch.split(k, [None, again, steps])
    sch.reorder(k, twice, step, row, vectors, lane)
    for loop in (twice, step, row, vectors):
        sch.unroll(loop)
    sch.vectorize(lane)
    for block in lefts:
        sch.compute_at(block, twice, preserve_unit_loops=True)
        i, ki = sch.get_loops(block)[-2:]
        sch.unroll(i)
        sch.vectorize(ki)
    for block in unpacked or []:
        sch.compute_at(block, step, preserve_unit_loops=True)
        vectors, lane = sch.split(sch.get_loops(block)[-1], [None, tiles.lanes])
        sch.unroll(vectors)
        sch.vectorize(lane)
    vectorize(sch, last, ji, tiles)
    if tiles.threads > 1:
        sch.parallel(sch.fuse(*batch, jo))
    sch.decompose_reduction(sums, k)
