"""What is measured next: the first design, the expected gain, and studies that go on like that."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lts
import lts.errors
from lts.errors import MeasurementError
from lts.measure.function import FunctionEvaluator
from lts.measure.outcome import Outcome
from lts.measure.trial import Trial
from lts.study.cost_model import Additive
from lts.study.front import front_of
from lts.study.proposals import Proposer, expected_gains, noise_of
from lts.study.study import Study

SPACE = lts.SearchSpace.load("gpt2-any-shapes")
OBJECTIVES = ["decoder_params:max", "latency_ms:min"]
TERMS = lts.cost_term_names()


def latency(architecture: lts.Architecture) -> float:
    weights = {"constant": 1.0, "layers": 0.2, "feed_forward": 1e-6, "attention": 1.5e-6, "output": 1e-6, "heads": 0.02}
    amounts = lts.cost_terms([architecture])[0]
    return float(sum(amounts[TERMS.index(name)] * weight for name, weight in weights.items()))


def measure(architecture: lts.Architecture) -> dict[str, float]:
    noise = np.random.default_rng(lts.decoder_params(architecture)).standard_normal()
    return {"latency_ms": latency(architecture) * (1 + 0.01 * float(noise))}


def proposer(**changes: Any) -> Proposer:
    given: dict[str, Any] = {
        "objectives": [lts.parse_objective(text) for text in OBJECTIVES],
        "constraints": [],
        "columns": ["latency_ms"],
        "surrogate": Additive(),
    }
    return Proposer(SPACE, **{**given, **changes})


def trial(key: int, architecture: lts.Architecture, **values: float) -> Trial:
    found = {"decoder_params": float(lts.decoder_params(architecture)), **measure(architecture), **values}
    return Trial(key, "complete", architecture, values=found, feasible=True)


def test_the_first_design_has_the_extremes_and_many_depths() -> None:
    design = proposer().design(14)
    assert len({a.to_json() for a in design}) == 14
    assert all(SPACE.contains(a) for a in design)
    params = [lts.decoder_params(a) for a in design]
    pool = [lts.decoder_params(a) for a in SPACE.sample(300, 1, method="choices")]
    assert min(params) <= np.quantile(pool, 0.05)
    assert max(params) >= np.quantile(pool, 0.95)
    assert len({a.n_layer for a in design}) >= 5
    assert len({a.d_model for a in design}) >= 3
    assert [a.to_json() for a in design] == [a.to_json() for a in proposer().design(14)]
    assert [a.to_json() for a in design] != [a.to_json() for a in proposer(seed=1).design(14)]


def test_expected_gains_against_every_choice() -> None:
    """Without uncertainty the first choice is the best of all, and greedy pairs nearly so: by their logarithms, and as
    they are where some are above 0 and some below."""
    random = np.random.default_rng(3)
    for m, below in itertools.product((2, 3), (0.0, 0.5)):
        measured, points = random.random((6, m)) - below, random.random((25, m)) - below
        every = np.vstack([measured, points])
        every = every if below else np.log(every)
        low, high = every.min(axis=0), every.max(axis=0)
        scaled = (every - low) / (high - low)
        seen, new = scaled[:6], scaled[6:]
        reference = np.full(m, 1.1)

        def volume(chosen: tuple[int, ...], seen: Any = seen, new: Any = new, reference: Any = reference) -> float:
            return lts.hypervolume(np.vstack([seen, new[list(chosen)]]), reference)

        (first,) = expected_gains(measured, points, np.zeros_like(points), 1)
        assert volume((first,)) == pytest.approx(max(volume((i,)) for i in range(25)))
        pair = expected_gains(measured, points, np.zeros_like(points), 2)
        assert pair[0] == first
        best = max(volume(two) for two in itertools.combinations(range(25), 2))
        base = lts.hypervolume(seen, reference)
        assert volume((pair[0], pair[1])) - base >= 0.63 * (best - base)


def test_what_is_uncertain_may_be_worth_more() -> None:
    measured = np.array([[0.0, 1.0], [0.5, 0.4], [1.0, 0.0]])
    points = np.array([[0.5, 0.39], [0.5, 0.45]])
    assert expected_gains(measured, points, np.zeros((2, 2)), 1) == [0]
    assert expected_gains(measured, points, np.array([[0.0, 0.0], [0.0, 0.2]]), 1) == [1]
    assert expected_gains(measured, points, np.zeros((2, 2)), 5) == [0, 1]


def test_gains_are_the_same_in_any_unit() -> None:
    """Of a maximized objective, too, which is below 0."""
    random = np.random.default_rng(4)
    measured, points = random.random((6, 2)) * [1, -1], random.random((25, 2)) * [1, -1]
    spread = 0.1 * np.abs(points)
    chosen = expected_gains(measured, points, spread, 5)
    assert expected_gains(measured * [1000, 7], points * [1000, 7], spread * [1000, 7], 5) == chosen
    assert expected_gains(measured**3, points**3, 3 * spread * points**2, 5) == chosen


def test_both_ends_of_a_wide_front_are_measured_alike() -> None:
    """A front from 2 to 200 million parameters on which each candidate costs what it has: of those between its ends, as
    many are chosen below their geometric mean as above, although nearly all of the range lies above."""
    params = np.geomspace(2e6, 2e8, 201)
    line = np.column_stack([-params, params / 1e5])
    chosen = expected_gains(line[[0, -1]], line[1:-1], np.zeros((199, 2)), 15)
    small = sum(params[1 + i] < 2e7 for i in chosen)
    assert 6 <= small <= 9


def test_proposals_are_new_predicted_and_near_the_front() -> None:
    chooser = proposer()
    trials = [trial(i, p.architecture) for i, p in enumerate(chooser.propose([], 40))]
    assert len(trials) == 12
    batch = chooser.propose(trials, 40)
    assert len(batch) == 7
    seen = {t.architecture.to_json() for t in trials}
    for proposal in batch:
        assert proposal.architecture.to_json() not in seen
        assert SPACE.contains(proposal.architecture)
        value, low, high = proposal.predicted["latency_ms"]
        assert low < value < high
        assert value == pytest.approx(latency(proposal.architecture), rel=0.05)
    # Better than what a random choice of as many finds.
    new = [trial(100 + i, p.architecture) for i, p in enumerate(batch)]
    other = [trial(200 + i, a) for i, a in enumerate(SPACE.sample(7, 9, method="choices"))]
    front = {t.id for t in front_of([*trials, *new, *other], chooser.objectives, [])}
    assert sum(t.id in front for t in new) >= 6
    assert sum(t.id in front for t in other) <= 2


def test_a_batch_never_exceeds_the_budget() -> None:
    chooser = proposer()
    trials = [trial(i, p.architecture) for i, p in enumerate(chooser.propose([], 10))]
    while len(trials) < 10:
        batch = chooser.propose(trials, 10)
        assert batch
        trials += [trial(len(trials) + i, p.architecture) for i, p in enumerate(batch)]
    assert len(trials) == 10


def test_constraints_hold_for_what_is_proposed() -> None:
    bound = "latency_ms<=15"
    chooser = proposer(constraints=[lts.parse_constraint(bound)])
    trials = [trial(i, p.architecture) for i, p in enumerate(chooser.propose([], 40))]
    batch = chooser.propose(trials, 40)
    assert batch
    assert all(p.predicted["latency_ms"][0] <= 15 for p in batch)
    free = proposer().propose(trials, 40)
    assert any(p.predicted["latency_ms"][0] > 15 for p in free), "the bound binds"


def test_a_pool_is_all_there_is() -> None:
    pool = SPACE.sample(60, 5, method="choices")
    chooser = proposer(pool=pool)
    names = {a.to_json() for a in pool}
    trials: list[Trial] = []
    while batch := chooser.propose(trials, 60):
        assert {p.architecture.to_json() for p in batch} <= names
        trials += [trial(len(trials) + i, p.architecture) for i, p in enumerate(batch)]
    assert len({t.architecture.to_json() for t in trials}) == len(trials)


# --- Studies ---


def study(store: Path | None = None, evaluator: Any = measure, **options: Any) -> Study:
    given: dict[str, Any] = {"objectives": OBJECTIVES, "surrogate": "additive", "store": store}
    return Study(SPACE, evaluator, **{**given, **options})


def test_forty_measurements_are_better_than_two_hundred_without() -> None:
    with study() as few, study(surrogate="none") as many:
        few.run(trials=40)
        many.run(trials=200)
        assert few.n_finished <= 40
        fronts = [
            np.array([[-t.values["decoder_params"], latency(t.architecture)] for t in s.front()]) for s in (few, many)
        ]
    every = np.vstack(fronts)
    low, high = every.min(axis=0), every.max(axis=0)
    volumes = [lts.hypervolume((f - low) / (high - low), np.full(2, 1.1)) for f in fronts]
    assert volumes[0] > volumes[1]


def test_a_study_goes_on_where_it_was(tmp_path: Path) -> None:
    for n in (3, 13, 17, 30):
        with study(tmp_path / "parts.db") as part:
            part.run(trials=n)
    with study(tmp_path / "parts.db") as part:
        assert part.n_finished == 30
        predicted = [t for t in part.trials if t.predicted]
        assert predicted
        assert {len(t.predicted["latency_ms"]) for t in predicted} == {3}
        assert len({t.architecture.to_json() for t in part.trials}) == 30
    with study() as first, study() as second:  # the same seed, the same search
        for each in (first, second):
            each.run(trials=25)
        assert [t.architecture.to_json() for t in first.trials] == [t.architecture.to_json() for t in second.trials]


def test_an_interrupt_loses_nothing(tmp_path: Path) -> None:
    calls = itertools.count()

    def interrupted(architecture: lts.Architecture) -> dict[str, float]:
        if next(calls) == 15:
            raise KeyboardInterrupt
        return measure(architecture)

    evaluator = FunctionEvaluator(interrupted, name="measure")
    with study(tmp_path / "study.db", evaluator) as first, pytest.raises(KeyboardInterrupt):
        first.run(trials=25)
    with study(tmp_path / "study.db", FunctionEvaluator(measure, name="measure")) as second:
        assert second.n_finished == 15
        second.run(trials=25)
        assert second.n_finished == 25
        cut_off = second.trials[15]
        assert cut_off.predicted, "what was predicted before the interrupt is still known"


def test_another_surrogate_is_another_study(tmp_path: Path) -> None:
    with study(tmp_path / "study.db") as first:
        first.run(trials=3)
    with pytest.raises(lts.errors.UsageError, match="surrogate is additive there and none here"):
        study(tmp_path / "study.db", surrogate="none")


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "device",
    [
        lambda a: 1.25 if a.d_model % 128 else 1.0,  # widths that fit no vector
        lambda a: 1.3 if lts.decoder_params(a) > 5_000_000 else 1.0,  # a cache that is too small
    ],
)
def test_one_objective_and_a_bound_on_a_device_that_is_not_smooth(seed: int, device: Any) -> None:
    """What is measured to be infeasible is no reason to stop."""

    def cost(architecture: lts.Architecture) -> dict[str, float]:
        return {"latency_ms": latency(architecture) * device(architecture)}

    options: dict[str, Any] = {"objectives": ["decoder_params:max"], "constraints": ["latency_ms<=25"], "seed": seed}
    with study(evaluator=cost, **options) as ours, study(evaluator=cost, surrogate="none", **options) as many:
        ours.run(trials=40)
        many.run(trials=300)
        best = [s.front().trials[0].values["decoder_params"] for s in (ours, many)]
        assert all(trial.values["latency_ms"] <= 25 for trial in ours.front())
    assert best[0] >= 0.97 * best[1]


def test_a_table_smaller_than_the_budget_is_used_up(tmp_path: Path) -> None:
    for n in (2, 20):
        path = table(tmp_path / f"{n}.jsonl", SPACE.sample(n, 5, method="choices"))
        with study(evaluator=lts.Evaluator("cortex-a72", device=f"table:{path}")) as small:
            small.run(trials=40)
            assert small.n_finished == n
            assert {trial.state for trial in small.trials} == {"complete"}
    with study(
        evaluator=lts.Evaluator("cortex-a72", device=f"table:{path}"), constraints=["latency_ms<=0.001"]
    ) as nothing:
        nothing.run(trials=10)
        assert {trial.state for trial in nothing.trials} == {"complete"}


def test_disturbed_measurements_have_no_say() -> None:
    ours = proposer()
    architectures = ours.design(20)
    clean = [trial(i, a) for i, a in enumerate(architectures)]
    # A third took longer, and not so much longer that they are outliers.
    slow = [i % 3 == 0 for i in range(20)]
    mixed = [
        replace(t, values={**t.values, "latency_ms": 1.3 * t.values["latency_ms"]}, disturbed=True) if s else t
        for t, s in zip(clean, slow, strict=True)
    ]
    assert noise_of(mixed[0], "latency_ms") > 100 * noise_of(clean[0], "latency_ms")
    tried = SPACE.sample(20, 3, method="choices")
    for trials in (clean, mixed):
        assert ours.propose([replace(t, id=i) for i, t in enumerate(trials)], 40)
        predicted = ours.predictions.values(tried, ["latency_ms"])["latency_ms"]
        assert predicted == pytest.approx([latency(a) for a in tried], rel=0.05)


def test_notes_are_those_of_the_last_fit(tmp_path: Path) -> None:
    calls = itertools.count()

    def paused(architecture: lts.Architecture) -> dict[str, float]:
        return {"latency_ms": latency(architecture) * (20 if next(calls) == 4 else 1)}

    with study(tmp_path / "study.db", paused) as odd:
        odd.run(trials=40)
        (note,) = odd.notes
        assert note.startswith("latency_ms: trial 4 took 2")
    from lts.study.stored import read_study

    assert read_study(tmp_path / "study.db").notes == [note]


def test_a_model_that_predicts_nothing_is_named() -> None:
    class Nothing:
        error = 0.1

        def predict(self, architectures: Any) -> Any:
            return [float("nan")] * len(architectures)

        def interval(self, architectures: Any) -> Any:
            return [[0.0, 1.0]] * len(architectures)

    class Broken:
        name = "broken"

        def fit(self, column: str, architectures: Any, values: Any, noise: Any) -> Any:
            return Nothing(), []

    with (
        study(surrogate=Broken()) as own,
        pytest.raises(lts.errors.UsageError, match=r"the surrogate 'broken' gives .* numbers for 'latency_ms'"),
    ):
        own.run(trials=20)


def test_a_small_space_is_used_up() -> None:
    space = lts.SearchSpace(n_layer=[1, 2], d_model=[32], n_head=[2], d_ff=[64, 128])
    with Study(space, measure, objectives=OBJECTIVES, surrogate="additive") as small:
        small.run(trials=100)
        assert 3 <= small.n_finished <= 6


def test_it_stops_when_nothing_changes_any_more() -> None:
    space = lts.SearchSpace.load("gpt2-tiny")
    with Study(space, lambda a: {"latency_ms": latency(a)}, objectives=OBJECTIVES, surrogate="additive") as exact:
        exact.run(trials=400)
        assert exact.settled
        assert exact.n_finished < 200
        members = [[-float(lts.decoder_params(a)), latency(a)] for a in (space.at(i) for i in range(space.size))]
        front = {tuple(members[i]) for i in lts.nondominated(members)}
        found = {(-t.values["decoder_params"], t.values["latency_ms"]) for t in exact.front()}
        assert found == front


@pytest.mark.parametrize("parallel", [4, 30])
def test_several_devices_at_once(parallel: int) -> None:
    class Farm(FunctionEvaluator):
        def evaluate(self, architecture: lts.Architecture, columns: Any, timeout: float | None = None) -> Outcome:
            time.sleep(0.01)
            return super().evaluate(architecture, columns, timeout)

    farm = Farm(measure)
    farm.parallel = parallel
    with study(evaluator=farm) as many:
        many.run(trials=30)
        assert many.n_finished == 30
        assert many.notes == []
        assert sum(bool(t.predicted) for t in many.trials) >= 15
        assert len({t.architecture.to_json() for t in many.trials}) == 30


@pytest.mark.parametrize("algorithm", ["lts", "nsga2", "local", "random", "exhaustive"])
def test_any_algorithm_evolves_on_predictions(algorithm: str) -> None:
    with study(algorithm=algorithm) as any_:
        any_.run(trials=14)
        assert sum(bool(t.predicted) for t in any_.trials) >= 4


def test_failures_are_survived() -> None:
    class Flaky(FunctionEvaluator):
        def evaluate(self, architecture: lts.Architecture, columns: Any, timeout: float | None = None) -> Outcome:
            if lts.decoder_params(architecture) % 3 == 0:
                return Outcome(error="it broke")
            return super().evaluate(architecture, columns, timeout)

    with study(evaluator=Flaky(measure)) as flaky:
        flaky.run(trials=30)
        assert any(t.state == "failed" for t in flaky.trials)
        assert any(t.predicted for t in flaky.trials)

    def broken(architecture: lts.Architecture) -> dict[str, float]:
        raise RuntimeError("no device")

    with study(evaluator=broken) as nothing, pytest.raises(MeasurementError, match="the first 10 trials all failed"):
        nothing.run(trials=40)


def test_costs_without_reason_are_measured_all_the_same() -> None:
    def dice(architecture: lts.Architecture) -> dict[str, float]:
        return {"latency_ms": float(np.exp(np.random.default_rng(lts.decoder_params(architecture)).standard_normal()))}

    with study(evaluator=dice) as random:
        random.run(trials=40)
        assert random.n_finished == 40
        assert any("do not rank the measurements" in note for note in random.notes)
    with study(evaluator=lambda a: {"latency_ms": latency(a) if a.n_layer > 4 else 0.0}) as zero:
        zero.run(trials=20)
        assert zero.n_finished == 20
        assert any("predictions need values above 0" in note for note in zero.notes)


def test_a_surrogate_of_ones_own() -> None:
    class Mean:
        error = 0.5

        def __init__(self, value: float) -> None:
            self.value = value

        def predict(self, architectures: Any) -> Any:
            return np.array([self.value * lts.decoder_params(a) for a in architectures])

        def interval(self, architectures: Any) -> Any:
            return np.outer(self.predict(architectures), [0.5, 1.5])

    class Proportional:
        name = "proportional"

        def fit(self, column: str, architectures: Any, values: Any, noise: Any) -> Any:
            assert column == "latency_ms"
            assert len(architectures) == len(values) == len(noise)
            return Mean(float(np.mean(values / [lts.decoder_params(a) for a in architectures]))), ["a note"]

    with study(surrogate=Proportional()) as own:
        own.run(trials=20)
        assert own.n_finished == 20
        assert own.notes == ["a note"]
        assert isinstance(own.models["latency_ms"], Mean)


# --- Tables ---


def table(path: Path, architectures: list[lts.Architecture]) -> Path:
    lines = [json.dumps({"architecture": a.to_dict(), "values": {"latency_ms": latency(a)}}) for a in architectures]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_is_a_device(tmp_path: Path) -> None:
    pool = SPACE.sample(80, 5, method="choices")
    uri = f"table:{table(tmp_path / 'device.jsonl', pool)}"
    with study(evaluator=lts.Evaluator("cortex-a72", device=uri)) as replayed:
        replayed.run(trials=30)
        assert replayed.n_finished <= 30
        for each in replayed.trials:
            assert each.state == "complete"
            assert each.values["latency_ms"] == latency(each.architecture)
            assert each.provenance["latency_ms"] == "measured"
            assert each.device == uri


def test_tables_that_are_none(tmp_path: Path) -> None:
    for content, sentence in (
        ("", "has no measurements"),
        ("{", "line 1: "),
        ('{"architecture": {}}', "line 1: "),
        ('{"values": {}}', "'architecture' is missing"),
    ):
        path = tmp_path / "bad.jsonl"
        path.write_text(content)
        with pytest.raises(lts.errors.UsageError, match=sentence):
            lts.Evaluator("cortex-a72", device=f"table:{path}")
    with pytest.raises(lts.errors.UsageError, match="cannot read the table"):
        lts.Evaluator("cortex-a72", device=f"table:{tmp_path / 'none'}")
    path = table(tmp_path / "good.jsonl", lts.SearchSpace.load("llama-tiny").sample(3, 0))
    with pytest.raises(lts.errors.UsageError, match="leave --backend and --tune out"):
        lts.Evaluator("cortex-a72", device=f"table:{path}", backend="tvm")
    with pytest.raises(lts.errors.UsageError, match="has no architecture of the space"):
        study(evaluator=lts.Evaluator("cortex-a72", device=f"table:{path}"))
