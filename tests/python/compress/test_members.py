"""Members of the predicted front, those of equal shares, and perplexities fitted to what was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lts
from lts.compress.members import WORST, LikelyMembers, spread_over, uniform
from lts.compress.predicting import QualityModel, SubnetworkSurrogate

WHOLE = lts.Architecture("llama", 100, 64, 64, 4, 96, n_kv_head=2, n_layer=3, head_dim=16)
SPACE = lts.SearchSpace(
    family="llama",
    vocab_size=100,
    n_positions=64,
    head_dim=16,
    n_layer=[3],
    d_model=[64],
    heads=[(4, 2), (2, 1), (0, 0)],
    d_ff=[96, 64, 32, 0],
)


def table_of(scale: float = 1.0) -> lts.LossTable:
    """Later layers lose more."""
    attention = {(i, 2 * n, n): scale * (i + 1) * (2 - n) * 0.05 for i in range(3) for n in range(3)}
    feed_forward = {(i, 32 * n): scale * (i + 1) * (3 - n) ** 2 * 0.02 for i in range(3) for n in range(4)}
    return lts.LossTable(attention, feed_forward)


def test_members_lose_least_for_their_size() -> None:
    table = table_of()
    likely = LikelyMembers(SPACE, table, WHOLE)
    assert likely.whole == WHOLE
    sizes = [lts.decoder_params(each) for each in likely.members]
    assert sizes == sorted(sizes, reverse=True)
    every = [SPACE.at(i) for i in range(int(SPACE.size))]
    losses, all_sizes = table.predict(every), np.array([lts.decoder_params(each) for each in every])
    assert lts.decoder_params(likely.smallest) == all_sizes.min()
    for member, loss in zip(likely.members, table.predict(likely.members), strict=True):
        assert loss <= losses[all_sizes <= lts.decoder_params(member)].min() + 1e-12  # brute force


def test_what_a_study_begins_with() -> None:
    likely = LikelyMembers(SPACE, table_of(4.0), WHOLE)
    first = likely.first(6, lambda members: [*members])
    assert first[0] == WHOLE
    assert len(first) == 6
    assert table_of(4.0).predict(first).max() <= math.log(WORST)  # nobody ships what loses more
    # where bounds leave no others, those that lose more are begun with
    small = likely.first(4, lambda members: [each for each in members if lts.decoder_params(each) < 15_000])
    assert small
    assert table_of(4.0).predict(small).min() > math.log(WORST)
    assert likely.first(4, lambda members: []) == []


def test_even_over_parameters() -> None:
    members = [lts.Architecture("llama", 100, 64, 64, 4, n, n_layer=1) for n in (960, 950, 940, 500, 480, 10)]
    assert [each.d_ff[0] for each in spread_over(members, 3)] == [960, 480, 10]
    assert spread_over(members, 0) == spread_over([], 3) == []


@pytest.mark.parametrize("share", [1.0, 0.7, 0.4, 0.01])
def test_equal_shares(share: float) -> None:
    found = uniform(SPACE, WHOLE, share)
    assert found in SPACE
    assert len({*found.d_ff}) == len({*found.n_head}) == 1
    everything = [a for a in (SPACE.at(i) for i in range(int(SPACE.size))) if len({*a.d_ff}) == len({*a.n_head}) == 1]
    if share == 1.0:
        assert found == WHOLE
    assert lts.decoder_params(found) >= min(map(lts.decoder_params, everything))
    with pytest.raises(ValueError, match="the share is 0; it must be above 0"):
        uniform(SPACE, WHOLE, 0)


def test_perplexities_are_fitted() -> None:
    """Measured losses are 0.7 times the table's, with noise: predictions follow, and nine of ten are inside."""
    table, random = table_of(2.0), np.random.default_rng(3)
    known, others = SPACE.sample(25, seed=1), SPACE.sample(200, seed=2)
    before = QualityModel.fit(table, 20.0, [WHOLE, WHOLE], np.array([20.0, 20.0]), np.zeros(2))
    assert before.predict([WHOLE]).tolist() == [20.0]
    measured = {
        id(a): 20.0 * math.exp(0.7 * loss * (1 + 0.1 * random.standard_normal()))
        for a, loss in zip([*known, *others], table.predict([*known, *others]), strict=True)
    }
    model = QualityModel.fit(table, 20.0, known, np.array([measured[id(a)] for a in known]), np.full(25, 1e-3))
    ratio = np.log(model.predict(others) / 20.0) / table.predict(others)
    assert np.median(ratio) == pytest.approx(0.7, rel=0.05)
    low, high = model.interval(others).T
    values = np.array([measured[id(a)] for a in others])
    assert 0.82 <= ((low <= values) & (values <= high)).mean() <= 0.97
    assert 0 < model.error < 0.2
    # measurements that say the opposite leave the table as it is
    wrong = QualityModel.fit(table, 20.0, known, np.full(25, 19.0), np.full(25, 1e-3))
    assert np.allclose(wrong.predict(known), 20 * np.exp(table.predict(known)))


def test_the_surrogate_predicts_costs_as_sums() -> None:
    surrogate = SubnetworkSurrogate(table_of(), lambda column: 20.0, {})
    some = SPACE.sample(30, seed=4)
    costs = np.array([1.0 + 0.01 * sum(a.d_ff) + 0.5 * sum(a.n_head) for a in some])
    model, _ = surrogate.fit("request_ms", some, costs, np.zeros(30))
    assert model is not None
    assert np.allclose(model.predict(some), costs, rtol=0.02)
    quality, _ = surrogate.fit("perplexity", some, 20 * np.exp(table_of().predict(some)), np.zeros(30))
    assert isinstance(quality, QualityModel)
