"""Instructions that add products of small integers to sums in the lanes of a vector, for TVM's tensorization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Integers:
    """How a target multiplies integers of 8 bits.

    Parameters
    ----------
    name
        ``vnni`` (AVX-512 or AVX VNNI), ``dotprod`` (Armv8.2) or ``neon`` (Armv8.0, by widening multiplications).
    lanes
        Sums that one step adds to.
    depth
        Neighbors along the inner dimension whose products are added to each of them.
    groups
        Groups of `depth` that one step takes.
    loaded
        Groups of the left side that are loaded as one vector, where instructions can take a part of it.
    accumulators, rows
        As of `lts.backends.tvm.tiles.Tiles`, of vectors of `lanes` sums.
    """

    name: str
    lanes: int
    depth: int = 4
    groups: int = 1
    loaded: int = 1
    accumulators: int = 16
    rows: int = 8

    @property
    def step(self) -> int:
        """Elements of the inner dimension that one step takes."""
        return self.depth * self.groups

    def types(self, kind: str) -> tuple[str, str]:
        """Types of the left and of the right side, for a right side stored as ``int8`` or ``int4``.

        VNNI multiplies numbers without a sign by numbers with one: of int8, the left side gets an offset of 128; of
        int4, the right side keeps its offset of 8.
        """
        if self.name != "vnni":
            return "int8", "int8"
        return ("uint8", "int8") if kind == "int8" else ("int8", "uint8")

    def register(self, kind: str) -> str:
        """Name of the intrinsic, which TVM knows from now on."""
        from tvm.s_tir import TensorIntrin

        name = f"lts.{self.name}.{self.lanes}.{kind}"
        if TensorIntrin.get(name, allow_missing=True) is None:
            TensorIntrin.register(name, *_build(self, *self.types(kind)))
        return name


def _build(integers: Integers, left: str, right: str) -> tuple[Any, Any]:
    """What a step computes, and how: operands [groups, depth] and [groups, lanes, depth], sums [lanes]."""
    from tvm.script import tirx

    groups, lanes, depth = integers.groups, integers.lanes, integers.depth
    first = () if groups == 1 else (groups,)
    step = {"vnni": _vnni, "dotprod": _dotprod, "neon": _neon}[integers.name]

    def operand(buffer: Any, *index: Any) -> Any:
        return tirx.cast(buffer[index], "int32")

    # A dimension of one element is none for TVM, which compares loop by loop.
    if groups == 1:

        @tirx.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
        def sums(x: tirx.handle, w: tirx.handle, y: tirx.handle) -> None:
            left_side = tirx.match_buffer(x, (depth,), left, offset_factor=1)
            right_side = tirx.match_buffer(w, (lanes, depth), right, offset_factor=1)
            total = tirx.match_buffer(y, (lanes,), "int32", offset_factor=1)
            with tirx.sblock("root"):
                tirx.reads(total[0:lanes], left_side[0:depth], right_side[0:lanes, 0:depth])
                tirx.writes(total[0:lanes])
                for j, r in tirx.grid(lanes, depth):
                    with tirx.sblock("update"):
                        vj, vr = tirx.axis.remap("SR", [j, r])
                        total[vj] = total[vj] + operand(left_side, vr) * operand(right_side, vj, vr)

    else:

        @tirx.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
        def sums(x: tirx.handle, w: tirx.handle, y: tirx.handle) -> None:
            left_side = tirx.match_buffer(x, (groups, depth), left, offset_factor=1)
            right_side = tirx.match_buffer(w, (groups, lanes, depth), right, offset_factor=1)
            total = tirx.match_buffer(y, (lanes,), "int32", offset_factor=1)
            with tirx.sblock("root"):
                tirx.reads(total[0:lanes], left_side[0:groups, 0:depth], right_side[0:groups, 0:lanes, 0:depth])
                tirx.writes(total[0:lanes])
                for g, j, r in tirx.grid(groups, lanes, depth):
                    with tirx.sblock("update"):
                        vj, vg, vr = tirx.axis.remap("SRR", [j, g, r])
                        total[vj] = total[vj] + operand(left_side, vg, vr) * operand(right_side, vg, vj, vr)

    def region(*sizes: int) -> tuple[slice, ...]:
        return tuple(slice(0, size) for size in sizes)

    left_shape, right_shape = (*first, depth), (*first, lanes, depth)

    @tirx.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def instructions(x: tirx.handle, w: tirx.handle, y: tirx.handle) -> None:
        left_side = tirx.match_buffer(x, left_shape, left, offset_factor=1)
        right_side = tirx.match_buffer(w, right_shape, right, offset_factor=1)
        total = tirx.match_buffer(y, (lanes,), "int32", offset_factor=1)
        with tirx.sblock("root"):
            tirx.reads(total[0:lanes], left_side[region(*left_shape)], right_side[region(*right_shape)])
            tirx.writes(total[0:lanes])
            total[tirx.ramp(tirx.int32(0), 1, lanes)] = step(left_side, right_side, total.vload([0], f"int32x{lanes}"))

    return sums, instructions


def _repeated(neighbors: Any, times: int) -> Any:
    """A vector of the bytes of a number, over and over."""
    from tvm.script import tirx

    return tirx.reinterpret(tirx.broadcast(neighbors, times), dtype="int8x16")


def _llvm(name: str, dtype: str, *operands: Any) -> Any:
    from tvm.script import tirx

    return tirx.call_llvm_pure_intrin(tirx.llvm_lookup_intrinsic_id(name), *operands, dtype=dtype)


def _dots(x: Any, w: Any, total: Any, instruction: str) -> Any:
    """The instruction on four neighbors of the left side, over and over, and on as many of each column."""
    from tvm.script import tirx

    lanes = int(w.shape[0])
    four = tirx.reinterpret(x.vload([0], f"{x.dtype}x4"), dtype="int32")
    left = tirx.reinterpret(tirx.broadcast(four, lanes), dtype=f"{x.dtype}x{4 * lanes}")
    right = w.vload([0, 0], f"{w.dtype}x{4 * lanes}")
    # The operand without a sign comes first.
    operands = (right, left) if w.dtype == "uint8" else (left, right)
    return _llvm(instruction, f"int32x{lanes}", total, *operands)


def _vnni(x: Any, w: Any, total: Any) -> Any:
    return _dots(x, w, total, f"llvm.x86.avx512.vpdpbusd.{32 * int(w.shape[0])}")


def _dotprod(x: Any, w: Any, total: Any) -> Any:
    return _dots(x, w, total, "llvm.aarch64.neon.sdot.v4i32.v16i8")


def _neon(x: Any, w: Any, total: Any) -> Any:
    """Eight columns, two groups of two neighbors; two products of magnitudes up to 127 fit into 16 bits."""
    from tvm.script import tirx

    # Looked up in a table: LLVM would see through a broadcast, and then not multiply halves of vectors in place.
    four = _repeated(tirx.reinterpret(x.vload([0, 0], "int8x4"), dtype="int32"), 4)
    groups = [_repeated(tirx.int16(0x0100 + 0x0202 * group), 8) for group in range(2)]
    left = [_llvm("llvm.aarch64.neon.tbl1.v16i8", "int8x16", four, group) for group in groups]
    right = [w.vload([group, 0, 0], "int8x16") for group in range(2)]

    def sums(half: Any) -> Any:
        products = [
            _llvm("llvm.aarch64.neon.smull.v8i16", "int16x8", half(a, dtype="int8x8"), half(b, dtype="int8x8"))
            for a, b in zip(left, right, strict=True)
        ]
        return _llvm("llvm.aarch64.neon.saddlp.v4i32.v8i16", "int32x4", products[0] + products[1])

    return total + tirx.vectorcombine(sums(tirx.vectorlow), sums(tirx.vectorhigh), dtype="int32x8")
