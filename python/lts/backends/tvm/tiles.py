"""How wide vectors are, and how much of a product fits into the registers of a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lts.backends.tvm.intrinsics import Integers

# Largest number of vectors in a row of a tile.
_MOST_VECTORS = 8


@dataclass(frozen=True)
class Tiles:
    """Register tiles for float32.

    A product of matrices is computed in tiles, whose sums stay in registers over the whole inner dimension. Each step
    loads a row of the right side in vectors, and a column of the left side, every number broadcast to all lanes.

    Parameters
    ----------
    lanes
        Numbers in a vector.
    accumulators
        Vector registers for sums; the others hold operands.
    rows
        Rows of a tile, at most.
    steps
        Steps of the inner dimension taken at a time, with the numbers of the left side loaded as one vector; above 1
        where an instruction can multiply by one lane of a vector.
    threads
        Threads that share the outermost loop.
    integers
        How integers of 8 bits are multiplied; None where converting them is as fast.
    """

    lanes: int
    accumulators: int
    rows: int
    steps: int = 1
    threads: int = 1
    integers: Integers | None = None

    def of_product(self, rows: int, columns: int) -> tuple[int, int]:
        """Tile of a product with that many rows and columns; its columns are a multiple of `lanes`.

        It is the one with the fewest instructions: a multiplication for each vector of the tile, and loads for a row of
        the right side and a column of the left.
        """
        needed = -(-columns // self.lanes)
        tiles = -(-rows // self.rows)
        # Where the left side is loaded in vectors, any height will do; else the tallest, with the rows shared evenly.
        heights = range(1, min(rows, self.rows) + 1) if self.steps > 1 else [-(-rows // tiles)]

        def cost(tile: tuple[int, int]) -> tuple[float, int]:
            height, vectors = tile
            loads = height + vectors if self.steps == 1 else height / self.steps + vectors / 2 + 0.5
            return -(-rows // height) * -(-needed // vectors) * (height * vectors + loads), -vectors

        # With a single row, only independent columns keep the pipelines busy.
        sizes = (
            (height, vectors)
            for height in heights
            for vectors in range(1, min(needed, max(1, self.accumulators // height), _MOST_VECTORS) + 1)
        )
        height, vectors = min(sizes, key=cost)
        return height, self.lanes * vectors

    def of_integers(self, rows: int, columns: int) -> tuple[int, int]:
        """Tile of a product in `integers`."""
        if self.integers is None:
            raise ValueError("the target multiplies no integers")
        own = self.integers
        return Tiles(own.lanes, own.accumulators, own.rows).of_product(rows, columns)


def tiles_of(target: Any, threads: int = 1) -> Tiles:
    """Tiles for a `tvm.target.Target` of kind llvm."""
    from tvm.target.codegen import llvm_cpu_has_features

    triple = str(target.attrs["mtriple"])

    def has(feature: str) -> bool:
        return bool(llvm_cpu_has_features(feature, target))

    with target:
        if triple.startswith("x86_64"):
            if has("avx512f"):
                integers = Integers("vnni", 16) if has("avx512vnni") else None
                return Tiles(lanes=16, accumulators=16, rows=8, threads=threads, integers=integers)
            if has("avx2"):
                integers = Integers("vnni", 8, accumulators=8, rows=4) if has("avxvnni") else None
                return Tiles(lanes=8, accumulators=12, rows=6, threads=threads, integers=integers)
        if triple.startswith("aarch64"):
            integers = (
                Integers("dotprod", 4, loaded=4, accumulators=20, rows=5)
                if has("dotprod")
                else Integers("neon", 8, depth=2, groups=2, accumulators=8, rows=4)
            )
            return Tiles(lanes=4, accumulators=20, rows=5, steps=4, threads=threads, integers=integers)
    return Tiles(lanes=4, accumulators=12, rows=6, threads=threads)
