"""Studies that predict quality by layer, beside costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lts
from lts.study.layered import Layered

SPACE = lts.SearchSpace.load("hw-gpt-s")
OBJECTIVES = {"perplexity": "min", "latency_ms": "min"}


def values(architecture: lts.Architecture) -> dict[str, float]:
    """In this super-network heads of late layers help, those of early ones and wide feed-forward networks do not."""
    place = np.linspace(-1, 1, 12)[: architecture.n_layer]
    heads = np.broadcast_to(architecture.n_head, architecture.n_layer)
    return {"perplexity": 30 - 0.2 * float(place @ heads), "latency_ms": 1e-6 * lts.decoder_params(architecture)}


def hypervolume(surrogate: str, seed: int, trials: int) -> float:
    with lts.Study(SPACE, values, objectives=OBJECTIVES, algorithm="nsga2", seed=seed, surrogate=surrogate) as study:
        study.run(trials=trials)
        return lts.hypervolume([[trial.values[name] for name in OBJECTIVES] for trial in study.front()], [40.0, 120.0])


def test_finds_more_than_evaluating_alone() -> None:
    found = {name: [hypervolume(name, seed, 60) for seed in range(3)] for name in ("layers", "none")}
    assert min(found["layers"]) > max(found["none"])


def test_what_cannot_be_ranked_is_not_predicted() -> None:
    architectures = SPACE.sample(20, 0)
    noise = np.random.default_rng(0).uniform(20, 30, 20)
    model, notes = Layered().fit("perplexity", architectures, noise, np.zeros(20))
    assert model is None
    assert "perplexity: predictions by layer do not rank what was evaluated" in notes[0]
    model, notes = Layered().fit("perplexity", architectures[:3], noise[:3], np.zeros(3))
    assert model is None
    assert notes == ["perplexity: 4 evaluations are the fewest that quality is predicted from"]


def test_costs_are_as_additive_has_them() -> None:
    architectures = SPACE.sample(20, 1)
    costs = np.array([1e-6 * lts.decoder_params(a) for a in architectures])
    model, _ = Layered().fit("latency_ms", architectures, costs, np.zeros(20))
    assert isinstance(model, lts.Surrogate)


def test_a_study_of_it_resumes(tmp_path: Path) -> None:
    store = tmp_path / "study.db"
    for trials in (10, 14):
        with lts.Study(SPACE, values, objectives=OBJECTIVES, surrogate="layers", store=store) as study:
            study.run(trials=trials)
            assert len(study.trials) == trials
    assert study.trials[-1].predicted.keys() == {"perplexity", "latency_ms"}
