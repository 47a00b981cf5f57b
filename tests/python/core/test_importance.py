"""Loss tables and exact fronts of them: against sums in Python, least squares of NumPy, and enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lts
from lts import Architecture, LossTable, SearchSpace
from lts._core import LayerCosts

HEADS = [(9, 3), (6, 2), (3, 1)]
D_FF = [64, 128, 192, 256]
N_LAYER = 4

Attention = dict[tuple[int, int, int], float]
FeedForward = dict[tuple[int, int], float]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace(
        name="pruned",
        family="llama",
        vocab_size=100,
        head_dim=16,
        n_layer=[N_LAYER],
        d_model=[144],
        heads=HEADS,
        d_ff=D_FF,
    )


@pytest.fixture(scope="module")
def losses() -> tuple[Attention, FeedForward]:
    random = np.random.default_rng(1)
    attention = {(layer, *pair): float(random.random()) / pair[0] for layer in range(N_LAYER) for pair in HEADS}
    feed_forward = {(layer, f): float(random.random()) * 100 / f for layer in range(N_LAYER) for f in D_FF}
    return attention, feed_forward


@pytest.fixture(scope="module")
def table(losses: tuple[Attention, FeedForward]) -> LossTable:
    return LossTable(*losses)


def sums(a: Architecture, losses: tuple[Attention, FeedForward]) -> tuple[float, float]:
    """What the attention and the feed-forward networks of an architecture lose."""
    attention, feed_forward = losses
    pairs = zip(a.n_head, a.n_kv_head, strict=True)
    return (
        sum(attention[layer, *pair] for layer, pair in enumerate(pairs)),
        sum(feed_forward[layer, f] for layer, f in enumerate(a.d_ff)),
    )


def test_predicts_the_sum_of_the_table(
    space: SearchSpace, table: LossTable, losses: tuple[Attention, FeedForward]
) -> None:
    architectures = space.sample(1000, seed=1)
    expected = [sum(sums(a, losses)) for a in architectures]
    np.testing.assert_allclose(table.predict(architectures), expected, rtol=1e-12)
    assert (table.interval(architectures) == table.predict(architectures)[:, None]).all()  # without variances


def test_rows_are_arrays_as_well(table: LossTable) -> None:
    same = LossTable(table.attention, table.feed_forward)
    assert same.to_json() == table.to_json()
    assert LossTable(table.attention[::-1, :4], table.feed_forward[:, :3].tolist()).to_json() == table.to_json()
    with_variances = LossTable(
        {tuple(map(int, row[:3])): (row[3], 0.25) for row in table.attention}, table.feed_forward
    )
    assert set(with_variances.attention[:, 4]) == {0.25}
    assert table.n_layer == N_LAYER


def test_the_same_after_json(space: SearchSpace, table: LossTable) -> None:
    architectures = space.sample(50, seed=2)
    fitted = table.refit(architectures[:20], 2 * table.predict(architectures[:20]) + 0.01, level=0.8)
    for one in (table, fitted):
        again = LossTable.from_json(one.to_json())
        assert again.to_json() == one.to_json()
        assert (again.interval(architectures) == one.interval(architectures)).all()
    assert fitted.level == 0.8
    assert table.fit is None


def test_refit_is_relative_least_squares(
    space: SearchSpace, table: LossTable, losses: tuple[Attention, FeedForward]
) -> None:
    random = np.random.default_rng(3)
    architectures = space.sample(30, seed=3)
    design = np.array([sums(a, losses) for a in architectures])
    total = design.sum(axis=1)
    measured = design @ [1.5, 0.75] * (1 + 0.05 * random.standard_normal(len(total)))
    fitted = table.refit(architectures, measured)
    (scales), (residual,), *_ = np.linalg.lstsq(design / total[:, None], measured / total)
    assert fitted.fit is not None
    assert fitted.fit["attention_scale"] == pytest.approx(scales[0], rel=1e-9)
    assert fitted.fit["feed_forward_scale"] == pytest.approx(scales[1], rel=1e-9)
    assert fitted.fit["error"] == pytest.approx(np.sqrt(residual / 28), rel=1e-9)
    np.testing.assert_allclose(fitted.predict(architectures), design @ scales, rtol=1e-9)
    # Student's t of 28 degrees of freedom for 0.9 is 1.7011; Draper and Smith's variance of a new value.
    shares = design / total[:, None]
    leverage = np.einsum("ij,jk,ik->i", shares, np.linalg.inv(shares.T @ shares), shares)
    half = 1.7011 * total * np.sqrt(residual / 28 * (1 + leverage))
    low, high = fitted.interval(architectures).T
    np.testing.assert_allclose((high - low) / 2, half, rtol=1e-4)


def test_guides_a_search(space: SearchSpace, table: LossTable) -> None:
    search = lts.Search(space, {"predicted_loss": "min", "decoder_params": "min"}, seed=1)
    assert search.run(5000, cost_models={"predicted_loss": table}) == 5000
    front = lts.knapsack_front(space, table)
    for member in search.front():
        value = member.values["predicted_loss"]
        assert value == table.predict([member.architecture])[0]
        assert front.losses[front.best(member.values["decoder_params"])] <= value + 1e-12


def test_a_search_needs_the_table(space: SearchSpace) -> None:
    search = lts.Search(space, {"predicted_loss": "min"})
    with pytest.raises(ValueError, match="unknown analytic quantity 'predicted_loss'"):
        search.run(1)
    with pytest.raises(TypeError, match="must be a dict from column to Surrogate, LayerCosts, LossTable or L"):
        search.run(1, cost_models={"predicted_loss": 3})


def test_the_front_of_a_space_is_that_of_all_its_members(losses: tuple[Attention, FeedForward]) -> None:
    small = SearchSpace(family="llama", vocab_size=100, head_dim=16, n_layer=[2], d_model=[144], heads=HEADS, d_ff=D_FF)
    attention, feed_forward = losses
    table = LossTable(
        {key: loss for key, loss in attention.items() if key[0] < 2},
        {key: loss for key, loss in feed_forward.items() if key[0] < 2},
    )
    members = list(small)
    points = np.array([[lts.decoder_params(a) for a in members], table.predict(members)]).T
    expected = points[lts.nondominated(points)]
    expected = expected[expected[:, 0].argsort()]
    front = lts.knapsack_front(small, table)
    assert len(front) == len(expected)
    np.testing.assert_array_equal(front.costs, expected[:, 0])
    np.testing.assert_allclose(front.losses, expected[:, 1], rtol=1e-12, atol=1e-15)
    for i, cost in enumerate(front.costs):
        assert lts.decoder_params(front.at(i)) == cost
        assert small.contains(front.at(i))


def test_costs_may_come_from_a_model(space: SearchSpace, table: LossTable) -> None:
    costs = LayerCosts(
        {(144, *pair): 0.1 * pair[0] for pair in HEADS}, {(144, f): 0.003 * f for f in D_FF}, {(144, -1, 1): 0.5}
    )
    front = lts.knapsack_front(space, table, costs, unit=0.001, max_cost=5.0)
    assert front.costs[-1] <= 5
    np.testing.assert_allclose(costs.predict([front.at(i) for i in range(len(front))]), front.costs, atol=0.004)
    for a in space.sample(2000, seed=4):
        if (cost := costs.predict([a])[0]) <= 4.9:
            assert front.losses[front.best(cost + 1e-9)] <= table.predict([a])[0] + 1e-12


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(-10, 10), st.integers(-50, 50)), min_size=1, max_size=4), min_size=1, max_size=5
    )
)
def test_knapsack_is_enumeration(parts: list[list[tuple[float, int]]]) -> None:
    front = lts.knapsack(parts)
    sums: dict[int, float] = {}
    for chosen in product(*parts):
        cost, loss = sum(c for _, c in chosen), 0.0
        for each, _ in chosen:
            loss += each
        sums[cost] = min(loss, sums.get(cost, np.inf))
    best, expected = np.inf, []
    for cost in sorted(sums):
        if sums[cost] < best:
            best = sums[cost]
            expected.append((cost, best))
    assert list(zip(front.costs.tolist(), front.losses.tolist(), strict=True)) == expected
    for i in range(len(front)):
        chosen = [part[choice] for part, choice in zip(parts, front.choices(i), strict=True)]
        assert sum(cost for _, cost in chosen) == front.costs[i]
    assert front.best(int(front.costs[-1]) + 7) == len(front) - 1
    with pytest.raises(ValueError, match="the cheapest member costs"):
        front.best(int(front.costs[0]) - 1)


@pytest.mark.parametrize(
    ("attention", "feed_forward", "message"),
    [
        ([[0, 1, 1]], [[0, 8, 0.0]], r"attention has shape \(1, 3\); expected numbers of shape \(n, 4\) or \(n, 5\)"),
        ([[0, 1, 1, 0.0]], "x", "feed_forward has dtype <U1; expected numbers"),
        ([[0, 1.5, 1, 0.0]], [[0, 8, 0.0]], "row 0 of attention: 1.5 is not a layer, a number of heads or a width"),
        ([[0, 1, 1, -1.0]], [[0, 8, 0.0]], "row 0 of attention: loss is -1; it must be finite and not negative"),
        ([[0, 1, 1, 0.0]], [[1, 8, 0.0]], "feed_forward has no rows for layer 0"),
        ({(0, 1, 1): 0.0, (0, 2, 2): (0.0, 0.1)}, [[0, 8, 0.0]], "attention cannot be made an array"),
    ],
)
def test_wrong_tables(attention: object, feed_forward: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossTable(attention, feed_forward)  # type: ignore[arg-type]


def test_wrong_fronts(space: SearchSpace, table: LossTable) -> None:
    with pytest.raises(ValueError, match="the cheapest architecture costs"):
        lts.knapsack_front(space, table, max_cost=10)
    with pytest.raises(ValueError, match="the cost is no sum over the parts of layers"):
        lts.knapsack_front(space, table, "peak_memory_estimate_mib", unit=0.01, n_prompt=1024)
    with pytest.raises(ValueError, match="unknown analytic quantity 'beauty'"):
        lts.knapsack_front(space, table, "beauty")
    with pytest.raises(TypeError, match=r"choice 1 of part 0 must be \(loss, cost\)"):
        lts.knapsack([[(0.0, 1), 3]])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="there is no member 9"):
        lts.knapsack([[(0.0, 1)]]).choices(9)
