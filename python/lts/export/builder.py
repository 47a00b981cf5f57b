"""What every part of a decoder's graph is built with: the architecture, its weights, and the dimensions of the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from lts._core import Architecture, weights
from lts.export.graph import Dim, Graph
from lts.export.precision import Matrices
from lts.export.weights import Piece, Tensor


def attending(architecture: Architecture) -> list[int]:
    """The layers that have attention, and with it a cache of keys and values."""
    return [layer for layer, n_head in enumerate(architecture.n_head) if n_head]


class Builder:
    """The graph under construction and what its parts share.

    Activations are matrices of ``tokens = batch * sequence`` rows: biases then ride along in ``Gemm``, which saves 2 to
    6 % of ONNX Runtime's time over ``MatMul`` and ``Add`` on three dimensions.

    Attributes
    ----------
    batch, sequence, total
        Dimensions: sequences, new tokens of each, and tokens attended to, including those in the cache or memory.
    matrices
        How matrices and tables are stored and used, with the weights used so far.
    cache_of
        The number of the cache of each layer that has attention, counted over these alone.
    """

    def __init__(self, architecture: Architecture, matrices: Matrices, batch: Dim, sequence: Dim, total: Dim) -> None:
        self.matrices = matrices
        self.graph: Graph = matrices.graph
        self.architecture = architecture
        self.traits = architecture.traits
        self.batch = batch
        self.sequence = sequence
        self.total = total
        self.inventory = {weight.name: weight for weight in weights(architecture)}
        self.cache_of = {layer: i for i, layer in enumerate(attending(architecture))}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Name the nodes that are added within."""
        outer, self.graph.scope = self.graph.scope, name
        yield
        self.graph.scope = outer

    def tensor(self, name: str) -> Tensor:
        """A weight of the inventory as a tensor of its own."""
        return Tensor(name, (Piece(self.inventory[name]),))

    def weight(self, name: str) -> str:
        """A weight of the inventory, which is no matrix, as an initializer of its own."""
        return self.matrices.vector(self.tensor(name))

    def linear(self, x: str, *names: str, uneven: bool = False) -> str:
        """``x W + b``, of several projections side by side.

        Parameters
        ----------
        x
            [tokens, inputs].
        names
            Weights without their ending, such as ``layers.0.query``; they make one product.
        uneven
            Whether some rows may be thousands of times as large as others.

        Returns
        -------
        str
            [tokens, sum of outputs].
        """
        joined = ".".join([*names[0].split(".")[:-1], "_".join(name.rpartition(".")[2] for name in names)])
        weights = tuple(Piece(self.inventory[f"{name}.weight"]) for name in names)
        matrix = Tensor(f"{joined}.weight", weights, axis=1)
        product = self.matrices.product_of_uneven if uneven else self.matrices.product
        if f"{names[0]}.bias" not in self.inventory:
            return product(x, matrix)
        biases = tuple(Piece(self.inventory[f"{name}.bias"]) for name in names)
        return product(x, matrix, Tensor(f"{joined}.bias", biases))

    def norm(self, x: str, name: str) -> str:
        """LayerNorm (Ba et al. 2016) or RMSNorm (Zhang and Sennrich 2019) of the rows of `x`, [tokens, d_model]."""
        graph, epsilon = self.graph, self.architecture.norm_epsilon
        scale = self.weight(f"{name}.scale")
        if self.traits.norm == "layer_norm":
            return graph.op("LayerNormalization", x, scale, self.weight(f"{name}.bias"), axis=-1, epsilon=epsilon)
        if graph.real != np.float32:  # squares of half precision overflow at 256
            x = graph.cast(x, np.float32)
        mean = graph.op("ReduceMean", graph.op("Pow", x, graph.constant(2, np.float32)), axes=(-1,), keepdims=1)
        root = graph.op("Sqrt", graph.op("Add", mean, graph.constant(epsilon, np.float32)))
        return graph.op("Mul", graph.as_real(graph.op("Div", x, root)), scale)
