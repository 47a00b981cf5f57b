"""Dot products of few rows with many: every vector holds partial sums, which are added up at the end."""

from __future__ import annotations

from typing import Any

from lts.backends.tvm.elementwise import vectorize
from lts.backends.tvm.tiles import Tiles


def schedule_dots(sch: Any, sums: Any, halves: list[Any], last: Any, tiles: Tiles) -> None:
    """Schedule `lts.backends.tvm.products.dot_product`.

    Parameters
    ----------
    sch
        A `tvm.s_tir.Schedule`.
    sums
        The block of the partial sums, lane by lane.
    halves
        Blocks that add up halves of a vector, in their order.
    last
        The block that reads the last of them and writes the output, into which what follows has been inlined.
    """
    height = int(sch.get(sch.get_loops(sums)[-3]).extent)
    *outer, j = sch.get_loops(last)
    jo, ji = sch.split(j, [None, height])
    for block in reversed(halves):
        sch.compute_at(block, jo, preserve_unit_loops=True)
        row, lane = sch.get_loops(block)[-2:]
        sch.vectorize(lane)
        sch.unroll(row)
    sch.compute_at(sums, jo, preserve_unit_loops=True)
    row, lane, k = sch.get_loops(sums)[-3:]
    sch.reorder(k, row, lane)
    sch.vectorize(lane)
    sch.unroll(row)
    vectorize(sch, last, ji, tiles)
    if tiles.threads > 1:
        sch.parallel(sch.fuse(*outer, jo))
    sch.decompose_reduction(sums, k)
