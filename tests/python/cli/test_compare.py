"""lts-engine compare: verdicts, exit codes and formats on a device that is made up, wrong input, and a real device."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lts import Architecture
from lts.cli import app
from lts.measure.evaluator import TargetEvaluator
from lts.measure.models import opening
from lts.measure.outcome import Outcome
from lts.spaces.space import load_space
from lts.study.study import Study
from lts.targets.target import load_target

COMMAND = Path(sys.executable).with_name("lts-engine")
SMALL = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=128, n_layer=2)
LARGE = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=256, n_layer=2)


class Board(TargetEvaluator):
    """A device on which the wider model takes twice as long, and where every process is a little different."""

    provenance = "measured"
    varies = True

    def __init__(self, noise: Iterable[float] = (1.0, 1.002, 1.001), error: str | None = None) -> None:
        super().__init__(load_target("host"), "board", "onnxruntime")
        self.costs = ("latency_ms", "request_ms", "peak_memory_mib")
        self.noise: Iterator[float] = cycle(noise)
        self.error = error

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        columns = list(columns)
        if self.error is not None:
            return Outcome(error=self.error)
        time = sum(architecture.d_ff) * next(self.noise)
        known = {"latency_ms": time, "request_ms": 3 * time, "peak_memory_mib": 12.0}
        return Outcome(
            values={name: known[name] for name in columns},
            samples_ns={"latency": [int(1e6 * time)]},
            provenance=dict.fromkeys(columns, "measured"),
            environment="c0ffee12",
        )


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    made = Board()
    monkeypatch.setattr(opening, "open_evaluator", lambda *_, **__: made)
    return made


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
