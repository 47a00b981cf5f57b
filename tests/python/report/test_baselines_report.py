"""Baselines in a report: points on the front's chart and a section, and nothing of a store as markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pages import NASTY, Page

from lts.measure.function import FunctionEvaluator
from lts.report import baselines, charts, write_report
from lts.report.contents import read
from lts.spaces.space import load_space
from lts.study.study import Study

pytest.importorskip("plotly")

SPACE = load_space("gpt2-tiny")


def store_of(folder: Path, names: tuple[str, ...]) -> Path:
    def cost(a: object) -> dict[str, float]:
        return {"cost_ms": float(sum(a.d_ff) * a.d_model)}  # type: ignore[attr-defined]

    known = dict(zip(names, SPACE.sample(len(names), seed=4), strict=True)) if names else {}
    objectives = ["decoder_params:max", "cost_ms:min"]
    evaluator = FunctionEvaluator(cost, provenance="measured")
    with Study(SPACE, evaluator, objectives=objectives, store=folder / "study.db", baselines=known) as study:
        study.run(trials=10)
    return folder / "study.db"


def test_points_and_a_section(tmp_path: Path) -> None:
    contents = read(store_of(tmp_path, ("gpt2.json", NASTY)))
    chart = baselines.marked(
        charts.front_chart(contents, "cost_ms", "decoder_params", None), contents, "cost_ms", "decoder_params"
    )
    points = chart["data"][-1]
    assert points["name"] == "baselines"
    assert points["x"] == [each.trial.values["cost_ms"] for each in contents.baselines]
    assert points["text"][0] == "gpt2.json"
    assert points["hovertext"][0].startswith("<b>baseline gpt2.json</b><br>decoder_params ")
    assert "<script" not in json.dumps(points)
    section = baselines.section(contents)
    assert "<td>gpt2.json</td>" in section
    assert "<li>at the same size or better, trial " in section
    assert "<script" not in section
    write_report(tmp_path / "study.db", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Baselines</h2>" in page
    assert "alert(1)</script>" not in page
    assert Page(page).data["explorer"]["baselines"]["name"] == ["gpt2.json", NASTY]


def test_without_baselines_nothing_is_said(tmp_path: Path) -> None:
    contents = read(store_of(tmp_path, ()))
    chart = charts.front_chart(contents, "cost_ms", "decoder_params", None)
    assert baselines.marked(chart, contents, "cost_ms", "decoder_params") is chart
    assert baselines.section(contents) == ""
