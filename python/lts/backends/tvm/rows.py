"""Softmax and norms over the last dimension as tensor expressions in vectors, which `reduction` schedules row by row.

Sums and maxima are taken lane by lane; where a row is not a multiple of the lanes, the elements at its end are added
one by one. All stages but the last hold a row, or less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lts.backends.tvm import approximate
from lts.backends.tvm.products import RULE

_Value = Callable[..., Any]


def softmax(x: Any, lanes: int, logarithm: bool = False) -> Any:
    """Softmax over the last dimension, or its logarithm."""
    from tvm import te, tirx

    shape = [int(size) for size in x.shape]

    def read(*index: Any) -> Any:
        return x[index]

    greatest = reduce_row(shape, read, lanes, "max")
    powers = _stage(shape, lambda *i: approximate.exp_of_negative(x[i] - greatest(*i[:-1])), "powers")
    total = reduce_row(shape, lambda *i: powers[i], lanes, "sum")
    if logarithm:
        scale = _stage(shape[:-1], lambda *i: greatest(*i) + te.log(total(*i)), "scale")
        return te.compute(shape, lambda *i: x[i] - scale[i[:-1]], name="log_softmax", attrs={RULE: "row"})
    scale = _stage(shape[:-1], lambda *i: tirx.const(1, "float32") / total(*i), "scale")
    return te.compute(shape, lambda *i: powers[i] * scale[i[:-1]], name="softmax", attrs={RULE: "row"})


def layer_norm(x: Any, scale: Any, bias: Any, epsilon: float, lanes: int) -> Any:
    """LayerNorm over the last dimension (Ba et al. 2016)."""
    from tvm import te, tirx

    shape = [int(size) for size in x.shape]
    part = tirx.const(1 / shape[-1], "float32")
    total = reduce_row(shape, lambda *i: x[i], lanes, "sum")
    mean = _stage(shape[:-1], lambda *i: total(*i) * part, "mean")
    centered = _stage(shape, lambda *i: x[i] - mean[i[:-1]], "centered")
    squares = reduce_row(shape, lambda *i: centered[i] * centered[i], lanes, "sum")
    factor = _stage(
        shape[:-1],
        lambda *i: tirx.const(1, "float32") / te.sqrt(squares(*i) * part + tirx.const(epsilon, "float32")),
        "factor",
    )
    return te.compute(
        shape,
        lambda *i: centered[i] * factor[i[:-1]] * scale[i[-1]] + bias[i[-1]],
        name="layer_norm",
        attrs={RULE: "row"},
    )


def rms_norm(x: Any, scale: Any, epsilon: float, lanes: int) -> Any:
    """RMSNorm over the last dimension (Zhang and Sennrich 2019)."""
    from tvm import te, tirx

    shape = [int(size) for size in x.shape]
    squares = reduce_row(shape, lambda *i: x[i] * x[i], lanes, "sum")
    part = tirx.const(1 / shape[-1], "float32")
    factor = _stage(
        shape[:-1],
        lambda *i: tirx.const(1, "float32") / te.sqrt(squares(*i) * part + tirx.const(epsilon, "float32")),
        "factor",
    )
    return te.compute(shape, lambda *i: x[i] * factor[i[:-1]] * scale[i[-1]], name="rms_norm", attrs={RULE: "row"})


def running_sum(x: Any) -> Any:
    """Cumulative sums along the last dimension; each is computed by itself, so that the sums are lanes of vectors."""
    from tvm import te, tirx

    k = te.reduce_axis((0, x.shape[-1]), "k")
    zero = tirx.const(0, x.dtype)
    return te.compute(
        x.shape,
        lambda *i: te.sum(tirx.Select(k <= i[-1], x[(*i[:-1], k)], zero), k),
        name="running_sum",
        attrs={RULE: "sums"},
    )


def _stage(shape: list[int], value: _Value, name: str) -> Any:
    from tvm import te

    return te.compute(shape, value, name=name, attrs={RULE: "stage"})


def reduce_row(shape: list[int], value: _Value, lanes: int, kind: str) -> _Value:
    """The sum or maximum over the last dimension, by the other indices."""
    from tvm import te

    *lead, size = shape
    while lanes > size:
        lanes //= 2
    # Independent chains hide the latency of an addition.
    chains = next(chains for chains in (4, 2, 1) if size >= 4 * chains * lanes or chains == 1)
    whole = size // (chains * lanes)
    k = te.reduce_axis((0, whole), "k")
    combine = te.max if kind == "max" else te.sum
    width = chains * lanes
    stage = te.compute(
        (*lead, width),
        lambda *i: combine(value(*i[:-1], k * width + i[-1]), k),
        name=f"{kind}_lanes",
        attrs={RULE: "lanes"},
    )
    rest = range(whole * width, size)
    both = te.max if kind == "max" else lambda a, b: a + b
    if len(rest) >= lanes:  # whole vectors of the rest
        first = rest.start
        more = len(rest) // lanes
        k = te.reduce_axis((0, more), "k")
        tail = te.compute(
            (*lead, lanes),
            lambda *i: combine(value(*i[:-1], first + k * lanes + i[-1]), k),
            name=f"{kind}_tail",
            attrs={RULE: "lanes"},
        )
        rest = range(first + more * lanes, size)
    else:
        tail = None
    while width > 1:
        width //= 2
        stage = _halve(stage, tail if width == lanes // 2 else None, both, [*lead, width], f"{kind}{width}")
        if width == lanes // 2:
            tail = None

    def result(*index: Any) -> Any:
        total = stage[(*index, 0)]
        if tail is not None:
            total = both(total, tail[(*index, 0)])
        for last in rest:
            total = both(total, value(*index, last))
        return total

    row = _stage(lead, result, kind)
    return lambda *index: row[index]


def _halve(stage: Any, tail: Any, both: Any, shape: list[int], name: str) -> Any:
    half = shape[-1]

    def pair(*i: Any) -> Any:
        other = (*i[:-1], i[-1] + half)
        value = both(stage[i], stage[other])
        return value if tail is None else both(value, both(tail[i], tail[other]))

    return _stage(shape, pair, name)
