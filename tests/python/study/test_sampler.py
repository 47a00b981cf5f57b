"""Samplers: the conformance suite on ours, and one of a user's own through its entry point."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest

import lts
from lts import Proposal, Sampler, Trial
from lts._core import Search
from lts.errors import UsageError
from lts.measure.opening import open_evaluator
from lts.study.core import CoreSampler
from lts.study.cost_model import Additive
from lts.study.evolved import EvolvedSampler
from lts.study.problem import Problem
from lts.study.sampler import Answer, load_sampler
from lts.study.surrogate import SurrogateSampler
from lts.testing import SamplerSuite


def search_of(problem: Problem, algorithm: str) -> Search:
    return Search(problem.space, problem.objectives, problem.constraints, algorithm, problem.seed)


class TestLts(SamplerSuite):
    algorithm = "lts"

    def make_sampler(self, problem: Problem) -> Sampler:
        return CoreSampler(search_of(problem, self.algorithm))


class TestNsga2(TestLts):
    algorithm = "nsga2"


class TestLocal(TestLts):
    algorithm = "local"


class TestRandom(TestLts):
    algorithm = "random"


class TestExhaustive(TestLts):
    algorithm = "exhaustive"


class TestSurrogate(SamplerSuite):
    def make_sampler(self, problem: Problem) -> Sampler:
        return SurrogateSampler(problem, Additive(), CoreSampler(search_of(problem, "lts")))

    def test_a_saved_state_goes_on_as_if_nothing_had_happened(self) -> None:
        """It may finish a batch that a resumed one chooses anew, from more trials: both go on without repeats."""
        sampler = self.make_sampler(self.problem())
        trials = self.run(sampler, self.n_trials // 2)
        other = self.make_sampler(self.problem())
        other.restore(sampler.save())
        for each in (sampler, other):
            done = self.run(each, self.n_trials, trials)
            assert len({trial.architecture.to_json() for trial in done}) == len(done) == self.n_trials


class TestEvolved(SamplerSuite):
    """Costs that the core computes: proposals are the front, which is done when it is told."""

    def make_sampler(self, problem: Problem) -> Sampler:
        with open_evaluator("arm64", device="none") as evaluator:
            models = evaluator.cost_models(problem.space, problem.measured)
            assert models is not None
            return EvolvedSampler(problem, models, "nsga2")


def test_evolves_on_a_loss_table() -> None:
    heads, d_ff = [(4, 2), (2, 1)], [64, 128, 192]
    space = lts.SearchSpace(
        family="llama", vocab_size=100, head_dim=16, n_layer=[6], d_model=[64], heads=heads, d_ff=d_ff
    )
    table = lts.LossTable(
        {(layer, *pair): (layer + 1) / pair[0] for layer in range(6) for pair in heads},
        {(layer, f): 64 * (7 - layer) / f for layer in range(6) for f in d_ff},
    )
    goals = [lts.parse_objective("predicted_loss:min"), lts.parse_objective("decoder_params:min")]
    problem = Problem(space, goals, (), [goal.name for goal in goals], ["predicted_loss"])
    sampler = EvolvedSampler(problem, {"predicted_loss": table}, "lts")
    sampler.start(3000, None)
    proposed = []
    while isinstance(answer := sampler.ask([], (), None), Proposal):
        proposed.append(answer.architecture)
    points = np.array([table.predict(proposed), [lts.decoder_params(a) for a in proposed]]).T
    assert len(lts.nondominated(points)) == len(proposed) > 10
    exact = lts.knapsack_front(space, table)
    assert all(exact.losses[exact.best(params)] <= loss + 1e-12 for loss, params in points)


class Shuffled(Sampler):
    """A user-defined sampler: the members of the space in random order."""

    def __init__(self, problem: Problem, seed: int = 0) -> None:
        self._space = problem.space
        self._order = list(range(problem.space.size))
        random.Random(seed).shuffle(self._order)

    def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
        if len(trials) == len(self._order):
            return "done"
        return Proposal(self._space.at(self._order[len(trials)]), origin="shuffled")


class TestShuffled(SamplerSuite):
    def make_sampler(self, problem: Problem) -> Sampler:
        return Shuffled(problem)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with that sampler: its module and the metadata with its entry point."""
    code = Path(__file__).read_text(encoding="utf-8")
    begin, end = code.index("class Shuffled(Sampler)"), code.index("class TestShuffled")
    folder = tmp_path / "site"
    (folder / "shuffled-1.0.dist-info").mkdir(parents=True)
    (folder / "shuffled-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: shuffled\nVersion: 1.0\n")
    (folder / "shuffled-1.0.dist-info" / "entry_points.txt").write_text(
        "[lts.samplers]\nshuffled = shuffled:Shuffled\n"
    )
    (folder / "shuffled.py").write_text(
        "from __future__ import annotations\nimport random\nfrom lts import Proposal, Sampler\n" + code[begin:end]
    )
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_a_sampler_of_ones_own_by_its_entry_point(installed: Path, tmp_path: Path) -> None:
    space = lts.SearchSpace.load("gpt2-tiny")

    def open_study(**options: object) -> lts.Study:
        return lts.Study(
            space,
            lambda a: {"cost": float(a.d_model)},
            objectives=["decoder_params:max", "cost:min"],
            store=tmp_path / "study.db",
            sampler="shuffled",
            **options,
        )

    with open_study(algorithm_options={"seed": 3}) as study:
        study.run(trials=5)
    with open_study(algorithm_options={"seed": 3}) as study:
        study.run(trials=9)
        assert study.resumed
        assert {trial.origin for trial in study.trials} == {"shuffled"}
        assert len({trial.architecture.to_json() for trial in study.trials}) == 9
    with pytest.raises(UsageError, match=r"algorithm_options is .* there and .* here"):
        open_study(algorithm_options={"seed": 4})
    with pytest.raises(UsageError, match=r"sampler 'shuffled': .*unexpected keyword argument 'wings'"):
        open_study(algorithm_options={"wings": 2})


def test_the_command_takes_it_too(installed: Path, tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); from lts.cli import main; main()"
    command = [sys.executable, "-c", code, "search", "gpt2-tiny", "--target", "cortex-a72", "--export", "none"]
    arguments = ["--device", "none", "--trials", "20", "--sampler", "shuffled", "--output-dir", str(tmp_path / "out")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Pareto front" in done.stdout


def test_an_unknown_sampler_is_told() -> None:
    problem = SamplerSuite.problem(TestRandom())
    with pytest.raises(UsageError, match="unknown sampler 'nonsense'; expected one of"):
        load_sampler("nonsense", problem)


def test_a_sampler_that_waits_for_nothing_is_told() -> None:
    class Waiting(Shuffled):
        def ask(self, trials: Sequence[Trial], running: Collection[int], budget: int | None) -> Answer:
            return "wait"

    space = lts.SearchSpace.load("gpt2-tiny")
    study = lts.Study(space, lambda a: {"cost": 1.0}, objectives=["cost:min"])
    study._sampler = Waiting(SamplerSuite.problem(TestRandom()))
    with study, pytest.raises(UsageError, match="waits for trials, but none is running"):
        study.run(trials=2)
