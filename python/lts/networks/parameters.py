"""The weights of an architecture as PyTorch parameters, by the names of the inventory. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from lts._core import Architecture, weights
from lts.errors import UsageError
from lts.export.weights import Weights, array_source

try:
    import torch
    from torch import Tensor, nn
except ImportError:
    raise UsageError("this needs PyTorch: pip install 'lts-engine[torch]'") from None

Watch: TypeAlias = Callable[[str, str, Tensor], Tensor]


class Parameters(nn.Module):
    """Every weight of an architecture's inventory as a parameter, matrices as (in, out).

    Parameters
    ----------
    architecture
        What to build.
    source
        Where the weights come from, as for `lts.export.onnx_model`; by default ``RandomWeights(0)``.
    dtype
        Type of the weights.

    Attributes
    ----------
    by_name : dict
        The parameters by the names of the inventory.
    watch : callable, optional
        Called with a kind, a name and an intermediate value; what it returns is used in place of the value. Kinds:
        ``linear``, output of a projection [batch, T, out]; ``attention``, weights [batch, n_head, T, T]; ``head``,
        output of the heads [batch, n_head, T, width]. While it is set, attention is computed step by step, so that
        second derivatives exist.
    linearized : bool
        Whether to leave out norms and activations, add the gate instead of multiplying by it, and attend to all tokens
        equally: for SynFlow.
    """

    def __init__(self, architecture: Architecture, source: Weights = None, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        arrays = array_source(architecture, source)
        self.architecture = architecture
        self.by_name: dict[str, nn.Parameter] = {}
        for weight in weights(architecture):
            parameter = nn.Parameter(torch.tensor(arrays.array(weight), dtype=dtype))
            self.by_name[weight.name] = parameter
            self.register_parameter(weight.name.replace(".", "/"), parameter)
        self.watch: Watch | None = None
        self.linearized = False

    def _apply(self, function: Any, recurse: bool = True) -> Parameters:
        """Move or convert the parameters; that may replace them, so `by_name` is updated."""
        super()._apply(function, recurse)  # type: ignore[no-untyped-call]
        self.by_name = {name: getattr(self, name.replace(".", "/")) for name in self.by_name}
        return self

    def linear(self, x: Tensor, name: str) -> Tensor:
        """The projection of that name, with its bias where it has one."""
        y = x @ self.by_name[f"{name}.weight"]
        bias = self.by_name.get(f"{name}.bias")
        y = y if bias is None else y + bias
        return y if self.watch is None else self.watch("linear", name, y)
