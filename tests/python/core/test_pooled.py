"""Costs of several devices fitted at once, from Python; what the fits should give is tested in C++."""

from __future__ import annotations

import numpy as np
import pytest

import lts

DESIGN = lts.SearchSpace.load("gpt2-small").sample(14, seed=1, method="choices")
OTHERS = lts.SearchSpace.load("gpt2-small").sample(5, seed=2, method="choices")


def cost(architectures: list[lts.Architecture], unit: float, attention: float) -> np.ndarray:
    terms = dict(zip(lts.cost_term_names(), lts.cost_terms(architectures).T, strict=True))
    return np.asarray(unit * (terms["layers"] + 1e-6 * terms["feed_forward"] + attention * terms["attention"]))


UNITS = (1.0, 30.0, 0.2)
VALUES = [cost(DESIGN, unit, 2e-6) for unit in UNITS]


def test_proportional_devices_predict_each_other() -> None:
    pooled = lts.Pooled.fit([DESIGN] * 3, VALUES, noise=[None, np.full(14, 0.01), None])
    for unit, surrogate, prior in zip(UNITS, pooled.surrogates, pooled.priors, strict=True):
        assert surrogate.predict(OTHERS) == pytest.approx(cost(OTHERS, unit, 2e-6), rel=1e-4)
        assert surrogate.n_samples == 14
        assert prior is not None
        warm = lts.Surrogate.fit(DESIGN[:2], cost(DESIGN[:2], 7.0, 2e-6), prior=prior)
        assert warm.predict(OTHERS) == pytest.approx(cost(OTHERS, 7.0, 2e-6), rel=1e-3)
    assert pooled.unmeasured.predict(DESIGN).mean() == pytest.approx(1.0)
    assert pooled.from_others[1] == pytest.approx(VALUES[1], rel=1e-4)
    assert max(pooled.errors_from_others) < 1e-4


def test_a_device_that_differs_stands_out() -> None:
    values = [*VALUES, cost(DESIGN, 3.0, 4e-5)]
    pooled = lts.Pooled.fit([DESIGN] * 4, values)
    assert np.argmax(pooled.errors_from_others) == 3


def test_devices_with_little_or_nothing() -> None:
    pooled = lts.Pooled.fit([DESIGN, [], DESIGN[:1], DESIGN], [VALUES[0], [], cost(DESIGN[:1], 5.0, 2e-6), VALUES[2]])
    assert pooled.surrogates[1].n_samples == 0
    assert pooled.surrogates[1].scaled(2.0).predict(OTHERS) == pytest.approx(2 * pooled.unmeasured.predict(OTHERS))
    assert pooled.surrogates[2].predict(OTHERS) == pytest.approx(cost(OTHERS, 5.0, 2e-6), rel=1e-4)


@pytest.mark.parametrize(
    ("architectures", "values", "options", "sentence"),
    [
        ([DESIGN], [], {}, "pooled: architectures, values and noise must be of the same number of devices"),
        ([DESIGN[:2]], [[1, 2]], {}, "pooled: no device has 3 samples or more"),
        ([DESIGN[:2]], [[1]], {}, "values"),
        ([DESIGN] * 2, [VALUES[0], [1] * 13 + [np.nan]], {}, "pooled: device 1, sample 13: the value must be above 0"),
        ([DESIGN], VALUES[:1], {"level": 2}, "surrogate: level is 2"),
    ],
)
def test_wrong_arguments(architectures: list, values: list, options: dict, sentence: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=sentence):
        lts.Pooled.fit(architectures, values, **options)


@pytest.mark.parametrize("factor", [0, -1, float("nan"), 1e200])
def test_no_unit(factor: float) -> None:
    with pytest.raises(ValueError, match="surrogate: the factor is"):
        lts.Surrogate.fit(DESIGN, VALUES[0]).scaled(factor)
