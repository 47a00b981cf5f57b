"""Members for weights, and models for many devices, against values by hand and against trying everything."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import lts
from lts.errors import UsageError
from lts.fleet.preference import losses, parse_preference, serve

OBJECTIVES = [lts.parse_objective("decoder_params:max"), lts.parse_objective("latency_ms:min")]
FRONT = np.array([[-100.0, 50.0], [-80.0, 20.0], [-20.0, 10.0]])  # minimized


def test_losses_by_hand() -> None:
    # Parts of the ranges 80 and 40, over the larger weight: (0, 1), (0.25, 0.25), (1, 0) of params and latency.
    found = losses(FRONT, FRONT, OBJECTIVES, {"decoder_params": 2.0, "latency_ms": 1.0})
    assert found == pytest.approx([0.5 + 0.0005, 0.25 + 0.000375, 1.0 + 0.001])
    assert int(np.argmin(losses(FRONT, FRONT, OBJECTIVES, {"latency_ms": 1.0}))) == 2
    assert int(np.argmin(losses(FRONT, FRONT, OBJECTIVES, {"decoder_params": 1.0}))) == 0
    assert losses(FRONT, FRONT, OBJECTIVES, {}) == pytest.approx([1.001, 0.2505, 1.001])


def test_a_member_that_is_dominated_is_not_preferred() -> None:
    weakly = np.array([[-100.0, 30.0], [-90.0, 30.0], [-20.0, 10.0]])
    assert int(np.argmin(losses(weakly, weakly, OBJECTIVES, {"decoder_params": 0.1, "latency_ms": 1.0}))) != 1


@pytest.mark.parametrize(("n", "k"), [(8, 1), (8, 3), (40, 4), (60, 5)])
def test_serving_is_as_good_as_trying_everything(n: int, k: int) -> None:
    """40 over 4 and 60 over 5 are more sets than are all tried: exchanges have to find one that is nearly as good."""
    loss = np.random.default_rng(n).random((n, 6))
    loss[::7, 2] = np.inf
    chosen = serve(loss, k)
    assert len(set(chosen)) == k

    def total(some: tuple[int, ...] | list[int]) -> float:
        return float(np.where(np.isfinite(loss), loss, 10.0)[list(some)].min(axis=0).mean())

    if n < 50:
        assert total(chosen) <= 1.15 * min(map(total, combinations(range(n), k)))
    greedy: list[int] = []
    for _ in range(k):
        greedy.append(min(set(range(n)) - set(greedy), key=lambda i: total([*greedy, i])))
    assert total(chosen) <= total(greedy)


def test_a_device_within_whose_bounds_little_is_gets_a_model_of_its_own() -> None:
    loss = np.array([[0.0, 0.0, np.inf], [0.9, 0.9, 0.9], [0.1, 0.2, np.inf]])
    assert serve(loss, 1) == [1]
    assert serve(loss, 2) == [0, 1]
    assert serve(loss, 9) == [0, 1, 2]


@pytest.mark.parametrize("text", ["", "latency_ms", "latency_ms=", "=1", "latency_ms=x", "a=1,a=2", "a=1,", "a=nan"])
def test_texts_that_are_no_preference(text: str) -> None:
    with pytest.raises(UsageError, match="expected weights such as decoder_params=2,latency_ms=1"):
        parse_preference(text)


def test_weights_are_not_negative() -> None:
    assert parse_preference("decoder_params=2, latency_ms=1") == {"decoder_params": 2.0, "latency_ms": 1.0}
    with pytest.raises(UsageError, match="it must be at least 0"):
        parse_preference("a=-1")
