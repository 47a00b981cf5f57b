"""Architectures as PyTorch modules, to differentiate and to train. Needs PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.checkpoint import read_checkpoint
from lts.export.frequencies import rotary_frequencies

try:
    import torch
    from torch import Tensor
    from torch.nn import functional as F  # noqa: N812
except ImportError:
    raise UsageError("this needs PyTorch: pip install 'lts-engine[torch]'") from None

from lts.networks.mixers import mix
from lts.networks.parameters import Parameters

_HIDDEN = 7  # an encoder's loss hides every 7th token, about the published 15 %


class Network(Parameters):
    """A model with every weight of its inventory as a parameter; see `Parameters` for arguments and attributes.

    An encoder has no output layer; the transposed embedding takes its place.
    """

    def forward(self, ids: Tensor) -> Tensor:
        """Logits, or for an adaptive softmax log-probabilities: [batch, T, vocab_size] of tokens [batch, T]."""
        return self.head(self.decode(self.embed(ids)))

    def loss(self, ids: Tensor) -> Tensor:
        """Mean cross entropy, in nats, of each token but the first given those before it.

        For an encoder, of every seventh token, which is replaced by the last token of the vocabulary in the input
        (Devlin et al. 2019).
        """
        if self.architecture.traits.encoder:
            hidden = ids.clone()
            hidden[:, ::_HIDDEN] = self.architecture.vocab_size - 1
            logits, expected = self(hidden)[:, ::_HIDDEN], ids[:, ::_HIDDEN]
        else:
            logits, expected = self(ids[:, :-1]), ids[:, 1:]
        return F.cross_entropy(logits.flatten(0, 1), expected.flatten())

    def embed(self, ids: Tensor) -> Tensor:
        """Input of the first layer, [batch, T, d_model]."""
        a = self.architecture
        x = self._embed_adaptive(ids) if a.adaptive else self._lookup("token_embedding.0.weight", ids)
        if a.traits.position == "learned":
            if ids.shape[1] > a.n_positions:
                raise UsageError(f"{ids.shape[1]} tokens are more than the {a.n_positions} positions there are")
            x = x + self.by_name["position_embedding.weight"][: ids.shape[1]]
        if a.traits.encoder:
            x = self._norm(x + self.by_name["token_type_embedding.weight"][0], "embedding_norm")
        return x

    def decode(self, x: Tensor) -> Tensor:
        """All layers and the final norm; `x` and the result are [batch, T, d_model]."""
        for layer in range(self.architecture.n_layer):
            x = self.layer(layer, x)
        return self._norm(x, "final_norm") if self.architecture.traits.final_norm else x

    def layer(self, index: int, x: Tensor) -> Tensor:
        """One layer, with its residual; `x` and the result are [batch, T, d_model]."""
        a, entered = self.architecture, x
        for part, network, width in (
            ("attention", self._attention, a.n_head),
            ("feed_forward", self._feed_forward, a.d_ff),
        ):
            if width[index] == 0:
                continue
            norm = f"layers.{index}.{part}_norm"
            if a.traits.norm_placement == "before":
                x = x + network(index, self._norm(entered if a.traits.parallel else x, norm))
            else:
                x = self._norm(x + network(index, x), norm)
        return x

    def head(self, x: Tensor) -> Tensor:
        """Logits of hidden states [batch, T, d_model], or log-probabilities of an adaptive softmax."""
        if self.architecture.adaptive:
            return self._head_adaptive(x)
        if "head.weight" in self.by_name:
            return x @ self.by_name["head.weight"]
        return x @ self.by_name["token_embedding.0.weight"].T

    # Parts of a layer

    def _norm(self, x: Tensor, name: str) -> Tensor:
        if self.linearized:
            return x
        epsilon = self.architecture.norm_epsilon
        scale = self.by_name[f"{name}.scale"]
        if self.architecture.traits.norm == "layer_norm":
            return F.layer_norm(x, x.shape[-1:], scale, self.by_name[f"{name}.bias"], epsilon)
        return F.rms_norm(x, x.shape[-1:], scale, epsilon)

    def _feed_forward(self, layer: int, x: Tensor) -> Tensor:
        prefix = f"layers.{layer}"
        up = self.linear(x, f"{prefix}.up")
        kind = self.architecture.traits.feed_forward
        if kind == "swiglu":
            gate = self.linear(x, f"{prefix}.gate")
            hidden = gate + up if self.linearized else F.silu(gate) * up
        elif self.linearized:
            hidden = up
        elif kind == "relu":
            hidden = F.relu(up)
        else:
            hidden = F.gelu(up, approximate="tanh" if kind == "gelu" else "none")
        for i in range(self.architecture.n_ff[layer] - 1):
            hidden = self.linear(hidden, f"{prefix}.middle.{i}")
            hidden = hidden if self.linearized else F.gelu(hidden, approximate="tanh")
        return self.linear(hidden, f"{prefix}.down")

    def _attention(self, layer: int, x: Tensor) -> Tensor:
        a, prefix = self.architecture, f"layers.{layer}"
        if a.traits.mixed:
            return mix(self, layer, x)
        width = a.head_dims[layer]

        def heads(name: str) -> Tensor:
            return self.linear(x, f"{prefix}.{name}").view(*x.shape[:2], -1, width).transpose(1, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        if self.linearized:
            query, key = torch.zeros_like(query), torch.zeros_like(key)
        if a.traits.position == "rotary":
            query, key = self._rotate(query), self._rotate(key)
        group = a.n_head[layer] // a.n_kv_head[layer]
        if group > 1:
            key, value = (each.repeat_interleave(group, dim=1) for each in (key, value))
        if a.traits.position == "relative" and not self.linearized:
            scores = self._relative_scores(layer, query, key)
            mixed = self._mix(prefix, scores, value)
        elif self.watch is None:
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            mixed = self._mix(prefix, query @ key.transpose(-1, -2) / math.sqrt(width), value)
        return self.linear(mixed.transpose(1, 2).flatten(2), f"{prefix}.attention_output")

    def _mix(self, prefix: str, scores: Tensor, value: Tensor) -> Tensor:
        """Values [batch, n_head, T, width] weighted by the causal softmax of scores [batch, n_head, T, T]."""
        length = scores.shape[-1]
        later = torch.ones(length, length, dtype=torch.bool, device=scores.device).triu(1)
        attention = scores.masked_fill(later, -math.inf).softmax(-1)
        if self.watch is not None:
            attention = self.watch("attention", prefix, attention)
        mixed = attention @ value
        return mixed if self.watch is None else self.watch("head", prefix, mixed)

    def _rotate(self, x: Tensor) -> Tensor:
        """Rotary positions (Su et al. 2021): element k of what turns of a head does so with k + half of it."""
        length, width = x.shape[-2:]
        frequencies = torch.from_numpy(rotary_frequencies(self.architecture, width)).to(x.device)
        angles = torch.arange(length, device=x.device)[:, None] * frequencies
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        half = len(frequencies)
        first, second, rest = torch.split(x, [half, half, width - 2 * half], dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], dim=-1)

    def _relative_scores(self, layer: int, query: Tensor, key: Tensor) -> Tensor:
        """Scores of Transformer-XL (Dai et al. 2019, section 3.3), by content and distance: [batch, n_head, T, T]."""
        n_head, length, width = query.shape[1:]
        prefix, d_model = f"layers.{layer}", self.architecture.d_model
        frequencies = 10000 ** (-torch.arange(0, d_model, 2, device=key.device, dtype=torch.float32) / d_model)
        angles = torch.arange(length - 1, -1, -1, device=key.device)[:, None] * frequencies
        sinusoids = torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :d_model].to(key.dtype)
        projected = self.linear(sinusoids, f"{prefix}.relative_position").view(length, n_head, width)
        content = self.by_name[f"{prefix}.content_bias.bias"].view(n_head, 1, width)
        position = self.by_name[f"{prefix}.position_bias.bias"].view(n_head, 1, width)
        by_distance = (query + position) @ projected.permute(1, 2, 0)
        # Column j of row i is the distance i - j after the shift of appendix B.
        shifted = F.pad(by_distance, (1, 0)).flatten(-2)[..., length:].view(by_distance.shape)
        return ((query + content) @ key.transpose(-1, -2) + shifted) / math.sqrt(width)

    # Adaptive embedding and softmax

    def _clusters(self) -> list[tuple[int, int]]:
        return list(pairwise([0, *self.architecture.clean_cutoffs]))

    def _lookup(self, name: str, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.by_name[name])

    def _embed_adaptive(self, ids: Tensor) -> Tensor:
        """Adaptive input (Baevski and Auli 2019), as Transformer-XL has it."""
        a = self.architecture
        if a.div_val == 1:
            x = self._lookup("token_embedding.0.weight", ids)
            projection = self.by_name.get("embedding_projection.0.weight")
            x = x if projection is None else x @ projection
        else:
            parts = []
            for i, (begin, end) in enumerate(self._clusters()):
                part = self._lookup(f"token_embedding.{i}.weight", (ids - begin).clamp(0, end - begin - 1))
                part = part @ self.by_name[f"embedding_projection.{i}.weight"]
                parts.append(part * ((ids >= begin) & (ids < end)).unsqueeze(-1))
            x = torch.stack(parts).sum(0)
        return x * math.sqrt(a.d_model)

    def _head_adaptive(self, x: Tensor) -> Tensor:
        """Adaptive softmax (Grave et al. 2017), as `ProjectedAdaptiveLogSoftmax` of Transformer-XL has it."""
        clusters, several = self._clusters(), self.architecture.div_val != 1
        parts: list[Tensor] = []
        for i, (begin, end) in enumerate(clusters):
            untied = self.by_name.get(f"head_projection.{i}.weight")
            tied = self.by_name.get(f"embedding_projection.{i if several else 0}.weight")
            projection = untied if untied is not None else None if tied is None else tied.T
            hidden = x if projection is None else x @ projection
            whole = self.by_name[f"token_embedding.{i if several else 0}.weight"]
            table: Tensor = whole if several else whole[begin:end]
            bias = self.by_name["head_bias.bias"][begin:end]
            if i == 0 and len(clusters) > 1:
                table = torch.cat([table, self.by_name["cluster.weight"].T])
                bias = torch.cat([bias, self.by_name["cluster.bias"]])
            scores = hidden @ table.T + bias
            parts.append(scores if self.linearized else scores.log_softmax(-1))
        first, n = parts[0], clusters[0][1]
        rest = [part + first[..., n + i : n + i + 1] for i, part in enumerate(parts[1:])]
        return torch.cat([first[..., :n], *rest], dim=-1)


def weights_of(network: Network) -> Mapping[str, Any]:
    """The weights as float32 arrays by the names of the inventory, for `lts.export.export`."""
    return {name: parameter.detach().cpu().float().numpy() for name, parameter in network.by_name.items()}


def load_network(architecture: Architecture, path: str | Path) -> Network:
    """The network of an architecture with the weights of a checkpoint: see `lts.export.checkpoint.read_checkpoint`."""
    return Network(architecture, read_checkpoint(architecture, Path(path)))
