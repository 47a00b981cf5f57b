"""Pairs of models: what is measured with what, and what is refused before anything is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from board import LARGE, SMALL, Clock
from export_runner import export_pair

from lts.errors import MeasurementError, UsageError
from lts.export import export, onnx_model
from lts.jobs.job import Job
from lts.measure import history
from lts.measure.bench import bench
from lts.measure.compare import Answer
from lts.measure.models import opening
from lts.measure.models.opening import OpenDevice
from lts.measure.models.source import source_of
from lts.measure.result import Result
from lts.study.pairs import Conditions, OpenPairs
from lts.study.sides import Members, matched, members, saved_side
from lts.study.sources import read_sources

onnx = pytest.importorskip("onnx")

MS = {
    "model.onnx": 4.0,
    "prefill.onnx": 4.0,
    "decode.onnx": 4.0,
    "a.onnx": 4.0,
    "b.onnx": 4.0,
    "slow.onnx": 8.0,
    "wrong.onnx": "it crashed",
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    made = Clock(dict(MS))
    monkeypatch.setattr(opening, "open_device", lambda *_: made)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files with an open size, one of which is not of the same architecture."""
    helper = onnx.helper

    def write(name: str, *nodes: str) -> None:
        values = ["x", *(f"y{i}" for i in range(len(nodes)))]
        graph = helper.make_graph(
            [helper.make_node(op, [a], [b]) for op, a, b in zip(nodes, values, values[1:], strict=False)],
            "graph",
            [helper.make_tensor_value_info("x", 1, ["n", 4])],
            [helper.make_tensor_value_info(values[-1], 1, None)],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / name)

    for name in ("a.onnx", "b.onnx", "wrong.onnx"):
        write(name, "Relu")
    write("slow.onnx", "Relu", "Relu")
    return tmp_path


def compared(baseline: Members, contender: Members, wanted: Conditions | None = None, **more: Any) -> dict[str, Answer]:
    with OpenPairs(matched(baseline, contender), wanted or Conditions(), more.pop("metrics", None), **more) as pairs:
        return {
            f"{each.pair.name} {name}": verdict.answer
            for each in pairs.compare()
            for name, verdict in each.comparison.verdicts.items()
        }


def measured(path: str, processes: int = 6, **workload: Any) -> Result:
    with OpenDevice("host", "local", "onnxruntime") as place:
        (source,) = read_sources(path).values()
        shapes = workload.pop("shapes", None)
        return bench([place.open(source, shapes=shapes, **workload)], processes=processes)[0]


SHAPES = Conditions(shapes={"x": [2, 4]})


def test_files_are_measured_in_turn(clock: Clock, files: Path) -> None:
    found = compared(read_sources("a.onnx"), read_sources("b.onnx"), SHAPES)
    assert found == {
        "b.onnx latency_ms": Answer.same,
        "b.onnx peak_memory_mib": Answer.same,
        "b.onnx size_bytes": Answer.same,
    }
    order = "".join(Path(job.arguments["model"]).stem for job in clock.jobs if isinstance(job, Job))
    assert order == "abba" * 2
    assert all(job.arguments["dims"]["n"] == 2 for job in clock.jobs if isinstance(job, Job))
    found = compared(read_sources("a.onnx"), read_sources("slow.onnx"), SHAPES)
    assert found["slow.onnx latency_ms"] is Answer.regression
    assert found["slow.onnx size_bytes"] is Answer.regression
    assert found["slow.onnx peak_memory_mib"] is Answer.same


def test_a_size_alone_runs_nothing(clock: Clock, files: Path) -> None:
    found = compared(read_sources("a.onnx"), read_sources("slow.onnx"), SHAPES, metrics=["size_bytes"])
    assert found == {"slow.onnx size_bytes": Answer.regression}
    assert clock.jobs == []


def test_a_model_is_measured_as_the_result_was(clock: Clock, files: Path) -> None:
    before = measured("a.onnx", shapes={"x": [3, 4]}, threads=1)
    clock.jobs.clear()
    found = compared(members([before]), read_sources("slow.onnx"))
    assert found["slow.onnx latency_ms"] is Answer.regression
    assert {Path(job.arguments["model"]).name for job in clock.jobs if isinstance(job, Job)} == {"slow.onnx"}
    assert {job.arguments["dims"]["n"] for job in clock.jobs if isinstance(job, Job)} == {3}
    with pytest.raises(UsageError, match=r"not of the same conditions: x \[3, 4\] and \[2, 4\]; compare them anyway"):
        compared(members([before]), read_sources("slow.onnx"), SHAPES)
    compared(members([before]), read_sources("slow.onnx"), SHAPES, across=True)


def test_an_architecture_is_measured_with_the_workload_of_the_result(clock: Clock, tmp_path: Path) -> None:
    export(SMALL, tmp_path / "exported", ["onnx"])
    before = measured("exported", n_prompt=32, n_gen=3)
    clock.jobs.clear()
    found = compared(members([before]), read_sources("exported"))
    assert found == {"exported request_ms": Answer.same, "exported peak_memory_mib": Answer.same}
    assert {job.arguments["dims"]["past"] for job in clock.jobs if isinstance(job, Job)} == {0, 32, 33}
    with pytest.raises(UsageError, match="not of the same conditions: n_prompt 32 and 64"):
        compared(members([before]), read_sources("exported"), Conditions(workload={"n_prompt": 64}))
    # What files have is compared, and not asked of them.
    export(SMALL, tmp_path / "last", ["onnx"], logits="last")
    with pytest.raises(UsageError, match="not of the same conditions: logits all and last"):
        compared(members([before]), read_sources("last"))
    clock.software = "1.31.0"
    with pytest.raises(UsageError, match=r"not of the same conditions: onnxruntime 1.30.0 and 1.31.0"):
        compared(members([before]), read_sources("exported"))


def test_members_of_a_study_are_measured_with_the_workload_of_its_search(clock: Clock) -> None:
    clock.ms = defaultdict(lambda: 4.0)
    wide: Members = {"#3": replace(source_of(LARGE, "study#3"), workload={"n_prompt": 16, "n_gen": 2})}
    compared(wide, {"#3": source_of(SMALL, "other#3")})
    assert {job.arguments["dims"]["past"] for job in clock.jobs if isinstance(job, Job)} == {0, 16}
    clock.jobs.clear()
    compared(wide, {"#3": source_of(SMALL, "other#3")}, Conditions(workload={"n_prompt": 8}))
    assert {job.arguments["dims"]["past"] for job in clock.jobs if isinstance(job, Job)} == {0, 8}


def test_a_pair_of_earlier_versions_is_compared_with_the_model(clock: Clock, tmp_path: Path) -> None:
    export_pair(SMALL, tmp_path / "before")
    export(SMALL, tmp_path / "after", ["onnx"])
    found = compared(read_sources("before"), read_sources("after"), Conditions(workload={"n_prompt": 32, "n_gen": 3}))
    assert found == {"after request_ms": Answer.same, "after peak_memory_mib": Answer.same}
    run = {Path(job.arguments["model"]).name for job in clock.jobs if isinstance(job, Job)}
    assert run == {"prefill.onnx", "decode.onnx", "model.onnx"}


def test_members_of_two_folders(clock: Clock, tmp_path: Path) -> None:
    for name, architecture in (("one", SMALL), ("two", SMALL)):
        export(architecture, tmp_path / "before" / name, ["onnx"])
        export(LARGE if name == "two" else SMALL, tmp_path / "after" / name, ["onnx"])
    onnx.save(onnx_model(SMALL), tmp_path / "before" / "three.onnx")
    found = matched(read_sources("before"), read_sources("after"))
    assert found.notes == ["only the baseline has three.onnx, which cannot be compared"]
    with OpenPairs(found, Conditions(), ["size_bytes"]) as pairs:
        results = {each.pair.name: each for each in pairs.compare()}
    assert {name: each.comparison.verdicts["size_bytes"].answer for name, each in results.items()} == {
        "one": Answer.same,
        "two": Answer.regression,
    }
    assert {name: each.pair.changed for name, each in results.items()} == {"one": False, "two": True}


def test_a_model_that_fails_says_which_side(clock: Clock, files: Path) -> None:
    with pytest.raises(MeasurementError, match="the contender cannot be measured: prefill: it crashed"):
        compared(read_sources("a.onnx"), read_sources("wrong.onnx"), SHAPES)
    with pytest.raises(MeasurementError, match="the baseline cannot be measured: prefill: it crashed"):
        compared(read_sources("wrong.onnx"), read_sources("a.onnx"), SHAPES)
    assert len(clock.jobs) == 2 + 1 + 2  # it is run once more


def test_the_newest_result_of_a_history_is_the_baseline(clock: Clock, files: Path) -> None:
    path = files / "history.jsonl"
    before = replace(measured("a.onnx", shapes={"x": [2, 4]}), saved="main")
    later = replace(
        measured("slow.onnx", shapes={"x": [2, 4]}), saved="main", time="2099-01-01T00:00:00Z", model="a.onnx"
    )
    history.append(path, [before, later])
    contender = read_sources("slow.onnx")
    found = compared(saved_side("main", path, contender), contender, SHAPES)
    assert found["slow.onnx latency_ms"] is Answer.same
    with pytest.raises(
        UsageError, match=r"has 'main' under other conditions only, there and here: x \[2, 4\] and \[5, 4\]"
    ):
        compared(saved_side("main", path, contender), contender, Conditions(shapes={"x": [5, 4]}))
    with pytest.raises(UsageError, match="main is of a history, and so can only be the baseline"):
        compared(contender, saved_side("main", path, contender), SHAPES)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"device": "ssh://somebody@example.org"}, "was measured on 'ssh://somebody@example.org'; name what"),
        ({"device": "table:/etc/passwd"}, "was measured on 'table:/etc/passwd'; name what"),
        (
            {"target": "/etc/passwd"},
            "is of the target '/etc/passwd', which is none of ours; name its file with --target",
        ),
        ({"target": "board.toml"}, "is of the target 'board.toml', which is none of ours"),
        ({"backend": "../evil"}, "unknown backend '../evil'"),
    ],
)
def test_what_a_file_says_is_no_address_and_no_path(
    clock: Clock, files: Path, changed: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = measured("a.onnx", shapes={"x": [2, 4]})
    opened: list[str] = []
    monkeypatch.setattr(opening, "open_device", lambda uri, _: opened.append(uri) or clock)
    (files / "board.toml").write_text('like = "host"\n')
    with pytest.raises(UsageError) as caught:
        compared(members([replace(before, **changed)]), read_sources("b.onnx"))
    assert told in str(caught.value)
    assert set(opened) <= {"local"}


def test_what_was_not_measured_cannot_be_compared(clock: Clock, files: Path) -> None:
    before = measured("a.onnx", shapes={"x": [2, 4]})
    other = replace(before, rounds={"latency_us": [3.0]}, provenance={"latency_us": "measured"})
    with pytest.raises(
        UsageError, match="the baseline and the contender have no metric in common; name some with --me"
    ):
        compared(members([before]), members([other]))
    with pytest.raises(UsageError, match=r"latency_ms was not measured of the contender, a.onnx, but latency_us"):
        compared(members([before]), members([other]), metrics=["latency_ms"])
    with pytest.raises(UsageError, match=r"energy_mj was not measured of a.onnx, so its limit cannot be checked"):
        compared(members([before]), members([before]), also=["energy_mj"])


def test_shapes_are_of_files(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text(SMALL.to_json())
    with pytest.raises(UsageError, match="shapes of inputs are for ONNX files, and none is measured; leave them out"):
        compared(read_sources("small.json"), read_sources("small.json"), SHAPES)


@pytest.mark.parametrize("wrong", [{"shapes": {"z": [1]}}, {"shapes": {"x": [2]}}, {}])
def test_a_device_that_was_opened_is_closed_where_nothing_can_be_compared(
    clock: Clock, files: Path, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(clock, "close", lambda: closed.append(True))
    with pytest.raises(UsageError):
        compared(read_sources("a.onnx"), read_sources("b.onnx"), Conditions(**wrong))
    assert closed
