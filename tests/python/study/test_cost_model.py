"""Models of costs: when the additive one is enough, and what is said when it is not."""

from __future__ import annotations

import numpy as np
import pytest

import lts
from lts.errors import UsageError
from lts.study.cost_model import Additive, SurrogateLike, outlier_notes
from lts.study.layered import Layered
from lts.study.surrogates import surrogate_of

SPACE = lts.SearchSpace(
    n_layer=[2, 3, 4, 6, 8],
    d_model=[64, 128, 192, 256],
    n_head=[2, 4, 8],
    d_ff=[128, 256, 384, 512, 768],
    vocab_size=1000,
)
TERMS = lts.cost_term_names()


def sampled(n: int, seed: int) -> list[lts.Architecture]:
    return SPACE.sample(n, seed, method="choices")


def cost(architectures: list[lts.Architecture]) -> np.ndarray:
    """Milliseconds on a device where costs just add."""
    weights = dict.fromkeys(TERMS, 0.0) | {"constant": 0.5, "layers": 0.1, "feed_forward": 2e-6, "attention": 3e-6}
    return lts.cost_terms(architectures) @ np.array([weights[name] for name in TERMS])


def noisy(architectures: list[lts.Architecture], share: float, seed: int = 0) -> np.ndarray:
    return cost(architectures) * (1 + share * np.random.default_rng(seed).standard_normal(len(architectures)))


def fit(values: np.ndarray, architectures: list[lts.Architecture], given: Additive | None = None):  # type: ignore[no-untyped-def]
    return (given or Additive()).fit("latency_ms", architectures, values, np.zeros(len(values)))


def test_an_additive_device_needs_no_words() -> None:
    seen, fresh = sampled(30, 0), sampled(100, 1)
    model, notes = fit(noisy(seen, 0.01), seen)
    assert notes == []
    assert model is not None
    assert not model.pairwise
    assert np.abs(model.predict(fresh) / cost(fresh) - 1).mean() < 0.01
    low, high = model.interval(fresh).T
    assert ((low < model.predict(fresh)) & (model.predict(fresh) < high)).all()


def test_a_device_on_which_costs_do_not_add() -> None:
    seen, fresh = sampled(60, 2), sampled(100, 3)

    def truth(architectures: list[lts.Architecture]) -> np.ndarray:
        amounts = lts.cost_terms(architectures)
        return 0.1 + 1e-7 * amounts[:, TERMS.index("layers")] * amounts[:, TERMS.index("feed_forward")]

    model, notes = fit(truth(seen), seen)
    assert model is not None
    assert model.pairwise
    assert "do not just add on this device" in notes[0]
    assert np.abs(model.predict(fresh) / truth(fresh) - 1).mean() < 0.01


def test_a_paused_machine_is_told_and_left_out() -> None:
    seen = sampled(24, 4)
    values = noisy(seen, 0.01)
    values[7] *= 40
    model, notes = fit(values, seen)
    assert model is not None
    assert notes == []
    (note,) = outlier_notes("latency_ms", model, range(100, 124), values)
    assert note.startswith("latency_ms: trial 107 took 4")
    assert model.error < 0.02


@pytest.mark.parametrize("factor", [0.7, 1.5])
def test_a_device_that_changes_speed_half_way(factor: float) -> None:
    seen, fresh = sampled(40, 5), sampled(100, 6)
    values = noisy(seen, 0.01)
    values[23:] *= factor
    model, notes = fit(values, seen)
    assert model is not None
    assert len(notes) == 1
    assert "changed speed after 23 measurements" in notes[0]
    assert np.abs(model.predict(fresh) / (factor * cost(fresh)) - 1).mean() < 0.03


def test_noise_is_no_change_of_speed() -> None:
    for seed in range(20):
        seen = sampled(40, seed)
        _, notes = fit(noisy(seen, 0.08, seed), seen)
        assert not any("changed speed" in note for note in notes)


def test_costs_that_have_nothing_to_do_with_it() -> None:
    seen = sampled(40, 7)
    values = np.exp(np.random.default_rng(7).standard_normal(len(seen)))
    model, notes = fit(values, seen)
    assert model is None
    assert "do not rank the measurements" in notes[-1]
    model, notes = fit(np.full(len(seen), 3.0), seen)
    assert model is not None, "all equal is no reason"
    assert model.predict(seen) == pytest.approx(np.full(len(seen), 3.0))


def test_a_prior_needs_few_measurements() -> None:
    seen = sampled(60, 8)
    known = lts.Surrogate.fit(seen, noisy(seen, 0.01))
    few, fresh = sampled(6, 9), sampled(200, 10)
    values = 2.5 * noisy(few, 0.02)
    warm, _ = fit(values, few, Additive({"latency_ms": known.coefficients}))
    cold, _ = fit(values, few)
    assert warm is not None
    assert cold is not None
    errors = [np.abs(m.predict(fresh) / (2.5 * cost(fresh)) - 1).mean() for m in (warm, cold)]
    assert errors[0] < 0.03
    assert errors[0] < errors[1]


def test_names() -> None:
    assert surrogate_of("none", {}) is surrogate_of(None, {}) is None
    assert isinstance(surrogate_of("additive", {}), Additive)
    assert isinstance(surrogate_of("layers", {}), Layered)
    assert isinstance(Additive(), SurrogateLike)
    assert isinstance(Layered(), SurrogateLike)
    with pytest.raises(UsageError, match="unknown surrogate 'forest'; expected additive, layers, none, or an object"):
        surrogate_of("forest", {})


def test_the_core_refuses_what_cannot_be_fitted() -> None:
    seen = sampled(5, 0)
    with pytest.raises(ValueError, match="2 samples; a fit needs 3 or more"):
        lts.Surrogate.fit(seen[:2], [1.0, 2.0])
    with pytest.raises(ValueError, match="values"):
        lts.Surrogate.fit(seen, [1.0, 2.0])
    with pytest.raises(ValueError, match="the prior has no 'layers'"):
        lts.Surrogate.fit(seen, np.ones(5), prior={"constant": 1.0})
    model = lts.Surrogate.fit(seen, cost(seen))
    again = lts.Surrogate.from_json(model.to_json())
    assert (again.predict(seen) == model.predict(seen)).all()
    assert (again.interval(seen) == model.interval(seen)).all()
    assert again.outlier == []
    with pytest.raises(ValueError, match="schema"):
        lts.Surrogate.from_json(model.to_json().replace('"schema":1', '"schema":9'))


def test_coefficients_against_scipy() -> None:
    """An independent solver of the same problem."""
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
    for seed in range(20):
        seen = sampled(40, seed)
        values = noisy(seen, 0.05, seed)
        rows = lts.cost_terms(seen) / values[:, None]
        norms = np.linalg.norm(rows, axis=0)
        expected, residual = optimize.nnls(rows / norms, np.ones(len(values)))
        model = lts.Surrogate.fit(seen, values)
        if any(model.outlier):
            continue
        found = np.array([model.coefficients[name] for name in TERMS])
        assert np.linalg.norm(rows @ found - 1) == pytest.approx(residual, rel=1e-9)
        assert rows @ found == pytest.approx(rows / norms @ expected, rel=1e-6)
