"""What finds faults of pages finds them, and finds none where there is none; what must not run in a page does not."""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path

import pytest
from browser import Chromium, contrast_faults, layout_faults
from studies import store_of, trial_of

from lts.report import write_report
from lts.report.elements import breakable, escaped
from lts.spaces.space import load_space

CHART = '<div class="js-plotly-plot" style="width:200px;height:80px"><svg width="200" height="80">{}</svg></div>'


def page_of(folder: Path, body: str) -> Path:
    path = folder / "page.html"
    path.write_text(
        f'<!DOCTYPE html><html data-drawn><meta charset="utf-8"><body style="background:#fff;color:#000">{body}</body>',
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<div style="width:500px">wide</div>', "the document is"),
        ('<div style="width:60px;overflow:hidden;white-space:nowrap">words that end in tot</div>', "cut at the right"),
        ('<div style="height:20px;overflow:hidden"><p>one</p><p>two</p></div>', "cut at the bottom"),
        ('<div style="width:12px;overflow-wrap:anywhere">threads</div>', 'the word "threads" is broken into'),
        ('<div style="width:70px;overflow-wrap:anywhere">surrogate_quality</div>', "is broken into"),
        (CHART.format('<text x="150" y="40">a title that goes on</text>'), "cut text of a chart"),
        (
            CHART.format('<text class="xtitle" x="9" y="40">title</text><text x="12" y="42">tick</text>'),
            "text of a chart on other text",
        ),
    ],
)
def test_faults_are_found(chromium: Chromium, tmp_path: Path, body: str, fault: str) -> None:
    with chromium.opened(page_of(tmp_path, body), width=360) as window:
        assert any(fault in each for each in layout_faults(window.page)), layout_faults(window.page)


def test_what_is_well_has_no_faults(chromium: Chromium, tmp_path: Path) -> None:
    fine = (
        '<div style="width:60px;overflow:auto;white-space:nowrap">what scrolls is not cut</div>'
        "<details><summary>closed</summary><div style='width:9px;overflow-wrap:anywhere'>threads</div></details>"
        '<div style="clip-path:inset(50%);position:absolute;width:1px;height:1px;overflow:hidden">for readers</div>'
        f'<p style="overflow-wrap:anywhere">{"w" * 500} and two-part words</p>'
        + CHART.format('<text class="xtitle" x="9" y="70">title</text><text x="9" y="30">tick</text>')
    )
    with chromium.opened(page_of(tmp_path, fine), width=360) as window:
        assert layout_faults(window.page) == []
        assert contrast_faults(window.page) == []


@pytest.mark.parametrize(
    ("style", "ratio"),
    [
        ("color:#999;background:#fff", "2.85"),
        ("color:rgba(0,0,0,0.4)", "2.85"),
        ("color:#000;opacity:0.4", "2.85"),
        ("color:#440154;background:#1c1f23", "1.09"),
    ],
)
def test_too_little_contrast_is_found(chromium: Chromium, tmp_path: Path, style: str, ratio: str) -> None:
    with chromium.opened(page_of(tmp_path, f'<p style="{style}">pale</p>')) as window:
        (found,) = contrast_faults(window.page)
        assert found.startswith(f"{ratio} of"), found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    space = load_space("gpt2-tiny")
    write_report(store_of(folder / "study.db", [trial_of(space, key) for key in range(8)], space=space), folder / "r")
    return (folder / "r").read_text(encoding="utf-8")


def test_only_scripts_of_a_known_hash_run(chromium: Chromium, report: str, tmp_path: Path) -> None:
    """Whatever slips into the file."""
    slipped = (
        "<script>window.slipped = 1</script><img src=x onerror='window.slipped = 2'><a href='javascript:0'>x</a>"
        "<iframe srcdoc='<script>parent.slipped = 3</script>'></iframe><meta http-equiv=refresh content='9;url=data:,'>"
    )
    changed = base64.b64encode(gzip.compress(b"window.slipped = 4; window.Plotly = {react() {}};")).decode()
    packed = re.compile(r'(data-packed="script" data-name="0">)[^<]*')
    for text in (report.replace("<main", slipped + "<main"), packed.sub(rf"\g<1>{changed}", report)):
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        page = chromium.browser.new_page(offline=True)
        refused: list[str] = []
        page.on("console", lambda said, refused=refused: refused.append(said.text))
        page.goto(path.as_uri())
        page.wait_for_function("() => window.lts !== undefined && window.lts.data.figures !== undefined")
        page.wait_for_timeout(300)
        assert page.evaluate("() => window.slipped") is None
        assert any("Content Security Policy" in text for text in refused)
        page.close()


@pytest.mark.parametrize("absent", ["window.DecompressionStream", "Array.prototype.at"])
def test_an_older_browser_says_so_and_shows_the_tables(
    chromium: Chromium, report: str, tmp_path: Path, absent: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text(report, encoding="utf-8")
    with chromium.opened(path, before=f"delete {absent}") as window:
        assert window.page.get_by_text("The charts need a newer browser; the tables do not.").is_visible()
        assert window.page.locator(".pinned table").first.is_visible()
        assert window.errors == []


def test_a_page_whose_scripts_fail_says_so_and_shows_the_tables(
    chromium: Chromium, report: str, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(report, encoding="utf-8")
    with chromium.opened(path, before="Element.prototype.replaceChildren = undefined") as window:
        assert window.page.get_by_text("The charts need a newer browser; the tables do not.").is_visible()
        assert window.page.locator(".pinned table").first.is_visible()
        assert window.errors
        assert all("replaceChildren is not a function" in error for error in window.errors)


def test_text_is_text() -> None:
    assert escaped("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&#x27;"
    assert escaped("\x00\x1b[2J\x7f\x85\ud800") == "\ufffd\ufffd[2J" + 3 * "\ufffd"
    assert escaped("a\tb\nc\r") == "a\tb\nc\r"
    assert escaped(3.5) == "3.5"
    assert breakable("d_model") == "d_model"
    assert breakable("peak_memory_mib") == "peak_<wbr>memory_<wbr>mib"
    assert breakable("<script>_x.y") == "&lt;script&gt;_<wbr>x.<wbr>y"
