"""The charts as figures of plotly: what is drawn where, in colors that need no page, and wrong arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lts
from lts._core import parse_objective
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.front import Front
from lts.study.stored import read_study

pytest.importorskip("plotly")

GOALS = ["decoder_params:max", "gflops:min", "mib:min"]


def costs(architecture: lts.Architecture) -> dict[str, float]:
    """Costs of our own."""
    return {
        "gflops": lts.flops_prefill(architecture) / 1e9,
        "mib": lts.peak_memory_bytes(architecture) / 2**20,
        "heads": float(sum(architecture.n_head)),
    }


def open_study(store: Path, goals: list[str]) -> lts.Study:
    space = lts.SearchSpace.load("gpt2-tiny")
    return lts.Study(
        space, costs, objectives=goals, constraints=["gflops<=0.05"], algorithm="random", seed=3, store=store
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures") / "study.db"
    with open_study(path, GOALS) as study:
        study.run(trials=30)
    return path


def traces(figure: Any) -> dict[str, Any]:
    """The traces by name, as programs read them."""
    return {trace.get("name", ""): trace for trace in json.loads(figure.to_json())["data"]}


def pairs(trace: Any) -> set[tuple[float, float]]:
    return set(zip(trace["x"], trace["y"], strict=True))


def test_the_front_is_drawn_among_all_trials(stored: Path) -> None:
    study = read_study(stored)
    found = traces(lts.report.plot_front(stored, x="gflops", y="decoder_params"))
    front = {(t.values["gflops"], float(t.values["decoder_params"])) for t in study.front}
    assert pairs(found["Pareto front"]) == front
    n_in = sum(len(found[name]["x"]) for name in ("Pareto front", "not on the front", "violates a constraint"))
    assert n_in == len(study.trials)
    assert all(x > 0.05 for x, _ in pairs(found["violates a constraint"]))


def test_every_kind_of_study_gives_the_same_figure(stored: Path) -> None:
    figure = lts.report.plot_front(stored.parent).to_json()  # of the directory
    assert lts.report.plot_front(str(stored)).to_json() == figure
    assert traces(lts.report.plot_front(read_study(stored))) == traces(lts.report.plot_front(stored))
    with open_study(stored, GOALS) as study:
        assert pairs(traces(lts.report.plot_front(study))["Pareto front"]) == pairs(
            traces(lts.report.plot_front(study.front()))["Pareto front"]
        )


def test_axes_are_the_objectives_unless_named(stored: Path) -> None:
    def title(axis: Any) -> str:
        return str(axis.title.text).split("<br>")[0]

    figure = lts.report.plot_front(stored)
    assert (title(figure.layout.xaxis), title(figure.layout.yaxis)) == ("gflops", "decoder_params")
    assert "given; less is better" in figure.layout.xaxis.title.text
    swapped = lts.report.plot_front(stored, x="decoder_params")
    assert (title(swapped.layout.xaxis), title(swapped.layout.yaxis)) == ("decoder_params", "gflops")
    other = lts.report.plot_front(stored, x="trial", y="heads")
    assert (title(other.layout.xaxis), title(other.layout.yaxis)) == ("trial", "heads")


@pytest.mark.parametrize(("x", "y"), [("heads", "gflops"), ("gflops", "heads"), ("decoder_params", "gflops")])
def test_a_front_of_two_objectives_over_any_columns(tmp_path: Path, x: str, y: str) -> None:
    with open_study(tmp_path / "study.db", GOALS[:2]) as study:
        study.run(trials=12)
        found = traces(lts.report.plot_front(study, x, y))
    assert ("" in found) == ("heads" not in (x, y))  # the border of what is dominated, which other columns have none of
    assert len(found["Pareto front"]["x"]) == len(study.front())


def test_trials_without_a_value_are_left_out() -> None:
    architecture = lts.Architecture("gpt2", 512, 256, 32, n_head=2, d_ff=64, n_layer=1)
    trials = [
        Trial(id=i, state="complete", architecture=architecture, values={"a": 1.0 + i, "b": 9.0 - i} | extra)
        for i, extra in enumerate(({"c": 1.0}, {}, {"c": 3.0}))
    ]
    front = Front(trials, [parse_objective("a:min"), parse_objective("b:min")])
    assert pairs(traces(lts.report.plot_front(front, x="c"))["Pareto front"]) == {(1.0, 1.0), (3.0, 3.0)}
    assert len(traces(lts.report.plot_front(front, color="c"))["Pareto front"]["x"]) == 2


def test_colors_need_no_page(stored: Path) -> None:
    for figure in (lts.report.plot_front(stored), lts.report.plot_hypervolume(stored)):
        assert "var(" not in figure.to_json()
        assert figure.layout.paper_bgcolor == "#ffffff"


def test_the_hypervolume_never_falls(stored: Path) -> None:
    (trace,) = json.loads(lts.report.plot_hypervolume(stored).to_json())["data"]
    assert (trace["x"][0], trace["x"][-1]) == (0, 29)
    assert trace["y"] == sorted(trace["y"])
    with pytest.raises(UsageError, match="give the study"):
        lts.report.plot_hypervolume(read_study(stored).front)


def test_predictions_beside_measurements() -> None:
    architecture = lts.Architecture("gpt2", 512, 256, 32, n_head=2, d_ff=64, n_layer=1)
    trials = [
        Trial(
            id=i, state="complete", architecture=architecture, values={"a": value}, predicted={"a": (10.0, 8.0, 13.0)}
        )
        for i, value in enumerate((11.0, 9.0))
    ]
    front = Front(trials, [parse_objective("a:min")])
    found = traces(lts.report.plot_predictions(front, "a"))
    assert found["measured"]["y"] == pytest.approx([10.0, -10.0])
    assert found["predicted, 90 % interval"]["error_y"]["array"] == pytest.approx([30.0, 30.0])
    with pytest.raises(UsageError, match="nothing was predicted of 'b'; predicted are a"):
        lts.report.plot_predictions(front, "b")


@pytest.mark.parametrize("which", ["x", "y", "color"])
def test_a_wrong_column_names_those_there_are(stored: Path, which: str) -> None:
    with pytest.raises(UsageError, match=r"no column 'gflop'; the trials have .*did you mean 'gflops'"):
        lts.report.plot_front(stored, **{which: "gflop"})


def test_what_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent"):
        lts.report.plot_front(tmp_path / "absent.db")
    with pytest.raises(UsageError, match="expected, not int"):
        lts.report.plot_front(7)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no trial is complete yet"):
        lts.report.plot_front(Front([], [parse_objective("a:min")]))
