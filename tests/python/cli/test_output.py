"""The views of results: what a foreign text cannot do in them."""

from __future__ import annotations

import csv
import io

import pytest

from lts.cli.arguments import Format
from lts.cli.output import Results, emit


def emitted(value: object, form: Format, capsys: pytest.CaptureFixture[str]) -> str:
    emit(Results([{"name": value, "n": -1.5}], ("name", "n"), [(value, -1.5)]), form)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x")', "-cmd|' /C calc'!A0", "\uff1d1+1"],
)
def test_csv_has_no_formulas(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    header, row = csv.reader(io.StringIO(emitted(text, Format.csv, capsys), newline=""))
    assert header == ["name", "n"]
    assert row == [f"'{text}".replace("\r", "\n"), "-1.5"]


def test_names_of_columns_are_no_formulas_either(capsys: pytest.CaptureFixture[str]) -> None:
    emit(Results([{"=1+1": 1}], ("=1+1",), [(1,)]), Format.csv)
    assert capsys.readouterr().out == "'=1+1\n1\n"


@pytest.mark.parametrize("value", [-1, -1.5, 1e-9, "-1.5", "+3", "a=b", "[1, -2]", "", "8"])
def test_csv_leaves_numbers_and_other_text_alone(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    _, row = csv.reader(io.StringIO(emitted(value, Format.csv, capsys), newline=""))
    assert row == [str(value), "-1.5"]


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb", "a|b", "a\u2028b", "a\x0bb", "a\n| x | y |\nb"])
def test_a_row_of_markdown_is_one_line_with_its_cells(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = emitted(text, Format.md, capsys).splitlines()
    assert len(lines) == 3
    assert [line.replace("\\|", "").count("|") for line in lines] == [3, 3, 3]
