"""The page of a benchmark of algorithms."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import lts
from lts.benchmarks.problem import PoolProblem
from lts.benchmarks.summary import Summary
from lts.report.benchmark import document
from lts.report.benchmark_charts import anytime_chart, attainment_chart

HOSTILE = "<img src=x onerror=alert(1)>"


def summary_of(folder: Path, name: str = "random", n_objectives: int = 2) -> Summary:
    """Seven algorithms with as many seeds of made-up runs, the last one as good as the first."""
    some = list(lts.SearchSpace.load("hw-gpt-tiny"))[:40]
    random = np.random.default_rng(0)
    columns = ("ppl", "lat_ms", "memory")[:n_objectives]
    lines = [",".join(("architecture", *columns))]
    for each in some:
        text = each.to_json().replace('"', '""')
        lines.append(f'"{text}",' + ",".join(str(1 + x) for x in random.random(n_objectives)))
    table = folder / "table.csv"
    table.write_text("\n".join(lines) + "\n")
    problem = PoolProblem(table, [f"{column}:min" for column in columns], pool=True)
    names = [name, *(f"other:{i}" for i in range(5)), "same"]
    runs = {
        (each, seed): 1 + np.random.default_rng([seed, i % 6]).random((60, n_objectives)) * (1 + 0.2 * (i % 6))
        for i, each in enumerate(names)
        for seed in range(7)
    }
    return Summary(problem, runs, 60)


def test_charts_show_medians_quartiles_and_surfaces(tmp_path: Path) -> None:
    summary = summary_of(tmp_path)
    data = anytime_chart(summary)["data"]
    assert len(data) == 3 * 7
    curve = summary.curves["random"]
    low, high, middle = (data[i]["y"] for i in range(3))
    assert low == pytest.approx(np.quantile(curve, 0.25, axis=0), rel=1e-5)
    assert middle == pytest.approx(np.median(curve, axis=0), rel=1e-5)
    assert high == pytest.approx(np.quantile(curve, 0.75, axis=0), rel=1e-5)
    assert data[1]["fill"] == "tonexty"
    styles = [(trace["line"]["color"], trace["line"]["dash"]) for trace in data[2::3]]
    assert len(set(styles)) == 7
    traces = {trace["name"]: trace for trace in attainment_chart(summary, "random")["data"]}
    (median,) = lts.attainment_surfaces([summary.runs["random", seed] for seed in range(7)], [4])
    assert traces["half of the runs"]["x"] == pytest.approx(median[:, 0], rel=1e-5)
    assert traces["half of the runs"]["y"] == pytest.approx(median[:, 1], rel=1e-5)


def test_page_says_which_differ(tmp_path: Path) -> None:
    summary = summary_of(tmp_path)
    page = document(summary, "")
    assert page.count("<td>no difference shown</td>") == sum(not each.differ for each in summary.differences) > 0
    assert ">Which differ<" in page
    assert "21 pairs" in page
    assert len(re.findall(r'id="attained-\d"', page)) == 7
    assert "attained-0" not in document(summary_of(tmp_path, n_objectives=3), "")


def test_names_are_text(tmp_path: Path) -> None:
    assert HOSTILE not in document(summary_of(tmp_path, HOSTILE), "")
