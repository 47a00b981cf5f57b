"""What lts-engine compare tells other tools: --report, and annotations where GitHub Actions runs it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from board import Board, on_every_device
from ci_records import record
from typer.testing import CliRunner, Result

from lts import Architecture
from lts.cli import app
from lts.cli.ci import ReportOption, publish, wanted_reports
from lts.errors import UsageError
from lts.report.ci.formats import FORMATS


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    return on_every_device(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, width in (("small", 128), ("large", 256)):
        model = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=width, n_layer=2)
        (tmp_path / f"{name}.json").write_text(model.to_json())
    return tmp_path


def compare(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["compare", *arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(autouse=True)
def _not_on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("board")
def test_every_report_beside_the_result(folder: Path) -> None:
    (folder / "out").mkdir()
    wanted = [f"--report={form.name}=out/{form.name}" for form in FORMATS]
    result = compare("small.json", "large.json", "-o", "json", *wanted, code=1)
    assert [each["verdict"] for each in json.loads(result.stdout)] == ["regression", "same"]
    assert "::error" not in result.output
    files = {path.name: path.read_text(encoding="utf-8") for path in (folder / "out").iterdir()}
    assert set(files) == {form.name for form in FORMATS}
    assert files["github"].startswith("### lts-engine: 1 regression, 1 same\n")
    suite = ET.fromstring(files["junit"])[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("large.json", "2", "1")
    assert list(json.loads(files["bencher"])["large.json"]) == ["request-ms-measured", "peak-memory-mib-measured"]
    assert "lts_request_ms{" in files["gitlab-metrics"]


def test_what_is_inconclusive_fails_only_where_the_gate_does(folder: Path, board: Board) -> None:
    def failures(*arguments: str, code: int) -> str | None:
        board.noise = iter((1.0, 1.3, 1.1, 1.2, 0.9) * 20)
        compare("small.json", "small.json", "--metric", "latency_ms", "--report", "junit=j.xml", *arguments, code=code)
        return ET.parse(folder / "j.xml").getroot()[0].get("failures")

    assert failures(code=0) == "0"
    assert failures("--inconclusive", "fail", code=3) == "1"


@pytest.mark.usefixtures("board")
def test_annotations_on_github(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    result = compare("small.json", "large.json", code=1)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=lts-engine%3A regression of large.json::request_ms (measured): regression, ")
    assert line.count("±") == 2
    assert "bound 5 %25" in line
    assert "::" not in result.stdout
    assert "1 regression, 1 same" in (folder / "summary.md").read_text(encoding="utf-8")
    assert not [line for line in compare("small.json", "small.json").stderr.splitlines() if line.startswith("::")]


@pytest.mark.usefixtures("board", "folder")
@pytest.mark.parametrize(
    ("reports", "told"),
    [
        (("junit",), "--report is 'junit'; expected FORMAT=FILE, as in junit=gate.xml"),
        (("xml=gate.xml",), "unknown report 'xml'; expected one of github, benchmark-action, "),
        (("junit=absent/gate.xml",), "cannot write the report absent/gate.xml: No such file or directory"),
        (("junit=.",), "cannot write the report .: Is a directory"),
        (("junit=a", "bencher=./a"), "--report names a twice; expected a file for each"),
    ],
)
def test_a_wrong_report_is_said_before_anything_is_measured(reports: tuple[str, ...], told: str) -> None:
    result = compare("small.json", "large.json", *(f"--report={each}" for each in reports), code=2)
    assert f"error: {told}" in result.stderr
    assert "comparing" not in result.stderr
    assert result.stdout == ""


def test_one_file_that_cannot_be_written_keeps_no_other_from_it(tmp_path: Path) -> None:
    reports = wanted_reports([f"junit={tmp_path / 'a'}", f"bencher={tmp_path / 'b'}"])
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match=r"cannot write the report .*/a: Is a directory"):
        publish([record()], reports)
    assert "new.json" in (tmp_path / "b").read_text(encoding="utf-8")


def test_the_help_names_every_format() -> None:
    told = ReportOption.__metadata__[0].help
    assert all(form.name in told for form in FORMATS)
