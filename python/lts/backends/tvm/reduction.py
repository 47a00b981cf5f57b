"""Schedules of softmax and norms, in vectors: each row is finished before the next one begins."""

from __future__ import annotations

from typing import Any

from lts.backends.tvm.elementwise import vectorize
from lts.backends.tvm.products import RULE
from lts.backends.tvm.tiles import Tiles


def schedule_rows(sch: Any, stages: list[Any], last: Any, tiles: Tiles) -> None:
    """Schedule an operator of `lts.backends.tvm.rows`.

    Parameters
    ----------
    sch
        A `tvm.s_tir.Schedule`.
    stages
        All blocks but the last, in order; each computes something from a row.
    last
        The block that writes the rows.
    """
    *outer, inner = sch.get_loops(last)
    n_outer = len(outer)
    if not outer:
        return
    row = outer[-1]
    sums = []
    for block in reversed(stages):
        sch.compute_at(block, row, preserve_unit_loops=True)
        loops = sch.get_loops(block)[n_outer:]
        if sch.get(block).annotations[RULE] == "lanes":
            *_, lane, k = loops
            extent = int(sch.get(lane).extent)
            vectors, lane = sch.split(lane, [None, min(extent, tiles.lanes)])
            sch.reorder(k, vectors, lane)
            sch.unroll(vectors)
            sch.vectorize(lane)
            sums.append((block, k))
        elif len(loops) > n_outer:
            vectorize(sch, block, loops[-1], tiles)
    vectorize(sch, last, inner, tiles)
    if tiles.threads > 1:
        sch.parallel(sch.fuse(*outer))
    for block, k in sums:
        sch.decompose_reduction(block, k)


def schedule_sums(sch: Any, block: Any, tiles: Tiles) -> None:
    """Schedule a block whose last loop is a sum, with one result in each lane."""
    *_, inner, k = sch.get_loops(block)
    sch.reorder(k, inner)
    vectorize(sch, block, inner, tiles)
    sch.decompose_reduction(block, k)
