"""Distances between fronts, and attainment surfaces, as moocore has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lts

moocore = pytest.importorskip("moocore")

_COORDINATES = {
    "grid": st.integers(0, 3).map(float),  # ties and duplicates
    "any": st.floats(-1e3, 1e3, width=32),
    "infinite": st.sampled_from([-np.inf, -1.0, 0.0, 2.0, np.inf]),
}


@st.composite
def point_sets(draw: st.DrawFn, n_sets: int, m: int | None = None) -> list[np.ndarray]:
    """Sets of at least one point each, all of as many objectives."""
    m = m or draw(st.integers(2, 5))
    elements = _COORDINATES[draw(st.sampled_from(sorted(_COORDINATES)))]
    return [draw(hnp.arrays(np.float64, (draw(st.integers(1, 12)), m), elements=elements)) for _ in range(n_sets)]


def by_definition(points: np.ndarray, reference: np.ndarray) -> dict[object, float]:
    """Means of distances to the nearest, straight from the definitions; what is equal is 0 apart."""
    with np.errstate(invalid="ignore"):
        apart = np.where(points[:, None] == reference[None], 0.0, points[:, None] - reference[None])
    distances = np.sqrt((apart**2).sum(axis=2))
    worse = np.sqrt((np.maximum(apart, 0) ** 2).sum(axis=2))
    return {
        lts.gd: distances.min(axis=1).mean(),
        lts.igd: distances.min(axis=0).mean(),
        lts.gd_plus: worse.min(axis=1).mean(),
        lts.igd_plus: worse.min(axis=0).mean(),
    }


@given(point_sets(2))
def test_distances_equal_moocore(sets: list[np.ndarray]) -> None:
    points, reference = sets
    for function, value in by_definition(points, reference).items():
        assert function(points, reference) == pytest.approx(value, rel=1e-12, abs=1e-12), function.__name__
    if any(set(a[np.isinf(a)]) & set(b[np.isinf(b)]) for a, b in zip(points.T, reference.T, strict=True)):
        return  # moocore subtracts equal infinities, and what comes out depends on the order
    # moocore has IGD and IGD+; GD is IGD of the two exchanged, and GD+ that with both maximized.
    expected = {
        lts.igd: moocore.igd(points, ref=reference),
        lts.gd: moocore.igd(reference, ref=points),
        lts.igd_plus: moocore.igd_plus(points, ref=reference),
        lts.gd_plus: moocore.igd_plus(reference, ref=points, maximise=True),
    }
    for function, value in expected.items():
        assert function(points, reference) == pytest.approx(value, rel=1e-12, abs=1e-12), function.__name__


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_distances_of_many_points(m: int) -> None:
    random = np.random.default_rng(m)
    points, reference = random.random((300, m)), random.random((200, m))
    for function, value in by_definition(points, reference).items():
        assert function(points, reference) == pytest.approx(value, rel=1e-12), function.__name__


@pytest.mark.parametrize("function", [lts.gd, lts.igd, lts.gd_plus, lts.igd_plus])
def test_wrong_arguments_of_distances(function: object) -> None:
    assert callable(function)
    for points, reference, message in [
        (np.empty((0, 2)), [[1, 2]], "points: there are none"),
        ([[1, 2]], np.empty((0, 2)), "reference: there are no points"),
        ([[1, 2]], [[1, 2, 3]], "reference has points of 3 objectives; expected 2"),
        ([[1, 2]], [1, 2], "reference has shape"),
        ([[1, np.nan]], [[1, 2]], "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            function(points, reference)


@given(st.integers(1, 6).flatmap(lambda n: point_sets(n, m=2)))
def test_attainment_equals_moocore(sets: list[np.ndarray]) -> None:
    numbers = np.concatenate([np.full(len(each), i) for i, each in enumerate(sets)])
    expected = moocore.eaf(np.vstack(sets), numbers)
    surfaces = lts.attainment_surfaces(sets)
    assert len(surfaces) == len(sets)
    found = np.vstack(
        [np.column_stack([s, np.full(len(s), 100 * (i + 1) / len(sets))]) for i, s in enumerate(surfaces)]
    )
    assert np.isclose(found, expected[np.lexsort((expected[:, 0], expected[:, 2]))], rtol=1e-12, atol=1e-12).all()
    for level in {1, (len(sets) + 1) // 2, len(sets)}:
        (one,) = lts.attainment_surfaces(sets, [level])
        assert one.tolist() == surfaces[level - 1].tolist()


def test_attainment_of_empty_sets_and_wrong_arguments() -> None:
    empty = np.empty((0, 2))
    assert lts.attainment_surfaces([]) == []
    assert [s.tolist() for s in lts.attainment_surfaces([empty, [[1, 2]]])] == [[[1.0, 2.0]], []]
    for sets, levels, message in [
        ([[[1, 2, 3]]], None, "set 0 has points of 3 objectives; expected 2"),
        ([[[1, 2]], [[np.nan, 2]]], None, "NaN"),
        ([[[1, 2]]], [2], "levels: 2 is out of range"),
        ([[[1, 2]]], [0], "levels: 0 is out of range"),
        ([[[1, 2]]], [-1], "levels"),
    ]:
        with pytest.raises(ValueError, match=message):
            lts.attainment_surfaces(sets, levels)
