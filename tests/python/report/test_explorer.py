"""The data of a report's explorer: all of a study, compact, and nothing else of the disk."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from explored import store_of, trials_of

from lts._core import Architecture
from lts.report import explorer
from lts.report.contents import read


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_of(tmp_path_factory.mktemp("a study") / "study.db", trials_of(40))


@pytest.fixture(scope="module")
def data(store: Path) -> Any:
    return json.loads(json.dumps(explorer.data(read(store)), allow_nan=False))


def texts(column: Any) -> list[str | None]:
    return [None if place is None else column["texts"][place] for place in column["of"]]


def test_all_of_a_study_can_be_read_back(store: Path, data: Any) -> None:
    trials = read(store).trials
    table = data["trials"]
    for name in {name for trial in trials for name in trial.values}:
        assert table["values"][name] == [trial.values.get(name) for trial in trials]
        assert texts(table["provenance"][name]) == [trial.provenance.get(name) for trial in trials]
    assert texts(table["state"]) == [trial.state for trial in trials]
    assert texts(table["error"]) == [trial.error for trial in trials]
    assert texts(table["warnings"])[11] == "the clock changed; few samples"
    assert [f and tuple(f) for f in table["foretold"]["latency_ms"]] == [t.predicted.get("latency_ms") for t in trials]
    fields = table["architecture"]
    for row, trial in enumerate(trials):
        found = {**fields["shared"], **{name: values[row] for name, values in fields["rows"].items()}}
        assert Architecture.from_dict(found) == trial.architecture
    assert fields["shared"]["family"] == "llama"
    assert "n_head" in fields["rows"]


def test_the_front_and_the_knee_are_rows(store: Path, data: Any) -> None:
    front = read(store).front
    assert [data["trials"]["id"][row] for row in data["front"]] == [trial.id for trial in front]
    assert data["trials"]["id"][data["knee"]] == front.knee().id
    assert data["baselines"]["name"] == ["ours.json"]


def test_files_are_those_of_members(store: Path) -> None:
    models = store.parent / "models"
    for name in ("3/model.onnx", "3/host/manifest.json", "999/secret", "not-a-trial/secret"):
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).write_bytes(b"12345")
    (models / "5").write_text("a file")
    (models / "4").mkdir()
    found = explorer.data(read(store))["files"]
    assert found == {"3": [("models/3/host/manifest.json", 5), ("models/3/model.onnx", 5)]}
    other = store_of(store.parent / "other.db", trials_of(20))
    assert explorer.data(read(other))["files"] == {}, "they are of the study whose folder it is"


def test_a_file_that_is_removed_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = explorer._listed

    def listed_then_removed(folder: Path, *arguments: Any, **options: Any) -> list[Path]:
        found = listed(folder, *arguments, **options)
        for path in found:
            if path.name == "gone.onnx":
                path.unlink()
        return found

    store = store_of(tmp_path / "study.db", trials_of(20))
    (tmp_path / "models" / "3").mkdir(parents=True)
    for name in ("gone.onnx", "model.onnx"):
        (tmp_path / "models" / "3" / name).write_bytes(b"12345")
    monkeypatch.setattr(explorer, "_listed", listed_then_removed)
    assert explorer.data(read(store))["files"] == {"3": [("models/3/model.onnx", 5)]}


def test_the_command_names_the_study(store: Path, tmp_path: Path) -> None:
    assert shlex.split(explorer.data(read(store))["export"]) == ["lts-engine", "export", str(store.parent)]
    other = store_of(tmp_path / "it's $mine.db", trials_of(20))
    assert shlex.split(explorer.data(read(other))["export"]) == ["lts-engine", "export", str(other)]


def test_whole_numbers_are_short(tmp_path: Path) -> None:
    trials = trials_of(20)
    trials[0] = replace(trials[0], values={**trials[0].values, "energy_mj": 1e300, "latency_ms": 5.0})
    store = store_of(tmp_path / "study.db", trials)
    values = explorer.data(read(store))["trials"]["values"]
    assert (values["energy_mj"][0], json.dumps(values["latency_ms"][0])) == (1e300, "5")


def test_sizes_of_scripts_and_no_markup_from_text() -> None:
    for path in (Path(explorer.__file__).parent / "assets").iterdir():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path.name
        for part in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "onclick=",
        ):
            assert part not in text, f"{path.name} has {part}"
        if path.suffix == ".js":
            assert text.startswith('"use strict";\n')
            assert path.name in explorer.SCRIPTS
