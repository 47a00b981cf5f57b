"""The Pareto front of trials, and choosing from it; against brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lts
from lts._core import Constraint, Objective, parse_constraint, parse_objective
from lts.errors import InfeasibleError, UsageError
from lts.measure.trial import Trial
from lts.study.front import (
    Front,
    filtered,
    front_of,
    hypervolume_history,
    minimized,
    observed_hypervolume,
)
from lts.study.store import Store
from lts.study.stored import stored_front

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ARCHITECTURE = lts.Architecture("gpt2", 512, 256, 32, n_head=2, d_ff=64, n_layer=1)


def objectives_of(*texts: str) -> list[Objective]:
    return [parse_objective(text) for text in texts]


def trial_of(key: int, values: dict[str, float], state: str = "complete", feasible: bool | None = True) -> Trial:
    return Trial(id=key, state=state, architecture=ARCHITECTURE, values=values, feasible=feasible)  # type: ignore[arg-type]


def front_from(points: Sequence[Sequence[float]], *texts: str) -> Front:
    objectives = objectives_of(*texts)
    trials = [trial_of(i, {o.name: float(x) for o, x in zip(objectives, p, strict=True)}) for i, p in enumerate(points)]
    return front_of(trials, objectives, [])


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[Trial], list[Objective], list[Constraint]]:
    """Trials with ties, failures and unfinished ones; 1 to 4 objectives; none to two constraints."""
    n_objectives = draw(st.integers(1, 4))
    objectives = [parse_objective(f"c{i}:{draw(st.sampled_from(['min', 'max']))}") for i in range(n_objectives)]
    constraints = [
        parse_constraint(f"{draw(st.sampled_from(['c0', 'bound']))}{draw(st.sampled_from(['<=', '>=']))}{bound}")
        for bound in draw(st.lists(st.integers(0, 6), max_size=2))
    ]
    trials = []
    for i in range(draw(st.integers(0, 25))):
        state = draw(st.sampled_from(["complete"] * 6 + ["failed", "running"]))
        values = {f"c{k}": float(draw(st.integers(0, 6))) for k in range(n_objectives)}
        values["bound"] = float(draw(st.integers(0, 6)))
        feasible = state == "complete" and all(c.holds(values[c.name]) for c in constraints)
        trials.append(trial_of(i, values if state == "complete" else {}, state, feasible))
    return trials, objectives, constraints


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@UNHURRIED
@given(studies())
def test_the_front_is_what_brute_force_finds(study: tuple[list[Trial], list[Objective], list[Constraint]]) -> None:
    trials, objectives, constraints = study
    feasible = [t for t in trials if t.state == "complete" and all(c.holds(t.values[c.name]) for c in constraints)]
    points = minimized(feasible, objectives)
    expected = set()
    for i, trial in enumerate(feasible):
        equal_before = any((points[j] == points[i]).all() for j in range(i))
        if not equal_before and not any(dominates(points[j], points[i]) for j in range(len(feasible))):
            expected.add(trial.id)
    front = front_of(trials, objectives, constraints)
    assert {trial.id for trial in front} == expected
    assert len(front) == len(expected)
    assert [tuple(p) for p in front.points()] == sorted(tuple(p) for p in front.points())


@UNHURRIED
@given(studies())
def test_the_hypervolume_never_falls_and_ends_at_the_observed_one(
    study: tuple[list[Trial], list[Objective], list[Constraint]],
) -> None:
    trials, objectives, _ = study
    history = hypervolume_history(trials, objectives)
    assert len(history) == len(trials)
    assert all(b >= a - 1e-12 for a, b in zip([0.0, *history], history, strict=False))
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in history)
    assert observed_hypervolume(trials, objectives) == pytest.approx(history[-1] if history else 0.0)


@UNHURRIED
@given(studies())
def test_the_hypervolume_is_what_adding_up_cells_finds(
    study: tuple[list[Trial], list[Objective], list[Constraint]],
) -> None:
    trials, objectives, _ = study
    points = minimized([t for t in trials if t.state == "complete" and t.feasible], objectives)
    if not len(points):
        assert observed_hypervolume(trials, objectives) == 0
        return
    low, high = points.min(axis=0), points.max(axis=0)
    corner = low + 1.1 * np.where(high > low, high - low, 1.0)
    # The coordinates of the points cut the box into cells that are dominated wholly or not at all.
    edges = [np.unique([*points[:, k], corner[k]]) for k in range(len(objectives))]
    cells = np.stack(np.meshgrid(*[e[:-1] for e in edges], indexing="ij"), -1).reshape(-1, len(objectives))
    sizes = np.stack(np.meshgrid(*map(np.diff, edges), indexing="ij"), -1).reshape(-1, len(objectives)).prod(axis=1)
    dominated = (points[None, :, :] <= cells[:, None, :]).all(axis=2).any(axis=1)
    assert observed_hypervolume(trials, objectives) == pytest.approx(sizes[dominated].sum() / sizes.sum())


def test_a_history_by_ratio_is_that_of_logarithms() -> None:
    """Of what is above 0; a column that is not stays as it is."""
    objectives = objectives_of("a:max", "b:min", "c:min")
    random = np.random.default_rng(5)
    values = [{"a": a, "b": b, "c": c - 0.5} for a, b, c in random.lognormal(0, 2, (12, 3)).tolist()]
    turned = [{**each, "a": math.log(each["a"]), "b": math.log(each["b"])} for each in values]
    history = hypervolume_history([trial_of(i, each) for i, each in enumerate(values)], objectives, ratios=True)
    assert history == pytest.approx(
        hypervolume_history([trial_of(i, each) for i, each in enumerate(turned)], objectives)
    )


def test_values_are_turned_so_that_less_is_better() -> None:
    trials = [trial_of(0, {"a": 3.0, "b": 4.0, "other": 9.0})]
    assert minimized(trials, objectives_of("b:min", "a:max")).tolist() == [[4.0, -3.0]]
    assert minimized([], objectives_of("b:min", "a:max")).shape == (0, 2)


def test_of_equal_trials_the_first_stays() -> None:
    front = front_from([(1, 1), (2, 2), (1, 1)], "a:min", "b:min")
    assert [trial.id for trial in front] == [0]


def test_the_best_in_the_first_objective_comes_first() -> None:
    front = front_from([(1, 1), (3, 3), (2, 2)], "a:max", "b:min")
    assert [trial.id for trial in front] == [1, 2, 0]


def test_an_empty_front() -> None:
    front = front_of([trial_of(0, {}, "failed", None)], objectives_of("a:min", "b:min"), [])
    assert len(front) == 0
    assert front.points().shape == (0, 2)
    assert front.pick("all") == []
    with pytest.raises(InfeasibleError, match="the front is empty"):
        front.pick("knee")
    with pytest.raises(InfeasibleError, match="no member of the front satisfies 'a<=1'"):
        front.pick("a<=1")
    with pytest.raises(UsageError, match="its members are none"):
        front.pick("0")


def test_the_knee_is_where_the_front_bends_most() -> None:
    assert front_from([(0, 10), (1, 2), (2, 1.5), (10, 0)], "a:min", "b:min").knee().id == 1
    # Turned around, and on another scale, it is the same one.
    assert front_from([(0, 10e6), (-1, 2e6), (-2, 1.5e6), (-10, 0)], "a:max", "b:min").knee().id == 1


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=20))
def test_the_knee_is_nearest_to_the_ideal_point(points: list[tuple[int, int]]) -> None:
    front = front_from(points, "a:min", "b:min")
    p = front.points().tolist()
    sides = [(min(column), (max(column) - min(column)) or 1) for column in zip(*p, strict=True)]
    distances = [sum(((x - low) / side) ** 2 for x, (low, side) in zip(q, sides, strict=True)) for q in p]
    assert distances[front.trials.index(front.knee())] == pytest.approx(min(distances))


def test_the_knee_is_no_extreme_when_costs_are_correlated() -> None:
    front = front_from([(n, n**2, n**2) for n in range(10)], "params:max", "ms:min", "mib:min")
    assert 2 < front.knee().values["params"] < 8


@pytest.mark.parametrize("n", [1, 2])
def test_the_knee_of_few_points_and_of_flat_objectives(n: int) -> None:
    front = front_from([(1, 5, 7), (2, 4, 7)][:n], "a:min", "b:min", "c:max")
    assert front.knee() in front.trials


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=14), st.integers(1, 6))
def test_a_spread_stands_for_the_front(points: list[tuple[int, int]], n: int) -> None:
    front = front_from(points, "a:min", "b:min")
    chosen = front.spread(n)
    assert len(chosen) == min(n, len(front))
    assert [trial for trial in front.trials if trial in chosen.trials] == chosen.trials, "in the same order"
    assert front.knee() in chosen.trials
    if len(front) <= n:
        return
    # Against brute force over all sets with the knee: the greedy bound of submodular functions.
    scaled = minimized(front.trials, front.objectives)
    low, high = scaled.min(axis=0), scaled.max(axis=0)
    scaled = (scaled - low) / np.where(high > low, high - low, 1.0)

    def volume(members: Sequence[int]) -> float:
        return lts.hypervolume(scaled[list(members)], np.full(2, 1.1))

    knee = front.trials.index(front.knee())
    best = max(volume(c) for c in itertools.combinations(range(len(front)), n) if knee in c)
    assert volume([front.trials.index(t) for t in chosen.trials]) >= (1 - 1 / math.e) * best - 1e-12


def test_picking() -> None:
    front = front_from([(30, 9), (20, 4), (10, 1), (5, 5)], "params:max", "ms:min")
    assert [trial.id for trial in front.pick("all")] == [0, 1, 2]
    assert [trial.id for trial in front.pick("1")] == [1]
    assert [trial.id for trial in front.pick("knee")] == [front.knee().id]
    assert [trial.id for trial in front.pick("best")] == [0]
    assert [trial.id for trial in front.pick("ms<=5")] == [1], "the best one in the first objective"
    assert [trial.id for trial in front.pick("params>=5")] == [0]
    with pytest.raises(UsageError, match="trial 3 is not on the front; its members are 0, 1, 2"):
        front.pick("3")
    with pytest.raises(InfeasibleError, match=r"no member of the front satisfies 'ms<=0\.5'"):
        front.pick("ms<=0.5")


@pytest.mark.parametrize("choice", ["", "beast", "-1", "ms<5", "ms<=", "<=5", "ms<=fast", "1.0", "²"])
def test_picking_by_something_else_is_told(choice: str) -> None:
    with pytest.raises(UsageError):
        front_from([(30, 9)], "params:max", "ms:min").pick(choice)


def test_an_unknown_column_is_told_with_the_known_ones() -> None:
    front = front_from([(30, 9)], "params:max", "ms:min")
    with pytest.raises(UsageError, match="no column 'speed'; the trials have ms, params"):
        front.pick("speed<=3")


@UNHURRIED
@given(studies(), st.lists(st.tuples(st.sampled_from("<>"), st.integers(-1, 7)), max_size=3))
def test_where_is_what_filtering_finds(
    study: tuple[list[Trial], list[Objective], list[Constraint]], conditions: list[tuple[str, int]]
) -> None:
    trials = [trial for trial in study[0] if trial.state == "complete"]
    expected = [
        trial
        for trial in trials
        if all((trial.values["c0"] - bound) * (1 if sign == "<" else -1) <= 0 for sign, bound in conditions)
    ]
    assert filtered(trials, [f"c0{sign}={bound}" for sign, bound in conditions]) == expected


def test_the_stored_front(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    trials = tuple(trial_of(i, {"a": float(a), "b": float(b)}) for i, (a, b) in enumerate([(1, 9), (2, 8), (0, 0)]))
    with Store(path, writable=True, create=True) as store:
        store.write(trials=trials)
        with pytest.raises(UsageError, match="holds no study yet"):
            stored_front(path)
        store.write(meta={"study": {"objectives": ["a:max", "b:max"], "constraints": ["a<=1"]}})
        assert [trial.id for trial in stored_front(path)] == [0]
    assert [trial.id for trial in stored_front(path)] == [0]


def test_the_front_of_a_missing_study_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no study at"):
        stored_front(tmp_path / "none.db")
