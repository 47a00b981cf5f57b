"""The page of a history: what its charts and tables say, offline, and with names that are markup."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from browser import Chromium
from pages import NASTY, Page, asks_for_nothing, known_to_plotly
from results import BOARD, result

from lts.errors import UsageError
from lts.measure.change_points import MOST
from lts.measure.history import History, union
from lts.measure.result import Result
from lts.measure.series import Series, series_of
from lts.report.history import write_history

pytest.importorskip("plotly")

NEWER = {**BOARD, "kernel": "6.6"}
LEVELS = ((10.0, range(10)), (12.0, range(10, 20)))


def entries() -> list[Result]:
    """A step of 20 % on day 10 and of two instructions on day 5; another environment from day 8 on; another name."""
    found = []
    for level, day in ((level, day) for level, days in LEVELS for day in days):
        times = [level + 0.01 * ((3 * day) % 7) + 0.1 * i for i in range(6)]
        counts = [1000 if day < 5 else 1002]
        found.append(result({"request_ms": times, "instructions": counts}, day=day))
    found += [result({"request_ms": [7.0, 7.1]}, day=8.5 + day, fingerprint=NEWER) for day in range(4)]
    found.append(result({"tokens_per_second": [90.0]}, day=30, name="int8", disturbed=True, warnings=["swap was used"]))
    return found


def written(found: list[Series], folder: Path, source: str = "lts-history.jsonl") -> str:
    out = folder / "page.html"
    write_history(found, Path(source), out)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found() -> list[Series]:
    return series_of(union([History(tuple(entries()))]))


@pytest.fixture(scope="module")
def text(found: list[Series], tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(found, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


# --- Content ---


def test_the_heading_says_what_is_there_and_what_it_means(page: Page) -> None:
    for phrase in (
        "History of lts-history.jsonl",
        "2026-09-01 03:00 to 2026-10-01 03:00 UTC",
        "25\nresults",
        "2\nnames",
        "4\nseries",
        "2\nchange points",
        "where the median of all such processes lies, with at least 50 %",
        "of series that do not change, at most 2 % have one",
        "Changes that are smaller than 5 % are not shown",
        "Of counts, which every process finds the same, any other value is a change",
        "are never joined by a line, and are not compared",
        "main: results of different conditions are different series, which are not compared: kernel 6.1 and 6.6",
    ):
        assert phrase in page.visible, phrase


def test_a_chart_has_every_point_with_its_bar(page: Page, found: list[Series]) -> None:
    assert set(page.figures) == {"series-0", "series-1", "series-2"}
    series, other = found[0], found[1]
    assert (series.metric.name, other.metric.name, len(series.entries), len(other.entries)) == (
        *["request_ms"] * 2,
        20,
        4,
    )
    _, points, _, others = page.figures["series-0"]["data"]
    assert points["y"] == [point.median for point in series.points]
    bars = points["error_y"]
    for point, up, down in zip(series.points, bars["array"], bars["arrayminus"], strict=True):
        assert point.median + up == pytest.approx(point.high)
        assert point.median - down == pytest.approx(point.low)
    # By order of time, those of both series: days 0 to 8, then one of each in turn.
    assert points["x"] == [*range(9), 10, 12, 14, 16, 17, 18, 19, 20, 21, 22, 23]
    assert others["x"] == [9, 11, 13, 15]
    assert (points["marker"]["symbol"], points["marker"]["color"]) != (
        others["marker"]["symbol"],
        others["marker"]["color"],
    )
    assert points["name"] != others["name"]
    assert points["showlegend"]
    assert others["showlegend"]
    assert not page.figures["series-1"]["data"][1]["showlegend"]
    hover = points["hovertext"][9]
    assert re.fullmatch(
        r"2026-09-10 03:00 UTC, revision 0000000000<br>model.onnx<br>10\.\d+ ms, 10\.\d+ to 10\.\d+, 6 processes<br>"
        r"environment [0-9a-f]{8}",
        hover,
    ), hover


def test_change_points_are_marked_and_in_the_table(page: Page, found: list[Series]) -> None:
    (change,) = found[0].changes
    assert change.index == 10
    layout = page.figures["series-0"]["layout"]
    (line,) = layout["shapes"]
    x = page.figures["series-0"]["data"][1]["x"]
    assert x[9] < line["x0"] == line["x1"] < x[10]
    (note,) = layout["annotations"]
    before, after = (median(0.25 + level + 0.01 * ((3 * day) % 7) for day in days) for level, days in LEVELS)
    said = f"{100 * (after / before - 1):+.3g} %"
    assert note["text"] == said
    levels = page.figures["series-0"]["data"][0]
    assert levels["y"] == [*[change.before.median] * 2, None, *[change.after.median] * 2, None]
    assert levels["x"] == [-0.5, x[9] + 0.5, None, x[10] - 0.5, x[19] + 0.5, None]
    (count,) = page.figures["series-1"]["layout"]["shapes"]
    assert count["x0"] == 4.5
    rows = re.findall(r"^main\n(\w+) \((\w+)\)\n[0-9a-f]{8}\n(2026-09-\d\d 03:00)\n(\d{10})\n", page.visible, re.M)
    assert rows == [
        ("request_ms", "measured", "2026-09-11 03:00", "0000000000"),
        ("instructions", "measured", "2026-09-06 03:00", "0000000000"),
    ]
    assert f"\n{said}\n" in page.visible
    assert "\n1\u202f000\n5 results\n1\u202f002\n15 results\n+0.2 %\n" in page.visible
    assert f"\n{change.p_value:.2g}\n" in page.visible


def test_different_conditions_are_never_joined(page: Page) -> None:
    """No trace has points of two series."""
    lines = [trace for figure in page.figures.values() for trace in figure["data"] if "lines" in trace["mode"]]
    groups = {(trace["legendgroup"], trace["mode"]) for trace in page.figures["series-0"]["data"]}
    assert groups == {(k, mode) for k in "01" for mode in ("lines", "lines+markers")}
    assert all(7.0 <= y <= 7.1 for trace in lines if trace["legendgroup"] == "1" for y in trace["y"] if y is not None)


def test_every_chart_has_a_table_of_what_it_shows(page: Page, found: list[Series]) -> None:
    assert len([1 for tag, _ in page.elements if tag == "details"]) == len(page.figures) == 3
    for series in found:
        for entry, point in zip(series.entries, series.points, strict=True):
            assert f"{entry.time[:10]} " in page.visible
            assert f"\n{point.n}\n" in page.visible
    assert "24 results, the newest first" in page.visible
    assert "disturbed: swap was used" in page.visible
    assert "measured; more is better" in page.figures["series-2"]["layout"]["yaxis"]["title"]["text"]
    images = [attributes for _, attributes in page.elements if attributes.get("role") == "img"]
    assert len(images) == 3
    assert images[0]["aria-label"] == (
        "request_ms of main over time, with 1 change point; the table below has its values"
    )


def test_figures_are_what_plotly_knows(page: Page) -> None:
    known_to_plotly(page)


def test_a_quiet_history_and_a_long_one(tmp_path: Path) -> None:
    (series,) = series_of(union([History((result({"request_ms": [1.0]}),))]))
    page = Page(written([series], tmp_path))
    assert "None in 1 series." in page.visible
    assert "not compared" not in page.visible
    long = [result({"request_ms": [10.0 + (day * 7 % 5) / 100]}, day=day) for day in range(MOST + 30)]
    page = Page(written(series_of(union([History(tuple(long))])), tmp_path))
    assert f"They are searched in the newest {MOST} results of a series." in page.visible
    assert "30 older results not listed." in page.visible
    assert len(page.figures["series-0"]["data"][1]["x"]) == MOST + 30
    assert page.figures["series-0"]["data"][0]["x"] == [29.5, MOST + 29.5, None]


# --- Offline, and safe ---


def test_nothing_is_fetched(text: str, page: Page) -> None:
    asks_for_nothing(text, page)


def test_what_a_history_says_is_escaped(tmp_path: Path) -> None:
    changed = {
        "name": NASTY,
        "model": NASTY + "\x1b[2J",
        "revision": NASTY,
        "device": NASTY,
        "backend": NASTY,
        "target": NASTY,
        "environment": NASTY,
        "disturbed": True,
        "warnings": [NASTY],
    }
    entries = [result({NASTY: [1.0 if day < 9 else 2.0]}, day=day, **changed) for day in range(18)]
    entries += [result({NASTY: [1.0]}, day=3, **(changed | {"environment": "other", "fingerprint": {NASTY: NASTY}}))]
    found = series_of(union([History(tuple(entries))]))
    assert found[0].changes
    text = written(found, tmp_path, NASTY.replace("/", "∕"))
    assert "<script>alert" not in text
    page = Page(text)
    assert text.count("<script") == len(page.scripts) + len(page.data)
    assert NASTY in page.visible
    assert "\x1b" not in text
    assert not any("x" in attributes for _, attributes in page.elements)
    shown = json.dumps(page.figures)
    assert "alert(1)" in shown
    assert "<script" not in shown
    assert "<b x" not in shown


def test_importing_does_not_import_plotly() -> None:
    code = "import sys, lts.report.history; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unwritable_page_is_a_usage_error(found: list[Series], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the report"):
        write_history(found, Path("a.jsonl"), tmp_path / "none" / "page.html")


def test_a_browser_draws_the_charts(chromium: Chromium, text: str, page: Page, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text(text, encoding="utf-8")
    with chromium.opened(out) as window:
        assert window.page.locator(".svg-container").count() == len(page.figures)
        shown = sum(len(t["x"]) for f in page.figures.values() for t in f["data"] if "markers" in t["mode"])
        assert window.page.locator(".point").count() == shown
        assert (window.errors, window.requests) == ([], [])
