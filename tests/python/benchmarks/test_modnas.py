"""The hypernetwork against exact answers, and as an algorithm of a benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tables import SPACE, values, write_table

import lts
from lts.benchmarks.domain import domain_of
from lts.benchmarks.optimizers import Evaluations, optimizers_of
from lts.benchmarks.problem import PoolProblem
from lts.errors import UsageError

torch = pytest.importorskip("torch")
modnas = pytest.importorskip("lts.benchmarks.modnas")

EVERY = list(SPACE)
DOMAIN = domain_of(EVERY, "small")


def cost() -> lts.Surrogate:
    return lts.Surrogate.fit(EVERY, [values(a)["latency_ms"] for a in EVERY])


def quality() -> lts.LayerQuality:
    return lts.LayerQuality.fit(EVERY, [values(a)["perplexity"] for a in EVERY], n_layer=2)


def scaled() -> np.ndarray:
    """Objectives of all architectures, each from 0 to 1."""
    points = np.column_stack([quality().predict(EVERY), cost().predict(EVERY)])
    return (points - points.min(axis=0)) / np.ptp(points, axis=0)


@pytest.mark.parametrize("of", [cost, quality])
def test_a_table_has_the_values_of_the_model(of: object) -> None:
    model = of()  # type: ignore[operator]
    if isinstance(model, lts.Surrogate):
        model = modnas._without_widest(model)
    table = modnas.Table(DOMAIN, model.predict)
    positions = torch.tensor(DOMAIN.positions(EVERY).astype(int)).clamp(min=0)
    sizes = [len(DOMAIN.n_layer), len(DOMAIN.d_model), len(DOMAIN.heads), len(DOMAIN.d_ff)]
    parts = [positions[:, 0], positions[:, 1], positions[:, 2:4], positions[:, 4:6]]
    choices = [torch.nn.functional.one_hot(part, size).double() for part, size in zip(parts, sizes, strict=True)]
    np.testing.assert_allclose(table.of(*choices).numpy(), model.predict(EVERY), rtol=1e-9)


@pytest.mark.parametrize("linear", [False, True])
def test_answers_are_the_best_that_there_are(linear: bool) -> None:
    network = modnas.Modnas(DOMAIN, linear=linear, seed=0)
    network.fit(quality().predict, [cost()], steps=1000)
    weights, points = modnas.preferences(), scaled()
    place = {a.to_json(): i for i, a in enumerate(EVERY)}
    given_up = []
    for weight, answers in zip(weights, network.answers(0, weights), strict=True):
        parts = weight / weight.max() * points
        losses = points @ weight if linear else parts.max(axis=1) + 1e-3 * parts.sum(axis=1)
        given_up.append(losses[place[answers[0].to_json()]] - losses.min())
    assert np.count_nonzero(np.array(given_up) < 1e-9) >= 20
    assert np.mean(given_up) < 0.01


def test_a_preference_for_quality_is_answered_by_a_larger_model() -> None:
    network = modnas.Modnas(DOMAIN, seed=1)
    network.fit(modnas.by_parameters, [cost(), cost().scaled(1000.0)], steps=100)
    for device in (0, 1):
        cheap, good = network.answers(device, np.array([[0.05, 0.95], [0.95, 0.05]]))
        assert lts.decoder_params(cheap[0]) < 0.5 * lts.decoder_params(good[0])


@pytest.mark.parametrize("name", ["modnas", "modnas:linear"])
def test_as_an_algorithm(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modnas, "_STEPS", 60)
    monkeypatch.setattr(modnas, "_MORE_STEPS", 10)
    problem = PoolProblem(write_table(tmp_path / "t.csv"), ["perplexity:min", "latency_ms:min"], pool=True)
    (optimizer,) = optimizers_of([name])
    points = optimizer.run(problem, 40, seed=0)
    assert points.shape == (40, 2)
    np.testing.assert_array_equal(points, optimizer.run(problem, 40, seed=0))


def test_what_it_is_not_for(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv")
    for objectives in (["latency_ms:min", "decoder_params:max"], ["perplexity:min", "perplexity:max"]):
        with pytest.raises(UsageError):
            modnas.chebyshev(Evaluations(PoolProblem(table, objectives, pool=True), 20), 0)
