"""Token mixers of FlexiBERT (Tuli et al. 2022), for `lts.networks.network`. They are bidirectional."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lts.networks.parameters import Parameters


def mix(network: Parameters, layer: int, x: Tensor) -> Tensor:
    """Apply the mixer of a layer to [batch, T, d_model]."""
    kind = network.architecture.mixer[layer]
    name = f"layers.{layer}"
    if kind == "fourier":
        mixed = torch.fft.fft2(x).real
    elif kind == "cosine":
        mixed = _cosines(x.shape[1], x) @ x @ _cosines(x.shape[2], x).T
    else:
        width = network.architecture.d_model // network.architecture.n_head[layer]
        query, key, value = (network.linear(x, f"{name}.{role}") for role in ("query", "key", "value"))
        scored = query @ network.by_name[f"{name}.score.weight"] if kind == "weighted_attention" else query
        if network.linearized:
            scored, key = torch.zeros_like(scored), torch.zeros_like(key)
        heads = [_heads(each, width) for each in (scored, key, value)]
        mixed = _attend(network, name, *heads).transpose(1, 2).flatten(2)
        if kind.startswith("convolution"):
            mixed = torch.cat([mixed, _convolve(network, name, query, x, width)], dim=-1)
    return network.linear(mixed, f"{name}.attention_output")


def _heads(x: Tensor, width: int) -> Tensor:
    return x.view(*x.shape[:2], -1, width).transpose(1, 2)


def _attend(network: Parameters, name: str, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    if network.watch is None:
        return F.scaled_dot_product_attention(query, key, value)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    attention = network.watch("attention", name, scores.softmax(-1))
    return network.watch("head", name, attention @ value)


def _convolve(network: Parameters, name: str, query: Tensor, x: Tensor, width: int) -> Tensor:
    """Span-based dynamic convolution (Jiang et al. 2020), with kernels from the query and its neighborhood."""
    taps = network.by_name[f"{name}.depthwise.weight"]
    depthwise = F.conv1d(x.transpose(1, 2), taps.T.unsqueeze(1), padding=len(taps) // 2, groups=x.shape[2])
    pointwise = network.by_name[f"{name}.pointwise.weight"]
    span = depthwise.transpose(1, 2) @ pointwise + network.by_name[f"{name}.pointwise.bias"]
    kernels = network.linear(span * query, f"{name}.kernel").unflatten(-1, (-1, len(taps)))  # type: ignore[no-untyped-call]
    if network.linearized:
        kernels = torch.zeros_like(kernels)
    values = network.linear(x, f"{name}.convolution")
    near = F.pad(values, (0, 0, len(taps) // 2, len(taps) // 2)).unfold(1, len(taps), 1)
    near = near.reshape(*x.shape[:2], -1, width, len(taps))
    return torch.einsum("bthwk,bthk->bthw", near, kernels.softmax(-1)).flatten(2)


def _cosines(n: int, like: Tensor) -> Tensor:
    """The orthonormal discrete cosine transform (DCT-II) as a matrix."""
    index = torch.arange(n, device=like.device, dtype=torch.float64)
    matrix = torch.cos(math.pi / n * (index + 0.5) * index[:, None]) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix.to(like.dtype)
