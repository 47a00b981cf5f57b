"""How well proxies rank the architectures of a table, as one HTML file."""

from __future__ import annotations

import math
from pathlib import Path

from lts.report import _plotly_js, _write
from lts.report.elements import breakable, escaped, table, tiles
from lts.report.frame import Figures, html_page
from lts.report.ranking_charts import (
    Comparison,
    better,
    cost_chart,
    forest_chart,
    interval,
    or_least,
    over,
    score_chart,
)
from lts.system.text import number, time_each

__all__ = ["Comparison", "require_plotly", "write_ranking"]

_MOST_SCATTERS = 4
_ALWAYS = "decoder_params"
_MEANING = (
    "A correlation of 1 is the order of quality itself, 0 no relation to it; in small print are 95 % intervals from "
    "bootstrap resampling of these architectures. Correlations over the best are usually lower: there quality may "
    "differ by less than the seed of a training run, so that a proxy finds the region of the best and not the best one "
    "in it. Architectures that share a score are not ordered at all: Kendall's tau-b corrects for such ties, Spearman "
    "hides them."
)
_FRONT = " The front ratio is the hypervolume of the front that the proxy chooses, over that of the true front."


def require_plotly() -> None:
    """Raise `UsageError` where plotly is not installed: better before a long computation than after it."""
    _plotly_js()


def write_ranking(comparison: Comparison, out: Path) -> None:
    """Write the page; the file appears at once and whole.

    Raises
    ------
    UsageError
        When the file cannot be written, or plotly is not installed.
    """
    _write(Path(out), document(comparison, _plotly_js()))


def document(comparison: Comparison, plotly_js: str) -> str:
    """The whole page."""
    figures = Figures()
    body = _heading(comparison) + _summary(comparison) + _forest(comparison, figures) + _scatters(comparison, figures)
    return html_page(comparison.title, body, figures, plotly_js, comparison.table)


def _heading(comparison: Comparison) -> str:
    goal = comparison.goal
    facts = [f"quality: {goal.name}, {better(goal.direction)}, from the table"]
    if comparison.cost is not None:
        facts.append(f"cost: {comparison.cost}, {better('min')}, from the table")
    facts.append("proxies: computed, no training")
    numbers = [
        ("architectures", number(len(comparison.architectures))),
        ("rows left out, without a number", number(comparison.left_out)),
        ("proxies", number(len(comparison.rankings))),
    ]
    if comparison.unread:
        numbers.insert(2, ("further rows not considered", number(comparison.unread)))
    return f'<h1>{escaped(comparison.title)}</h1><p class="muted">{escaped(" · ".join(facts))}</p>{tiles(numbers)}'


def _summary(comparison: Comparison) -> str:
    """The table of proxies, and what its numbers mean."""
    over_all, *best = comparison.rankings[0].agreements
    columns = [("Spearman", over(over_all)), ("Kendall tau-b", over(over_all))]
    columns += [(over(each), f"Spearman of {number(each.n)}") for each in best]
    columns += [("tied", "same score"), ("time", "each")]
    if comparison.costs is not None:
        columns.append(("front", "ratio"))
    rows = []
    for ranking in comparison.best_first:
        whole, *rest = ranking.agreements
        cells = [_cell(whole.spearman, whole.spearman_interval), _cell(whole.kendall, whole.kendall_interval)]
        cells += [_cell(each.spearman, each.spearman_interval) for each in rest]
        cells += [_sortable(ranking.ties, number(ranking.ties)), _sortable(ranking.seconds, time_each(ranking.seconds))]
        if ranking.front_ratio is not None:
            cells.append(_cell(ranking.front_ratio))
        rows.append(f"<td>{breakable(ranking.proxy)}</td>{''.join(cells)}")
    head = ["proxy"] + [f"<button>{name}</button><small>{escaped(note)}</small>" for name, note in columns]
    return f"<h2>How well they rank</h2><p>{_MEANING}{_FRONT if comparison.costs is not None else ''}</p>" + (
        f'{table(head, rows, right=range(1, len(head)), pinned=True)}<p class="muted">A heading sorts the table.</p>'
    )


def _forest(comparison: Comparison, figures: Figures) -> str:
    figure = forest_chart(comparison)
    if figure is None:
        return ""
    chart = figures.place("forest", figure, "Spearman correlation by proxy, with intervals")
    return f"<h2>Over all and over the best</h2><p>Spearman with its 95 % interval, from bootstrap.</p>{chart}"


def _scatters(comparison: Comparison, figures: Figures) -> str:
    """Quality over score, and over cost with the fronts, for some of the proxies."""
    ranked = comparison.best_first
    chosen = ranked[:_MOST_SCATTERS]
    chosen += [ranking for ranking in ranked[_MOST_SCATTERS:] if ranking.proxy == _ALWAYS]
    notes = []
    if len(chosen) < len(ranked):
        kept = f", and {_ALWAYS}" if len(chosen) > _MOST_SCATTERS else ""
        notes.append(f"The {_MOST_SCATTERS} proxies with the highest Spearman over all{kept}.")
    total, drawn = len(comparison.architectures), len(comparison.drawn)
    if drawn < total:
        notes.append(
            f"Drawn are {number(drawn)} of {number(total)} architectures, an even sample by rank of quality; "
            "fronts and numbers are of all."
        )
    if comparison.costs is not None:
        notes.append("The front that a proxy chooses has the best scores for the cost; ideally it is the true one.")
    parts = ["<h2>Architecture by architecture</h2>", *(f"<p>{escaped(note)}</p>" for note in notes)]
    for i, ranking in enumerate(chosen):
        name = comparison.goal.name
        label = f"Scatter of {name} over {ranking.proxy}"
        charts = figures.place(f"scores-{i}", score_chart(comparison, ranking), label)
        if comparison.costs is not None:
            label = f"Scatter of {name} over {comparison.cost}, the true front and that of {ranking.proxy}"
            charts += figures.place(f"fronts-{i}", cost_chart(comparison, ranking), label)
        parts.append(f'<h3>{escaped(ranking.proxy)}</h3><div class="charts">{charts}</div>')
    return "".join(parts)


def _cell(value: float, bounds: tuple[float, float] = (math.nan, math.nan)) -> str:
    within = interval(bounds)
    small = f"<small>{within}</small>" if within else ""
    return _sortable(or_least(value), f"{value:.3f}" if math.isfinite(value) else "", small)


def _sortable(value: float, text: str, small: str = "") -> str:
    # JavaScript reads Infinity, not inf.
    shown = "-Infinity" if value == -math.inf else repr(value)
    return f'<td class="n" data-value="{shown}">{escaped(text)}{small}</td>'
