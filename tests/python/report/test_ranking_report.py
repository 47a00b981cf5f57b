"""The page about how proxies rank a table, and what `proxy evaluate` does with tables that are wrong."""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from browser import Chromium
from pages import NASTY, Page, asks_for_nothing, known_to_plotly

import lts
from lts._core import parse_objective
from lts.errors import UsageError
from lts.proxies.ranking import rank
from lts.report.ranking import Comparison, write_ranking
from lts.system.text import time_each

pytest.importorskip("plotly")

COMMAND = Path(sys.executable).with_name("lts-engine")
SPACE = lts.SearchSpace.load("gpt2-small")
CLOSED_FORMS = ("decoder_params", "total_params", "attention_params", "ffn_params", "geometric", "zerolm")


def comparison_of(n: int, proxies: Sequence[str] = CLOSED_FORMS, **changed: Any) -> Comparison:
    """Quality that grows with size but for a wobble, so that the proxies differ."""
    architectures = SPACE.sample(n, 0, method="choices")
    sizes = [math.log(lts.decoder_params(a)) for a in architectures]
    loss = [20 / size + 0.02 * ((7 * i) % 11) for i, size in enumerate(sizes)]
    costs = [float(lts.total_params(a)) * (1 + 0.1 * (i % 3)) for i, a in enumerate(architectures)]
    if changed.pop("without_cost", False):
        costs = []
    truth = [-value for value in loss]
    rankings = [rank(architectures, truth, proxy, cost=costs or None, bootstrap=20) for proxy in proxies]
    options: dict[str, Any] = {
        "table": Path("runs.csv"),
        "goal": parse_objective("loss:min"),
        "architectures": architectures,
        "quality": loss,
        "rankings": rankings,
        "cost": "latency_ms" if costs else None,
        "costs": costs or None,
    }
    return Comparison(**options | changed)


def text_of(comparison: Comparison, folder: Path) -> str:
    out = folder / "page.html"
    write_ranking(comparison, out)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return comparison_of(60, left_out=3)


@pytest.fixture(scope="module")
def text(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> str:
    return text_of(comparison, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


# --- Content ---


def test_the_heading_says_what_was_compared(page: Page) -> None:
    for phrase in (
        "Proxies on runs.csv",
        "quality: loss, less is better, from the table",
        "cost: latency_ms, less is better, from the table",
        "proxies: computed, no training",
        "60\narchitectures",
        "3\nrows left out",
        "6\nproxies",
    ):
        assert phrase in page.visible, phrase


def test_the_table_has_every_proxy_by_spearman(page: Page, comparison: Comparison) -> None:
    rows = re.findall(rf"^({'|'.join(CLOSED_FORMS)})\n([\d.]+)\n", page.visible, re.MULTILINE)
    by_name = {ranking.proxy: ranking for ranking in comparison.rankings}
    assert {name for name, _ in rows} == set(CLOSED_FORMS)
    values = [by_name[name].agreements[0].spearman for name, _ in rows]
    assert values == sorted(values, reverse=True)
    assert [text for _, text in rows] == [f"{value:.3f}" for value in values]
    for heading in ("Spearman", "Kendall tau-b", "best 50 %", "best 20 %", "best 10 %", "tied", "time", "front"):
        assert f"\n{heading}\n" in page.visible, heading
    for ranking in comparison.rankings:
        for agreement in ranking.agreements:
            low, high = agreement.spearman_interval
            assert f"{agreement.spearman:.3f}\n{low:.3f} to {high:.3f}" in page.visible
        assert f"{ranking.front_ratio:.3f}" in page.visible


def test_the_forest_has_every_share(page: Page, comparison: Comparison) -> None:
    figure = page.figures["forest"]
    names = [ranking.proxy for ranking in comparison.best_first]
    assert figure["layout"]["yaxis"]["ticktext"] == names
    shown = ("over all", "best 50 %", "best 20 %", "best 10 %")
    assert len({page.trace("forest", name)["marker"]["symbol"] for name in shown}) == 4
    for k, name in enumerate(shown):
        dots = page.trace("forest", name)
        assert dots["x"] == [ranking.agreements[k].spearman for ranking in comparison.best_first]
        assert [round(y) for y in dots["y"]] == list(range(len(names)))
        lines = next(t for t in figure["data"] if t["mode"] == "lines" and t["name"] == name)
        ends = [
            bound for ranking in comparison.best_first for bound in (*ranking.agreements[k].spearman_interval, None)
        ]
        assert lines["x"] == ends
    assert f"{names[0]}, over all (60): " in page.trace("forest", "over all")["hovertext"][0]


def test_scatters_are_of_the_best_four_and_decoder_params(page: Page, comparison: Comparison, tmp_path: Path) -> None:
    best = comparison.best_first[:4]
    always = [r for r in comparison.best_first[4:] if r.proxy == "decoder_params"]
    chosen = best + always
    expected = {f"{kind}-{i}" for i in range(len(chosen)) for kind in ("scores", "fronts")}
    assert set(page.figures) == {"forest", *expected}
    for i, ranking in enumerate(chosen):
        (points,) = page.figures[f"scores-{i}"]["data"]
        pairs = zip(ranking.scores, comparison.quality, strict=True)
        assert sorted(zip(points["x"], points["y"], strict=True)) == sorted(pairs)
        assert page.figures[f"scores-{i}"]["layout"]["xaxis"]["title"]["text"].startswith(f"{ranking.proxy}<br>")
    hover = page.figures["scores-0"]["data"][0]["hovertext"][0]
    assert re.search(r"^score .*<br>loss .*<br>latency_ms .*<br>gpt2, \d+ layers, d_model \d+<br>n_head .*d_ff", hover)
    # decoder_params last of all: shown beyond the four.
    rankings = sorted(comparison.rankings, key=lambda r: r.proxy == "decoder_params")
    unlike = [1.0 * i for i in range(60)]
    worst = rank(comparison.architectures, [-v for v in unlike], "decoder_params", bootstrap=0)
    other = Comparison(**vars_of(comparison) | {"rankings": [*rankings[:-1], worst]})
    again = Page(text_of(other, tmp_path))
    assert "scores-4" in again.figures
    assert "The 4 proxies with the highest Spearman over all, and decoder_params." in again.visible


def vars_of(comparison: Comparison) -> dict[str, Any]:
    return {name: getattr(comparison, name) for name in Comparison.__dataclass_fields__}


def test_fronts_are_those_of_quality_and_of_the_proxy(page: Page, comparison: Comparison) -> None:
    costs = comparison.costs or []

    def front(worse: Sequence[float]) -> set[tuple[float, float]]:
        points = list(zip(worse, costs, strict=True))
        return {
            (costs[i], comparison.quality[i])
            for i, (a, c) in enumerate(points)
            if not any(x <= a and y <= c and (x, y) != (a, c) for x, y in points)
        }

    for i, ranking in enumerate(comparison.best_first[:4]):
        true, chosen = page.trace(f"fronts-{i}", "true front"), page.trace(f"fronts-{i}", "chosen by")
        assert set(zip(true["x"], true["y"], strict=True)) == front(comparison.quality)
        assert set(zip(chosen["x"], chosen["y"], strict=True)) == front([-score for score in ranking.scores])
        assert true["x"] == sorted(true["x"])
        assert chosen["name"] == f"chosen by {ranking.proxy} ({len(chosen['x'])})"


def test_more_is_better(tmp_path: Path) -> None:
    comparison = comparison_of(30, ["decoder_params"])
    up = [-value for value in comparison.quality]
    turned = Comparison(**vars_of(comparison) | {"goal": parse_objective("score:max"), "quality": up})
    assert turned.true_front == comparison.true_front
    page = Page(text_of(turned, tmp_path))
    assert "quality: score, more is better, from the table" in page.visible
    assert "from the table; more is better" in page.figures["scores-0"]["layout"]["yaxis"]["title"]["text"]


def test_without_a_cost_there_are_no_fronts(tmp_path: Path) -> None:
    page = Page(text_of(comparison_of(30, ["zerolm"], without_cost=True), tmp_path))
    assert set(page.figures) == {"forest", "scores-0"}
    assert "front" not in page.visible.lower()


def test_a_large_table_is_sampled_evenly(tmp_path: Path) -> None:
    comparison = comparison_of(3000, ["decoder_params"], unread=1200)
    page = Page(text_of(comparison, tmp_path))
    assert "Drawn are 2\u202f000 of 3\u202f000 architectures, an even sample by rank of quality" in page.visible
    assert "1\u202f200\nfurther rows not considered" in page.visible
    (points,) = page.figures["scores-0"]["data"]
    assert len(points["x"]) == len(set(comparison.drawn)) == 2000
    assert min(points["y"]) == min(comparison.quality)
    assert max(points["y"]) == max(comparison.quality)
    true = page.trace("fronts-0", "true front")
    assert len(true["x"]) == len(comparison.true_front)


def test_times_have_a_unit_that_fits() -> None:
    times = [time_each(s) for s in (3.14e-6, 8.2e-4, 9.998e-4, 0.0042, 0.42, 4.2, 75)]
    assert times == ["3.14 µs", "820 µs", "1 ms", "4.2 ms", "420 ms", "4.2 s", "1 min 15 s"]


def test_what_is_not_known_is_left_open(tmp_path: Path) -> None:
    """Equal scores have no correlation; no resamples give no interval; a front without extent no ratio."""
    architectures = SPACE.sample(1, 0, method="choices") * 12
    quality = [float(i) for i in range(12)]
    rankings = [rank(architectures, quality, proxy, cost=[1.0] * 12, bootstrap=0) for proxy in ("zerolm", "geometric")]
    changed = {"architectures": architectures, "quality": quality, "rankings": rankings, "costs": [1.0] * 12}
    page = Page(text_of(Comparison(**vars_of(comparison_of(12)) | changed), tmp_path))
    assert "forest" not in page.figures
    assert "nan" not in page.visible.lower()
    assert {"-Infinity"} <= {attributes.get("data-value") for _, attributes in page.elements}
    plain = Page(text_of(comparison_of(12, ["zerolm"], rankings=comparison_rankings(12, bootstrap=0)), tmp_path))
    assert plain.trace("forest", "over all")["x"]


def comparison_rankings(n: int, bootstrap: int) -> list[Any]:
    comparison = comparison_of(n, ["zerolm"])
    truth = [-value for value in comparison.quality]
    return [rank(comparison.architectures, truth, "zerolm", cost=comparison.costs, bootstrap=bootstrap)]


def test_figures_are_what_plotly_knows(page: Page) -> None:
    known_to_plotly(page)


# --- Offline, and safe ---


def test_nothing_is_fetched(text: str, page: Page) -> None:
    asks_for_nothing(text, page)


def test_names_of_files_and_columns_are_escaped(tmp_path: Path) -> None:
    goal = parse_objective("a&lt;\"'b:min")
    nasty = comparison_of(20, table=Path(NASTY.replace("/", "∕")), goal=goal, cost=NASTY)
    text = text_of(nasty, tmp_path)
    assert "<script>alert" not in text
    page = Page(text)
    assert text.count("<script") == len(page.scripts) + len(page.data)
    assert NASTY in page.visible
    assert "a&lt;\"'b" in page.visible
    assert not any("x" in attributes for _, attributes in page.elements)
    shown = json.dumps(page.figures)
    assert "alert(1)" in shown
    assert "<script" not in shown
    assert "<b x" not in shown


def test_importing_does_not_import_plotly() -> None:
    code = "import sys, lts.report.ranking; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- The command ---


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "proxy", "evaluate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def table_of(path: Path, header: Sequence[str], row: Callable[[int, float], Sequence[object]], n: int = 12) -> Path:
    """A table of architectures and what `row` makes of their number and a loss."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", *header])
        for i, architecture in enumerate(SPACE.sample(n, 0, method="choices")):
            writer.writerow([architecture.to_json(), *row(i, 20 / math.log(lts.decoder_params(architecture)))])
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return table_of(tmp_path / "mine.csv", ["loss", "ms"], lambda i, loss: ["nan" if i == 3 else loss, i + 1], 30)


def test_the_command_writes_the_page_and_the_results(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    result = run(
        table, "--quality", "loss:min", "--cost", "ms", "--bootstrap", "20", "--rows", "20", "--html", out, "-o", "json"
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)
    assert result.stderr.splitlines()[-1] == f"report: {out}"
    page = Page(out.read_text(encoding="utf-8"))
    assert "19\narchitectures" in page.visible
    assert "1\nrows left out" in page.visible
    assert "10\nfurther rows not considered" in page.visible
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "page.html"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (lambda folder: folder, "Is a directory"),
        (lambda folder: folder / "none" / "page.html", "No such file or directory"),
        (lambda folder: folder / "mine.csv" / "page.html", "Not a directory"),
    ],
)
def test_results_outlive_a_page_that_cannot_be_written(
    table: Path, tmp_path: Path, place: Callable[[Path], Path], reason: str
) -> None:
    result = run(
        table, "--quality", "loss:min", "--proxy", "zerolm", "--bootstrap", "0", "--html", place(tmp_path), "-o", "json"
    )
    assert result.returncode == 2
    assert json.loads(result.stdout)[0]["proxy"] == "zerolm"
    assert re.search(f"^error: cannot write the report .*: {reason}$", result.stderr, re.MULTILINE)
    assert "report: " not in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


def test_the_page_outlives_a_reader_that_has_gone(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    command = f"'{COMMAND}' proxy evaluate '{table}' --quality loss:min --bootstrap 0 --html '{out}' | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in result.stderr
    assert out.stat().st_size > 1e6


def test_the_table_is_not_overwritten(table: Path, tmp_path: Path) -> None:
    before = table.read_bytes()
    link = tmp_path / "link.html"
    link.symlink_to(table)
    for out in (table, link):
        result = run(table, "--quality", "loss:min", "--html", out)
        assert result.returncode == 2
        assert "is the table itself" in result.stderr
    assert table.read_bytes() == before


def test_without_plotly_nothing_is_computed(table: Path, tmp_path: Path) -> None:
    arguments = ["proxy", "evaluate", str(table), "--quality", "loss:min", "--html", str(tmp_path / "page.html")]
    code = f"import sys; sys.modules['plotly'] = None; sys.argv[1:] = {arguments!r}\n"
    code += "from lts.cli import main; sys.exit(main())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "the report needs plotly: pip install 'lts-engine[report]'" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "page.html").exists()


# --- Tables that are wrong ---


def wrong(*arguments: str | Path) -> str:
    """The one sentence that the command ends with."""
    result = run(*arguments, "--proxy", "zerolm", "--bootstrap", "5")
    assert result.returncode == 2, result.stdout
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result.stderr.splitlines()[-1]


def test_rows_without_finite_numbers_are_left_out(tmp_path: Path) -> None:
    def row(i: int, loss: float) -> list[object]:
        return [{1: "nan", 2: "inf", 3: "", 4: "none"}.get(i, loss), {5: "-inf", 6: ""}.get(i, i)]

    path = table_of(tmp_path / "holes.csv", ["loss", "ms"], row)
    arguments = (path, "--quality", "loss:min", "--proxy", "zerolm", "--bootstrap", "5", "-o", "json")
    for cost, n in ((("--cost", "ms"), 6), ((), 8)):
        result = run(*arguments, *cost)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)[0]["n"] == n
        assert re.search(rf"\b{12 - n} rows without a number", result.stderr)


def test_too_few_rows_and_constant_columns(tmp_path: Path) -> None:
    path = table_of(
        tmp_path / "few.csv",
        ["loss", "ms", "same", "words", "empty"],
        lambda i, loss: [loss if i % 2 else "", "" if i % 2 else i, 1, "x", ""],
    )
    assert "0 architectures with a quality" in wrong(path, "--quality", "loss:min", "--cost", "ms")
    assert "not the same for all architectures" in wrong(path, "--quality", "same:max")
    for name, sentence in (
        ("words", "has no numbers in its column 'words'"),
        ("empty", "has no numbers in its column 'empty'"),
        ("absent", "has no column 'absent'; expected one of loss, ms, same"),
    ):
        assert sentence in wrong(path, "--quality", f"{name}:max")
        assert sentence in wrong(path, "--quality", "loss:min", "--cost", name)


def test_a_constant_cost_has_no_front(tmp_path: Path) -> None:
    path = table_of(tmp_path / "same.csv", ["loss", "ms"], lambda i, loss: [loss, 1])
    arguments = (path, "--quality", "loss:min", "--cost", "ms", "--proxy", "zerolm", "--bootstrap", "5")
    result = run(*arguments, "-o", "json", "--html", tmp_path / "page.html")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)[0]["front_ratio"] is None
    assert "nan" not in run(*arguments).stdout


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    good = table_of(tmp_path / "good.csv", ["loss"], lambda i, loss: [loss])
    for name, content, sentence in (
        ("empty.csv", b"", "has no architectures"),
        ("header.csv", b"architecture,loss\n", "has no rows"),
        ("binary.csv", bytes(range(256)), "is no CSV file"),
        ("zeros.csv", bytes(1000), "has no architectures"),
        ("cut.csv.gz", gzip.compress(good.read_bytes())[:100], "is no gzip file: it ends too early"),
        ("wide.csv", b"architecture,loss\n" + b"x" * 200_000 + b",1\n", "is no CSV file: field larger than"),
        ("return.csv", b"architecture,loss\na\rb,1\n", "line"),
        ("other.csv", b"name,loss\na,1\n", "has no architectures: expected a column 'architecture'"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        message = wrong(path, "--quality", "loss:min")
        assert sentence in message, message
        assert message.startswith("error: ")
    assert "No such file or directory" in wrong(tmp_path / "absent.csv", "--quality", "loss:min")
    assert "Is a directory" in wrong(tmp_path, "--quality", "loss:min")


def test_columns_families_and_proxies_that_are_not_known(tmp_path: Path) -> None:
    twice = table_of(tmp_path / "twice.csv", ["loss", "loss"], lambda i, loss: [loss, loss])
    assert "has more than one column 'loss'" in wrong(twice, "--quality", "loss:min")
    logs = tmp_path / "logs.csv"
    logs.write_text("d_inner,n_token,loss\n1,2,3\n")
    assert "--family" in wrong(logs, "--quality", "loss:min")
    assert "unknown family 'bert'; expected one of gpt2" in wrong(logs, "--quality", "loss:min", "--family", "bert")
    assert "no column 'tgt_len'" in wrong(logs, "--quality", "loss:min", "--family", "gpt2")
    assert "--quality: " in wrong(twice, "--quality", "loss")
    assert "unknown proxy 'magic'" in wrong(twice, "--quality", "loss:min", "--proxy", "magic")


def test_an_unwritable_page_is_a_usage_error(comparison: Comparison, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the report"):
        write_ranking(comparison, tmp_path / "none" / "page.html")


# --- Published tables, in a browser ---


def test_a_published_table(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    path = published / "pareto_gpt2_lm1b_arm.csv"
    result = run(
        path, "--family", "gpt2", "--quality", "valid_ppl:min", "--cost", "latency", "--bootstrap", "20", "--html", out
    )
    assert result.returncode == 0, result.stderr
    page = Page(out.read_text(encoding="utf-8"))
    assert "45\narchitectures" in page.visible
    assert len(page.figures["scores-0"]["data"][0]["x"]) == 45
    assert out.stat().st_size < 8e6


def test_a_browser_draws_the_charts(chromium: Chromium, text: str, page: Page, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text(text, encoding="utf-8")
    with chromium.opened(out) as window:
        assert window.page.locator(".svg-container").count() == len(page.figures)
        shown = sum(len(t["x"]) for f in page.figures.values() for t in f["data"] if "markers" in t["mode"])
        assert window.page.locator(".point").count() == shown
        assert (window.errors, window.requests) == ([], [])
