"""Which points a picture can do without."""

from __future__ import annotations

import numpy as np
import pytest

from lts.report.chart_table import chart_table
from lts.report.thinning import spread, steps


def test_few_points_all_stay() -> None:
    assert spread([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], 3) == [0, 1, 2]
    assert spread([], []) == []


@pytest.mark.parametrize("shape", ["even", "clustered", "heavy tail", "one line", "one point"])
def test_many_points_look_like_all(shape: str) -> None:
    random = np.random.default_rng(3)
    n, most = 20_000, 1000
    x, y = random.random((2, n))
    if shape == "clustered":
        x, y = x**9, y**9
    elif shape == "heavy tail":
        x = np.exp(9 * x)
    elif shape == "one line":
        y = np.zeros(n)
    elif shape == "one point":
        x = y = np.ones(n)
    found = spread(list(x), list(y), most)
    assert found == sorted(set(found))
    assert len(found) <= 32**2 + 4
    kept_x, kept_y = x[found], y[found]
    assert (kept_x.min(), kept_x.max(), kept_y.min(), kept_y.max()) == (x.min(), x.max(), y.min(), y.max())
    # Every point has one near it that is drawn: within a cell of the coarsest grid.
    scale = [float(np.ptp(values)) or 1.0 for values in (x, y)]
    for i in random.choice(n, 200):
        near = np.maximum(abs(kept_x - x[i]) / scale[0], abs(kept_y - y[i]) / scale[1]).min()
        assert near <= 1 / 32 + 1e-12


def test_a_line_of_steps_keeps_its_changes() -> None:
    assert steps([0, 0, 1, 1, 1, 3, 3]) == [0, 2, 5, 6]
    assert steps([2.0]) == [0]
    assert steps([]) == []


def test_a_table_has_the_points_of_a_chart() -> None:
    figure = {
        "data": [
            {"x": [1, 2], "y": [3.5, 4], "name": "a &lt;b&gt;", "hovertext": ["<b>one</b><br>more", "two"]}
            | {"error_y": {"array": [0.5, 0], "arrayminus": [0.25, 0]}},
            {"x": [1], "y": [1], "hoverinfo": "skip"},
        ],
        "layout": {"xaxis": {"title": {"text": "x<br><span>ms</span>"}}, "yaxis": {"title": {"text": "y"}}},
    }
    html = chart_table(figure)
    assert "<td>a &lt;b&gt;</td><td>one</td><td class=n>1</td><td class=n>3.500</td><td class=n>3.250 to 4</td>" in html
    assert "<td>two</td><td class=n>2</td><td class=n>4</td><td class=n></td>" in html
    assert html.count("<tr>") == 3
    many = {**figure, "data": [{"x": list(range(1001)), "y": list(range(1001))}]}
    assert chart_table(many).count("<tr>") == 1 + 167
    assert "167 points of 1\u202f001, evenly chosen." in chart_table(many)
    assert chart_table({**figure, "data": []}) == ""
