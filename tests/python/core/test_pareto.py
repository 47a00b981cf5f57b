"""Hypervolume, sorting, `ParetoArchive`, `Objective` and `Constraint`."""

from __future__ import annotations

import copy
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lts

moocore = pytest.importorskip("moocore")

SORTING = [lts.nondominated_sort, lts.nondominated, lts.crowding_distance]


@st.composite
def point_sets(draw: st.DrawFn, max_n: int = 30, max_m: int = 6, min_n: int = 0) -> np.ndarray:
    """Points with many ties, or with any finite coordinates of a moderate size, or on a plane."""
    shape = (draw(st.integers(min_n, max_n)), draw(st.integers(1, max_m)))
    kind = draw(st.sampled_from(["grid", "any", "plane"]))
    if kind == "grid":
        return draw(hnp.arrays(np.float64, shape, elements=st.integers(0, 4).map(float)))
    points = draw(hnp.arrays(np.float64, shape, elements=st.floats(-1e3, 1e3, width=32)))
    return points - points.mean(axis=1, keepdims=True) if kind == "plane" and points.size else points


def sphere(n: int, m: int, seed: int = 0) -> np.ndarray:
    directions = np.abs(np.random.default_rng(seed).normal(size=(n, m)))
    return 1.0 - directions / np.linalg.norm(directions, axis=1, keepdims=True)


def covers(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all())


# --- Hypervolume ---


@given(point_sets(max_m=5, min_n=1))
def test_hypervolume_equals_moocore(points: np.ndarray) -> None:
    reference = points.max(axis=0) + 1.0
    assert lts.hypervolume(points, reference) == pytest.approx(moocore.hypervolume(points, ref=reference), rel=1e-11)


@given(point_sets(max_m=5, min_n=1), st.floats(-10, 10))
def test_points_beyond_the_reference_add_nothing(points: np.ndarray, level: float) -> None:
    reference = np.full(points.shape[1], level)
    inside = points[(points < reference).all(axis=1)]
    assert lts.hypervolume(points, reference) == lts.hypervolume(inside, reference)
    if len(inside):
        expected = moocore.hypervolume(inside, ref=reference)
        assert lts.hypervolume(inside, reference) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("seed", range(3))
def test_hypervolume_of_many_points_equals_moocore(m: int, seed: int) -> None:
    n = 60 if m == 6 else 200
    for points in (sphere(n, m, seed), np.random.default_rng(seed).random((n, m))):
        reference = np.full(m, 1.05)
        expected = moocore.hypervolume(points, ref=reference)
        assert lts.hypervolume(points, reference) == pytest.approx(expected, rel=1e-12)


def test_hypervolume_of_integers_is_exact() -> None:
    assert lts.hypervolume([[1, 3], [2, 2], [3, 1]], [4, 4]) == 6.0
    assert lts.hypervolume([[5, 5], [4, 6], [2, 7], [7, 4]], reference=[10, 10]) == 38.0
    assert lts.hypervolume(np.empty((0, 3)), np.ones(3)) == 0.0
    assert lts.hypervolume([[-math.inf, 0]], [1, 1]) == math.inf
    assert lts.hypervolume([[math.inf, 0]], [1, 1]) == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8])
def test_other_dtypes_and_layouts_are_converted(dtype: Any) -> None:
    points = np.array([[1, 3], [2, 2], [3, 1], [3, 3]], dtype=dtype)
    for view in (points, np.asfortranarray(points), np.repeat(points, 2, axis=0)[::2], points.tolist()):
        assert lts.hypervolume(view, (4, 4)) == 6.0
        assert lts.nondominated(view).tolist() == [0, 1, 2]


# --- Sorting ---


@given(point_sets())
def test_sorting_equals_moocore(points: np.ndarray) -> None:
    fronts = lts.nondominated_sort(points)
    indices = lts.nondominated(points)
    assert fronts.dtype == np.uint32
    assert fronts.shape == (len(points),)
    assert indices.dtype == np.int64
    if not len(points):
        assert len(indices) == 0
        return
    if points.shape[1] > 1:  # moocore wants two objectives
        assert fronts.tolist() == moocore.pareto_rank(points).tolist()
        assert indices.tolist() == np.flatnonzero(moocore.is_nondominated(points)).tolist()
    else:
        assert fronts.tolist() == np.unique(points[:, 0], return_inverse=True)[1].ravel().tolist()
        assert indices.tolist() == [int(points.argmin())]


@pytest.mark.parametrize("m", [2, 3, 4, 5])
def test_sorting_of_many_points_equals_moocore(m: int) -> None:
    for points in (sphere(1_000, m), np.random.default_rng(m).random((1_000, m))):
        assert np.array_equal(lts.nondominated_sort(points), moocore.pareto_rank(points))
        assert np.array_equal(lts.nondominated(points), np.flatnonzero(moocore.is_nondominated(points)))


@given(point_sets(max_m=4))
def test_crowding_distance_is_that_of_the_paper(points: np.ndarray) -> None:
    expected = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        if len(order):
            expected[order[[0, -1]]] = np.inf
        extent = column.max(initial=-np.inf) - column.min(initial=np.inf)
        if extent > 0:
            expected[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    assert lts.crowding_distance(points) == pytest.approx(expected, rel=1e-12)


# --- Errors ---


BAD_POINTS = [
    ([1.0, 2.0], "points has shape (2,); expected numbers of shape (n, m)"),
    ([[[1.0]]], "points has shape (1, 1, 1); expected numbers of shape (n, m)"),
    (3.0, "points has shape (); expected numbers of shape (n, m)"),
    ([], "points has shape (0,); expected numbers of shape (n, m)"),
    (np.empty((3, 0)), "points has shape (3, 0); expected numbers of shape (n, m)"),
    ([["a", "b"]], "points has dtype <U1; expected numbers"),
    ([[1j, 2]], "points has dtype complex128; expected numbers"),
    ([[None, 1]], "points has dtype object; expected numbers"),
    ([[True, False]], "points has dtype bool; expected numbers"),
    ([[1, 2], [3]], "points cannot be made an array; expected numbers of shape (n, m)"),
    ([[0, 1], [2, math.nan]], "points: coordinate 1 of point 1 is NaN"),
]


@pytest.mark.parametrize(("points", "message"), BAD_POINTS)
@pytest.mark.parametrize("function", [*SORTING, lambda points: lts.hypervolume(points, [1, 1])])
def test_bad_points_are_refused_in_one_sentence(function: Any, points: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        function(points)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ([1, 1, 1], "reference has shape (3,); expected numbers of shape (2,), one for each objective"),
        ([[1, 1]], "reference has shape (1, 2); expected numbers of shape (2,)"),
        (1.0, "reference has shape (); expected numbers of shape (2,)"),
        (["a", "b"], "reference has dtype <U1; expected numbers of shape (2,)"),
        ([1, math.nan], "reference: coordinate 1 is nan; every coordinate must be a finite number"),
        ([math.inf, 1], "reference: coordinate 0 is inf; every coordinate must be a finite number"),
    ],
)
def test_bad_references_are_refused(reference: Any, message: str) -> None:
    # Three points of two coordinates: a reference of three must not pass for two points of three.
    with pytest.raises(ValueError) as error:  # noqa: PT011
        lts.hypervolume([[0, 1], [1, 0], [2, 2]], reference)
    assert str(error.value).startswith(message)


def test_what_numpy_raises_for_other_reasons_passes_through() -> None:
    class Interrupted:
        def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lts.nondominated(Interrupted())


# --- ParetoArchive ---


@given(point_sets(), st.integers(1, 7))
def test_archive_keeps_the_nondominated_in_order(points: np.ndarray, batch: int) -> None:
    archive = lts.ParetoArchive(points.shape[1])
    for begin in range(0, len(points), batch):
        n_before = begin
        n_stayed = archive.insert(points[begin : begin + batch])
        assert n_stayed == np.count_nonzero(archive.ids >= n_before)
    expected = lts.nondominated(points)
    assert archive.ids.tolist() == expected.tolist()
    assert np.array_equal(archive.points, points[expected])
    assert len(archive) == len(expected)
    assert all(archive.covers(point) for point in points)
    for point in points - 0.5:
        assert archive.covers(point) == any(covers(member, point) for member in archive.points)


@given(point_sets(min_n=1))
def test_archive_restored_from_its_arrays_is_the_same(points: np.ndarray) -> None:
    archive = lts.ParetoArchive(points.shape[1])
    half = len(points) // 2
    archive.insert(points[:half])
    restored = lts.ParetoArchive(archive.n_objectives)
    assert restored.insert(archive.points, ids=archive.ids) == len(archive)
    for one in (archive, restored):
        one.insert(points[half:], ids=range(half, len(points)))
    assert np.array_equal(archive.ids, restored.ids)
    assert np.array_equal(archive.points, restored.points)


def test_archive_ids_and_counts() -> None:
    archive = lts.ParetoArchive(n_objectives=2)
    assert repr(archive) == "<ParetoArchive of 2 objectives: 0 members>"
    assert archive.points.shape == (0, 2)
    assert archive.ids.dtype == np.uint64
    assert archive.insert([3, 1]) == 1
    assert archive.insert([[3, 1], [4, 4]]) == 0
    assert archive.insert([[2, 2], [1, 1], [0, 5]]) == 2  # (2, 2) went again, and (3, 1)
    assert archive.ids.tolist() == [4, 5]
    assert archive.insert([5, 0], ids=[2**64 - 1]) == 1
    assert archive.insert([6, -1], ids=7) == 1
    assert archive.insert([7, -2]) == 1
    assert archive.ids.tolist() == [4, 5, 2**64 - 1, 7, 8]
    assert archive.insert(np.empty((0, 2)), ids=[]) == 0
    archive.points[:] = -1  # a copy
    assert archive.points.tolist() == [[1, 1], [0, 5], [5, 0], [6, -1], [7, -2]]
    archive.clear()
    assert len(archive) == 0
    assert archive.insert([[9, 9]]) == 1
    assert archive.ids.tolist() == [0]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([1, 2, 3], "points has shape (3,); expected numbers of shape (n, 2) or (2,), one for each objective"),
        ([[1], [2]], "points has shape (2, 1); expected numbers of shape (n, 2) or (2,)"),
        ([[[1, 2]]], "points has shape (1, 1, 2); expected numbers of shape (n, 2) or (2,)"),
        (1, "points has shape (); expected numbers of shape (n, 2) or (2,)"),
        (["x", "y"], "points has dtype <U1; expected numbers of shape (n, 2) or (2,)"),
        ([[0, 0], [math.nan, 0]], "points: coordinate 0 of point 1 is NaN; every coordinate must be a number"),
    ],
)
def test_archive_refuses_bad_points_and_stays_as_it_was(points: Any, message: str) -> None:
    archive = lts.ParetoArchive(2)
    archive.insert([1, 1])
    with pytest.raises(ValueError) as error:  # noqa: PT011
        archive.insert(points)
    assert str(error.value).startswith(message)
    assert archive.points.tolist() == [[1, 1]]
    archive.insert([0, 5])
    assert archive.ids.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1], "ids has shape (1,); expected integers from 0 of shape (2,), one for each point"),
        (1, "ids has shape (); expected integers from 0 of shape (2,)"),
        ([1, -1], "ids has a number below 0; expected integers from 0 of shape (2,)"),
        ([1.0, 2.0], "ids has dtype float64; expected integers from 0 of shape (2,)"),
        ([1, 2**64], "ids has dtype object; expected integers from 0 of shape (2,)"),
    ],
)
def test_archive_refuses_bad_ids(ids: Any, message: str) -> None:
    archive = lts.ParetoArchive(2)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        archive.insert([[1, 2], [2, 1]], ids=ids)
    assert str(error.value).startswith(message)
    assert len(archive) == 0


def test_archive_refuses_other_bad_arguments() -> None:
    with pytest.raises(ValueError, match="the number of objectives is 0; it must be at least 1"):
        lts.ParetoArchive(0)
    with pytest.raises(ValueError, match="n_objectives is out of range"):
        lts.ParetoArchive(-1)
    with pytest.raises(TypeError, match="n_objectives must be an integer"):
        lts.ParetoArchive(2.5)  # type: ignore[arg-type]
    archive = lts.ParetoArchive(2)
    with pytest.raises(ValueError, match=r"point has shape \(1, 2\); expected numbers of shape \(2,\)"):
        archive.covers([[1, 2]])
    with pytest.raises(ValueError, match="coordinate 1 of the point is NaN"):
        archive.covers([1, math.nan])


def test_archive_pickles_and_copies() -> None:
    archive = lts.ParetoArchive(3)
    archive.insert(sphere(100, 3))
    for other in (pickle.loads(pickle.dumps(archive)), copy.copy(archive), copy.deepcopy(archive)):
        assert np.array_equal(other.points, archive.points)
        assert np.array_equal(other.ids, archive.ids)
        other.insert([-1, -1, -1])
        assert other.ids.tolist() == [100]
    assert len(archive) == 100


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_archive_may_be_filled_from_several_threads(seed: int) -> None:
    points = np.random.default_rng(seed).random((8, 5_000, 3))
    archive = lts.ParetoArchive(3)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(archive.insert, points))
    merged = points.reshape(-1, 3)
    expected = merged[lts.nondominated(merged)]
    assert sorted(archive.points.tolist()) == sorted(expected.tolist())
    assert len(set(archive.ids.tolist())) == len(archive)


# --- Objective and Constraint ---


def test_objectives() -> None:
    objective = lts._core.parse_objective("decoder_params:max")
    assert (objective.name, objective.direction, str(objective)) == ("decoder_params", "max", "decoder_params:max")
    assert repr(objective) == "Objective('decoder_params', 'max')"
    assert objective == lts._core.Objective("decoder_params", "max")
    assert objective != lts._core.Objective("decoder_params")
    assert hash(objective) == hash(lts._core.Objective("decoder_params", "max"))
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert copy.deepcopy(objective) == objective
    assert objective != "decoder_params:max"
    with pytest.raises(ValueError, match="expected NAME:min or NAME:max, such as latency_ms:min"):
        lts._core.parse_objective("latency_ms")
    with pytest.raises(ValueError, match="expected NAME:min or NAME:max"):
        lts._core.Objective("latency_ms", "down")
    with pytest.raises(AttributeError):
        objective.name = "other"


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["<=", ">="]))
def test_constraints_read_back(bound: float, relation: str) -> None:
    constraint = lts._core.Constraint("x", relation, bound)
    assert (constraint.name, constraint.relation, constraint.bound) == ("x", relation, bound)
    again = lts._core.parse_constraint(str(constraint))
    assert again == constraint
    assert hash(again) == hash(constraint)
    assert pickle.loads(pickle.dumps(constraint)) == constraint
    assert constraint.holds(bound)
    assert constraint.violation(bound) == 0.0
    assert eval(repr(constraint), {"Constraint": lts._core.Constraint}) == constraint


@given(st.floats(), st.floats(allow_nan=False, allow_infinity=False))
def test_constraints_hold_exactly_within_the_bound(value: float, bound: float) -> None:
    at_most, at_least = (lts._core.Constraint("x", relation, bound) for relation in ("<=", ">="))
    assert at_most.holds(value) == (value <= bound)
    assert at_least.holds(value) == (value >= bound)
    assert at_most.violation(value) >= 0.0
    if not math.isnan(value):
        assert at_most.violation(value) == 0.0 or at_least.violation(value) == 0.0


@pytest.mark.parametrize(
    "text", ["", "x", "x<5", "x=5", "x<=", "<=5", "x<=nan", "x<=inf", "x<=1e999", "x<=5ms", "a b<=5"]
)
def test_bad_constraints_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected NAME<=NUMBER or NAME>=NUMBER, such as latency_ms<=10"):
        lts._core.parse_constraint(text)


def test_bad_parts_of_a_constraint_are_refused() -> None:
    with pytest.raises(ValueError, match="relation is '<'; expected '<=' or '>='"):
        lts._core.Constraint("x", "<", 1.0)
    with pytest.raises(ValueError, match="expected NAME<=NUMBER"):
        lts._core.Constraint("x<=1", "<=", 1.0)
    with pytest.raises(ValueError, match="expected NAME<=NUMBER"):
        lts._core.Constraint("x", "<=", math.inf)
