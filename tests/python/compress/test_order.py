from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from lts.compress.order import channel_order, head_levels, head_order, square_root, with_ridge
from lts.compress.slicing import least_squares


def problem(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (n, d), and correlated second moments of inputs and gradients."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(40, n)) @ random.normal(size=(n, n))
    g = random.normal(size=(30, d)) @ random.normal(size=(d, d))
    return random.normal(size=(n, d)), x.T @ x / 40, g.T @ g / 30


def error_without(weight: np.ndarray, gram: np.ndarray, fisher: np.ndarray, gone: list[int]) -> float:
    """What the best other rows lose, by a minimization of its own: ordinary least squares on square roots."""
    whole = with_ridge(gram)
    root = np.linalg.cholesky(whole).T  # |root (W - V)|^2 = tr((W - V)^T whole (W - V))
    kept = [i for i in range(len(weight)) if i not in gone]
    best, *_ = np.linalg.lstsq(root[:, kept], root @ weight, rcond=None)
    left = root @ weight - root[:, kept] @ best
    return 0.5 * float(np.trace(left @ fisher @ left.T))


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_channels_is_the_greedy_one(seed: int) -> None:
    weight, gram, fisher = problem(8, 5, seed)
    found = channel_order(weight, gram, fisher, range(9), chunk=1)
    gone: list[int] = []
    while len(gone) < 8:
        left = [i for i in range(8) if i not in gone]
        gone.append(min(left, key=lambda i: error_without(weight, gram, fisher, [*gone, i])))
        assert found.order[: len(gone)].tolist() == gone
        assert found.errors[8 - len(gone)] == pytest.approx(error_without(weight, gram, fisher, gone), rel=1e-9)
    assert found.errors[8] == 0.0


def test_chunks_end_at_every_width() -> None:
    weight, gram, fisher = problem(21, 6, 0)
    found = channel_order(weight, gram, fisher, [21, 16, 9, 2], chunk=4)
    assert sorted(found.order.tolist()) == list(range(21))
    for width in (16, 9, 2):
        gone = found.order[: 21 - width].tolist()
        assert found.kept(width).tolist() == sorted(found.order[21 - width :].tolist())
        assert found.errors[width] == pytest.approx(error_without(weight, gram, fisher, gone), rel=1e-9)


@pytest.mark.parametrize(("n_head", "n_kv_head"), [(4, 4), (6, 2), (6, 3)])
def test_heads_of_every_level(n_head: int, n_kv_head: int) -> None:
    width = 3
    weight, gram, fisher = problem(n_head * width, 5, n_head)
    found = head_order(weight, gram, fisher, n_head, n_kv_head)
    assert list(found.errors) == head_levels(n_head, n_kv_head)
    for level, error in found.errors.items():
        heads, kv_heads = found.kept(level)
        assert (len(heads), len(kv_heads)) == level
        assert set(heads // (n_head // n_kv_head)) == set(kv_heads)
        gone = [h * width + i for h in range(n_head) if h not in heads for i in range(width)]
        assert error == pytest.approx(error_without(weight, gram, fisher, gone), rel=1e-9, abs=1e-12)


def test_the_first_group_is_the_one_that_costs_least() -> None:
    weight, gram, fisher = problem(12, 5, 1)
    found = head_order(weight, gram, fisher, 4, 4)
    costs = [error_without(weight, gram, fisher, [3 * h, 3 * h + 1, 3 * h + 2]) for h in range(4)]
    assert found.groups[0] == int(np.argmin(costs))


def test_least_squares_is_numpy_s() -> None:
    weight, _, _ = problem(10, 4, 2)
    x = np.random.default_rng(3).normal(size=(50, 10)) @ np.random.default_rng(4).normal(size=(10, 10))
    for kept in combinations(range(10), 7):
        wanted, *_ = np.linalg.lstsq(x[:, list(kept)], x @ weight, rcond=None)
        found = least_squares(weight, x.T @ x / 50, np.array(kept), ridge=0.0)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)


def test_the_root_of_a_fisher_matrix() -> None:
    _, _, fisher = problem(3, 7, 5)
    root = square_root(fisher)
    np.testing.assert_allclose(root @ root.T, fisher, rtol=1e-10, atol=1e-12)
