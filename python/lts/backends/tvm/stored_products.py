"""How products with stored matrices are computed: in integers where the target multiplies them, else converted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lts.backends.stored import Stored
from lts.backends.tvm import integers, products
from lts.backends.tvm.tiles import Tiles

Call = Callable[..., Any]


@dataclass(frozen=True)
class StoredProducts:
    """Builds the products with stored matrices of a function.

    Parameters
    ----------
    pack
        Calls a function of tensor expressions, whose argument is a weight alone: it is done beforehand. The last
        argument says what form the function gives the weight.
    product
        Calls a function of tensor expressions for a product.
    tiles
        Register tiles of the target.
    rows
        Rows of the products that the packed form is for; by default those that each has.
    """

    pack: Call
    product: Call
    tiles: Tiles
    rows: int | None = None

    def __call__(self, x: Any, stored: Stored, values: Any, scales: Any, transposed: bool) -> Any:
        """A Relax expression for float32 rows x [M, K] times the matrix, or its transpose: [M, N]."""
        m, k = (int(size) for size in x.ty.shape)
        n = stored.shape[0 if transposed else 1]
        # Longer sums of integers would not fit into 32 bits.
        exact = stored.kind != "float16" and self.tiles.integers is not None and k <= integers.MOST_INPUTS
        columns = (self.tiles.of_integers if exact else self.tiles.of_product)(self.rows or m, n)[1]
        if stored.kind == "float16":
            return self._half(x, values, m, n, columns, transposed)
        if stored.kind == "int8":
            return self._int8_exact(x, values, scales, columns) if exact else self._int8(x, values, scales, n, columns)
        return self._int4_exact(x, values, scales, n, columns) if exact else self._int4(x, values, scales, n, columns)

    def _half(self, x: Any, values: Any, m: int, n: int, columns: int, transposed: bool) -> Any:
        if transposed and m == 1:  # rows of the right side are read as they lie in memory
            return self.product(lambda a, b: products.dot_product(a, b, self.tiles), x, values)
        panels = self.pack(
            lambda w: products.pack(w, columns, transposed), values, f"{columns} columns{' transposed' * transposed}"
        )
        return self.product(lambda a, p: products.packed_product(a, products.converted(p), n, self.tiles), x, panels)

    def _int8(self, x: Any, values: Any, scales: Any, n: int, columns: int) -> Any:
        panels = self.pack(lambda w: products.pack(w, columns, False), values, f"{columns} columns")
        return self.product(
            lambda a, p, s: products.scaled(products.packed_product(a, products.converted(p), n, self.tiles), s),
            x,
            panels,
            scales,
        )

    def _int8_exact(self, x: Any, values: Any, scales: Any, columns: int) -> Any:
        kind = self.tiles.integers
        assert kind is not None
        panels = self.pack(lambda w: integers.pack_int8(w, columns, kind), values, f"{columns} columns, {kind.name}")
        offsets = [self.pack(integers.column_sums, values, "sums")] if kind.types("int8")[0] == "uint8" else []
        return self.product(
            lambda a, p, s, *o: integers.int8_product(a, p, s, o[0] if o else None, self.tiles, kind),
            x,
            panels,
            scales,
            *offsets,
        )

    def _int4(self, x: Any, values: Any, scales: Any, n: int, columns: int) -> Any:
        panels = self.pack(lambda w: integers.pack_pairs(w, columns), values, f"{columns} columns")
        packed = self.pack(lambda s: integers.pack_scales(s, columns), scales, f"{columns} columns")
        return self.product(
            lambda a, p, s: products.packed_product(a, integers.unpacked(p, s), n, self.tiles), x, panels, packed
        )

    def _int4_exact(self, x: Any, values: Any, scales: Any, n: int, columns: int) -> Any:
        kind = self.tiles.integers
        assert kind is not None
        panels = self.pack(lambda w: integers.pack_int4(w, columns, kind), values, f"{columns} columns, {kind.name}")
        packed = self.pack(lambda s: integers.pack_scales(s, columns), scales, f"{columns} columns")
        return self.product(lambda a, p, s: integers.int4_product(a, p, s, n, self.tiles, kind), x, panels, packed)
