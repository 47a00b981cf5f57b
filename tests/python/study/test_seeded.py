"""Algorithms whose first population is the front of a proxy and of predicted costs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

import lts
from lts import Evaluator, Sampler
from lts._core import Search, analytic_names
from lts.errors import UsageError
from lts.measure.outcome import Outcome
from lts.study.core import ALGORITHM, SEEDED, CoreSampler
from lts.study.cost_model import Additive
from lts.study.layered import is_quality
from lts.study.problem import Problem
from lts.study.seeded import SeededSampler, proxy_for
from lts.study.seeds import farthest_first, seed_front, unseeded
from lts.study.store import Store
from lts.testing import SamplerSuite

SPACE = lts.SearchSpace.load("gpt2-small")
OBJECTIVES = {"perplexity": "min", "latency_ms": "min"}


def values(architecture: lts.Architecture) -> dict[str, float]:
    """Perplexity falls with size, but not by it alone; latency is a sum over the layers."""
    size = lts.decoder_params(architecture)
    wiggle = 1.0 + 0.02 * math.sin(sum(np.atleast_1d(architecture.n_head)))
    return {"perplexity": 2000.0 / math.log(size) * wiggle, "latency_ms": 1e-6 * size + 0.3 * architecture.n_layer}


class TestSeeded(SamplerSuite):
    """Latency is predicted, decoder parameters are a cost that is counted."""

    def make_sampler(self, problem: Problem) -> Sampler:
        search = Search(problem.space, problem.objectives, problem.constraints, "nsga2", problem.seed)
        return SeededSampler(problem, Additive(), search, proxy="zerolm")


def hypervolume(study: lts.Study) -> float:
    points = [[trial.values[name] for name in OBJECTIVES] for trial in study.front()]
    return lts.hypervolume(points, [160.0, 120.0])


@pytest.mark.parametrize("algorithm", ["nsga2", "lts", "local"])
def test_finds_more_than_a_random_first_population(algorithm: str) -> None:
    found = {}
    for first in (None, "none"):
        volumes = []
        for seed in range(3):
            with lts.Study(SPACE, values, objectives=OBJECTIVES, algorithm=algorithm, seed=seed, seed_front=first) as s:
                s.run(trials=60)
                volumes.append(hypervolume(s))
                origins = [trial.origin for trial in s.trials]
        found[first] = volumes
        assert (SEEDED in origins) == (first is None)
    assert min(found[None]) > max(found["none"])


def test_the_first_population_is_the_front_and_no_other_random_one() -> None:
    with lts.Study(
        SPACE, values, objectives=OBJECTIVES, algorithm="nsga2", algorithm_options={"population_size": 30}
    ) as s:
        s.run(trials=40)
        origins = [trial.origin for trial in s.trials]
        search = s.sampler.search  # type: ignore[attr-defined]
    assert origins == [SEEDED] * 30 + [ALGORITHM] * 10
    assert search.n_told == 40
    assert '"counter":30' in search.save().replace(" ", "")  # nothing random was proposed


def test_seeds_are_the_front_of_the_proxy_and_of_counted_costs() -> None:
    objectives = [lts.parse_objective("loss:min"), lts.parse_objective("flops_prefill:min")]
    space = lts.SearchSpace.load("hw-gpt-tiny")
    found = seed_front(space, objectives, [lts.parse_constraint("decoder_params<=60000")], 12, evolved=20_000)
    every = [each for each in space if lts.decoder_params(each) <= 60_000]
    points = np.array([[-lts.decoder_params(each), lts.analytic("flops_prefill", each)] for each in every])
    front = {every[i].to_json() for i in lts.nondominated(points)}
    same = {tuple(points[i]) for i in lts.nondominated(points)}
    assert len(found) == 12
    assert {(-lts.decoder_params(each), lts.analytic("flops_prefill", each)) for each in found} <= same
    assert len({each.to_json() for each in found}) == 12
    assert len(front) >= 12


def test_farthest_first_begins_with_the_ends() -> None:
    points = np.array([[0.0, 10.0], [1.0, 9.0], [5.0, 5.0], [6.0, 4.0], [10.0, 0.0]])
    assert farthest_first(points, 3) == [0, 4, 2]
    assert farthest_first(points, 9) == [0, 4, 2, 1, 3]
    assert farthest_first(np.ones((3, 2)), 3) == [0]


class Pool(Evaluator):
    """Some architectures of a space alone."""

    def __init__(self) -> None:
        self.architectures = SPACE.sample(200, 5)

    def evaluate(self, architecture: lts.Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        if architecture not in self.architectures:
            return Outcome(error="not one of the pool")
        return Outcome(values=values(architecture))

    def describe(self) -> dict[str, Any]:
        return {"target": "", "device": "pool", "backend": ""}


def test_a_pool_is_seeded_from_its_members() -> None:
    with lts.Study(
        SPACE, Pool(), objectives=OBJECTIVES, algorithm="nsga2", algorithm_options={"population_size": 30}
    ) as s:
        s.run(trials=30)
        seeded = [trial for trial in s.trials if trial.origin == SEEDED]
    assert len(seeded) > 12
    assert {trial.state for trial in seeded} == {"complete"}


def test_costs_that_cannot_be_predicted_leave_the_algorithm(tmp_path: Path) -> None:
    def flat(architecture: lts.Architecture) -> dict[str, float]:
        return {"perplexity": 10.0, "latency_ms": 0.0}

    with lts.Study(
        SPACE, flat, objectives=OBJECTIVES, algorithm="nsga2", algorithm_options={"population_size": 10}
    ) as s:
        s.run(trials=14)
        assert s.n_finished == 14
        assert any("latency_ms cannot be predicted from its first measurements" in note for note in s.notes)


@pytest.mark.parametrize("stop", [3, 9, 20, 33])
def test_a_resumed_study_goes_on_as_if_nothing_had_happened(tmp_path: Path, stop: int) -> None:
    options: dict[str, Any] = {
        "objectives": OBJECTIVES,
        "algorithm": "nsga2",
        "algorithm_options": {"population_size": 24},
    }
    with lts.Study(SPACE, values, **options) as whole:
        whole.run(trials=40)
        expected = [trial.architecture for trial in whole.trials]
    path = tmp_path / "study.db"
    with lts.Study(SPACE, values, store=path, **options) as first:
        first.run(trials=stop)
    with lts.Study(SPACE, values, store=path, **options) as second:
        second.run(trials=40)
        assert [trial.architecture for trial in second.trials] == expected
    with pytest.raises(UsageError, match="seed_front is decoder_params there and absent here"):
        lts.Study(SPACE, values, store=path, seed_front="none", **options)


def test_a_study_of_an_earlier_version_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with lts.Study(SPACE, values, objectives=OBJECTIVES, store=path, seed_front="none") as study:
        study.run(trials=5)
    with Store(path) as store:
        assert "seed_front" not in store.meta("study")
    with lts.Study(SPACE, values, objectives=OBJECTIVES, store=path) as study:
        study.run(trials=10)
        assert type(study.sampler) is CoreSampler
        assert {trial.origin for trial in study.trials} == {ALGORITHM}


def test_which_studies_are_seeded() -> None:
    qualities = ["perplexity", "valid_loss", "ppl", "acc_norm", "eval.accuracy"]
    assert all(map(is_quality, qualities))
    assert not any(map(is_quality, ["latency_ms", "decoder_params", "flops_prefill", "lossless_ms", "peak_memory_mib"]))
    goals = [lts.parse_objective(text) for text in ("perplexity:min", "latency_ms:min")]
    assert unseeded(goals) == ""
    assert "no objective is a quality" in unseeded(goals[1:])
    assert "no objective is a cost" in unseeded(goals[:1])
    assert "decoder_params, which would stand" in unseeded([*goals, lts.parse_objective("decoder_params:min")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "random"}, "the algorithm random has no first population"),
        ({"objectives": {"latency_ms": "min", "decoder_params": "max"}}, "no objective is a quality"),
        ({"seed_front": "beauty"}, "unknown proxy 'beauty' for the first population; expected none or "),
        ({"surrogate": "additive"}, "is for algorithms that measure every candidate: leave it out"),
    ],
)
def test_what_has_no_use_for_seeds_says_so(options: dict[str, Any], message: str) -> None:
    arguments = {"objectives": OBJECTIVES, "algorithm": "nsga2", "seed_front": "decoder_params", **options}
    with pytest.raises(UsageError, match=message):
        lts.Study(SPACE, values, **arguments)


def test_default_is_none_where_it_does_not_apply() -> None:
    for algorithm in ("random", "exhaustive"):
        with lts.Study(SPACE, values, objectives=OBJECTIVES, algorithm=algorithm) as study:
            assert type(study.sampler) is CoreSampler
    with lts.Study(SPACE, values, objectives=OBJECTIVES) as study:
        problem = study._problem
        search = Search(SPACE, OBJECTIVES, (), "lts", 0)
        assert proxy_for("none", search, problem, analytic_names()) is None
        assert proxy_for(None, search, problem, analytic_names()) == "decoder_params"


def test_command_says_what_is_wrong(tmp_path: Path) -> None:
    words = ["search", "gpt2-tiny", "--device", "none", "--target", "arm64", "--seed-front"]
    for proxy, message in (("decoder_params", "no objective is a quality"), ("beauty", "unknown proxy 'beauty'")):
        done = run(*words, proxy, cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr
