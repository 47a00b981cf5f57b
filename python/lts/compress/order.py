"""In which order heads and channels are removed, and the error of every level, to second order and in closed form.

A part writes x W to the residual stream, x (n,), W (n, d_model). Removing the rows R of W, with the least-squares best
change of all other rows, costs

    1/2 tr([H^-1]_RR^-1 W_R fisher W_R^T),   H = gram + ridge

in nats per token (Optimal Brain Surgeon, Hassibi and Stork 1993, for whole rows, with the moments of
`lts.compress.statistics`). The order is greedy: next is always what costs least after all that was removed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FLOOR = 1e-3  # of the mean of the diagonal: also what never varies can be divided by
RIDGE = 0.1  # of every element of the diagonal

Matrix = NDArray[np.floating]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]
Heads = tuple[int, int]
"""n_head and n_kv_head of a layer."""


def with_ridge(gram: Matrix, ridge: float = RIDGE) -> Doubles:
    """A Gram matrix in float64 that can be inverted: a share of each element of the diagonal is added to it.

    That is the same for numbers of every scale, where a share of the mean would be that of the few that are largest.
    """
    found: Doubles = np.array(gram, np.float64)
    diagonal = found.diagonal().copy()
    found[np.diag_indices(len(found))] += ridge * (diagonal + max(_FLOOR * float(diagonal.mean()), 1e-30))
    return found


def square_root(fisher: Matrix) -> Doubles:
    """B with B B^T = fisher, of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(np.asarray(fisher, np.float64))
    root: Doubles = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def removal_error(inverse: Doubles, rows: Doubles, removed: Indices) -> float:
    """Cost of removing rows: `inverse` of the Gram matrix (n, n), `rows` W B (n, d) with B the root of the Fisher."""
    if len(removed) == 0:
        return 0.0
    chosen = rows[removed]
    return 0.5 * float(np.sum(np.linalg.solve(inverse[np.ix_(removed, removed)], chosen) * chosen))


def _remove(inverse: Doubles, rows: Doubles, removed: Indices) -> float:
    """Take rows out of both, in place, and return what that costs: Schur complements, and the others change."""
    cost = removal_error(inverse, rows, removed)
    column = inverse[:, removed].copy()
    factor = np.linalg.solve(inverse[np.ix_(removed, removed)], column.T)
    rows -= factor.T @ rows[removed]
    inverse -= column @ factor
    inverse[removed, removed] = 1.0  # of what is gone: nothing else reads it, and divisions by it are no errors
    return cost


@dataclass(frozen=True)
class ChannelOrder:
    """Channels of a feed-forward network.

    Attributes
    ----------
    order
        All channels, the first to be removed first, (d_ff,).
    errors
        By width, those of `widths`, the cost of it in nats per token.
    """

    order: Indices
    errors: dict[int, float]

    def kept(self, width: int) -> Indices:
        """The channels of a width, ascending."""
        return np.sort(self.order[len(self.order) - width :])


def channel_order(weight: Matrix, gram: Matrix, fisher: Matrix, widths: Sequence[int], chunk: int = 16) -> ChannelOrder:
    """The greedy order of the channels, down to every one of the widths; within a chunk by the cost of each alone.

    O(n^3 + n^2 d) for n channels: the inverse and the rows follow every removal by a Schur complement.
    """
    inverse: Doubles = np.asarray(np.linalg.inv(with_ridge(gram)), np.float64)
    rows: Doubles = np.asarray(weight, np.float64) @ square_root(fisher)
    left = np.arange(len(rows))
    removed: list[Indices] = []
    errors, cost = {len(rows): 0.0}, 0.0
    for width in sorted({*widths} - {len(rows)}, reverse=True):
        out = np.zeros(len(left), bool)  # of what is left, in this level
        while (more := min(chunk, int((~out).sum()) - width)) > 0:
            scores = np.einsum("nd,nd->n", rows, rows) / inverse.diagonal()
            scores[out] = np.inf
            worst = np.argsort(scores, kind="stable")[:more]
            cost += _remove(inverse, rows, worst)
            out[worst] = True
            removed.append(left[worst])
        inverse, rows, left = inverse[np.ix_(~out, ~out)], rows[~out], left[~out]
        errors[width] = cost
    if len(left):  # below the least width; in the order of their costs
        scores = np.einsum("nd,nd->n", rows, rows) / inverse.diagonal()
        removed.append(left[np.argsort(scores, kind="stable")])
    return ChannelOrder(np.concatenate(removed).astype(np.int64), errors)


@dataclass(frozen=True)
class HeadOrder:
    """Heads of a layer: `groups` of key-value heads, removed whole, and in each the heads of queries, which are removed
    from all groups alike.

    Attributes
    ----------
    groups
        Key-value heads, the first to be removed first, (n_kv_head,).
    queries
        By key-value head its heads of queries, the first to be removed first, (n_kv_head, n_head / n_kv_head).
    errors
        By (n_head, n_kv_head) the cost in nats per token.
    """

    groups: Indices
    queries: Indices
    errors: dict[Heads, float]

    def kept(self, heads: Heads) -> tuple[Indices, Indices]:
        """The heads of queries and the key-value heads of a level, both ascending."""
        n_head, n_kv_head = heads
        if n_kv_head == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        groups = np.sort(self.groups[len(self.groups) - n_kv_head :])
        each = n_head // n_kv_head
        return np.sort(self.queries[groups][:, self.queries.shape[1] - each :].ravel()), groups


def head_levels(n_head: int, n_kv_head: int) -> list[Heads]:
    """All levels of a layer: numbers of groups, with equal numbers of queries, the largest first, and none."""
    group = n_head // n_kv_head
    return [(kv * each, kv) for kv in range(n_kv_head, 0, -1) for each in range(group, 0, -1)] + [(0, 0)]


def head_order(weight: Matrix, gram: Matrix, fisher: Matrix, n_head: int, n_kv_head: int) -> HeadOrder:
    """The greedy order of the heads; `weight` is (n_head * head_dim, d_model)."""
    inverse: Doubles = np.asarray(np.linalg.inv(with_ridge(gram)), np.float64)
    rows: Doubles = np.asarray(weight, np.float64) @ square_root(fisher)
    by_head = np.arange(len(rows)).reshape(n_head, -1)
    group = n_head // n_kv_head

    def greedy(pieces: list[Indices]) -> list[int]:
        inverse_left, rows_left, order = inverse.copy(), rows.copy(), []
        left = list(range(len(pieces)))
        while left:
            order.append(min(left, key=lambda i: removal_error(inverse_left, rows_left, pieces[i])))
            left.remove(order[-1])
            _remove(inverse_left, rows_left, pieces[order[-1]])
        return order

    groups = np.array(greedy(list(by_head.reshape(n_kv_head, -1))))
    queries = np.array(
        [np.array(greedy(list(by_head[k * group : (k + 1) * group]))) + k * group for k in range(n_kv_head)]
    )
    found = HeadOrder(groups, queries, {})
    everything = np.arange(n_head)
    for level in head_levels(n_head, n_kv_head):
        gone = np.setdiff1d(everything, found.kept(level)[0])
        found.errors[level] = removal_error(inverse, rows, by_head[gone].ravel())
    return found
