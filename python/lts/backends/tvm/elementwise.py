"""Schedules of loops over elements: inlined into each other, vectorized, the outer ones on all threads."""

from __future__ import annotations

from typing import Any

from lts.backends.tvm.tiles import Tiles

# For shorter loops, waking up threads takes longer than it saves.
_PARALLEL_ELEMENTS = 16384


def vectorize(sch: Any, block: Any, loop: Any, tiles: Tiles) -> None:
    """Vectorize an innermost loop of a block; the elements after the last whole vector become a loop of their own.

    TVM cannot split a loop safely when its index has 64 bits, or when the value depends on other conditions. Such a
    loop gets vectors that divide its length, however short.
    """
    extent = int(sch.get(loop).extent)
    lanes = min(tiles.lanes, 1 << (extent.bit_length() - 1))
    if extent % lanes and not _parts(sch, block, loop):
        lanes = extent & -extent
    if lanes == 1:
        return
    outer, inner = sch.split(loop, [None, lanes])
    if extent % lanes:
        sch.annotate(outer, "pragma_loop_partition_hint", True)
    sch.vectorize(inner)


def _parts(sch: Any, block: Any, loop: Any) -> bool:
    text = sch.get(block).body.script()
    return str(sch.get(loop).loop_var.ty.dtype) == "int32" and "T.Select(" not in text and "if_then_else(" not in text


def schedule_elements(sch: Any, block: Any, tiles: Tiles) -> None:
    """Schedule a block without a reduction."""
    loops = sch.get_loops(block)
    if not loops:
        return
    elements = 1
    for loop in loops:
        elements *= int(sch.get(loop).extent)
    *outer, inner = loops
    if tiles.threads > 1 and outer and elements >= _PARALLEL_ELEMENTS:
        sch.parallel(sch.fuse(*outer))
    vectorize(sch, block, inner, tiles)
