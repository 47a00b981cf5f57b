"""Sides of a comparison: which members belong together, and what they are called."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from board import SMALL
from git_repository import make_repository

from lts.errors import UsageError
from lts.measure import history
from lts.measure.models.source import Source, source_of
from lts.measure.result import Result
from lts.study.sides import Members, Saved, built_side, matched, members, read_side, saved_side
from lts.targets.workload import Workload


def result(model: str, **more: Any) -> Result:
    columns: dict[str, Any] = {
        "values": {"latency_ms": 1.0},
        "interval": {"latency_ms": (1.0, 1.0)},
        "rounds": {"latency_ms": [1.0]},
        "provenance": {"latency_ms": "measured"},
    }
    return Result(**{**columns, "model": model, "time": "2026-11-30T12:00:00Z", **more})


def side(*names: str) -> Members:
    return {name: source_of(SMALL, name) for name in names}


def pairs(baseline: Members, contender: Members) -> dict[str, tuple[str, str]]:
    def of(member: Any) -> str:
        return str(member.model if isinstance(member, Result) else member.name)

    return {name: (of(one), of(other)) for name, (one, other) in matched(baseline, contender).both.items()}


def test_two_single_models_belong_together() -> None:
    assert pairs(side(""), side("")) == {"": ("", "")}
    assert pairs(members([result("a")]), side("#3")) == {"#3": ("a", "#3")}


def test_many_belong_together_by_name() -> None:
    found = matched(side("a.onnx", "b/c.onnx", "d"), side("b/c.onnx", "a.onnx", "e"))
    assert list(found.both) == ["a.onnx", "b/c.onnx"]
    assert (found.gone, found.new) == (["d"], ["e"])
    assert found.notes == [
        "only the baseline has d, which cannot be compared",
        "only the contender has e, which cannot be compared",
    ]


def test_results_of_a_folder_belong_to_what_is_in_another_one() -> None:
    before = members([result("build1/a.onnx"), result("build1/sub/ab.onnx")])
    expected = {"a.onnx": ("build1/a.onnx", "a.onnx"), "sub/ab.onnx": ("build1/sub/ab.onnx", "sub/ab.onnx")}
    assert pairs(before, side("a.onnx", "sub/ab.onnx", "new.onnx")) == expected
    after = members([result("/x/build2/a.onnx"), result("/x/build2/sub/ab.onnx")])
    assert list(pairs(before, after)) == ["a.onnx", "sub/ab.onnx"]
    # Names begin alike, but not the numbers of trials.
    trials = members([result("s/study.db#1"), result("s/study.db#12")])
    assert list(pairs(trials, side("#1", "#12", "#2"))) == ["#1", "#12"]


def test_sides_with_nothing_in_common_are_one_sentence() -> None:
    with pytest.raises(
        UsageError, match=r"no model is on both sides: the baseline has a single model, the contender a, b"
    ):
        matched(side(""), side("a", "b"))
    with pytest.raises(UsageError, match=r"the baseline has x/a, x/b, the contender c, d, e, f, g and 1 more"):
        matched(side("x/a", "x/b"), side(*"cdefgh"))


def test_results_of_several_workloads_are_told_apart() -> None:
    loads = [Workload(n_prompt=n, n_gen=0) for n in (64, 128)]
    found = members([result("a", workload=loads[0]), result("a", workload=loads[1]), result("b")])
    assert list(found) == [f"a, {loads[0]}", f"a, {loads[1]}", "b"]
    threads = [result("a", inputs={"x": [1, 2]}, fingerprint={"threads": n}) for n in (1, 2)]
    assert list(members(threads)) == ["a, x 1x2, 1 thread", "a, x 1x2, 2 threads"]
    with pytest.raises(UsageError, match="there are two results of a, x 1x2, 1 thread; expected one of each"):
        members([threads[0], threads[0]])


def test_what_was_saved_is_looked_up_by_name(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history.append(path, [result("a", saved="main/a"), result("b", saved="main/b")])
    found = saved_side("main", path, side("a", "b"))
    assert {name: each.name for name, each in found.items() if isinstance(each, Saved)} == {
        "a": "main/a",
        "b": "main/b",
    }
    single = saved_side("main/a", path, side(""))[""]
    assert isinstance(single, Saved)
    assert single.name == "main/a"
    assert single.history.named("main/a")[0].model == "a"
    with pytest.raises(UsageError, match="there is no history"):
        saved_side("main", tmp_path / "absent.jsonl", side(""))


def test_a_file_of_results_or_models(tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text(SMALL.to_json())
    (tmp_path / "results.json").write_text(result("a").to_json())
    assert isinstance(read_side(str(tmp_path / "results.json"))[""], Result)
    assert isinstance(read_side(str(tmp_path / "small.json"))[""], Source)
    with pytest.raises(UsageError, match="cannot read"):
        read_side(str(tmp_path / "absent.jsonl"))


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_revision_is_called_by_its_name(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    (tmp_path / "small.json").write_text(SMALL.to_json())
    build = f"mkdir -p out/sub && cp {tmp_path}/small.json out/a.json && cp {tmp_path}/small.json out/sub/b.json"
    with built_side("v1", build, "out/a.json", repository) as found:
        assert {name: each.name for name, each in found.items() if isinstance(each, Source)} == {"": "v1:out/a.json"}
    with built_side("v1", build, "out", repository) as found:
        assert {name: each.name for name, each in found.items() if isinstance(each, Source)} == {
            "a.json": "v1:out/a.json",
            "sub/b.json": "v1:out/sub/b.json",
        }
