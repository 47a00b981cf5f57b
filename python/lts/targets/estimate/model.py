"""Costs of the parts of architectures on a target, each computed once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from lts._core import Family
from lts.targets.assumptions import Published
from lts.targets.estimate.operations import Operation, Shape, around_layers, attention, feed_forward
from lts.targets.target import Target

# Defaults for compiled models, where a profile does not say otherwise.
EFFICIENCY = {"cpu": 0.7, "gpu": 0.4}
OPERATOR_US = {"cpu": 2.0, "gpu": 5.0}

_BITS = {"float32": 32, "float16": 16, "int8": 8, "int4": 4}


class Cost(NamedTuple):
    """Cost of one part of a model: milliseconds, and elements of its weight matrices."""

    prompt_ms: float
    decode_ms: float
    published_ms: float
    matrix_elements: int


class Rates(NamedTuple):
    """Speed of a target: operations and bytes per millisecond, and milliseconds per operator."""

    flops: float
    bytes: float
    operator_ms: float
    element_bytes: float

    def ms(self, operations: Iterable[Operation]) -> float:
        """Milliseconds of operators: the longer of arithmetic and memory traffic of each, plus its overhead."""
        total = 0.0
        for _, flops, other, elements in operations:
            total += max((flops + other) / self.flops, elements * self.element_bytes / self.bytes) + self.operator_ms
        return total


def rates(target: Target) -> Rates:
    """Speed of a target that passes `lts.targets.estimate.costs.check`."""
    assert target.frequency_mhz is not None
    assert target.flops_per_cycle is not None
    assert target.bandwidth_gib_s is not None
    cores = target.cores if target.kind == "gpu" else target.threads
    bandwidth = target.bandwidth_gib_s
    if target.core_bandwidth_gib_s is not None:
        bandwidth = min(bandwidth, cores * target.core_bandwidth_gib_s)
    efficiency, operator_us = target.estimate.efficiency, target.estimate.operator_us
    return Rates(
        flops=cores * target.frequency_mhz * 1e3 * target.flops_per_cycle * (efficiency or EFFICIENCY[target.kind]),
        bytes=bandwidth * 2**30 / 1e3,
        operator_ms=(OPERATOR_US[target.kind] if operator_us is None else operator_us) / 1e3,
        element_bytes=_BITS[target.precision] / 8,
    )


class Model:
    """Parts of the architectures of one family and width, on one target and for one prompt.

    A search sees the same layers again and again, so the cost of each part is cached.
    """

    def __init__(self, target: Target, published: Published | None, traits: Family, d: int, n_prompt: int) -> None:
        self._rates = rates(target)
        self._published = published
        self._prompt = Shape(traits, d, n_prompt, n_prompt)
        self._decode = Shape(traits, d, 1, n_prompt + 1)
        self.attention = lru_cache(maxsize=4096)(self._attention)
        self.feed_forward = lru_cache(maxsize=4096)(self._feed_forward)
        self.around_layers = lru_cache(maxsize=256)(self._around_layers)

    def _attention(self, n_head: int, n_kv_head: int, head_dim: int) -> Cost:
        prompt = list(attention(self._prompt, n_head, n_kv_head, head_dim))
        scores = self._prompt.new * self._prompt.all * n_head
        q, kv = n_head * head_dim, n_kv_head * head_dim
        positions = q if self._prompt.traits.position == "relative" else 0
        return Cost(
            self._rates.ms(prompt),
            self._rates.ms(attention(self._decode, n_head, n_kv_head, head_dim)),
            self._published_ms(prompt, layer=True, scores=scores),
            self._prompt.d * (2 * q + 2 * kv + positions),
        )

    def _feed_forward(self, d_ff: int) -> Cost:
        prompt = list(feed_forward(self._prompt, d_ff))
        matrices = 3 if self._prompt.traits.feed_forward == "swiglu" else 2
        return Cost(
            self._rates.ms(prompt),
            self._rates.ms(feed_forward(self._decode, d_ff)),
            self._published_ms(prompt, layer=True, activations=self._prompt.new * d_ff),
            matrices * self._prompt.d * d_ff,
        )

    def _around_layers(
        self, vocab_size: int, d_embed: int, adaptive: bool, div_val: int, cutoffs: tuple[int, ...]
    ) -> Cost:
        prompt = list(around_layers(self._prompt, vocab_size, d_embed, adaptive, div_val, cutoffs))
        one = around_layers(
            Shape(self._prompt.traits, self._prompt.d, 1, 1), vocab_size, d_embed, adaptive, div_val, cutoffs
        )
        return Cost(
            self._rates.ms(prompt),
            self._rates.ms(around_layers(self._decode, vocab_size, d_embed, adaptive, div_val, cutoffs)),
            self._published_ms(prompt, layer=False, logits=self._prompt.new * vocab_size),
            int(sum(operation.flops for operation in one)) // 2,
        )

    def _published_ms(
        self, operations: list[Operation], *, layer: bool, logits: int = 0, activations: int = 0, scores: int = 0
    ) -> float:
        p = self._published
        if p is None:
            return 0.0
        per_gflop = p.layer_ms_per_gflop if layer else p.output_ms_per_gflop
        elements = logits * p.ns_per_logit + activations * p.ns_per_activation + scores * p.ns_per_score
        return sum(operation.flops for operation in operations) * 1e-9 * per_gflop + elements * 1e-6
