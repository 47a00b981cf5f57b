"""Feed-forward networks, by their trait."""

from __future__ import annotations

import math
from collections.abc import Callable

from lts.export.builder import Builder


def _gelu(builder: Builder, x: str) -> str:
    """GELU in its tanh form (Hendrycks and Gimpel 2016), spelled without a power and as ONNX Runtime fuses it."""
    graph = builder.graph
    square = graph.op("Mul", graph.op("Mul", x, graph.number(0.044715)), x)
    slope = graph.op("Mul", x, graph.number(math.sqrt(2 / math.pi)))
    inner = graph.op("Mul", slope, graph.op("Add", square, graph.number(1.0)))
    gate = graph.op("Add", graph.op("Tanh", inner), graph.number(1.0))
    return graph.op("Mul", graph.op("Mul", x, graph.number(0.5)), gate)


def _exact_gelu(builder: Builder, x: str) -> str:
    """GELU as it is defined (Hendrycks and Gimpel 2016), ``x (1 + erf(x / sqrt(2))) / 2``, as ONNX Runtime fuses it."""
    graph = builder.graph
    gate = graph.op("Add", graph.op("Erf", graph.op("Div", x, graph.number(math.sqrt(2)))), graph.number(1.0))
    return graph.op("Mul", graph.op("Mul", x, gate), graph.number(0.5))


def _gelu_network(builder: Builder, prefix: str, x: str) -> str:
    return _gelu(builder, builder.linear(x, f"{prefix}.up"))


def _exact_gelu_network(builder: Builder, prefix: str, x: str) -> str:
    return _exact_gelu(builder, builder.linear(x, f"{prefix}.up"))


def _relu_network(builder: Builder, prefix: str, x: str) -> str:
    return builder.graph.op("Relu", builder.linear(x, f"{prefix}.up"))


def _swiglu_network(builder: Builder, prefix: str, x: str) -> str:
    """``silu(gate(x)) * up(x)`` (Shazeer 2020)."""
    graph = builder.graph
    gate = builder.linear(x, f"{prefix}.gate")
    silu = graph.op("Mul", gate, graph.op("Sigmoid", gate))
    return graph.op("Mul", silu, builder.linear(x, f"{prefix}.up"))


_HIDDEN: dict[str, Callable[[Builder, str, str], str]] = {
    "gelu": _gelu_network,
    "gelu_erf": _exact_gelu_network,
    "relu": _relu_network,
    "swiglu": _swiglu_network,
}


def feed_forward(builder: Builder, layer: int, x: str) -> str:
    """The feed-forward network of a layer; `x` and the result are [tokens, d_model].

    What goes into its second product is uneven: trained networks have massive activations there, of a few tokens such
    as the first (Sun et al. 2024, arXiv 2402.17762).
    """
    prefix = f"layers.{layer}"
    return builder.linear(_HIDDEN[builder.traits.feed_forward](builder, prefix, x), f"{prefix}.down", uneven=True)
