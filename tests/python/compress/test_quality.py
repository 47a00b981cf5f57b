"""Curves of losses: which of their levels are measured, and what these do to the others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lts.compress.quality import Losses

LOSSES = Losses(
    attention=[{(9, 3): 0.0, (6, 2): 0.1, (3, 3): 0.2, (1, 1): 0.4, (0, 0): 0.8}, {(9, 3): 0.0}],
    feed_forward=[{64: 0.0, 48: 0.1, 32: 0.2, 16: 0.4, 0: 50.0}, {64: 0.0, 48: 0.1}],
)


def test_the_fewest_heads_none_and_half_of_the_channels_are_measured() -> None:
    assert LOSSES.anchors() == {
        "0.attention.0x0": (0, "attention", (0, 0)),
        "0.attention.1x1": (0, "attention", (1, 1)),
        "0.feed_forward.32": (0, "feed_forward", 32),
        "1.feed_forward.48": (1, "feed_forward", 48),
    }


def test_curves_go_through_what_was_measured() -> None:
    measured = {"0.attention.0x0": 0.4, "0.attention.1x1": 0.6, "0.feed_forward.32": 0.1, "1.feed_forward.48": -0.01}
    found = LOSSES.scaled(measured)
    attention = found.attention[0]
    assert attention[0, 0] == pytest.approx(0.4)
    assert attention[1, 1] == pytest.approx(0.6)
    # with more heads than the fewest, the scale is that of these
    assert [attention[each] / LOSSES.attention[0][each] for each in [(6, 2), (3, 3)]] == pytest.approx([1.5, 1.5])
    assert attention[9, 3] == 0
    assert found.attention[1] == {(9, 3): 0.0}
    assert {width: found.feed_forward[0][width] for width in (64, 48, 32, 16, 0)} == pytest.approx(
        {64: 0.0, 48: 0.05, 32: 0.1, 16: 0.2, 0: 25.0}
    )
    assert found.feed_forward[1] == {64: 0.0, 48: 0.0}  # a divergence below 0 is noise


def test_scales_change_evenly_between_two_measured_levels() -> None:
    losses = Losses([{(4, 4): 0.0, (2, 2): 0.2, (1, 1): 0.1, (0, 0): 0.4}], [{8: 0.0}])
    found = losses.scaled({"0.attention.1x1": 0.1, "0.attention.0x0": 0.8})  # times 1 and 2
    assert found.attention[0][2, 2] == pytest.approx(0.2 * (1 + math.log(0.2 / 0.1) / math.log(0.4 / 0.1)))


def test_parts_that_lose_much_err_by_a_larger_share() -> None:
    table = LOSSES.table
    for rows in (table.attention, table.feed_forward):
        loss, variance = rows[:, -2:].T
        np.testing.assert_array_equal(variance[loss == 0], 0)
        share = np.sqrt(variance[loss > 0]) / loss[loss > 0]
        assert (np.diff(share[np.argsort(loss[loss > 0])]) >= 0).all()
        np.testing.assert_allclose(share[loss[loss > 0] == 0.1], 0.4 * np.sqrt(2))
