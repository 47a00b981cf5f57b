"""Candidates close to a bound: what a window is, which of them are measured, and the front that comes of it."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lts
from lts.measure.trial import Trial
from lts.study.bounds import ORIGIN, SHARE, WIDTH, chosen_at_bounds, n_due, windows_of
from lts.study.predictions import Predictions
from lts.study.problem import beside
from lts.study.proposals import GAIN
from lts.study.study import Study

SPACE = lts.SearchSpace.load("gpt2-any-shapes")
OBJECTIVES = [lts.parse_objective("decoder_params:max"), lts.parse_objective("latency_ms:min")]
TERMS = lts.cost_term_names()


def latency(architecture: lts.Architecture) -> float:
    weights = {"constant": 1.0, "layers": 0.2, "feed_forward": 1e-6, "attention": 1.5e-6, "output": 1e-6, "heads": 0.02}
    amounts = lts.cost_terms([architecture])[0]
    slow = 1.03 if architecture.d_model % 128 else 1.0  # no sum of terms
    return slow * float(sum(amounts[TERMS.index(name)] * weight for name, weight in weights.items()))


class Known:
    """Predictions of latency that are right, with intervals that are as wide as one says."""

    error = 0.01

    def __init__(self, width: float = 0.0) -> None:
        self.width = width

    def predict(self, architectures: Any) -> Any:
        return np.array([latency(a) for a in architectures])

    def interval(self, architectures: Any) -> Any:
        return np.outer(self.predict(architectures), [1 - self.width, 1 + self.width])


def predictions(width: float = 0.0) -> Predictions:
    return Predictions(OBJECTIVES, {}, {"latency_ms": Known(width)}, "known")


def trial(key: int, architecture: lts.Architecture, origin: str = "") -> Trial:
    values = {"decoder_params": float(lts.decoder_params(architecture)), "latency_ms": latency(architecture)}
    return Trial(key, "complete", architecture, values=values, feasible=True, origin=origin)


def predicted_trials(origins: list[str]) -> list[Trial]:
    architecture = SPACE.at(0)
    return [
        Trial(i, "complete", architecture, predicted={"latency_ms": (1.0, 1.0, 1.0)}, origin=origin)
        for i, origin in enumerate(origins)
    ]


@given(st.sampled_from(["<=", ">="]), st.floats(1e-6, 1e12), st.floats(0.5, 1.5), st.floats(0, 2 * WIDTH))
def test_a_window_is_the_feasible_side(relation: str, bound: float, factor: float, error: float) -> None:
    constraint = lts.Constraint("latency_ms", relation, bound)
    (window,) = windows_of([constraint], {"latency_ms": error})
    inward = 1 if relation == ">=" else -1
    assert window.places(np.array([bound, bound * (1 + inward * WIDTH)])) == pytest.approx([0, 1], abs=1e-6)
    value = bound * factor
    place = float(window.places(np.array([value]))[0])
    if abs(factor - 1) > 1e-9:
        assert (place >= 0) == constraint.holds(value)
    if abs(factor - 1 - inward * WIDTH) > 1e-9:
        assert (place <= 1) == window.limits[0].holds(value)
    other = lts.parse_constraint("decoder_params>=1")
    loose = [each for each in window.among([other, constraint]) if each.name == "latency_ms" and each.holds(bound)]
    assert other in window.among([other, constraint])
    assert len(loose) == 2
    assert loose[1].holds(bound * (1 - inward * 0.999 * min(error, WIDTH)))


def test_a_bound_that_is_no_amount_has_no_window() -> None:
    assert windows_of([lts.parse_constraint("x>=0"), lts.parse_constraint("x<=-3")], {}) == []
    (window,) = windows_of([lts.parse_constraint("x<=3")], {})
    assert window.places(np.array([0.0, -1.0])).tolist() == [np.inf, np.inf]


def test_a_distance_from_the_bound_is_an_objective() -> None:
    """So with one objective there are candidates of every probability, and not only the largest one."""
    (largest, below, above) = windows_of(
        [lts.parse_constraint(text) for text in ("decoder_params>=1e6", "latency_ms<=20", "peak_memory_mib>=5")], {}
    )
    size = OBJECTIVES[:1]
    assert [str(o) for o in largest.objectives(size)] == ["decoder_params:max"]
    assert [str(o) for o in below.objectives(size)] == ["decoder_params:max", "latency_ms:min"]
    assert [str(o) for o in above.objectives(size)] == ["decoder_params:max", "peak_memory_mib:max"]
    assert below.objectives(OBJECTIVES) == OBJECTIVES


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.data())
def test_the_share_holds_over_all_batches(batches: list[int], data: st.DataObject) -> None:
    """However many there are to choose from in each batch, the bounds never get more than their share."""
    origins: list[str] = []
    for n in batches:
        due = n_due(predicted_trials(origins), n)
        assert 0 <= due <= n
        found = data.draw(st.integers(0, due))
        origins += [ORIGIN] * found + [GAIN] * (n - found)
        assert origins.count(ORIGIN) <= SHARE * len(origins) + 1e-9
    if len(batches) > 1 and len(set(batches)) == 1:
        whole: list[str] = []
        for n in batches:
            due = n_due(predicted_trials(whole), n)
            whole += [ORIGIN] * due + [GAIN] * (n - due)
        assert whole.count(ORIGIN) == int(SHARE * len(whole) + 1e-9)


@pytest.mark.parametrize("relation", ["<=", ">="])
def test_probabilities_are_those_of_a_normal_distribution(relation: str) -> None:
    scipy_stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    architectures = SPACE.sample(20, 3, method="choices")
    values = np.array([latency(a) for a in architectures])
    constraint = lts.Constraint("latency_ms", relation, float(np.median(values)))
    found = predictions(0.2).probability(constraint, architectures)
    sigma = 0.2 * values / scipy_stats.norm.ppf(0.95)
    below = scipy_stats.norm.cdf(constraint.bound, loc=values, scale=sigma)
    assert found == pytest.approx(below if relation == "<=" else 1 - below, abs=1e-4)
    certain = predictions().probability(constraint, architectures)
    assert certain.tolist() == [0.5 if v == constraint.bound else float(constraint.holds(v)) for v in values]
    counted = lts.parse_constraint("decoder_params>=2000000")
    sizes = [lts.decoder_params(a) for a in architectures]
    assert predictions().probability(counted, architectures).tolist() == [float(size >= 2e6) for size in sizes]


@functools.cache
def candidates_in(bound: str, n: int = 3000) -> tuple[Any, list[lts.Architecture]]:
    """The window of a bound, and random architectures on the front there."""
    (window,) = windows_of([lts.parse_constraint(bound)], {})
    inside = predictions(0.02).near_front(SPACE.sample(n, 1, method="choices"), list(window.limits))
    assert len(inside) >= 10
    return window, inside


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_gaps_are_filled_from_the_bound_outwards(n: int, n_members: int, seed: int) -> None:
    bound = lts.parse_constraint("decoder_params>=4000000")
    window, inside = candidates_in(str(bound))
    random = np.random.default_rng(seed)
    some = random.permutation(len(inside))[:n_members]
    largest = max(SPACE.sample(100, 1, method="choices"), key=lts.decoder_params)
    members = [trial(0, largest), *(trial(1 + int(i), inside[i]) for i in some)]
    rest = [a for i, a in enumerate(inside) if i not in some]
    chosen = chosen_at_bounds({window: rest}, members, [], [bound], predictions(0.02), n)
    names = [a.to_json() for a in chosen]
    assert len(set(names)) == len(names) <= n
    assert set(names) <= {a.to_json() for a in rest}

    places = {a.to_json(): float(np.log(lts.decoder_params(a) / 4e6)) for a in inside}
    known = [places[m.architecture.to_json()] for m in members[1:]]
    every = [places[a.to_json()] for a in rest]
    for step in (0.02, 0.01):  # what is left is closer to a member than a step
        while names and (free := [p for p in every if all(abs(p - k) >= step for k in known)]):
            own = places[names.pop(0)]
            assert own in free
            assert own <= min(free) + step / 4
            known.append(own)
    assert not names
    if len(chosen) < n:
        assert all(min(abs(p - k) for k in known) < 0.01 for p in every)


def test_the_best_within_a_bound_comes_first() -> None:
    bound = lts.parse_constraint("latency_ms<=20")
    window, inside = candidates_in(str(bound))
    sizes = {a.to_json(): lts.decoder_params(a) for a in inside}
    members = [trial(0, min(inside, key=lambda a: sizes[a.to_json()]))]
    (first,) = chosen_at_bounds({window: inside}, members, [], [bound], predictions(1e-6), 1)
    assert sizes[first.to_json()] == max(sizes.values())
    # Where predictions are uncertain, it keeps a distance: expected improvement by definition.
    (careful,) = chosen_at_bounds({window: inside}, members, [], [bound], predictions(0.1), 1)
    gain = np.array([sizes[a.to_json()] - members[0].values["decoder_params"] for a in inside])
    expected = np.maximum(gain, 0) * predictions(0.1).probability(bound, inside)
    assert careful.to_json() == inside[int(expected.argmax())].to_json()
    assert latency(careful) < latency(first)


def test_what_is_dominated_is_not_measured() -> None:
    """A bound that does not bind takes no share: what is better in all objectives is measured already."""
    bound = lts.parse_constraint("latency_ms<=20")
    window, inside = candidates_in(str(bound))
    every = SPACE.sample(3000, 1, method="choices")
    largest = max(every, key=lts.decoder_params)
    ideal = Trial(0, "complete", largest, values={"decoder_params": 1e9, "latency_ms": 0.1}, feasible=True)
    assert chosen_at_bounds({window: inside}, [ideal], [], [bound], predictions(0.01), 3) == []


def test_what_runs_elsewhere_is_known() -> None:
    bound = lts.parse_constraint("decoder_params>=4000000")
    window, inside = candidates_in(str(bound))
    (alone,) = chosen_at_bounds({window: inside}, [], [], [bound], predictions(), 1)
    (beside,) = chosen_at_bounds({window: inside}, [], [alone], [bound], predictions(), 1)
    assert alone.to_json() != beside.to_json()
    assert chosen_at_bounds({window: inside}, [], inside, [bound], predictions(), 3) == []


# --- Studies ---


def study(**options: Any) -> Study:
    def cost(architecture: lts.Architecture) -> dict[str, float]:
        return {"latency_ms": latency(architecture)}

    given_: dict[str, Any] = {"objectives": ["decoder_params:max", "latency_ms:min"], "surrogate": "additive"}
    return Study(SPACE, cost, **{**given_, **options})


@pytest.mark.parametrize("seed", [0, 1])
def test_a_front_is_dense_at_a_bound(seed: int) -> None:
    """Any size within 15 % above the bound is met by a member that is at most 6 % larger; 14 % without the share."""
    with study(constraints=["decoder_params>=2e6"], seed=seed) as dense:
        dense.run(trials=40)
        sizes = sorted(t.values["decoder_params"] / 2e6 for t in dense.front())
        inside = [1.0, *(size for size in sizes if size <= 1.15), 1.15]
        assert sizes[0] >= 1
        assert max(b / a for a, b in itertools.pairwise(inside)) <= 1.06
        origins = [t.origin for t in dense.trials if t.predicted]
        assert 0 < origins.count(ORIGIN) <= SHARE * len(origins)
        assert max(sizes) > 3, "the rest of the front is searched, too"


@pytest.mark.parametrize("seed", [0, 1])
def test_a_front_is_dense_where_baselines_are(seed: int) -> None:
    """For each baseline there is a member that is as large, and hardly larger; without them most are farther away."""
    models = sorted(SPACE.sample(200, 5), key=lts.decoder_params)[30:180:30]
    away = {}
    for known in (True, False):
        with study(seed=seed, baselines={str(i): each for i, each in enumerate(models)} if known else {}) as found:
            found.run(trials=40)
            sizes = np.array([trial.values["decoder_params"] for trial in found.front()])
        away[known] = [float(sizes[sizes >= n].min() / n - 1) for n in map(lts.decoder_params, models)]
    assert max(away[True]) < 0.05
    assert np.mean(away[True]) < 0.5 * np.mean(away[False])


@pytest.mark.parametrize("objective", ["decoder_params:max", "flops_decode:min"])
def test_what_is_compared_is_a_bound_of_what_is_counted(objective: str) -> None:
    with study(objectives=["latency_ms:min", objective]) as given_:
        problem = given_._problem
    models = SPACE.sample(2, 1)
    name, _, goal = objective.partition(":")
    values = sorted(float(lts.analytic(name, each, **problem.workload)) for each in models)
    expected = [lts.Constraint(name, ">=" if goal == "max" else "<=", value) for value in values]
    assert list(beside(problem, [*models, models[0]]).compared_at) == expected
    assert not beside(problem, []).compared_at
    with study(objectives=["latency_ms:min"]) as given_:
        assert not beside(given_._problem, models).compared_at


@pytest.mark.slow
def test_a_study_with_a_bound_goes_on_where_it_was(tmp_path: Path) -> None:
    options: dict[str, Any] = {"constraints": ["decoder_params>=2e6", "latency_ms<=25"]}
    for n in (14, 20):
        with study(store=tmp_path / "parts.db", **options) as part:
            part.run(trials=n)
            assert part.n_finished == n
            found = part.trials
    assert any(t.origin == ORIGIN for t in found)
    assert len({t.architecture.to_json() for t in found}) == 20
    with study(**options) as one, study(**options) as two:
        for each in (one, two):
            each.run(trials=20)
        assert [t.architecture.to_json() for t in one.trials] == [t.architecture.to_json() for t in two.trials]
        assert [t.origin for t in one.trials] == [t.origin for t in two.trials]


def test_no_bound_no_change() -> None:
    with study() as free:
        free.run(trials=20)
        assert not any(t.origin == ORIGIN for t in free.trials)


@pytest.mark.parametrize("bound", ["latency_ms<=20", "decoder_params<=4000000"])
def test_pick_best_is_the_best_of_a_table(tmp_path: Path, bound: str) -> None:
    """Through the command line: 40 of 1,500 architectures are measured, and the best within the bound is among them."""
    pool = SPACE.sample(1500, 5, method="choices")
    path = tmp_path / "device.jsonl"
    lines = [json.dumps({"architecture": a.to_dict(), "values": {"latency_ms": latency(a)}}) for a in pool]
    path.write_text("\n".join(lines) + "\n")
    constraint = lts.parse_constraint(bound)
    known = [trial(i, a).values for i, a in enumerate(pool)]
    best = max(v["decoder_params"] for v in known if constraint.holds(v[constraint.name]))
    command = [sys.executable, "-m", "lts", "search", "gpt2-any-shapes", "--target", "cortex-a72"]
    command += ["--device", f"table:{path}", "--objective", "decoder_params:max", "--objective", "latency_ms:min"]
    command += ["--constraint", bound, "--pick", "best", "--export", "none", "--n-gen", "0", "-o", "jsonl"]
    done = subprocess.run(
        [*command, "-O", str(tmp_path / "out")], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    values = json.loads(line)["values"]
    assert constraint.holds(values[constraint.name])
    assert values["decoder_params"] >= 0.99 * best
    if bound.startswith("decoder_params"):
        assert values["decoder_params"] == best
