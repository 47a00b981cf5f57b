"""GitHub: annotations as the runner reads them, and the summary as Markdown."""

from __future__ import annotations

import io
import re
import sys
from html import unescape
from pathlib import Path

import pytest
from ci_records import NASTY, instructions, record, several
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lts.report.ci.compared import read
from lts.report.ci.github import annotate, command, commands, summary

SAID = (
    "request_ms (measured): regression, baseline 1.085 ±0.037 ms, contender 1.455 ±0.037 ms, "
    "change +34.1 % (+32.1 to +37.1 %), bound 5 %, for host on local with onnxruntime"
)


def understood(line: str) -> tuple[str, dict[str, str], str]:
    """Command, properties and message, as the runner reads a line (ActionCommand.TryParseV2 of actions/runner)."""
    line = line.lstrip()
    assert line.startswith("::")
    info, sign, data = line[2:].partition("::")
    assert sign
    name, _, rest = info.partition(" ")
    properties = dict(pair.split("=", 1) for pair in rest.strip().split(",") if pair)
    plain = [("\r", "%0D"), ("\n", "%0A"), ("%", "%25")]
    strict = [("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C"), ("%", "%25")]

    def unescaped(value: str, mappings: list[tuple[str, str]]) -> str:
        for token, replacement in mappings:
            value = value.replace(replacement, token)
        return value

    return name, {key: unescaped(value, strict) for key, value in properties.items()}, unescaped(data, plain)


def cells(markdown: str) -> list[list[str]]:
    """The text of every cell of the tables that a parser of Markdown finds, with what is HTML as it is."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and token.level >= 4:
            rows[-1].append("".join(f"\0{c.content}" if c.type == "html_inline" else c.content for c in token.children))
    return rows


def test_annotations_of_every_verdict() -> None:
    found = [understood(line) for line in commands(read(several()))]
    assert [(name, properties["title"]) for name, properties, _ in found] == [
        ("error", "lts-engine: regression of small"),
        ("notice", "lts-engine: improvement of small"),
        ("warning", "lts-engine: inconclusive of large"),
        ("error", "lts-engine: regression of large"),
    ]
    assert found[0][2] == SAID
    assert found[3][2].endswith("change +8.32 %, bound 0 %, for arm64 on emulated with tvm")
    strict = [understood(line)[0] for line in commands(read(several(), inconclusive_fails=True))]
    assert strict == ["error", "notice", "error", "error"]


def test_the_exact_line() -> None:
    assert commands(read([record(name="a%b:c,d\n::error::")])) == [
        "::error title=lts-engine%3A regression of a%25b%3Ac%2Cd %3A%3Aerror%3A%3A::" + SAID.replace("%", "%25")
    ]
    assert command("error", "a\r\nb", "%0A\r\nc:,") == "::error title=a%0D%0Ab::%250A%0D%0Ac:,"


@given(st.text() | st.sampled_from(NASTY), st.text())
def test_whatever_is_said_is_one_command(title: str, message: str) -> None:
    line = command("warning", title, message)
    assert "\n" not in line
    assert "\r" not in line
    name, properties, data = understood(line)
    assert (name, data) == ("warning", message)
    assert {key: value.rstrip() for key, value in properties.items()} == {"title": title.rstrip()}


def test_the_exact_summary() -> None:
    assert summary(read([record(name="a|b<i>"), record(verdict="same", name="x")])) == (
        "### lts-engine: 1 regression, 1 same\n"
        "\n"
        "| model | metric | baseline | contender | change | bound | verdict |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| <code>a&#124;b&#60;i&#62;</code> | <code>request&#95;ms</code> (measured) | 1.085 ±0.037 ms | "
        "1.455 ±0.037 ms | +34.1 % (+32.1 to +37.1 %) | 5 % | **regression** |\n"
        "| <code>x</code> | <code>request&#95;ms</code> (measured) | 1.085 ±0.037 ms | "
        "1.455 ±0.037 ms | +34.1 % (+32.1 to +37.1 %) | 5 % | same |\n"
        "\n"
        "Medians of 4 or more processes per side; ± is how far the ends of an interval are that holds the median of "
        "all processes with 87.5 % or more. The change has its 95 % interval.\n"
        "\n"
        "* target host, device local, backend onnxruntime, n&#95;prompt 64, n&#95;gen 4, threads 1\n"
    )
    assert "what is counted is the same every time" in summary(read([instructions()]))
    assert summary([]).startswith("### lts-engine: nothing was compared\n")


@pytest.mark.parametrize("name", NASTY)
def test_names_are_text_in_the_table(name: str) -> None:
    rows = read([record(name=name, device=name)])
    table = cells(summary(rows))
    assert [len(row) for row in table] == [7, 7]
    assert table[1][0] == f"\0<code>{rows[0].model}\0</code>"
    assert not re.search(r"<(?!/?code>)", summary(rows))
    listed = summary(rows).rsplit("* ", 1)[1]
    assert unescape(listed).startswith("target host, device ")


def test_the_summary_is_cut_before_github_refuses_it() -> None:
    rows = read([record(verdict="same", name=f"{'|' * 150}{i}") for i in range(2000)] + [record(name="worst")])
    text = summary(rows)
    assert len(text.encode()) < 300_000
    assert "<code>worst</code>" in text.splitlines()[4]  # what fails comes first
    left_out = re.search(r"^and (\d+) more$", text, re.MULTILINE)
    assert left_out is not None
    assert len(cells(text)) - 1 + int(left_out[1]) == 2001


def test_the_summary_is_appended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    annotate([record()])
    annotate([record(verdict="same")])
    text = path.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "### lts-engine: 1 regression",
        "### lts-engine: 1 same",
    ]
    assert len(cells(text)) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [understood(line)[2] for line in captured.err.splitlines()] == [SAID]


def test_what_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    annotate([record(verdict="same")])
    assert capsys.readouterr().err == "warning: the summary of the step is not written: Is a directory\n"
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    annotate([record()])
