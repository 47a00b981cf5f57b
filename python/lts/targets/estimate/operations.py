"""The operators of a compiled model: the operations and the memory traffic of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lts._core import Family

# Operations of an exponential, a tanh or a sigmoid: a polynomial of about that length.
_EXP = 16
# Operations of a norm per element: mean, variance, scale and shift.
_NORM = 8


class Operation(NamedTuple):
    """One operator.

    `flops` of a matrix product are counted as `lts.flops_prefill` counts them; those of anything else are in `other`.
    `elements` of activations, and `weights`, are read from or written to memory.
    """

    name: str
    flops: float
    other: float
    elements: float
    weights: float = 0.0


@dataclass(frozen=True)
class Shape:
    """What an operator works on: in each of `batch` sequences, `new` tokens that attend to `all` positions, themselves
    included, at width `d`; `heads` of the new tokens get logits. A cache is copied unless it stays `in_place`."""

    traits: Family
    d: int
    new: int
    all: int
    batch: int = 1
    heads: int = 1
    in_place: bool = False

    @property
    def tokens(self) -> int:
        """New tokens of all sequences."""
        return self.batch * self.new

    @property
    def known(self) -> int:
        """Positions of all sequences."""
        return self.batch * self.all

    @property
    def pairs(self) -> int:
        """Pairs of a new token and a position that it attends to."""
        return self.batch * self.new * self.all


def _product(name: str, rows: int, inner: int, columns: int, *, other: float = 0, residual: bool = False) -> Operation:
    """[rows, inner] times weights [inner, columns], with what is fused into it."""
    elements = rows * (inner + columns * (2 if residual else 1))
    return Operation(name, 2.0 * rows * inner * columns, other, elements, inner * columns)


def attention(s: Shape, n_head: int, n_kv_head: int, head_dim: int) -> Iterator[Operation]:
    """The attention of a layer with its norm. `n_kv_head` is `n_head` except in grouped-query attention."""
    q, kv = n_head * head_dim, n_kv_head * head_dim
    relative = s.traits.position == "relative"
    scores = s.pairs * n_head
    yield Operation("attention_norm", 0, _NORM * s.tokens * s.d, 2 * s.tokens * s.d)
    if relative:
        yield _product("query", s.tokens, s.d, q)
        yield _product("key_value", s.known, s.d, 2 * kv)
        yield _product("relative_position", s.known, s.d, q)
        yield Operation("cache", 0, 0, 2 * s.known * s.d)
    else:
        yield _product("query_key_value", s.tokens, s.d, q + 2 * kv)
        if s.traits.position == "rotary":
            yield Operation("rotary", 0, 6 * s.tokens * (q + kv), 2 * s.tokens * (q + kv))
        moved = s.tokens if s.in_place else s.known
        yield Operation("cache", 0, 0, 4 * moved * kv)  # keys and values, read and written
    products = 2 if relative else 1  # content and position
    yield Operation("scores", products * 2.0 * s.pairs * q, 0, products * (s.tokens * q + s.known * kv) + scores)
    yield Operation("softmax", 0, _EXP * scores, 2 * scores)
    yield Operation("context", 2.0 * s.pairs * q, 0, scores + s.known * kv + s.tokens * q)
    yield _product("attention_output", s.tokens, q, s.d, other=s.tokens * s.d, residual=True)


def feed_forward(s: Shape, d_ff: int) -> Iterator[Operation]:
    """The feed-forward network of a layer with its norm."""
    gated = s.traits.feed_forward == "swiglu"
    activation = s.tokens * d_ff * (1 if s.traits.feed_forward == "relu" else _EXP)
    yield Operation("feed_forward_norm", 0, _NORM * s.tokens * s.d, 2 * s.tokens * s.d)
    yield _product("gate_up" if gated else "up", s.tokens, s.d, (2 if gated else 1) * d_ff, other=activation)
    yield _product("down", s.tokens, d_ff, s.d, other=s.tokens * s.d, residual=True)


def around_layers(
    s: Shape, vocab_size: int, d_embed: int, adaptive: bool, div_val: int, cutoffs: tuple[int, ...]
) -> Iterator[Operation]:
    """Embedding, final norm and logits; `cutoffs` are the ends of the adaptive clusters."""
    rows = s.batch * s.heads
    projected = adaptive and (div_val != 1 or d_embed != s.d)
    yield Operation("embedding", 0, s.tokens * s.d, s.tokens * 2 * d_embed)
    if projected:
        yield _product("embedding_projection", s.tokens, d_embed, s.d)
    if s.traits.final_norm:
        yield Operation("final_norm", 0, _NORM * rows * s.d, 2 * rows * s.d)
    if not adaptive:
        yield _product("logits", rows, s.d, vocab_size)
        return
    begin, width = 0, d_embed
    for i, end in enumerate(cutoffs):
        if projected:
            yield _product(f"head_projection.{i}", rows, s.d, width)
        clusters = len(cutoffs) - 1 if i == 0 else 0  # one column of the first stands for each of the others
        yield _product(f"logits.{i}", rows, width, end - begin + clusters)
        begin, width = end, width // div_val
    yield Operation("log_softmax", 0, _EXP * rows * vocab_size, 2 * rows * vocab_size)
