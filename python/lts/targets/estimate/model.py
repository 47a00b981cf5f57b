"""Costs of the parts of architectures on a target, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from lts._core import Family
from lts.targets.assumptions import Published
from lts.targets.estimate.operations import Operation, Shape, around_layers, attention, feed_forward
from lts.targets.target import Target
from lts.targets.workload import Workload

# Defaults for compiled models, where a profile does not say otherwise.
EFFICIENCY = {"cpu": 0.7, "gpu": 0.4}
OPERATOR_US = {"cpu": 2.0, "gpu": 5.0}

# Bytes of a weight, with its share of a scale, and of an element of activations.
_BYTES = {"float32": (4.0, 4.0), "float16": (2.0, 2.0), "int8": (1.0, 4.0), "int4": (0.625, 4.0)}


class Cost(NamedTuple):
    """Cost of one part of a model: milliseconds, and elements of its weight matrices."""

    prompt_ms: float
    decode_ms: float
    published_ms: float
    matrix_elements: int


_NOTHING = Cost(0.0, 0.0, 0.0, 0)  # of what a layer lacks


class Rates(NamedTuple):
    """Speed of a target: operations and bytes per millisecond, and milliseconds per operator; bytes of a number."""

    flops: float
    bytes: float
    operator_ms: float
    weight_bytes: float
    element_bytes: float

    def ms(self, operations: Iterable[Operation]) -> float:
        """Milliseconds of operators: the longer of arithmetic and memory traffic of each, plus its overhead."""
        total = 0.0
        for _, flops, other, elements, weights in operations:
            traffic = elements * self.element_bytes + weights * self.weight_bytes
            total += max((flops + other) / self.flops, traffic / self.bytes) + self.operator_ms
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
        weight_bytes=_BYTES[target.precision][0],
        element_bytes=_BYTES[target.precision][1],
    )


class Model:
    """Parts of the architectures of one family and width, on one target and for one workload.

    Decoding is the mean of a step at both ends of the request. What was published is of logits at all positions.

    A search sees the same layers again and again, so the cost of each part is cached.
    """

    def __init__(self, target: Target, published: Published | None, traits: Family, d: int, load: Workload) -> None:
        self._rates = rates(target)
        self._published = published
        n = load.n_prompt
        self._prompt = Shape(traits, d, n, n, load.batch, n if load.logits == "all" else 1)
        self._all_logits = replace(self._prompt, heads=n)
        in_place = load.cache == "in_place"
        self._steps = [Shape(traits, d, 1, context + 1, load.batch, in_place=in_place) for context in load.contexts]
        self.attention = lru_cache(maxsize=4096)(self._attention)
        self.feed_forward = lru_cache(maxsize=4096)(self._feed_forward)
        self.around_layers = lru_cache(maxsize=256)(self._around_layers)

    def _attention(self, n_head: int, n_kv_head: int, head_dim: int) -> Cost:
        if n_head == 0:
            return _NOTHING
        prompt = list(attention(self._prompt, n_head, n_kv_head, head_dim))
        scores = self._prompt.pairs * n_head
        q, kv = n_head * head_dim, n_kv_head * head_dim
        positions = q if self._prompt.traits.position == "relative" else 0
        return Cost(
            self._rates.ms(prompt),
            self._decode_ms(lambda step: attention(step, n_head, n_kv_head, head_dim)),
            self._published_ms(prompt, layer=True, scores=scores),
            self._prompt.d * (2 * q + 2 * kv + positions),
        )

    def _feed_forward(self, d_ff: int) -> Cost:
        if d_ff == 0:
            return _NOTHING
        prompt = list(feed_forward(self._prompt, d_ff))
        matrices = 3 if self._prompt.traits.feed_forward == "swiglu" else 2
        return Cost(
            self._rates.ms(prompt),
            self._decode_ms(lambda step: feed_forward(step, d_ff)),
            self._published_ms(prompt, layer=True, activations=self._prompt.tokens * d_ff),
            matrices * self._prompt.d * d_ff,
        )

    def _around_layers(
        self, vocab_size: int, d_embed: int, adaptive: bool, div_val: int, cutoffs: tuple[int, ...]
    ) -> Cost:
        def around(shape: Shape) -> list[Operation]:
            return list(around_layers(shape, vocab_size, d_embed, adaptive, div_val, cutoffs))

        one = around(Shape(self._prompt.traits, self._prompt.d, 1, 1))
        return Cost(
            self._rates.ms(around(self._prompt)),
            self._decode_ms(around),
            self._published_ms(around(self._all_logits), layer=False, logits=self._prompt.tokens * vocab_size),
            int(sum(operation.flops for operation in one)) // 2,
        )

    def _decode_ms(self, operations: Callable[[Shape], Iterable[Operation]]) -> float:
        return sum(self._rates.ms(operations(step)) for step in self._steps) / len(self._steps)

    def _published_ms(
        self, operations: list[Operation], *, layer: bool, logits: int = 0, activations: int = 0, scores: int = 0
    ) -> float:
        p = self._published
        if p is None:
            return 0.0
        per_gflop = p.layer_ms_per_gflop if layer else p.output_ms_per_gflop
        elements = logits * p.ns_per_logit + activations * p.ns_per_activation + scores * p.ns_per_score
        return sum(operation.flops for operation in operations) * 1e-9 * per_gflop + elements * 1e-6
