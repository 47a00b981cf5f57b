"""How layers mix tokens: attention of every kind, convolutions and transforms. Written by lts-engine.

Shapes in comments: B sequences of T new tokens, S tokens with those in the cache, d = `d_model`.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


@dataclass
class Pass:
    """What all layers of a forward pass share.

    Attributes
    ----------
    mask
        Added to the scores of attention, [B or 1, 1, T, S]; None where nothing but the causal order hides tokens.
    causal
        Whether that order is left to the attention, because there is no mask.
    tokens
        Which tokens are no padding, [B, T, 1]; None if all are. Of encoders alone.
    rotations
        Cosines and sines of rotary positions, [B, 1, T, rotated / 2] each, by the width of a head.
    sinusoids
        Of the distances S - 1 to 0, [S, d], for relative positions.
    cache, places
        Keys and values of earlier tokens, or their layer inputs for relative positions; where in it the new ones go.
    eager
        Whether to compute the weights of attention one by one and give them out.
    """

    mask: torch.Tensor | None = None
    causal: bool = False
    tokens: torch.Tensor | None = None
    rotations: dict = field(default_factory=dict)
    sinusoids: torch.Tensor | None = None
    cache: object = None
    places: torch.Tensor | None = None
    eager: bool = False

    def remember(self, key, value, index):
        """Keys and values of one layer, [B, heads, T, width], with those of earlier tokens before them."""
        if self.cache is None:
            return key, value
        return self.cache.update(key, value, index, {"cache_position": self.places})


def place(config, index):
    """Where in a cache a layer is: only those with attention are."""
    return sum(layer["n_head"] > 0 for layer in config.layers[:index])


def heads(x, width):
    """[B, T, heads * width] as [B, heads, T, width]."""
    return x.unflatten(-1, (-1, width)).transpose(1, 2)


def unseen(dtype):
    """The score of a token that is not seen, or what is added to it: so that their sum is still a finite number."""
    return torch.finfo(dtype).min / 2


def attend(query, key, value, mask, causal, eager):
    """Values [B, n_kv_head, S, width] weighted by attention, as [B, T, n_head * width]; and the weights, if eager."""
    group = query.shape[1] // key.shape[1]
    if group > 1:
        key, value = (each.repeat_interleave(group, dim=1) for each in (key, value))
    weights = None
    if eager:
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, unseen(scores.dtype))
        weights = (scores if mask is None else scores + mask).softmax(-1, dtype=torch.float32).to(query.dtype)
        mixed = weights @ value
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
    return mixed.transpose(1, 2).flatten(2), weights


class Attention(nn.Module):
    """Multi-head or grouped-query attention, with keys and values in a cache; of an encoder, in both directions."""

    def __init__(self, config, index, share=1):
        super().__init__()
        layer, d, bias = config.layers[index], config.d_model, config.qkv_bias
        self.index, self.width = place(config, index), layer["head_dim"]
        n_head, n_kv_head = layer["n_head"] // share, layer["n_kv_head"] // share
        self.query = nn.Linear(d, n_head * self.width, bias=bias)
        self.key = nn.Linear(d, n_kv_head * self.width, bias=bias)
        self.value = nn.Linear(d, n_kv_head * self.width, bias=bias)
        if layer.get("mixer") == "weighted_attention":
            self.score = nn.Linear(d, d, bias=False)
        self.output = nn.Linear(layer["n_head"] * self.width, d, bias=config.attention_output_bias)

    def forward(self, x, step):
        mixed, weights = self.mixed(self.query(x), x, step)
        return self.output(mixed), weights

    def mixed(self, query, x, step):
        query = heads(self.score(query) if hasattr(self, "score") else query, self.width)
        key, value = heads(self.key(x), self.width), heads(self.value(x), self.width)
        if step.rotations:
            query, key = (rotate(each, *step.rotations[self.width]) for each in (query, key))
        key, value = step.remember(key, value, self.index)
        return attend(query, key, value, step.mask, step.causal, step.eager)


def rotate(x, cos, sin):
    """Rotary positions (Su et al. 2021): element k of a head turns with element k + rotated / 2; those behind stay."""
    half = cos.shape[-1]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], dim=-1)


def periods(config, width, device):
    """Tokens per radian of each pair of channels of a head, [rotated / 2]."""
    rotated = config.rotary_dim or width
    found = config.rotary_theta ** (torch.arange(0, rotated, 2, device=device, dtype=torch.float32) / rotated)
    if config.rotary_scaling is None:
        return found
    # Llama 3.1 (Grattafiori et al. 2024): long waves are stretched by the factor, short ones not, those between partly.
    s = config.rotary_scaling
    waves = s["original_positions"] / (2 * math.pi * found)  # that the first training saw
    kept = ((waves - s["low_freq_factor"]) / (s["high_freq_factor"] - s["low_freq_factor"])).clamp(0, 1)
    return found / ((1 - kept) / s["factor"] + kept)


class RelativeAttention(nn.Module):
    """Attention over a memory of layer inputs, with relative positions: Transformer-XL (Dai et al. 2019, section 3.3).

    The cache holds the inputs of the layer as keys, [B, 1, S, d], and values without width.
    """

    def __init__(self, config, index):
        super().__init__()
        layer, d, bias = config.layers[index], config.d_model, config.qkv_bias
        self.index, self.width = place(config, index), layer["head_dim"]
        inner = layer["n_head"] * self.width
        self.query, self.key, self.value = (nn.Linear(d, inner, bias=bias) for _ in range(3))
        self.relative_position = nn.Linear(d, inner, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(inner))
        self.position_bias = nn.Parameter(torch.zeros(inner))
        self.output = nn.Linear(inner, d, bias=config.attention_output_bias)

    def forward(self, x, step):
        inputs = x.detach().unsqueeze(1)
        remembered = step.remember(inputs, inputs[..., :0], self.index)[0].squeeze(1)
        if x.requires_grad:  # not into the memory, as in the paper
            remembered = torch.cat([remembered[:, : -x.shape[1]], x], dim=1)
        query, distances = self.query(x), self.relative_position(step.sinusoids).unsqueeze(0)
        by_distance = heads(query + self.position_bias, self.width) @ heads(distances, self.width).transpose(-1, -2)
        # Column j of row i becomes the distance of tokens i and j (appendix B).
        shifted = F.pad(by_distance, (1, 0)).flatten(-2)[..., x.shape[1] :].view(by_distance.shape)
        query, key, value = query + self.content_bias, self.key(remembered), self.value(remembered)
        query, key, value = (heads(each, self.width) for each in (query, key, value))
        mask = shifted / math.sqrt(self.width) + step.mask
        mixed, weights = attend(query, key, value, mask, False, step.eager)
        return self.output(mixed), weights


class Convolution(Attention):
    """Half of the heads attend, the others are span-based dynamic convolutions (Jiang et al. 2020), in an encoder."""

    def __init__(self, config, index):
        super().__init__(config, index, share=2)
        layer, d = config.layers[index], config.d_model
        taps, half = int(layer["mixer"].removeprefix("convolution_")), layer["n_head"] // 2
        self.depthwise = nn.Parameter(torch.zeros(taps, d))
        self.pointwise = nn.Linear(d, half * self.width)
        self.kernel = nn.Linear(half * self.width, half * taps)
        self.convolution = nn.Linear(d, half * self.width)

    def forward(self, x, step):
        query = self.query(x)
        mixed, weights = self.mixed(query, x, step)
        return self.output(torch.cat([mixed, self.convolved(query, x, step.tokens)], dim=-1)), weights

    def convolved(self, query, x, tokens):
        taps = len(self.depthwise)
        values = self.convolution(x)
        if tokens is not None:  # padding is as what lies outside the text
            x, values = x * tokens, values * tokens
        channels = F.conv1d(x.transpose(1, 2), self.depthwise.T.unsqueeze(1), padding=taps // 2, groups=x.shape[2])
        span = self.pointwise(channels.transpose(1, 2))
        kernels = self.kernel(span * query).unflatten(-1, (-1, taps)).softmax(-1)
        near = F.pad(values, (0, 0, taps // 2, taps // 2)).unfold(1, taps, 1).unflatten(2, (-1, self.width))
        return torch.einsum("bthwk,bthk->bthw", near, kernels).flatten(2)


class Transform(nn.Module):
    """The real part of a Fourier transform over tokens and channels (Lee-Thorp et al. 2022), or a cosine transform."""

    def __init__(self, config, index):
        super().__init__()
        self.kind = config.layers[index]["mixer"]
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.attention_output_bias)

    def forward(self, x, step):
        if step.tokens is None:
            return self.output(self.transformed(x)), None
        mixed = torch.zeros_like(x)
        for row, kept in enumerate(step.tokens.squeeze(-1).bool()):  # each has a length of its own
            mixed[row, kept] = self.transformed(x[row, kept])
        return self.output(mixed), None

    def transformed(self, x):
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        if self.kind == "fourier":
            return torch.fft.fft2(exact).real.to(x.dtype)
        return (cosines(x.shape[-2], exact) @ exact @ cosines(x.shape[-1], exact).T).to(x.dtype)


def cosines(n, like):
    """The orthonormal discrete cosine transform (DCT-II) as a matrix."""
    index = torch.arange(n, device=like.device, dtype=torch.float64)
    matrix = torch.cos(math.pi / n * (index + 0.5) * index[:, None]) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix.to(like.dtype)
