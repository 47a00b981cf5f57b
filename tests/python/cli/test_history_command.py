"""`lts-engine history` and `history merge`: what they print, in every form, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from results import BOARD, result
from typer.testing import CliRunner, Result

from lts.cli import app
from lts.measure.history import DEFAULT, append, read

COMMAND = Path(sys.executable).with_name("lts-engine")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history of 21 days: 20 % slower from day 10 on, another kernel on the last one, and another name."""
    monkeypatch.chdir(tmp_path)
    entries = [
        result(
            {"request_ms": [(10.0 if day < 10 else 12.0) + 0.01 * i for i in range(6)], "instructions": [7]}, day=day
        )
        for day in range(20)
    ]
    entries.append(result({"request_ms": [9.0]}, day=20, fingerprint={**BOARD, "kernel": "6.6"}))
    entries.append(result({"request_ms": [5.0]}, day=1, name="int8", model="\x1b[2Jsmall.onnx"))
    append(tmp_path / DEFAULT, entries)
    return tmp_path


def history(*arguments: str | Path, code: int = 0) -> Result:
    outcome = CliRunner().invoke(app, ["history", *map(str, arguments)])
    assert outcome.exit_code == code, outcome.output
    return outcome


@pytest.mark.usefixtures("folder")
def test_history_alone_shows_the_table() -> None:
    found = history().stdout
    assert "lts-history.jsonl: 22 results, 2026-09-01 to 2026-09-21" in found
    rows = [line.split() for line in found.splitlines() if "(measured)" in line]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("main", "request_ms", "20"),
        ("main", "request_ms", "1"),
        ("main", "instructions", "20"),
        ("int8", "request_ms", "1"),
    ]
    assert "10.02 ±0.025   12.02 ±0.025" in found
    assert "main, request_ms, 75e2b3a2: 10.02 -> 12.02 ms, +20 %" in found
    assert "at 2026-09-11 03:00 UTC, revision 0000000000; medians of 10 and 10 results, p 0.00041" in found
    assert "Of series that do not change, at most 2 % have a change point; ± is from process to process." in found
    assert "main: results of different conditions are different series, which are not compared: kernel 6.1" in found
    assert history("show").stdout == history(DEFAULT).stdout == found


@pytest.mark.usefixtures("folder")
def test_names_and_metrics_are_chosen() -> None:
    found = history("--name", "main", "--metric", "instructions").stdout
    assert "request_ms" not in found
    assert "No change points in 1 series." in found
    assert "at most" not in found
    records = json.loads(history("--metric", "instructions, request_ms", "-o", "json").stdout)
    assert [(each["name"], each["metric"]) for each in records] == [
        ("main", "instructions"),
        ("main", "request_ms"),
        ("main", "request_ms"),
        ("int8", "request_ms"),
    ]


@pytest.mark.usefixtures("folder")
def test_records_say_all() -> None:
    record = json.loads(history("-o", "json").stdout)[0]
    assert (record["name"], record["metric"], record["provenance"], record["device"]) == (
        "main",
        "request_ms",
        "measured",
        "local",
    )
    assert record["workload"]["n_prompt"] == 128
    assert len(record["points"]) == record["results"] == 20
    assert record["last"] == record["points"][-1]
    assert record["last"]["interval"] == [12.0, 12.05]
    assert record["last"]["coverage"] == pytest.approx(1 - 2 / 2**6)
    (change,) = record["change_points"]
    assert (change["index"], change["time"], change["before"]["n"]) == (10, "2026-09-11T03:00:00Z", 10)
    assert change["change"] == pytest.approx(0.2, abs=0.001)
    assert record["to_level"] == pytest.approx(0)
    lines = history("-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["metric"] for line in lines] == ["request_ms", "request_ms", "instructions", "request_ms"]
    rows = list(csv.DictReader(io.StringIO(history("-o", "csv").stdout)))
    assert [row["first.value"] for row in rows][-1] == "5.0"
    assert "* main, request_ms, " in history("-o", "md").stdout


def test_a_page_is_written_beside(folder: Path) -> None:
    pytest.importorskip("plotly")
    outcome = history("--html", "page.html")
    assert "report: page.html" in outcome.stderr
    page = (folder / "page.html").read_text()
    assert "History of lts-history.jsonl" in page
    assert "\x1b" not in page
    assert "--html: lts-history.jsonl is the history itself" in history("--html", DEFAULT, code=2).stderr


def test_two_histories_become_one(folder: Path) -> None:
    append(folder / "other.jsonl", [result(day=30), result(day=31)])
    outcome = history("merge", DEFAULT, "other.jsonl", "-O", "all.jsonl")
    assert outcome.stdout == "all.jsonl\n"
    assert "24 results of 2 names" in outcome.stderr
    assert len(read(folder / "all.jsonl").entries) == 24
    before = (folder / "all.jsonl").read_bytes()
    history("merge", "other.jsonl", "all.jsonl", DEFAULT, "--out", "all.jsonl")
    assert (folder / "all.jsonl").read_bytes() == before


def test_conflicts_are_resolved(folder: Path) -> None:
    file = folder / DEFAULT
    one, two, *rest = file.read_text().splitlines()
    file.write_text("\n".join(["<<<<<<< HEAD", one, "=======", two, ">>>>>>> other", *rest]) + "\n")
    assert f"{DEFAULT}, line 1: git left a conflict there; take both sides with" in history(code=2).stderr
    assert "22 results of 2 names" in history("merge", DEFAULT, "-O", DEFAULT).stderr
    assert "22 results" in history().stdout


def test_an_unfinished_line_is_said(folder: Path) -> None:
    with (folder / DEFAULT).open("a") as file:
        file.write('{"schema":1,"mod')
    outcome = history()
    assert 'warning: lts-history.jsonl, line 23: it is unfinished and is left out: {"schema":1,"mod' in outcome.stderr
    assert "22 results" in outcome.stdout


def test_an_empty_history_is_said(folder: Path) -> None:
    (folder / "empty.jsonl").touch()
    outcome = history("empty.jsonl", code=2)
    assert outcome.stderr == "error: empty.jsonl is empty; lts-engine bench MODEL --save NAME adds to it\n"
    (folder / DEFAULT).unlink()
    assert "there is no history lts-history.jsonl; lts-engine bench MODEL --save NAME" in history(code=2).stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--name", "man"),
            "unknown name 'man' in lts-history.jsonl; expected one of main, int8; did you mean 'main'?",
        ),
        (("--metric", "request"), "unknown metric 'request' in lts-history.jsonl; expected one of request_ms, instr"),
        (("--metric", ""), "unknown metric '' in lts-history.jsonl"),
        (("absent.jsonl",), "there is no history absent.jsonl"),
        (("-o", "xml"), "xml"),
        (("merge", DEFAULT), "Missing option '--out' / '-O'"),
        (("merge", "-O", "out.jsonl"), "Missing argument"),
        (("merge", "absent.jsonl", "-O", "out.jsonl"), "there is no history absent.jsonl"),
        (("merge", DEFAULT, "-O", "."), "cannot write the history .: it is not a file"),
        (("merge", DEFAULT, "-O", "no/out.jsonl"), "cannot write the history no/out.jsonl: No such file or directory"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_2(arguments: tuple[str, ...], told: str) -> None:
    outcome = history(*arguments, code=2)
    assert told in outcome.stderr
    assert "Traceback" not in outcome.output
    assert outcome.stdout == ""


def test_nothing_of_a_history_steers_the_terminal(folder: Path) -> None:
    append(folder / "nasty.jsonl", [result(environment="\x1b[2J", revision="\x1b]0;x\x07", device="\x1b[1m")])
    for form in ("table", "md", "json", "csv"):
        assert "\x1b" not in history("nasty.jsonl", "-o", form).stdout, form


def test_a_terminal_of_80_columns_has_lines_of_its_width(folder: Path) -> None:
    """All but the sentences, which a terminal breaks by itself."""
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    done = subprocess.Popen([COMMAND, "history"], cwd=folder, stdout=slave, env=environment, text=True)
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    assert done.wait(60) == 0
    os.close(master)
    lines = said.decode().replace("\r\n", "\n").splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("main, "))]
    assert max(map(len, table)) <= 80
    (row,) = [line for line in table if line.startswith("main") and " 20 " in line and "request_ms" in line]
    assert row.split() == ["main", "request_ms", "(measured)", "20", "10.02", "±0.025", "12.02", "±0.025"]
    assert any("to the one before +0 %; to its level +0 %" in line for line in table)


def test_help_names_both_commands() -> None:
    for flag in ("--help", "-h"):
        found = history(flag).stdout
        assert "show" in found
        assert "merge" in found
    assert "--name" in history("show", "--help").stdout
    assert "history" in CliRunner().invoke(app, ["--help"]).stdout
