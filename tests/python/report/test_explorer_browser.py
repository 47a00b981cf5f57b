"""The explorer in a browser: axes, filters, selecting, downloads and links."""

from __future__ import annotations

import csv
import json
import math
import random
import shlex
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import Chromium, Window, contrast, contrast_faults, layout_faults, rgb
from command_line import run
from explored import NASTY, SPACE, store_of, trial_of, trials_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.report import write_report
from lts.study.front import filtered
from lts.study.stored import StoredStudy, read_study
from lts.system.text import number, runs

pytest.importorskip("plotly")

CHART = "#explorer-chart"
FRONT = "Pareto front"
RANGES = f"""() => {{ const {{ xaxis, yaxis }} = document.querySelector("{CHART}").layout;
    return [...xaxis.range, ...yaxis.range]; }}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explorer")
    store = store_of(folder / "study.db", trials_of(60))
    member = read_study(store).front.trials[0].id
    (folder / "models" / str(member) / "host").mkdir(parents=True)
    (folder / "models" / str(member) / "host" / "model.so").write_bytes(b"x" * 3000)
    write_report(store, folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def study(report: Path) -> StoredStudy:
    return read_study(report.parent / "study.db")


@pytest.fixture(scope="module")
def opened_once(chromium: Chromium, report: Path) -> Iterator[Window]:
    with opened(chromium, report) as window:
        yield window


@pytest.fixture
def window(opened_once: Window) -> Iterator[Window]:
    """The report in its initial view."""
    opened_once.page.locator("#explorer-reset").click()
    yield opened_once
    assert opened_once.errors == []
    assert opened_once.requests == []


@contextmanager
def opened(chromium: Chromium, report: Path, fragment: str = "", **how: Any) -> Iterator[Window]:
    """The report, which is to stay without errors and requests."""
    with chromium.opened(report, fragment=fragment, **how) as window:
        yield window
        assert window.errors == []
        assert window.requests == []


def traces(window: Window) -> dict[str, Any]:
    """What plotly draws in the explorer, by name."""
    found = window.page.evaluate(
        f"""() => document.querySelector("{CHART}").data.map((trace) =>
            ({{ name: trace.name ?? "", x: [...trace.x], y: [...trace.y], keys: [...(trace.customdata ?? [])],
               bars: trace.error_x?.array?.length ?? 0, symbol: trace.marker?.symbol ?? "" }}))"""
    )
    return {trace["name"]: trace for trace in found}


def drawn(window: Window) -> set[str]:
    """Keys of the trials that are drawn as points."""
    names = (FRONT, "not on the front", "violates a constraint")
    return {key for name, trace in traces(window).items() if name in names for key in trace["keys"] if key}


def choose(window: Window, name: str, value: str) -> None:
    window.page.select_option(f"#explorer-{name}", value)


def listed(window: Window) -> list[str]:
    """Numbers of the trials in the table, in its order."""
    found: list[str] = window.page.eval_on_selector_all(
        "#explorer-table tbody tr", "rows => rows.map(r => r.dataset.key)"
    )
    return found


def selected(window: Window) -> list[str]:
    found: list[str] = window.page.eval_on_selector_all(
        "#explorer-selected article", "all => all.map(a => a.dataset.key)"
    )
    return found


def drag(window: Window, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one place of the chart to another, both as shares of its width and height."""
    window.page.locator(CHART).scroll_into_view_if_needed()
    box = window.page.locator(f"{CHART} .nsewdrag").first.bounding_box()
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (begin, end)]
    window.page.mouse.move(*places[0])
    window.page.mouse.down()
    window.page.mouse.move(*places[1], steps=5)
    window.page.mouse.up()


def complete(study: StoredStudy) -> list[Trial]:
    return [trial for trial in study.trials if trial.state == "complete"]


# the chart


def test_every_complete_trial_is_a_point_with_its_values(window: Window, study: StoredStudy) -> None:
    by_key = {str(trial.id): trial for trial in complete(study)}
    assert drawn(window) == set(by_key)
    for name in (FRONT, "not on the front", "violates a constraint"):
        trace = traces(window)[name]
        for key, x, y in zip(trace["keys"], trace["x"], trace["y"], strict=True):
            assert (x, y) == (by_key[key].values["latency_ms"], by_key[key].values["decoder_params"])
    assert set(traces(window)[FRONT]["keys"]) == {str(trial.id) for trial in study.front}
    assert traces(window)["knee"]["keys"] == [str(study.front.knee().id)]
    assert traces(window)[FRONT]["bars"] == len(study.front)
    assert traces(window)["baselines"]["keys"] == ["baseline-0"]


def test_lines_are_fronts_of_slices(window: Window, study: StoredStudy) -> None:
    lines = [trace for name, trace in traces(window).items() if name.startswith("peak_memory_mib ≤ ")]
    assert len(lines) == 3
    members = sorted(trial.values["peak_memory_mib"] for trial in study.front)
    feasible = [trial for trial in complete(study) if trial.feasible]
    for line, share in zip(lines, (1 / 3, 2 / 3, 1), strict=True):
        bound = members[math.ceil(share * len(members)) - 1]
        assert line["name"] == f"peak_memory_mib ≤ {number(bound)}"
        inside = [
            (t.values["latency_ms"], t.values["decoder_params"])
            for t in feasible
            if t.values["peak_memory_mib"] <= bound
        ]
        best = [p for p in inside if not any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in inside)]
        assert sorted(zip(line["x"], line["y"], strict=True)) == sorted(set(best))


def test_axes_are_what_the_reader_chooses(window: Window, study: StoredStudy) -> None:
    choose(window, "x", "n_layer")
    choose(window, "y", "energy_mj")
    window.page.check("#explorer-ylog")
    trace = traces(window)[FRONT]
    by_key = {str(trial.id): trial for trial in study.trials}
    assert trace["x"] == [by_key[key].architecture.n_layer for key in trace["keys"]]
    assert trace["y"] == [by_key[key].values["energy_mj"] for key in trace["keys"]]
    kinds = window.page.evaluate(
        f"() => {{ const l = document.querySelector('{CHART}').layout; return [l.xaxis.type, l.yaxis.type]; }}"
    )
    assert kinds == ["linear", "log"]
    title = window.page.locator(f"{CHART} .ytitle").text_content()
    assert title.startswith("energy_mj")
    assert "mJ, measured on local" in title
    assert not any(name.startswith("peak_memory_mib ≤") for name in traces(window)), "a dimension has no better end"
    choose(window, "size", "peak_memory_mib")
    sizes = window.page.evaluate(
        f"() => document.querySelector('{CHART}').data.find((t) => t.name === '{FRONT}').marker.size"
    )
    memory = [by_key[key].values["peak_memory_mib"] for key in trace["keys"]]
    assert [sizes[i] for i in sorted(range(len(memory)), key=memory.__getitem__)] == sorted(sizes)


def test_parallel_coordinates_have_an_axis_for_each_column(window: Window, study: StoredStudy) -> None:
    choose(window, "kind", "parallel")
    for name in ("energy_mj", "n_layer"):
        window.page.check(f"#explorer-axes input[value={name}]")
    trace = traces(window)[FRONT]
    lines = "".join("x" if key is None else "." for key in trace["keys"]).split("x")
    assert {len(line) for line in lines[:-1]} == {5}
    assert len(lines) - 1 == len(study.front)
    by_key = {str(trial.id): trial for trial in study.trials}
    values = [trial.values["energy_mj"] for trial in complete(study)]
    names = window.page.evaluate(
        "() => [...document.querySelectorAll('#explorer-axes input:checked')].map((b) => b.value)"
    )
    place = names.index("energy_mj")
    for at in range(0, len(trace["keys"]), 6):
        value = by_key[trace["keys"][at]].values["energy_mj"]
        assert trace["x"][at + place] == pytest.approx((value - min(values)) / (max(values) - min(values)))


def test_predicted_members_are_hollow_and_shown_when_asked_for(window: Window, study: StoredStudy) -> None:
    name = "predicted, not measured"
    assert name not in traces(window)
    window.page.check("#explorer-predicted")
    trace = traces(window)[name]
    assert trace["symbol"] == "circle-open"
    assert trace["bars"] == len(trace["keys"]) > 3
    window.page.evaluate("() => location.hash = '#predicted=1&selected=predicted-0'")
    assert window.page.locator("#explorer-selected h3").text_content() == "predicted 1 not measured"
    assert "predicted" in window.page.locator("#explorer-selected tbody").text_content()


def test_hovering_tells_all(window: Window, study: StoredStudy) -> None:
    best = study.front.trials[0]
    window.page.locator(CHART).scroll_into_view_if_needed()
    spot = window.page.evaluate(
        """(key) => {
        const chart = document.querySelector("#explorer-chart");
        const box = chart.getBoundingClientRect();
        const t = chart.data.find((t) => t.name === "Pareto front"); const i = t.customdata.indexOf(key);
        const { xaxis, yaxis } = chart._fullLayout;
        return [box.x + xaxis._offset + xaxis.d2p(t.x[i]), box.y + yaxis._offset + yaxis.d2p(t.y[i])]; }""",
        str(best.id),
    )
    window.page.mouse.move(*spot)
    label = window.page.locator(f"{CHART} .hoverlayer .hovertext").first
    label.wait_for()
    text = label.text_content()
    assert f"trial {best.id}" in text
    assert number(best.values["latency_ms"]) in text
    assert "measured" in text
    assert runs(best.architecture.n_head)[:20] in text
    window.page.mouse.click(*spot)
    window.page.wait_for_selector("#explorer-selected article")
    assert selected(window) == [str(best.id)]


# filters


CONDITIONS = (
    "latency_ms<=300",
    "latency_ms >= 50",
    " decoder_params>=2e7 ",
    "peak_memory_mib<=400.5",
    "latency_ms<=0",
    "none<=1",
    "latency<=1",
    "energy_nj>=5",
    "param<=1",
    "latency_ms<5",
    "latency_ms",
    "a b<=1",
    "energy_mj>=1e2",
)


@pytest.mark.parametrize("scope", ["complete", "front"])
def test_filters_keep_what_where_keeps(window: Window, study: StoredStudy, scope: str) -> None:
    choose(window, "shown", scope)
    trials = complete(study) if scope == "complete" else study.front.trials
    chooser = random.Random(scope)
    for _ in range(12):
        conditions = chooser.sample(CONDITIONS, chooser.randint(1, 3))
        window.page.evaluate("() => document.getElementById('explorer-reset').click()")
        choose(window, "shown", scope)
        for condition in conditions:
            window.page.locator(".condition").last.fill(condition)
            window.page.locator(".condition").last.press("Enter")
            if window.page.locator("#explorer-refused").text_content():
                break
        said = window.page.locator("#explorer-refused").text_content()
        error = _first_error(trials, conditions)
        assert said == error
        if not error:
            expected = {str(trial.id) for trial in filtered(trials, conditions)}
            assert drawn(window) == set(listed(window)) == expected


def _first_error(trials: list[Trial], conditions: list[str]) -> str:
    """What Python says when conditions come one after another."""
    for n in range(1, len(conditions) + 1):
        try:
            filtered(trials, conditions[:n])
        except UsageError as error:
            return str(error)
    return ""


def test_a_condition_that_is_none_leaves_the_view_as_it_is(window: Window) -> None:
    before, address = listed(window), window.page.url
    window.page.locator(".condition").fill("latency_ms<5")
    window.page.locator(".condition").press("Enter")
    assert window.page.locator("#explorer-refused").text_content() == (
        "constraint 'latency_ms<5': expected NAME<=NUMBER or NAME>=NUMBER, such as latency_ms<=10; "
        "bounds are inclusive, use <=: latency_ms<=5"
    )
    assert window.page.locator(".condition").first.get_attribute("aria-invalid") is not None
    assert (listed(window), window.page.url) == (before, address)


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
SPACED = st.sampled_from(["", " ", "\t", "\n ", "\x0b", "\u00a0"])
NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(
        ["", ".5", "5.", "-.5", ".", "+1", "1e", "1e+5", "0e-999", "1E5", "0x1", "-0", "007", "1_0", "1e400"]
    ),
    st.sampled_from(
        ["1e-400", "2e-324", "3e-324", "1e-310", "inf", "nan", "Infinity", "1" + "0" * 400, "١", "1 2", "--1"]
    ),
)
NAMES = st.one_of(st.sampled_from(["latency_ms", "decoder_params", "__proto__", "größe", "😀", "a:b", "a b", ""]), TEXT)
SIGNS = st.sampled_from(["<=", ">=", "<", ">", "=", "==", "< =", "<==", ">>="])
FINE = st.tuples(st.sampled_from(["latency_ms", "größe"]), st.sampled_from(["<=", " >= "]), NUMBERS).map("".join)
CONDITION = st.one_of(TEXT, FINE, st.tuples(SPACED, NAMES, SPACED, SIGNS, SPACED, NUMBERS, SPACED).map("".join))


def test_conditions_are_read_as_python_reads_them(window: Window) -> None:
    from lts._core import parse_constraint

    read = """(texts) => texts.map((text) => {
        try {
            const { name, relation, bound } = Where.parsed(text);
            return [name, relation, Object.is(bound, -0) ? "-0" : bound];
        } catch (error) { return error.message; } })"""

    def python(text: str) -> Any:
        try:
            found = parse_constraint(text)
        except ValueError as error:
            return str(UsageError(str(error)))
        negative_zero = found.bound == 0 and math.copysign(1, found.bound) < 0
        return [found.name, found.relation, "-0" if negative_zero else found.bound]

    n_read = n_refused = 0

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(CONDITION, min_size=5, max_size=20))
    def compare(texts: list[str]) -> None:
        nonlocal n_read, n_refused
        expected = [python(text) for text in texts]
        found = [
            each if isinstance(each, str) else [*each[:2], _exact(each[2])]
            for each in window.page.evaluate(read, texts)
        ]
        assert found == expected
        n_read += sum(isinstance(each, list) for each in expected)
        n_refused += sum(isinstance(each, str) for each in expected)

    compare()
    assert min(n_read, n_refused) > 100


def test_numbers_are_written_as_python_writes_them(window: Window) -> None:
    chooser = random.Random(3)
    values = [chooser.uniform(-1, 1) * 10.0 ** chooser.randint(-12, 14) for _ in range(500)]
    values += [float(chooser.randint(-(10**9), 10**9)) for _ in range(100)]
    ties = [(chooser.randint(1000, 99_999) + 0.5) / 2 ** chooser.choice([0, 0, 0, 3, 6]) for _ in range(100)]
    ties += [n + part for n in range(10, 100) for part in (0.125, 0.375, 0.625, 0.875)]
    ties += [12.125, 1.0625, 1.1875, 0.15625, 0.28125, 12346.5, 12347.5, 1.2345e12, 1.2355e12]
    values += [sign * tie for tie in ties for sign in (1, -1)]
    values += [0.0, 0.5, 9.9996, 999.96, 9999.6, 1e4, 12345.5, 12346.5, 1e10, 1e-4, 9.9999e-5, 123456789.0, 1e300]
    assert window.page.evaluate("(values) => values.map(Numbers.number)", values) == [number(value) for value in values]


def _exact(bound: float | str) -> float | str:
    """A number from a browser, where whole ones have digits that a float has not."""
    return bound if isinstance(bound, str) else float(bound)


# selecting


def test_two_selected_members_stand_side_by_side(window: Window, study: StoredStudy, report: Path) -> None:
    first, second = study.front.trials[0], next(trial for trial in complete(study) if trial.feasible is False)
    for trial in (first, second):
        window.page.locator(f"#explorer-table tr[data-key='{trial.id}'] td").nth(1).click()
    assert selected(window) == [str(first.id), str(second.id)]
    boxes = [window.page.locator("#explorer-selected article").nth(i).bounding_box() for i in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"]
    scale = set()
    for i, trial in enumerate((first, second)):
        article = window.page.locator("#explorer-selected article").nth(i)
        text = article.text_content()
        for name, value in trial.values.items():
            assert name in text
            assert number(value) in text
        low, high = trial.interval["latency_ms"]
        assert f"{number(low)} to {number(high)}" in text
        assert "measured" in text
        a = trial.architecture
        assert article.locator("rect.width").count() == a.n_layer
        assert article.locator("rect.head").count() == sum(a.n_head)
        shared = sum(
            heads - len(range(0, heads, -(-heads // keys))) for heads, keys in zip(a.n_head, a.n_kv_head, strict=True)
        )
        assert article.locator("rect.head.shared").count() == shared
        widths = article.locator("rect.width").evaluate_all(
            "all => all.map((each) => Number(each.getAttribute('width')))"
        )
        scale |= {round(width / d_ff, 9) for width, d_ff in zip(widths, a.d_ff, strict=True)}
        assert f"{a.n_layer} layers of width {a.d_model}" in article.locator("svg").get_attribute("aria-label")
    assert len(scale) == 1, "both are drawn to one scale"
    text = window.page.locator("#explorer-selected article").first.text_content()
    assert f"models/{first.id}/host/model.so (2.93 KiB)" in text
    assert f"lts-engine export {report.parent}#{first.id}" in text
    window.page.locator(f"#explorer-table tr[data-key='{first.id}'] button").click()
    assert selected(window) == [str(second.id)]


def test_the_command_is_copied_and_exports(chromium: Chromium, report: Path, tmp_path: Path) -> None:
    with opened(chromium, report, "#selected=10") as window:
        window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        window.page.locator(".command button").click()
        window.page.get_by_text("Copied").wait_for()
        copied = window.page.evaluate("() => navigator.clipboard.readText()")
    program, *arguments = shlex.split(copied)
    assert program == "lts-engine"
    run(*arguments, "--format", "json", "--output-dir", "models", cwd=tmp_path)
    assert (tmp_path / "models" / "10" / "architecture.json").is_file()


def test_rows_are_selected_with_the_keyboard(window: Window) -> None:
    keys = listed(window)
    window.page.locator("#explorer-table tbody button").first.focus()
    for key in ("Enter", "ArrowDown", "ArrowDown", "Space"):
        window.page.keyboard.press(key)
    assert selected(window) == [keys[0], keys[2]]
    pressed = window.page.locator("#explorer-table button[aria-pressed=true]")
    assert [pressed.nth(i).text_content() for i in range(2)] == [keys[0], keys[2]]
    window.page.locator("#explorer-table th button").nth(2).focus()
    window.page.keyboard.press("Enter")
    assert window.page.evaluate("() => document.activeElement.dataset.sort") == "latency_ms", "the focus stays"
    assert window.page.locator("#explorer-table th[aria-sort=ascending]").count() == 1


def test_a_click_that_leaves_a_condition_is_a_click(window: Window) -> None:
    window.page.locator(".condition").fill("latency_ms<=300")
    key = listed(window)[0]
    window.page.locator(f"#explorer-table tr[data-key='{key}'] td").nth(1).click()
    assert "where=" in window.page.url, "the condition counts"
    assert selected(window) == [key]
    window.page.locator(".condition").last.fill("latency_ms>=0")
    window.page.locator("#explorer-table th button[data-sort=latency_ms]").click()
    assert window.page.url.count("where=") == 2
    assert "sort=latency_ms" in window.page.url
    assert selected(window) == [key]


def test_a_trial_that_failed_says_why(window: Window) -> None:
    choose(window, "shown", "all")
    assert len(listed(window)) == 50
    window.page.locator("#explorer-next").click()
    assert window.page.locator("#explorer-where-in-table").text_content() == "Rows 51 to 60 of 60"
    window.page.locator("#explorer-table tr[data-key='10'] button").click()
    assert "failed: the build timed out" in window.page.locator("#explorer-selected").text_content()
    choose(window, "shown", "complete")
    assert selected(window) == ["10"], "what is selected stays"


# files and links


def test_the_csv_has_what_is_shown(window: Window, study: StoredStudy, tmp_path: Path) -> None:
    window.page.locator(".condition").fill("latency_ms<=200")
    window.page.locator(".condition").press("Enter")
    with window.page.expect_download() as loading:
        window.page.locator("#explorer-csv").click()
    loading.value.save_as(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = sorted(filtered(complete(study), ["latency_ms<=200"]), key=lambda t: (-t.values["decoder_params"], t.id))
    assert [int(row["trial"]) for row in rows] == [trial.id for trial in expected]
    for row, trial in zip(rows, expected, strict=True):
        record = trial.record()
        assert {name: float(row[f"values.{name}"]) for name in trial.values} == trial.values
        assert {name: row[f"provenance.{name}"] for name in trial.values} == trial.provenance
        assert tuple(json.loads(row["interval.latency_ms"])) == trial.interval["latency_ms"]
        assert json.loads(row["predicted.latency_ms"] or "null") == record["predicted"].get("latency_ms")
        assert json.loads(row["architecture.n_head"]) == record["architecture"]["n_head"]
        assert row["architecture.family"] == "llama"
        assert row["feasible"] == str(trial.feasible).lower()


@pytest.mark.parametrize("form", ["svg", "png"])
def test_the_picture_is_saved(window: Window, tmp_path: Path, form: str) -> None:
    with window.page.expect_download() as loading:
        window.page.locator(f"#explorer-{form}").click()
    loading.value.save_as(tmp_path / f"front.{form}")
    assert loading.value.suggested_filename == f"lts-front.{form}"
    content = (tmp_path / f"front.{form}").read_bytes()
    if form == "svg":
        assert content.startswith(b"<svg")
        assert b"latency_ms" in content
        assert b"var(--" not in content
    else:
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        assert width > 1500
        assert height > 900


def test_a_link_opens_the_same_view_again(chromium: Chromium, window: Window, report: Path) -> None:
    choose(window, "x", "n_layer")
    choose(window, "color", "energy_mj")
    window.page.check("#explorer-xlog")
    window.page.uncheck("#explorer-lines")
    window.page.locator(".condition").fill("latency_ms<=250")
    window.page.locator(".condition").press("Enter")
    window.page.locator("#explorer-table th button").nth(2).click()
    for i in (1, 3):
        window.page.locator("#explorer-table tbody button").nth(i).click()
    fragment = "#" + window.page.url.split("#")[1]
    assert len(fragment) < 200
    with opened(chromium, report, fragment) as again:
        assert traces(again) == traces(window)
        assert listed(again) == listed(window)
        assert selected(again) == selected(window)
        assert again.page.locator(".condition").first.input_value() == "latency_ms<=250"
        assert again.page.url == window.page.url
        again.page.locator("#explorer-reset").click()
        assert "#" not in again.page.url


def test_what_is_zoomed_into_stays_and_is_in_the_link(chromium: Chromium, window: Window, report: Path) -> None:
    before = window.page.evaluate(RANGES)
    drag(window, (0.2, 0.2), (0.6, 0.7))
    window.page.wait_for_function("() => location.hash.includes('zoom=')")
    zoomed = window.page.evaluate(RANGES)
    assert before[0] < zoomed[0] < zoomed[1] < before[1]
    assert before[2] < zoomed[2] < zoomed[3] < before[3]
    window.page.locator("#explorer-table tbody button").first.click()
    assert window.page.evaluate(RANGES) == pytest.approx(zoomed)
    with opened(chromium, report, "#" + window.page.url.split("#")[1]) as again:
        assert again.page.evaluate(RANGES) == pytest.approx(zoomed)
    window.page.locator(CHART).scroll_into_view_if_needed()
    box = window.page.locator(f"{CHART} .nsewdrag").first.bounding_box()
    window.page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.8)
    window.page.wait_for_function("() => !location.hash.includes('zoom=')")
    after = window.page.evaluate(RANGES)
    assert after[0] < zoomed[0] < zoomed[1] < after[1]
    assert after[2] < zoomed[2] < zoomed[3] < after[3]


def test_pan_moves_what_is_shown(chromium: Chromium, report: Path) -> None:
    with opened(chromium, report) as window:
        page = window.page
        page.locator(CHART).hover()
        page.locator(f"{CHART} .modebar-btn[data-attr=dragmode][data-val=pan]").click()
        assert page.evaluate(f"() => document.querySelector('{CHART}')._fullLayout.dragmode") == "pan"
        assert "zoom" not in page.url, "a button that shows nothing else changes no address"
        before = page.evaluate(RANGES)
        drag(window, (0.5, 0.5), (0.7, 0.4))
        page.wait_for_function("() => location.hash.includes('zoom=')")
        after = page.evaluate(RANGES)
        width, height = before[1] - before[0], before[3] - before[2]
        assert [b - a for a, b in zip(before, after, strict=True)] == pytest.approx(
            [-0.2 * width, -0.2 * width, -0.1 * height, -0.1 * height], rel=0.1
        )


def test_a_button_shows_all_again(chromium: Chromium, report: Path) -> None:
    with opened(chromium, report) as window:
        before = window.page.evaluate(RANGES)
    inside = [before[0] + 0.2 * (before[1] - before[0]), before[1], before[2], before[3]]
    with opened(chromium, report, "#" + "&".join(f"zoom={end:.3f}" for end in inside)) as window:
        assert window.page.evaluate(RANGES) == pytest.approx(inside)
        window.page.locator(CHART).hover()
        assert window.page.locator(f"{CHART} .modebar-btn[data-val=reset]").count() == 0, "to what a link said"
        window.page.locator(f"{CHART} .modebar-btn[data-val=auto]").click()
        window.page.wait_for_function("() => !location.hash.includes('zoom=')")
        assert window.page.evaluate(RANGES) == pytest.approx(before)


HOSTILE = (
    "#zoom=1&zoom=2&zoom=NaN&zoom=Infinity",
    "#zoom=1&zoom=2",
    "#x=__proto__&y=constructor&color=<script>alert(1)</script>",
    "#selected=17<img src=x onerror=alert(1)>&selected=constructor&selected=-1&selected=1e1",
    "#where=<svg onload=alert(1)>&where=latency_ms&where=nothing<=1",
    "#__proto__=1&prototype=2&constructor=3&study=4&toString=5",
    "#page=-1&page=99999999999999999999&sort=toString&chart=evil&shown=__proto__",
    "#xlog=true&lines=2&axes=evil&axes=__proto__",
    "#" + "x=latency_ms&" * 5000,
    "#%E0%A4%A&%&=&&==&%00=%00",
    "#explorer-root",
)


@pytest.mark.parametrize("fragment", HOSTILE)
def test_a_hostile_link_changes_nothing(chromium: Chromium, window: Window, report: Path, fragment: str) -> None:
    with opened(chromium, report, fragment) as hostile:
        assert traces(hostile) == traces(window)
        assert listed(hostile) == listed(window)
        assert selected(hostile) == []
        assert hostile.page.locator("#explorer-refused").text_content() == ""
        assert hostile.page.evaluate("() => Object.keys(Object.prototype).length") == 0


# everywhere


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("chart", ["scatter", "parallel"])
def test_it_fits_and_can_be_read(
    chromium: Chromium, report: Path, study: StoredStudy, width: int, scheme: str, chart: str
) -> None:
    first, second = study.front.trials[0].id, study.front.trials[-1].id
    fragment = f"#chart={chart}&selected={first}&selected={second}&predicted=1"
    with opened(chromium, report, fragment, width=width, scheme=scheme) as window:
        assert layout_faults(window.page) == []
        assert contrast_faults(window.page) == []


def test_parallel_coordinates_follow_the_width(chromium: Chromium, report: Path) -> None:
    made = f"""() => {{ const {{ width, height, annotations }} = document.querySelector("{CHART}").layout;
        return [width, height, annotations.map(({{ text }}) => text)]; }}"""
    with opened(chromium, report, "#chart=parallel", width=360) as window:
        narrow = window.page.evaluate(made)
    with opened(chromium, report, "#chart=parallel", width=1280) as window:
        assert window.page.evaluate(made)[1] != narrow[1]
        window.page.set_viewport_size({"width": 360, "height": 800})
        window.page.wait_for_function(
            f"(width) => document.querySelector('{CHART}').layout.width === width", arg=narrow[0]
        )
        assert window.page.evaluate(made) == narrow
        assert layout_faults(window.page) == []


def test_a_report_in_a_hidden_frame_works_once_it_is_seen(chromium: Chromium, report: Path) -> None:
    outer = report.parent / "outer.html"
    outer.write_text(
        f'<html data-drawn><iframe src="{report.name}" style="width:1100px;height:900px;display:none"></iframe></html>',
        encoding="utf-8",
    )
    with chromium.opened(outer) as window:
        frame = window.page.frames[1]
        frame.wait_for_function("() => document.documentElement.dataset.drawn !== undefined")
        window.page.evaluate("() => { document.querySelector('iframe').style.display = 'block'; }")
        frame.wait_for_selector(f"{CHART} .point")
        frame.locator("#explorer-table tbody button").first.click()
        assert frame.locator("#explorer-selected article").count() == 1
        frame.locator(CHART).scroll_into_view_if_needed()
        box = frame.locator(f"{CHART} .nsewdrag").first.bounding_box()
        places = [(box["x"] + box["width"] * share, box["y"] + box["height"] * share) for share in (0.2, 0.7)]
        window.page.mouse.move(*places[0])
        window.page.mouse.down()
        window.page.mouse.move(*places[1], steps=5)
        window.page.mouse.up()
        frame.wait_for_function("() => location.hash.includes('zoom=')")
        assert "trials shown of" in frame.locator("#explorer-status").text_content()
        assert window.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_stand_out_from_the_card(chromium: Chromium, report: Path, scheme: str) -> None:
    with opened(chromium, report, scheme=scheme) as window:
        names = ["grey", "accent", "warn", "first", "second", *(f"scale-{i}" for i in range(5))]
        card, *marks = window.page.evaluate(
            "(names) => ['card', ...names].map((name) => lts.colored(`var(--${name})`))", names
        )
        ratios = {name: contrast(rgb(mark), rgb(card)) for name, mark in zip(names, marks, strict=True)}
        assert {name: ratio for name, ratio in ratios.items() if ratio < 3} == {}


def test_a_change_of_scheme_is_followed(window: Window) -> None:
    stroke = f"() => getComputedStyle(document.querySelector('{CHART} .xtitle')).fill"
    before = window.page.evaluate(stroke)
    window.page.emulate_media(color_scheme="dark")
    window.page.wait_for_function(f"(before) => ({stroke})() !== before", arg=before)
    window.page.emulate_media(color_scheme="light")


def test_nothing_of_a_study_becomes_markup(chromium: Chromium, tmp_path: Path) -> None:
    trials = trials_of(20)
    names = ["__proto__", "constructor", "=cmd|'/c'!A0", "a&lt;b", "toString"]
    for i, trial in enumerate(trials):
        if trial.state == "complete":
            values = {**trial.values, **{name: float(i * (k + 1) % 7) for k, name in enumerate(names)}}
            provenance = {**trial.provenance, **dict.fromkeys(names, "given")}
            trials[i] = replace(trial, values=values, provenance=provenance, warnings=[NASTY], origin=NASTY)
    trials[10] = replace(trials[10], error=NASTY)
    store = store_of(
        tmp_path / "study.db",
        trials,
        objectives=["decoder_params:max", "__proto__:min", "toString:min"],
        constraints=[],
        with_baseline=False,
    )
    write_report(store, tmp_path / "report.html")
    with opened(
        chromium, tmp_path / "report.html", "#x=__proto__&y=constructor&selected=10&selected=1&shown=all"
    ) as window:
        assert window.page.evaluate("() => document.querySelectorAll('#explorer img, #explorer script').length") == 0
        assert NASTY in window.page.locator("#explorer-selected").text_content()
        assert sorted(key for key in drawn(window)) == sorted(str(t.id) for t in trials if t.state == "complete")
        with window.page.expect_download() as loading:
            window.page.locator("#explorer-csv").click()
        loading.value.save_as(tmp_path / "trials.csv")
        with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert next(row for row in rows if row["trial"] == "10")["error"] == NASTY
        assert {f"values.{name}" for name in names} <= set(rows[0])


@pytest.mark.slow
def test_ten_thousand_trials_are_all_in_the_table_and_the_csv(chromium: Chromium, tmp_path: Path) -> None:
    architectures = SPACE.sample(10_000, seed=2, method="choices")
    trials = [trial_of(key, each) for key, each in enumerate(architectures)]
    store = store_of(tmp_path / "study.db", trials, surrogate="none")
    write_report(store, tmp_path / "report.html")
    with opened(chromium, tmp_path / "report.html") as window:
        assert sum(len(trace["keys"]) for trace in traces(window).values()) <= 3000
        status = window.page.locator("#explorer-status").text_content()
        assert "10\u202f000 trials shown of 10\u202f000." in status
        assert "of 10\u202f000 trials; the table and the CSV have all." in status
        assert window.page.locator("#explorer-where-in-table").text_content().endswith("of 10\u202f000")
        rows = """() => {
            const { explorer } = lts.data;
            return Downloads.csv(new Members.Study(explorer), explorer.trials.id).split("\\n").length; }"""
        assert window.page.evaluate(rows) == 10_002, "a heading, all trials, and the end of the last line"
