"""Quality by layer: a ridge regression in NumPy finds the same, and known curves are found again."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lts

SPACE = lts.SearchSpace.load("hw-gpt-s")
DEEPEST = 12
PENALTIES = 10.0 ** (np.arange(29) / 4 - 3)


def widths(a: lts.Architecture) -> tuple[np.ndarray, np.ndarray]:
    """Of attention and of feed-forward networks, over d_model, by layer; 0 beyond the depth."""
    parts = np.zeros((2, DEEPEST))
    parts[0, : a.n_layer] = np.broadcast_to(a.n_head, a.n_layer) * a.head_dim / a.d_model
    parts[1, : a.n_layer] = np.broadcast_to(a.d_ff, a.n_layer) / a.d_model
    return parts[0], parts[1]


def amounts(architectures: list[lts.Architecture]) -> np.ndarray:
    """The terms, (n, 16), written a second time."""
    x = np.linspace(-1, 1, DEEPEST)
    curves = [np.polynomial.Legendre.basis(k)(x) for k in range(4)]
    names = list(lts.cost_term_names())
    biases = lts.cost_terms(architectures)[:, names.index("biases")]
    rows = []
    for a, bias in zip(architectures, biases, strict=True):
        by_layer = widths(a)
        row = [
            1.0,
            lts.decoder_params(a),
            1 / a.d_model,
            bias,
            *(part @ curve for curve in curves for part in by_layer),
        ]
        rows.append([*row, *(part[-1] for part in by_layer), *(part[-2] for part in by_layer)])
    return np.array(rows)


def ridge(architectures: list[lts.Architecture], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions for all architectures, and of each from the others, by solving n + 1 problems for every penalty."""
    raw = amounts(architectures)
    scale = raw.std(axis=0)
    columns = [j for j in range(1, raw.shape[1]) if scale[j] > 1e-6 * abs(raw[:, j].mean())]
    a = np.column_stack([np.ones(len(raw)), *((raw[:, j] - raw[:, j].mean()) / scale[j] for j in columns)])
    free = np.diag([0.0, *(0.0 if j == 1 else 1.0 for j in columns)])

    def solved(keep: np.ndarray, penalty: float) -> np.ndarray:
        return np.asarray(
            np.linalg.lstsq(a[keep].T @ a[keep] + penalty * free, a[keep].T @ values[keep], rcond=None)[0]
        )

    every = np.arange(len(values))
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for penalty in PENALTIES:
        left_out = np.array([a[i] @ solved(every != i, penalty) for i in every])
        error = float(((left_out - values) ** 2).mean())
        if best is None or error < best[0]:
            best = error, a @ solved(every >= 0, penalty), left_out
    assert best is not None
    return best[1], best[2]


def noisy(architectures: list[lts.Architecture], noise: float, seed: int) -> np.ndarray:
    """Late attention and early feed-forward networks help, and the last layer has a worth of its own."""
    found = []
    for a in architectures:
        attention, feed_forward = widths(a)
        place = np.linspace(-1, 1, DEEPEST)
        found.append(30 - (1 + place) @ attention - 0.4 * (1 - place) @ feed_forward + 2 * attention[-1])
    return np.array(found) + noise * np.random.default_rng(seed).standard_normal(len(found))


@pytest.mark.parametrize("seed", range(4))
def test_a_ridge_regression_finds_the_same(seed: int) -> None:
    seen = [a for a in SPACE.sample(60, seed) if a.d_model == 768 or seed % 2][:25]
    values = noisy(seen, 0.3, seed)
    model = lts.LayerQuality.fit(seen, values, n_layer=DEEPEST)
    predicted, left_out = ridge(seen, values)
    np.testing.assert_allclose(model.predict(seen), predicted, rtol=1e-6)
    np.testing.assert_allclose(model.left_out, left_out, rtol=1e-6)
    assert model.error == pytest.approx(np.abs(left_out - values).mean() / values.mean(), rel=1e-5)


def test_curves_are_found_again() -> None:
    seen, fresh = SPACE.sample(60, 0), SPACE.sample(300, 1)
    model = lts.LayerQuality.fit(seen, noisy(seen, 0.01, 0))
    truth = noisy(fresh, 0.0, 0)
    assert lts.spearman(model.predict(fresh), truth) > 0.995
    assert abs(lts.spearman([lts.decoder_params(a) for a in fresh], truth)) < 0.9


def test_intervals_hold_what_they_say() -> None:
    held = []
    for seed in range(20):
        seen, fresh = SPACE.sample(30, seed), SPACE.sample(100, 1000 + seed)
        low, high = lts.LayerQuality.fit(seen, noisy(seen, 0.2, seed)).interval(fresh).T
        truth = noisy(fresh, 0.2, 1000 + seed)
        held.append(((low <= truth) & (truth <= high)).mean())
    assert 0.84 < np.mean(held) < 0.96


def test_the_unit_does_not_matter() -> None:
    seen = SPACE.sample(20, 3)
    values = noisy(seen, 0.1, 3)
    one, other = lts.LayerQuality.fit(seen, values), lts.LayerQuality.fit(seen, -1000 * values)
    np.testing.assert_allclose(other.predict(seen), -1000 * one.predict(seen), rtol=1e-9)
    assert other.error == pytest.approx(one.error, rel=1e-9)


def test_layers_beyond_the_deepest_sample_are_at_its_end() -> None:
    drawn = SPACE.sample(300, 7)
    shallow = [a for a in drawn if a.n_layer == 10]
    deep = next(a for a in drawn if a.n_layer == 12)
    model = lts.LayerQuality.fit(shallow, noisy(shallow, 0.1, 7))
    assert model.n_layer == 10
    place = np.minimum(np.arange(DEEPEST), 9) / 4.5 - 1
    terms = {"constant": 1.0, "decoder_params": float(lts.decoder_params(deep)), "inverse_width": 1 / deep.d_model}
    terms["biases"] = lts.cost_terms([deep])[0, list(lts.cost_term_names()).index("biases")]
    for name, part in zip(("attention", "feed_forward"), widths(deep), strict=True):
        terms |= {f"{name}_{k}": part @ np.polynomial.Legendre.basis(k)(place) for k in range(4)}
        terms |= {f"{name}_last": part[9:].sum(), f"{name}_second": part[8]}
    expected = sum(model.coefficients[name] * value for name, value in terms.items())
    assert model.predict([deep])[0] == pytest.approx(expected, rel=1e-9)


def test_text_form() -> None:
    seen = SPACE.sample(12, 5)
    model = lts.LayerQuality.fit(seen, noisy(seen, 0.1, 5), level=0.8)
    again = lts.LayerQuality.from_json(model.to_json())
    assert again.to_json() == model.to_json()
    assert (again.n_samples, again.n_layer, again.level, again.left_out) == (12, 12, 0.8, [])
    np.testing.assert_array_equal(again.interval(seen), model.interval(seen))
    state = json.loads(model.to_json())
    for change, message in [
        ({"level": 1.0}, "level is 1"),
        ({"quantile": -1.0}, "quantile and error must be from 0 to 1e150"),
        ({"covariance": [0.0]}, "there must be 16 coefficients and 256 numbers"),
        ({"n_layer": -1}, "n_layer is -1; it must be from 0 to 4096"),
    ]:
        with pytest.raises(ValueError, match=message):
            lts.LayerQuality.from_json(json.dumps(state | change))


def test_what_cannot_be_fitted() -> None:
    seen = SPACE.sample(5, 0)
    with pytest.raises(ValueError, match="at least 4 samples, got 3"):
        lts.LayerQuality.fit(seen[:3], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"values\[1\] is nan"):
        lts.LayerQuality.fit(seen, [1.0, float("nan"), 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="values have the mean 0"):
        lts.LayerQuality.fit(seen, [0.0] * 5)
    with pytest.raises(ValueError, match=r"level is 0\.3"):
        lts.LayerQuality.fit(seen, [1.0] * 5, level=0.3)
    with pytest.raises(ValueError, match="values"):
        lts.LayerQuality.fit(seen, [1.0] * 4)


def test_a_search_evolves_on_it() -> None:
    seen = SPACE.sample(30, 0)
    model = lts.LayerQuality.fit(seen, noisy(seen, 0.05, 0))
    search = lts.Search(SPACE, ["perplexity:min", "decoder_params:min"], algorithm="nsga2", seed=0)
    search.run(5000, cost_models={"perplexity": model})
    front = search.front()
    assert len(front) > 10
    for member in front:
        assert member.values["perplexity"] == model.predict([member.architecture])[0]
