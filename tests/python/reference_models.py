"""The families in plain PyTorch, written from the papers and from Hugging Face's models, one sequence at a time.

Slow and simple on purpose, and unlike `lts.export` in how everything is computed: no cache, loops over heads, tokens
and clusters, complex numbers for rotary positions. Weights come by the names of the inventory, matrices as (in, out).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

try:
    import torch
except ImportError:  # the tests that need it are skipped
    torch = None  # type: ignore[assignment]

import lts

REASON = "PyTorch is not installed; the tests that compare with it need: pip install 'lts-engine[torch]'"


def logits(architecture: lts.Architecture, weights: Mapping[str, np.ndarray], ids: np.ndarray) -> np.ndarray:
    """Logits, or log-probabilities of an adaptive softmax, of each sequence: [batch, length, vocab_size].

    Parameters
    ----------
    ids
        [batch, length].
    """
    w = {name: torch.tensor(np.asarray(array), dtype=torch.float64) for name, array in weights.items()}
    with torch.no_grad():
        return np.stack([_Model(architecture, w).logits(torch.tensor(row)).numpy() for row in ids])


class _Model:
    def __init__(self, architecture: lts.Architecture, w: dict[str, Any]) -> None:
        self.a = architecture
        self.w = w
        self.network = {
            "gelu": self.gelu_network,
            "gelu_erf": self.gelu_network,
            "relu": self.relu_network,
            "swiglu": self.swiglu_network,
        }

    def logits(self, ids: Any) -> Any:
        traits = self.a.traits
        x = self.embed_adaptive(ids) if self.a.adaptive else self.w["token_embedding.0.weight"][ids]
        if traits.position == "learned":
            x = x + self.w["position_embedding.weight"][: len(ids)]
        for layer in range(self.a.n_layer):
            given = x
            for name, network, size in (
                ("attention", self.attention, self.a.n_head[layer]),
                ("feed_forward", self.network[traits.feed_forward], self.a.d_ff[layer]),
            ):
                norm = f"layers.{layer}.{name}_norm"
                if size == 0:
                    assert not any(each.startswith(norm) for each in self.w)
                elif traits.norm_placement == "before":
                    x = x + network(layer, self.norm(given if traits.parallel else x, norm))
                else:
                    x = self.norm(x + network(layer, x), norm)
        if traits.final_norm:
            x = self.norm(x, "final_norm")
        if self.a.adaptive:
            return self.log_softmax_adaptive(x)
        return x @ (self.w["head.weight"] if "head.weight" in self.w else self.w["token_embedding.0.weight"].T)

    def linear(self, x: Any, name: str) -> Any:
        y = x @ self.w[f"{name}.weight"]
        return y + self.w[f"{name}.bias"] if f"{name}.bias" in self.w else y

    def norm(self, x: Any, name: str) -> Any:
        epsilon, scale = self.a.norm_epsilon, self.w[f"{name}.scale"]
        if self.a.traits.norm == "layer_norm":
            return torch.nn.functional.layer_norm(x, x.shape[-1:], scale, self.w[f"{name}.bias"], epsilon)
        return x / torch.sqrt((x**2).mean(-1, keepdim=True) + epsilon) * scale

    def gelu_network(self, layer: int, x: Any) -> Any:
        form = "none" if self.a.traits.feed_forward == "gelu_erf" else "tanh"
        hidden = torch.nn.functional.gelu(self.linear(x, f"layers.{layer}.up"), approximate=form)
        return self.linear(hidden, f"layers.{layer}.down")

    def relu_network(self, layer: int, x: Any) -> Any:
        return self.linear(torch.relu(self.linear(x, f"layers.{layer}.up")), f"layers.{layer}.down")

    def swiglu_network(self, layer: int, x: Any) -> Any:
        gate = torch.nn.functional.silu(self.linear(x, f"layers.{layer}.gate"))
        return self.linear(gate * self.linear(x, f"layers.{layer}.up"), f"layers.{layer}.down")

    def attention(self, layer: int, x: Any) -> Any:
        n_head, n_kv, width = self.a.n_head[layer], self.a.n_kv_head[layer], self.a.head_dims[layer]
        n, position = len(x), self.a.traits.position
        prefix = f"layers.{layer}"
        query = self.linear(x, f"{prefix}.query").view(n, n_head, width)
        key = self.linear(x, f"{prefix}.key").view(n, n_kv, width)
        value = self.linear(x, f"{prefix}.value").view(n, n_kv, width)
        if position == "rotary":
            query, key = self.rotate(query), self.rotate(key)
        causal = torch.full((n, n), -math.inf).triu(1)
        heads = []
        for head in range(n_head):
            q, k, v = query[:, head], key[:, head * n_kv // n_head], value[:, head * n_kv // n_head]
            scores = self.relative_scores(layer, head, q, k) if position == "relative" else q @ k.T
            heads.append(torch.softmax(scores / math.sqrt(width) + causal, -1) @ v)
        return self.linear(torch.cat(heads, -1), f"{prefix}.attention_output")

    def rotate(self, x: Any) -> Any:
        """Rotary positions as multiplication with exp(i angle); element k pairs with element k + width / 2."""
        width = self.a.rotary_dim or x.shape[-1]
        wavelength = 2 * math.pi * self.a.rotary_theta ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
        if self.a.rotary_scaling is not None:
            wavelength = torch.tensor([self.longer(each) for each in wavelength.tolist()], dtype=torch.float64)
        angle = 2 * math.pi * torch.arange(len(x), dtype=torch.float64)[:, None] / wavelength
        pairs = torch.complex(x[..., : width // 2], x[..., width // 2 : width])
        pairs = pairs * torch.polar(torch.ones_like(angle), angle)[:, None]
        return torch.cat([pairs.real, pairs.imag, x[..., width:]], -1)

    def longer(self, wavelength: float) -> float:
        """A wavelength as Llama 3 has it for contexts longer than the first training's, case by case."""
        rule = self.a.rotary_scaling
        low, high = (rule["original_positions"] / rule[f"{name}_freq_factor"] for name in ("low", "high"))
        if wavelength < high:
            return wavelength
        if wavelength > low:
            return wavelength * rule["factor"]
        smooth = (rule["original_positions"] / wavelength - rule["low_freq_factor"]) / (
            rule["high_freq_factor"] - rule["low_freq_factor"]
        )
        return wavelength / ((1 - smooth) / rule["factor"] + smooth)

    def relative_scores(self, layer: int, head: int, query: Any, key: Any) -> Any:
        """Dai et al. 2019, section 3.3, term by term: (a) + (c) from the content, (b) + (d) from the distance."""
        n, width = query.shape
        prefix = f"layers.{layer}"
        columns = slice(head * width, (head + 1) * width)
        u = self.w[f"{prefix}.content_bias.bias"][columns]
        v = self.w[f"{prefix}.position_bias.bias"][columns]
        project = self.w[f"{prefix}.relative_position.weight"][:, columns]
        scores = torch.zeros(n, n, dtype=torch.float64)
        for i in range(n):
            for j in range(i + 1):
                distance = self.sinusoid(i - j) @ project
                scores[i, j] = query[i] @ key[j] + u @ key[j] + query[i] @ distance + v @ distance
        return scores

    def sinusoid(self, distance: int) -> Any:
        d_model = self.a.d_model
        angle = distance / 10000 ** (torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
        return torch.cat([angle.sin(), angle.cos()])[:d_model]

    def clusters(self) -> list[tuple[int, int, int]]:
        """Number, first and past-last token of each cluster."""
        ends = self.a.clean_cutoffs
        return [(i, ends[i - 1] if i else 0, end) for i, end in enumerate(ends)]

    def table(self, cluster: int) -> Any:
        if self.a.div_val != 1:
            return self.w[f"token_embedding.{cluster}.weight"]
        _, begin, end = self.clusters()[cluster]
        return self.w["token_embedding.0.weight"][begin:end]

    def projection(self, cluster: int) -> Any:
        """From the width of a cluster to d_model, or None."""
        return self.w.get(f"embedding_projection.{cluster if self.a.div_val != 1 else 0}.weight")

    def embed_adaptive(self, ids: Any) -> Any:
        rows = []
        for token in ids.tolist():
            i, begin, _ = next(c for c in self.clusters() if token < c[2])
            row = self.table(i)[token - begin]
            rows.append(row if self.projection(i) is None else row @ self.projection(i))
        return torch.stack(rows) * self.a.d_model**0.5

    def log_softmax_adaptive(self, x: Any) -> Any:
        """`ProjectedAdaptiveLogSoftmax` of Transformer-XL without labels, as in Hugging Face's version."""
        clusters = self.clusters()
        output = torch.empty(len(x), self.a.vocab_size, dtype=torch.float64)
        first = None
        for i, begin, end in clusters:
            untied = self.w.get(f"head_projection.{i}.weight")
            tied = self.projection(i)
            hidden = x
            if untied is not None:
                hidden = x @ untied
            elif tied is not None:
                hidden = x @ tied.T
            weight, bias = self.table(i), self.w["head_bias.bias"][begin:end]
            if i == 0 and len(clusters) > 1:
                weight = torch.cat([weight, self.w["cluster.weight"].T])
                bias = torch.cat([bias, self.w["cluster.bias"]])
            log_probability = torch.log_softmax(hidden @ weight.T + bias, -1)
            if i == 0:
                first = log_probability
                output[:, :end] = first[:, :end]
            else:
                output[:, begin:end] = first[:, clusters[0][2] + i - 1, None] + log_probability
        return output
