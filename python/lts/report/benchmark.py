"""Algorithms compared on a table, as one HTML file."""

from __future__ import annotations

from pathlib import Path

from lts.benchmarks.summary import SIGNIFICANT, Summary
from lts.report import _plotly_js, _write
from lts.report.benchmark_charts import anytime_chart, attainment_chart
from lts.report.elements import breakable, escaped, table, tiles
from lts.report.frame import Figures, html_page
from lts.system.text import grouped, number

__all__ = ["write_benchmark"]

_MEANING = (
    "Hypervolume is that between a front and the reference point, as a share of that of the reference front; IGD+ is "
    "the mean distance by which the best points found are worse than the reference front, with every objective scaled "
    "to that front's extent. Lines and numbers are medians over the seeds, bands and small print quartiles."
)
_TEST = (
    "All pairs after {} evaluations, paired by seed: exact signed-rank tests of Wilcoxon with Holm's correction for {} "
    "pairs, at a level of {:.0%}. The effect is the matched-pairs rank-biserial correlation: 1 where the first is "
    "better with every seed. That no difference is shown does not mean that there is none."
)
_ATTAINED = (
    "A surface is what at least so many runs attain: between the dotted and the dashed line lie the fronts of most "
    "runs."
)


def write_benchmark(summary: Summary, out: Path) -> None:
    """Write the page; the file appears at once and whole.

    Raises
    ------
    UsageError
        When the file cannot be written, or plotly is not installed.
    """
    _write(Path(out), document(summary, _plotly_js()))


def document(summary: Summary, plotly_js: str) -> str:
    """The whole page."""
    figures = Figures()
    body = _heading(summary) + _anytime(summary, figures) + _differences(summary) + _attained(summary, figures)
    return html_page(f"Algorithms on {summary.problem.name}", body, figures, plotly_js, Path(summary.problem.name))


def _heading(summary: Summary) -> str:
    problem = summary.problem
    numbers = [
        ("algorithms", number(len(summary.algorithms))),
        ("seeds", number(len(summary.seeds))),
        ("evaluations each", number(summary.budget)),
        ("on the reference front", number(len(summary.front))),
    ]
    objectives = " · ".join(map(str, problem.objectives))
    about = problem.about[:1].upper() + problem.about[1:]
    return (
        f'<h1>{escaped(f"Algorithms on {problem.name}")}</h1><p class="muted">{escaped(objectives)}</p>'
        f"{tiles(numbers)}<p>{escaped(about)}.</p>"
    )


def _anytime(summary: Summary, figures: Figures) -> str:
    label = "Share of the hypervolume over the number of evaluations, by algorithm"
    chart = figures.place("anytime", anytime_chart(summary), label)
    head = ["algorithm", *(f"{escaped(grouped(n))}<small>hypervolume, IGD+</small>" for n in summary.checkpoints)]
    known = {(each.algorithm, each.evaluations): each for each in summary.standings}
    order = [each.algorithm for each in summary.standings if each.evaluations == summary.budget]
    rows = []
    for name in order:
        cells = []
        for n in summary.checkpoints:
            each = known[name, n]
            cells.append(
                f'<td class="n">{each.median:.4f}<small> {each.low:.4f} to {each.high:.4f}</small>'
                f"<br>{each.igd_plus:.4f}</td>"
            )
        rows.append(f"<td>{breakable(name)}</td>{''.join(cells)}")
    grid = table(head, rows, right=range(1, len(head)), pinned=True)
    return f"<h2>How fast they find the front</h2><p>{escaped(_MEANING)}</p>{chart}{grid}"


def _differences(summary: Summary) -> str:
    found = summary.differences
    if not found:
        return ""
    rows = []
    for each in found:
        verdict = "differ" if each.differ else "no difference shown"
        numbers = (f"{each.p:.2g}", f"{each.effect:+.2f}", f"{each.gain:+.4f}")
        cells = "".join(f'<td class="n">{escaped(value)}</td>' for value in numbers)
        rows.append(f"<td>{breakable(each.one)}</td><td>{breakable(each.other)}</td><td>{verdict}</td>{cells}")
    head = ["first", "second", "verdict", "p", "effect", "median difference"]
    note = f'<p class="warn">{escaped(summary.too_few)}.</p>' if summary.too_few else ""
    meaning = _TEST.format(grouped(summary.budget), len(found), SIGNIFICANT)
    return f"<h2>Which differ</h2><p>{escaped(meaning)}</p>{note}{table(head, rows, right=range(3, 6))}"


def _attained(summary: Summary, figures: Figures) -> str:
    if len(summary.problem.objectives) != 2:
        return ""
    charts = []
    for place, name in enumerate(summary.algorithms):
        label = f"What one, half and all of the runs of {name} attain, with the reference front"
        chart = figures.place(f"attained-{place}", attainment_chart(summary, name), label)
        charts.append(f"<div><h3>{escaped(name)}</h3>{chart}</div>")
    return f"<h2>What they attain</h2><p>{escaped(_ATTAINED)}</p><div class='charts'>{''.join(charts)}</div>"
