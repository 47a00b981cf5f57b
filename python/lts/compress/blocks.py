"""A pretrained decoder one layer at a time, so that the weights of one layer are all that has to be in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from lts._core import Architecture, weights
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.networks.network import Network

import torch  # isort: skip  # after lts.networks.network, which says what to install where it is absent
from torch import Tensor

Part = Literal["attention", "feed_forward"]
PARTS: tuple[Part, Part] = ("attention", "feed_forward")
OUTPUT: dict[Part, str] = {"attention": "attention_output", "feed_forward": "down"}
"""The projection of each part that reads its heads or channels and writes to the residual stream."""

_TOKENS = 2048  # that are computed at the same time
_PART_OF = {role: part for part, role in OUTPUT.items()}


def check_family(architecture: Architecture) -> None:
    """Raise `UsageError` for an architecture whose layers do not add to a residual stream, one part after another."""
    traits = architecture.traits
    if traits.encoder or traits.mixed or traits.norm_placement != "before" or traits.position == "relative":
        raise UsageError(f"models of the family {architecture.family} cannot be compressed; expected a GPT-2 or LLaMA")
    if architecture.adaptive:
        raise UsageError("models with an adaptive embedding cannot be compressed")


class Block(Network):
    """One layer, from [batch, T, d_model] to the same.

    Parameters
    ----------
    architecture, layer, source
        The model, the number of the layer in it, and the model's weights by the names of `lts.weights`.
    dtype
        Type of the matrices; all else is float32. Use `computing` with the same type around calls.

    Attributes
    ----------
    inputs, outputs : dict
        By part what its last projection read and gave in the last call, [batch, T, n_head * head_dim or d_ff] and
        [batch, T, d_model].
    """

    def __init__(
        self, architecture: Architecture, layer: int, source: Mapping[str, Any], dtype: torch.dtype = torch.float32
    ) -> None:
        n_head, d_ff = architecture.n_head[layer], architecture.d_ff[layer]
        empty = n_head == 0 and d_ff == 0  # is no architecture on its own: a channel of zeros adds nothing
        one = _with_layer(
            architecture,
            n_head=[n_head],
            n_kv_head=[architecture.n_kv_head[layer]],
            d_ff=[1 if empty else d_ff],
            vocab_size=1,
            n_positions=1,
        )
        inner = [weight.name for weight in weights(one) if weight.layer is not None and not empty]
        super().__init__(
            one, _given(one, {name: name.replace("layers.0.", f"layers.{layer}.") for name in inner}, source)
        )
        _convert(self, dtype)
        self.inputs: dict[Part, Tensor] = {}
        self.outputs: dict[Part, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives for [batch, T, d_model]."""
        return self.layer(0, x)

    def linear(self, x: Tensor, name: str) -> Tensor:
        y = super().linear(x, name)
        if part := _PART_OF.get(name.rpartition(".")[2]):
            self.inputs[part], self.outputs[part] = x, y
        return y


class Ends(Network):
    """What is around the layers: `embed` as of `Network`, and `logits`."""

    def __init__(
        self, architecture: Architecture, source: Mapping[str, Any], dtype: torch.dtype = torch.float32
    ) -> None:
        one = _with_layer(architecture, n_head=[0], n_kv_head=[0], d_ff=[1])
        super().__init__(
            one, _given(one, {weight.name: weight.name for weight in weights(one) if weight.layer is None}, source)
        )
        _convert(self, dtype)

    def embed(self, ids: Tensor) -> Tensor:
        return super().embed(ids).float()

    def logits(self, x: Tensor) -> Tensor:
        """Logits [..., vocab_size] in float32 of what the last layer gave, [..., d_model]."""
        return self.head(self._norm(x, "final_norm") if self.architecture.traits.final_norm else x).float()


def batches(states: Tensor) -> tuple[Tensor, ...]:
    """States [n, T, d_model] in parts along n, of as many tokens as are best computed at the same time."""
    return torch.split(states, max(1, _TOKENS // states.shape[1]))


def fast_dtype() -> torch.dtype:
    """bfloat16 where this processor multiplies it faster than float32, else float32."""
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


@contextmanager
def computing(dtype: torch.dtype, threads: int) -> Iterator[None]:
    """Compute the block with matrix products in `dtype`, sums of the residual stream in float32, on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        # Without its cache: that keeps the weights as they were when they were first cast, and recovery changes them.
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16, cache_enabled=False):
            yield
    finally:
        torch.set_num_threads(before)


def _with_layer(architecture: Architecture, **changed: Any) -> Architecture:
    values = architecture.to_dict() | {"n_layer": 1, "head_dim": max(architecture.head_dims)} | changed
    if "vocab_size" in changed:
        values["tie_embedding"] = True
    return Architecture.from_dict(values)


def _given(one: Architecture, names: Mapping[str, str], source: Mapping[str, Any]) -> dict[str, Array]:
    """The weights of a model with one layer, by their names in the source; what has none is zero."""
    return {
        weight.name: np.asarray(source[names[weight.name]], np.float32)
        if weight.name in names
        else np.zeros(weight.shape, np.float32)
        for weight in weights(one)
    }


def _convert(network: Network, dtype: torch.dtype) -> None:
    for parameter in network.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim > 1:
            parameter.data = parameter.data.to(dtype)
