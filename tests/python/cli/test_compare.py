"""lts-engine compare: verdicts, exit codes and formats on a device that is made up, wrong input, and a real device."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from board import LARGE, SMALL, Board, on_every_device
from git_repository import git, make_repository
from typer.testing import CliRunner, Result

from lts import Architecture
from lts.cli import app
from lts.measure.outcome import Outcome
from lts.spaces.space import load_space
from lts.study.study import Study

COMMAND = Path(sys.executable).with_name("lts-engine")


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    return on_every_device(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two models in all forms that a file or a folder may have."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.json").write_text(SMALL.to_json())
    (tmp_path / "large.json").write_text(LARGE.to_json())
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "architecture.json").write_text(SMALL.to_json())
    (tmp_path / "hf").mkdir()
    (tmp_path / "nothing").mkdir()
    config = {"model_type": "gpt2", "vocab_size": 512, "n_positions": 256, "n_embd": 64, "n_layer": 2, "n_head": 4}
    (tmp_path / "hf" / "config.json").write_text(json.dumps(config))
    (tmp_path / "wrong.json").write_text("{")
    return tmp_path


def compare(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["compare", *arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.usefixtures("board", "folder")
def test_a_regression_is_exit_1() -> None:
    result = compare("small.json", "large.json", code=1)
    assert "Medians of 8 processes per side, ± with 99.2 %" in result.stdout
    assert "request_ms: regression, +100 % (" in result.stdout
    assert "worse by more than 5 %, seen in two measurements" in result.stdout
    assert "peak_memory_mib: same, +0 %: no change of more than 5 %" in result.stdout
    assert "[contender] request_ms 1" in result.stderr


@pytest.mark.usefixtures("board", "folder")
def test_what_got_no_worse_is_exit_0() -> None:
    assert "request_ms: improvement, -50 % (" in compare("large.json", "small.json").stdout
    same = compare("small.json", "exported", "--inconclusive", "fail")
    assert "request_ms: same" in same.stdout
    assert "note: the baseline and the contender are the same architecture" in same.stderr
    assert "request_ms: regression" in compare("exported", "hf", code=1).stdout
    assert "request_ms: same" in compare("small.json", "large.json", "--max-regression", "101%").stdout


@pytest.mark.usefixtures("folder")
def test_what_is_inconclusive_fails_where_it_shall(board: Board) -> None:
    board.noise = cycle((1.0, 1.3, 1.1, 1.2, 0.9))
    passed = compare("small.json", "small.json")
    assert "request_ms: inconclusive, " in passed.stdout
    assert "processes per side would do (estimated)" in passed.stdout
    compare("small.json", "small.json", "--inconclusive", "fail", code=3)
    # A regression of one metric counts more than doubt about another.
    board.noise = cycle((1.0, 1.001))
    compare("small.json", "large.json", "--inconclusive", "fail", code=1)


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_measured_is_exit_3(board: Board) -> None:
    board.error = "prefill: it crashed"
    result = compare("small.json", "large.json", code=3)
    assert "error: the baseline cannot be measured: prefill: it crashed" in result.stderr
    assert result.stdout == ""


@pytest.mark.usefixtures("board", "folder")
def test_records_say_all_that_was_measured() -> None:
    result = compare("small.json", "large.json", "-o", "json", "--metric", "request_ms,latency_ms", code=1)
    records = json.loads(result.stdout)
    assert [record["metric"] for record in records] == ["request_ms", "latency_ms"]
    record = records[0]
    assert record["verdict"] == "regression"
    assert record["baseline"]["name"] == "small.json"
    assert record["contender"]["value"] == pytest.approx(2 * record["baseline"]["value"], rel=0.01)
    assert record["change_interval"][0] < record["change"] < record["change_interval"][1]
    assert 0 < record["p_value"] < 0.001
    assert record["max_regression"] == 0.05
    assert record["measured_again"]
    assert (record["device"], record["provenance"], record["environment"]) == ("board", "measured", "c0ffee12")
    sides = "".join(each["side"][0] for each in record["processes"])
    assert sides == "bccb" * 4
    assert len(record["samples_ns"]) == 16
    assert "request_ms: regression" in result.stderr
    rows = list(csv.DictReader(io.StringIO(compare("small.json", "large.json", "-o", "csv", code=1).stdout)))
    assert [row["verdict"] for row in rows] == ["regression", "same"]
    lines = compare("small.json", "large.json", "-o", "jsonl", code=1).stdout.splitlines()
    assert [json.loads(line)["metric"] for line in lines] == ["request_ms", "peak_memory_mib"]
    assert "* request_ms: regression" in compare("small.json", "large.json", "-o", "md", code=1).stdout


@pytest.mark.usefixtures("board", "folder")
@pytest.mark.parametrize("share", ["5%", "5 %", "0.05", ".05", "5.0%"])
def test_how_a_bound_is_written(share: str) -> None:
    result = compare("small.json", "small.json", "--max-regression", share, "-o", "json")
    assert [record["max_regression"] for record in json.loads(result.stdout)] == [0.05, 0.05]


@pytest.mark.usefixtures("board", "folder")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("absent.json", "small.json"), "cannot read absent.json: No such file or directory; expected an architecture"),
        (("small.json", "wrong.json"), "wrong.json: "),
        (
            ("small.json", "nothing"),
            "nothing has no model; expected ONNX or GGUF files, architectures, or folders of models",
        ),
        (("hf", "."), "no model is on both sides: the baseline has a single model, the contender exported"),
        (("small.json", "absent#3"), "absent"),
        (("small.json", "large.json", "--metric", "requests"), "the baseline: unknown metric 'requests' of small.json"),
        (("small.json", "large.json", "--metric", "request_ms,,"), "the metrics are 'request_ms,,'; expected names"),
        (("small.json", "large.json", "--metric", ""), "the metrics are ''; expected names of columns"),
        (("small.json", "large.json", "--max-regression", "5"), "--max-regression is '5', 500%; write 5% or"),
        (("small.json", "large.json", "--max-regression", "-5%"), "--max-regression is '-5%'; expected a share"),
        (("small.json", "large.json", "--max-regression", "nan"), "--max-regression is 'nan'; expected a share"),
        (("small.json", "large.json", "--max-regression", "9" * 400), "; expected a share of at least 0"),
        (("small.json", "large.json", "--max-regression", ""), "--max-regression is ''; expected a share"),
        (("small.json", "large.json", "--processes", "3"), "3 processes per side; expected 4 to 25"),
        (("small.json", "large.json", "--candidate-timeout", "soon"), "'soon' is not a duration"),
        (("small.json", "large.json", "--inconclusive", "maybe"), "maybe"),
        (("small.json",), "the contender is missing; expected two models, or one and --against NAME"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_2(arguments: tuple[str, ...], told: str) -> None:
    result = compare(*arguments, code=2)
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--device", "none", "--target", "arm64"), "request_ms is not measured there"),
        (("--device", "nowhere"), "unknown device 'nowhere'"),
        (("--device", "local", "--device", "emulated"), "--device is given 2 times; models are compared on one device"),
        (("--target", "nothing"), "unknown target 'nothing'"),
        (("--backend", "nothing"), "unknown backend 'nothing'"),
        (("--threads", "100000"), "threads is 100000"),
        (("--n-prompt", "300"), "the baseline: n_prompt is 300 and n_gen 32, which needs n_positions 331; it has 256"),
    ],
)
def test_what_cannot_be_compared_here_is_exit_2(arguments: tuple[str, ...], told: str) -> None:
    result = compare("small.json", "large.json", *arguments, code=2)
    assert told in result.stderr
    assert "comparing" not in result.stderr


def test_trials_of_a_study(folder: Path, board: Board) -> None:
    with Study(
        load_space("gpt2-tiny"), board, objectives=["request_ms:min"], store=folder / "study.db", surrogate="none"
    ) as study:
        study.run(trials=3)
        trials = sorted(study.trials, key=lambda trial: sum(trial.architecture.d_ff))
    least, most = trials[0], trials[-1]
    assert sum(most.architecture.d_ff) > 1.2 * sum(least.architecture.d_ff), "seed 0 gave no different ones"
    assert "request_ms: regression" in compare(f"study.db#{least.id}", f"study.db#{most.id}", code=1).stdout
    assert "request_ms: improvement" in compare(f"study.db#{most.id}", f"study.db#{least.id}").stdout
    assert "study.db has no trial 77" in compare("study.db#0", "study.db#77", code=2).stderr
    # A study is the members of its front, which its search measured on the same device.
    assert "request_ms: same" in compare("study.db", "study.db").stdout


# Sides that were measured before, and revisions.


def measured(folder: Path, name: str, *models: str) -> Path:
    """A file of results of lts-engine bench."""
    result = CliRunner().invoke(app, ["bench", *models, "-r", "6", "-o", "jsonl"])
    assert result.exit_code == 0, result.output
    (folder / name).write_text(result.stdout)
    return folder / name


@pytest.mark.usefixtures("board")
def test_files_of_results(folder: Path) -> None:
    measured(folder, "before.jsonl", "small.json")
    measured(folder, "after.jsonl", "large.json")
    result = compare("before.jsonl", "after.jsonl", code=1)
    assert "Medians of 6 processes per side" in result.stdout
    # There is nothing that could be measured again.
    assert "request_ms: regression, +100 % (" in result.stdout
    assert "seen in two measurements" not in result.stdout
    assert "[contender]" not in result.stderr
    assert "request_ms: improvement" in compare("after.jsonl", "before.jsonl").stdout
    # One side is measured, the other was.
    result = compare("before.jsonl", "large.json", "--device", "local", code=1)
    assert "[contender] request_ms" in result.stderr
    assert "[baseline]" not in result.stderr


@pytest.mark.usefixtures("board")
def test_results_of_a_folder_and_the_folder(folder: Path) -> None:
    (folder / "models").mkdir()
    for name in ("small.json", "large.json"):
        (folder / "models" / name).write_text((folder / name).read_text())
    measured(folder, "before.jsonl", "models")
    (folder / "models" / "small.json").write_text(LARGE.to_json())
    (folder / "models" / "new.json").write_text(LARGE.to_json())
    result = compare("before.jsonl", "models", "--device", "local", code=1)
    assert "note: only the contender has new.json, which cannot be compared" in result.stderr
    assert "large.json: request_ms: same" in result.stdout
    assert "small.json: request_ms: regression" in result.stdout
    assert "small.json: the architecture is another one" in result.stdout


@pytest.mark.usefixtures("board")
def test_other_conditions_are_refused_or_said(folder: Path) -> None:
    before = measured(folder, "before.jsonl", "small.json")
    record = json.loads(before.read_text())
    record["environment"], record["fingerprint"]["cpu"] = "12345678", "Another One"
    record["workload"]["n_prompt"] = 64
    (folder / "other.jsonl").write_text(json.dumps(record))
    refused = compare("other.jsonl", "before.jsonl", code=2)
    assert "are not of the same conditions: n_prompt 64 and 128, cpu Another One and " in refused.stderr
    assert "compare them anyway with --across" in refused.stderr
    told = compare("other.jsonl", "before.jsonl", "--across")
    assert "note: the conditions of small.json differ: n_prompt 64 and 128, cpu Another One and " in told.stderr
    (each, _) = json.loads(compare("other.jsonl", "before.jsonl", "--across", "-o", "json").stdout)
    assert each["conditions_differ"][0] == "n_prompt 64 and 128"


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (None, "wrong.jsonl is empty; expected results, as lts-engine bench -o jsonl prints them"),
        ({"schema": 2}, "wrong.jsonl: record schema is 2; this version reads schema 1"),
        (
            {"rounds": {"request_ms": [0.0]}},
            "a value of request_ms of the contender is 0.0; it must be finite and above",
        ),
        ({"rounds": {"request_ms": [-1.0]}}, "a value of request_ms of the contender is -1.0; it must be finite and"),
        ({"rounds": {"request_ms": [1e300] * 6}}, None),
        (
            {"rounds": {"request_ms": [1e-290] * 6}},
            "request_ms of the two sides differs by a factor of more than 10^300",
        ),
        (
            {"rounds": {"request_us": [1.0]}, "provenance": {"request_us": "measured"}, "values": {}},
            "no metric in common",
        ),
        ({"rounds": {}, "values": {}}, "no metric in common"),
        ({"error": "it crashed", "state": "failed"}, "the contender, small.json, was not measured: it crashed"),
    ],
)
def test_results_that_cannot_be_compared_are_one_sentence(
    folder: Path, changed: dict[str, Any] | None, told: str | None
) -> None:
    before = measured(folder, "before.jsonl", "small.json")
    record = json.loads(before.read_text())
    if told is not None and "10^300" in told:
        huge = {**record, "rounds": {"request_ms": [1e20] * 6}}
        before.write_text(json.dumps(huge))
    (folder / "wrong.jsonl").write_text("" if changed is None else json.dumps({**record, **changed}))
    if told is None:
        assert "request_ms: regression" in compare("before.jsonl", "wrong.jsonl", code=1).stdout
        return
    result = compare("before.jsonl", "wrong.jsonl", code=2)
    assert told in result.stderr
    assert result.stdout == ""


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("before.jsonl", "before.jsonl", "-p", "64"), "both sides were measured before; leave out how they are to be"),
        (("before.jsonl", "before.jsonl", "--device", "local"), "both sides were measured before"),
        (("small.json", "large.json", "--input", "x=1"), "shapes of inputs are for ONNX files, and none is measured"),
        (("small.json", "--against", "main"), "there is no history lts-history.jsonl"),
        (
            ("small.json", "large.json", "--against", "main"),
            "--against main is the baseline; expected one model besides",
        ),
        (("small.json", "large.json", "--history", "h.jsonl"), "--history is about --against; name what is compared"),
        (("small.json", "large.json", "--build", "make"), "--build and --path belong together"),
        (("small.json", "large.json", "--path", "x"), "--build and --path belong together"),
        (("before.jsonl", "small.json"), "small.json was measured on 'somewhere:else'; name what the other side is"),
        (
            ("small.json", "large.json", "--max-regression", "5%", "--max-regression", "6%"),
            "--max-regression is given twi",
        ),
        (("small.json", "large.json", "--max-regression", "size=5%"), "a bound is given for size_bytes, which is not"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    record = json.loads(measured(folder, "before.jsonl", "small.json").read_text())
    (folder / "before.jsonl").write_text(json.dumps({**record, "device": "somewhere:else"}))
    result = compare(*arguments, code=2)
    assert told in result.stderr
    assert result.stdout == ""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_revisions(folder: Path, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = make_repository(folder / "repository")
    for name in ("small.json", "large.json"):
        (repository / name).write_text((folder / name).read_text())
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "models")
    monkeypatch.chdir(repository)
    build = 'if [ "$LTS_REVISION" = . ]; then cp large.json made.json; else cp small.json made.json; fi'
    result = compare("main", ".", "--build", build, "--path", "made.json", "-o", "json", "--metric", "request", code=1)
    (record,) = json.loads(result.stdout)
    assert (record["baseline"]["name"], record["contender"]["name"]) == ("main:made.json", ".:made.json")
    assert (record["verdict"], record["changed_architecture"]) == ("regression", True)
    (repository / "made.json").unlink()
    failed = compare("main", ".", "--build", "echo no compiler; false", "--path", "made.json", code=3)
    assert "failed with exit code 1: echo no compiler; false; it said last: no compiler" in failed.stderr
    unknown = compare("nowhere", ".", "--build", "true", "--path", "made.json", code=2)
    assert "nowhere" in unknown.stderr
    absent = compare("main", ".", "--build", "true", "--path", "made.json", code=2)
    assert "there is no made.json after building main" in absent.stderr
    board.error = "it crashed"
    compare("main", ".", "--build", build, "--path", "made.json", code=3)

    def interrupted(*_: Any) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(board, "evaluate", interrupted)
    compare("main", ".", "--build", build, "--path", "made.json", code=130)
    assert git(repository, "worktree", "list", "--porcelain").count("worktree ") == 1


@pytest.mark.usefixtures("folder")
def test_a_model_that_crashes_on_one_side(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = board.evaluate
    monkeypatch.setattr(
        board,
        "evaluate",
        lambda model, *rest: Outcome(error="killed by signal 11") if model == LARGE else whole(model, *rest),
    )
    result = compare("small.json", "large.json", code=3)
    assert "error: the contender cannot be measured: killed by signal 11" in result.stderr
    assert result.stderr.count("(does not count: killed by signal 11)") == 2


@pytest.mark.parametrize(("ending", "code"), [(Outcome(error="it crashed"), 3), (KeyboardInterrupt(), 130)])
def test_what_was_compared_before_a_failure_is_shown(
    folder: Path, board: Board, monkeypatch: pytest.MonkeyPatch, ending: Outcome | BaseException, code: int
) -> None:
    (folder / "models").mkdir()
    (folder / "models" / "a.json").write_text(SMALL.to_json())
    (folder / "models" / "b.json").write_text(LARGE.to_json())
    whole = board.evaluate

    def evaluate(architecture: Architecture, *rest: Any) -> Outcome:
        if architecture != LARGE:
            return whole(architecture, *rest)
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.setattr(board, "evaluate", evaluate)
    result = compare("models", "models", "-o", "jsonl", "--report", "junit=junit.xml", code=code)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert {(each["model"], each["verdict"]) for each in records} == {("a.json", "same")}
    # A report is of all of it.
    assert not (folder / "junit.xml").exists()


def test_ctrl_c_is_exit_130(folder: Path, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(*_: Any) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(board, "evaluate", evaluate)
    assert compare("small.json", "large.json", code=130).stderr.endswith("interrupted\n")


@pytest.mark.slow
def test_on_this_machine(folder: Path) -> None:
    """Four times the work is a regression whatever the noise; the model beside itself is none."""
    wide = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=4096, n_layer=2)
    (folder / "wide.json").write_text(wide.to_json())

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            [COMMAND, "compare", *arguments, "--n-prompt", "32", "--n-gen", "4", "-o", "json"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    code, records = run("small.json", "wide.json")
    assert code == 1
    assert {record["verdict"] for record in records} == {"regression"}
    assert all(sum(map(len, each.values())) > 10 for each in records[0]["samples_ns"])
    code, records = run("small.json", "small.json")
    assert code == 0
    assert {record["verdict"] for record in records} <= {"same", "inconclusive"}
