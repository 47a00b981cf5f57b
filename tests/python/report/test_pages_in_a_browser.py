"""Every page in Chromium: four widths by day and by night, keyboard, hover, hostile content, and ten thousand trials.

Screenshots are compared by structure: what would look wrong is measured in the layout, not in pixels.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import SCHEMES, WIDTHS, Chromium, Window, contrast, contrast_faults, layout_faults
from fleet_devices import SPACE, UNITS, function
from report_page import GOAL_BYTES, many_trials
from results import result
from studies import HOSTILE, bounded, hostile_store, store_of, trial_of
from test_benchmark_page import summary_of
from test_history_page import entries
from test_ranking_report import comparison_of

from lts.fleet.device import FleetDevice
from lts.fleet.fleet import Fleet
from lts.measure.history import History, union
from lts.measure.series import series_of
from lts.report import write_report
from lts.report.benchmark import write_benchmark
from lts.report.fleet import write_fleet_report
from lts.report.history import write_history
from lts.report.ranking import write_ranking
from lts.spaces.space import load_space
from lts.system.text import number

pytest.importorskip("plotly")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
MARKS = 3.0  # least contrast of what is drawn


PAGES = ["study", "ranking", "history", "benchmark", "fleet"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page of each kind, and the report of a hostile study."""
    folder = tmp_path_factory.mktemp("pages")
    space = load_space("gpt2-tiny")
    limit = "peak_memory_mib<=5.5"
    trials = [bounded(trial_of(space, key), limit) for key in range(60)]
    options = {"population_size": 100, "crossover_probability": 0.9, "mutation_probability_of_a_layer": 0.1}
    study = store_of(
        folder / "study.db", trials, space=space, constraints=(limit,), algorithm_options=options, device="ssh://me@pi"
    )
    found = {name: folder / f"{name}.html" for name in (*PAGES, "hostile", "hostile-history")}
    write_report(study, found["study"])
    write_report(hostile_store(folder / "hostile.db"), found["hostile"])
    write_ranking(comparison_of(60, left_out=3), found["ranking"])
    write_history(series_of(union([History(tuple(entries()))])), Path("lts-history.jsonl"), found["history"])
    write_benchmark(summary_of(folder), found["benchmark"])
    devices = [FleetDevice(name, evaluator=function(name)) for name in UNITS]
    devices.append(FleetDevice("next-year", constraints=["latency_ms<=3"], prefer={"latency_ms": 2.5}))
    write_fleet_report(Fleet(SPACE, devices, folder / "fleet").run(8), found["fleet"])
    hostile = [
        result({"request_ms": [1.0 if day < 9 else 2.0]}, day=day, name=text, model=text, device=text, warnings=[text])
        for text in HOSTILE
        for day in range(18)
    ]
    write_history(
        series_of(union([History(tuple(hostile))])), Path(HOSTILE[0].replace("/", "-")), found["hostile-history"]
    )
    return found


def marks(window: Window) -> list[dict[str, Any]]:
    """What is drawn with which color, of every trace: color, opacity, and the color of the chart behind it."""
    found: list[dict[str, Any]] = window.page.evaluate(
        """() => [...document.querySelectorAll(".js-plotly-plot")].flatMap((chart) => {
          const behind = getComputedStyle(chart.closest(".card")).backgroundColor;
          return chart._fullData.filter((trace) => trace.visible).flatMap((trace) => {
            const { name, marker, line, mode } = trace;
            const dots = marker?.colorscale ? marker.colorscale.map(([, color]) => color) : [marker?.color];
            const colors = [...dots, mode.includes("lines") ? line.color : undefined];
            const opacity = trace.opacity * (marker?.opacity ?? 1);
            return colors.filter(Boolean).map((color) => ({ color, behind, opacity, name }));
          });
        })"""
    )
    return found


def contrast_as_drawn(window: Window, color: str, behind: str, opacity: float) -> float:
    """Contrast of a color of CSS on another, computed here from what the browser makes of them."""
    texts = window.page.evaluate(
        """(colors) => colors.map((color) => { const pen = document.createElement("canvas").getContext("2d");
          pen.fillStyle = color; pen.fillRect(0, 0, 1, 1); return [...pen.getImageData(0, 0, 1, 1).data]; })""",
        [color, behind],
    )
    front, back = ([value / 255 for value in text[:3]] for text in texts)
    mixed = [f * opacity + b * (1 - opacity) for f, b in zip(front, back, strict=True)]
    return contrast(mixed, back)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*PAGES, "hostile", "hostile-history"])
def test_a_page_is_whole_and_asks_for_nothing(
    chromium: Chromium, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    with chromium.opened(pages[name], width=width, scheme=scheme) as window:
        assert (window.errors, window.requests) == ([], [])
        assert layout_faults(window.page) == []
        assert contrast_faults(window.page) == []
        window.page.evaluate("() => document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert layout_faults(window.page) == []
        assert contrast_faults(window.page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_marks_can_be_told_from_the_page(chromium: Chromium, pages: dict[str, Path], name: str, scheme: str) -> None:
    with chromium.opened(pages[name], scheme=scheme) as window:
        found = marks(window)
        assert len(found) > 5
        for mark in found:
            ratio = contrast_as_drawn(window, mark["color"], mark["behind"], mark["opacity"])
            assert ratio >= MARKS, f"{mark}: {ratio:.2f}"


def test_charts_follow_the_color_scheme(chromium: Chromium, pages: dict[str, Path]) -> None:
    with chromium.opened(pages["study"]) as window:
        by_day = marks(window)
        colors = """() => [...document.querySelectorAll(".js-plotly-plot")].map((c) => c._fullLayout.font.color)"""
        before = window.page.evaluate(colors)
        window.page.emulate_media(color_scheme="dark")
        window.page.wait_for_function(f"(before) => ({colors})().every((color, i) => color !== before[i])", arg=before)
        window.settled()
        by_night = marks(window)
        assert len(by_day) == len(by_night)
        assert all(day["color"] != night["color"] for day, night in zip(by_day, by_night, strict=True))
        assert contrast_faults(window.page) == []


def test_charts_follow_the_width(chromium: Chromium, pages: dict[str, Path]) -> None:
    with chromium.opened(pages["ranking"], width=1280) as window:
        window.page.set_viewport_size({"width": 360, "height": 800})
        window.page.wait_for_function(
            """() => [...document.querySelectorAll(".js-plotly-plot")].every((c) => c._fullLayout.width <= 360)"""
        )
        window.settled()
        assert layout_faults(window.page) == []
        assert window.errors == []


@pytest.mark.parametrize("width", [360, 1280])
def test_hovering_says_what_a_point_is(chromium: Chromium, pages: dict[str, Path], width: int) -> None:
    with chromium.opened(pages["history"], width=width) as window:
        points = window.page.locator("#series-0 .point")
        for at in (0, points.count() - 1):
            points.nth(at).hover(force=True)
            label = window.page.locator("#series-0 .hovertext")
            label.wait_for()
            text = label.text_content() or ""
            assert "UTC" in text
            assert "processes" in text
            box, chart = label.bounding_box(), window.page.locator("#series-0").bounding_box()
            assert box is not None
            assert chart is not None
            assert box["x"] >= chart["x"] - 1
            assert box["x"] + box["width"] <= chart["x"] + chart["width"] + 1


def test_the_keyboard_reaches_all_that_the_mouse_does(chromium: Chromium, pages: dict[str, Path]) -> None:
    with chromium.opened(pages["ranking"], fragment="#x=1") as window:
        page = window.page
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.className") == "skip"
        assert page.locator(".skip").bounding_box()["y"] >= 0, "it is seen when it has the focus"
        page.keyboard.press("Enter")
        assert page.evaluate("() => document.activeElement.id") == "content"
        assert page.url.endswith("#x=1"), "the state of the page stays"
        button = page.locator("th button", has_text="Kendall").first
        while not button.evaluate("(element) => element === document.activeElement"):
            page.keyboard.press("Tab")
        assert button.evaluate("(element) => getComputedStyle(element).outlineStyle") != "none"
        heading = button.locator("xpath=ancestor::th")
        at = heading.evaluate("(element) => element.cellIndex")

        def column() -> list[float]:
            cells = page.locator(f"table:first-of-type tbody tr td:nth-child({at + 1})").all()
            values = [
                cell.get_attribute("data-value")
                for cell in cells[: page.locator("table").first.evaluate("(table) => table.tBodies[0].rows.length")]
            ]
            return [float(value) for value in values if value is not None]

        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "ascending"
        rising = column()
        assert rising == sorted(rising)
        page.keyboard.press("Space")
        assert heading.get_attribute("aria-sort") == "descending"
        assert column() == rising[::-1]


@pytest.mark.parametrize("name", PAGES)
def test_every_chart_says_what_it_is_and_has_a_table(chromium: Chromium, pages: dict[str, Path], name: str) -> None:
    with chromium.opened(pages[name]) as window:
        charts = window.page.locator(".js-plotly-plot").all()
        assert charts
        for chart in charts:
            assert chart.get_attribute("role") == "img"
            assert chart.get_attribute("aria-label")
            if chart.get_attribute("id") == "explorer-chart":
                assert window.page.locator("#explorer-table tbody tr").count() > 10
                continue
            figure = chart.locator("xpath=ancestor::figure")
            figure.locator("details > summary").press("Enter")
            table = figure.locator("table")
            assert table.is_visible()
            assert table.locator("tbody tr").count() > 0
            assert table.locator("thead th[scope=col]").count() >= 3


def test_nothing_of_a_hostile_study_becomes_a_part_of_the_page(chromium: Chromium, pages: dict[str, Path]) -> None:
    for name in ("hostile", "hostile-history"):
        with chromium.opened(pages[name]) as window:
            assert window.page.locator("img, iframe, main script, b[x]").count() == 0
            text = window.page.evaluate("() => document.body.innerText + document.documentElement.outerHTML")
            assert "alert(1)" in text
            assert not set(text) & {"\x00", "\x1b", "\x07"}
            assert window.errors == []


def test_ten_thousand_trials(chromium: Chromium, tmp_path: Path) -> None:
    store = many_trials(tmp_path / "study.db", 10_000)
    out = tmp_path / "report.html"
    write_report(store, out)
    assert out.stat().st_size <= GOAL_BYTES
    with chromium.opened(out) as window:
        assert (window.errors, window.requests) == ([], [])
        points = window.page.locator("#latency .point").count()
        assert 200 < points <= 1010, "thinned in the picture"
        said = f"trials ({number(points)} of {number(9000)} drawn)"
        assert window.page.locator("#latency .legendtext").all_text_contents()[1:] == [said]
        assert window.page.locator(".point").count() < 5000
        assert layout_faults(window.page) == []


def test_screenshots_are_taken_of_pages_and_of_a_study_of_its_own(
    chromium: Chromium, pages: dict[str, Path], tmp_path: Path
) -> None:
    del chromium  # skips where there is none
    script = [sys.executable, str(ROOT / "scripts" / "screenshots")]
    for arguments, names in (([], ["report"]), ([pages["history"], pages["ranking"]], ["history", "ranking"])):
        folder = tmp_path / names[0]
        done = subprocess.run([*script, folder, *arguments], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        expected = {f"{name}-{width}-{scheme}.png" for name in names for width in (360, 1280) for scheme in SCHEMES}
        assert {path.name for path in folder.iterdir()} == expected
        for path in folder.iterdir():
            width = int.from_bytes(path.read_bytes()[16:20], "big")  # of the header of a PNG
            assert f"-{width}-" in path.name
        assert len({path.read_bytes() for path in folder.iterdir()}) == len(expected), "no two are the same"
    done = subprocess.run([*script, tmp_path, tmp_path / "none.html"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"screenshots: no file {tmp_path / 'none.html'}\n")
