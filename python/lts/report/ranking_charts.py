"""The data of a comparison of proxies on the architectures of a table, and its figures as the JSON of plotly.js."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lts._core import Architecture, Objective, nondominated
from lts.proxies.ranking import Agreement, Ranking
from lts.report.charts import Figure, axis, layout, plain, titled, wrapped
from lts.system.text import number

_MOST_POINTS = 2000
# Markers of the shares of the best, distinguishable without color, too.
_MARKERS = (
    ("circle", "var(--accent)"),
    ("square", "var(--warn)"),
    ("diamond", "var(--muted)"),
    ("cross", "var(--ink)"),
)
_STEP = 0.17  # between the shares of a proxy, in rows of the forest plot


@dataclass(frozen=True)
class Comparison:
    """Architectures with their quality and cost as the table has them, and how proxies rank them.

    `left_out` counts rows without a finite number, `unread` those after the last one that was asked for.
    """

    table: Path
    goal: Objective
    architectures: Sequence[Architecture]
    quality: Sequence[float]
    rankings: Sequence[Ranking]
    cost: str | None = None
    costs: Sequence[float] | None = None
    left_out: int = 0
    unread: int = 0

    @property
    def title(self) -> str:
        """Title of the page."""
        return f"Proxies on {self.table.name}"

    @cached_property
    def best_first(self) -> list[Ranking]:
        """Rankings by Spearman over all; those without one last."""
        return sorted(self.rankings, key=lambda ranking: or_least(ranking.agreements[0].spearman), reverse=True)

    @cached_property
    def drawn(self) -> list[int]:
        """The architectures that scatters show: all, or an even sample of them by rank of quality."""
        order = np.argsort(self.quality, kind="stable")
        if len(order) > _MOST_POINTS:
            order = order[np.linspace(0, len(order) - 1, _MOST_POINTS).round().astype(int)]
        return [int(i) for i in order]

    def front(self, scores: Sequence[float]) -> list[int]:
        """The architectures that nothing dominates in a score and the cost, the cheapest first."""
        costs = np.asarray(self.costs, dtype=np.float64)
        found = nondominated(np.column_stack([-np.asarray(scores, dtype=np.float64), costs]))
        return sorted((int(i) for i in found), key=lambda i: costs[i])

    @cached_property
    def true_front(self) -> list[int]:
        """The front of quality and cost."""
        return self.front([-q for q in self.quality] if self.goal.direction == "min" else self.quality)

    def about(self, i: int, score: float) -> str:
        """Hover text about an architecture, in plotly's markup."""
        values = [f"score {number(score)}", f"{self.goal.name} {number(self.quality[i])}"]
        if self.costs is not None:
            values.append(f"{self.cost} {number(self.costs[i])}")
        return "<br>".join(plain(line) for line in [*values, *wrapped(self.architectures[i])])


def forest_chart(comparison: Comparison) -> Figure | None:
    """Spearman with its interval by proxy, over all and over the best; None when no proxy has one."""
    ranked = comparison.best_first
    shares = comparison.rankings[0].agreements
    data: list[dict[str, Any]] = []
    for k, (share, (symbol, color)) in enumerate(zip(shares, _MARKERS, strict=False)):
        offset = (k - (len(shares) - 1) / 2) * _STEP
        found = [(row + offset, ranking.proxy, ranking.agreements[k]) for row, ranking in enumerate(ranked)]
        found = [(y, proxy, each) for y, proxy, each in found if math.isfinite(each.spearman)]
        group = {"type": "scatter", "name": over(share), "legendgroup": over(share)}
        lines = {  # not error bars: a percentile interval need not contain the estimate
            "x": [_finite(x) for *_, each in found for x in (*each.spearman_interval, math.nan)],
            "y": [y for y, *_ in found for _ in range(3)],
        }
        style = {"mode": "lines", "showlegend": False, "hoverinfo": "skip", "line": {"width": 2, "color": color}}
        dots = {
            "x": [each.spearman for *_, each in found],
            "y": [y for y, *_ in found],
            "hovertext": [_hover(proxy, each) for _, proxy, each in found],
        }
        marker = {"size": 9, "symbol": symbol, "color": color}
        if found:
            data += [group | style | lines, group | {"mode": "markers", "hoverinfo": "text", "marker": marker} | dots]
    if not data:
        return None
    names = [plain(ranking.proxy) for ranking in ranked]
    shown = [x for trace in data for x in trace["x"] if x is not None]
    x_axis = {
        "title": {"text": "Spearman with quality", "standoff": 10},
        "range": [min(shown) - 0.03, max(shown) + 0.03],
        "zeroline": True,
        "zerolinecolor": "var(--muted)",
    }
    y_axis = {"tickvals": list(range(len(names))), "ticktext": names, "range": [len(names) - 0.5, -0.5]}
    figure: Figure = {"data": data, "layout": layout(x_axis, y_axis, height=120 + 64 * len(names))}
    return figure


def score_chart(comparison: Comparison, ranking: Ranking) -> Figure:
    """Quality over the scores of a proxy."""
    marker = {"size": 6, "color": "var(--accent)", "line": {"width": 0.5, "color": "var(--edge)"}}
    points = _points(comparison, ranking, comparison.drawn, ranking.scores, marker)
    return _chart(comparison, [points], titled(ranking.proxy, f"computed, no training; {better('max')}"))


def cost_chart(comparison: Comparison, ranking: Ranking) -> Figure:
    """Quality over cost, with the true front and the one that a proxy chooses."""
    costs = comparison.costs or []
    ring = {"size": 13, "symbol": "circle-open", "color": "var(--ink)", "line": {"width": 1.5, "color": "var(--ink)"}}
    dot = {"size": 7, "color": "var(--accent)", "line": {"width": 0.5, "color": "var(--edge)"}}
    others = _points(comparison, ranking, comparison.drawn, costs, {"size": 5, "color": "var(--grey)"})
    del others["hovertext"]  # the same as in the other chart, and most of the size of the page
    true, chosen = comparison.true_front, comparison.front(ranking.scores)
    stairs = {"mode": "lines+markers", "line": {"shape": "hv", "width": 1, "color": "var(--muted)"}}
    data = [
        others | {"name": "architectures", "hoverinfo": "skip"},
        _points(comparison, ranking, true, costs, ring) | stairs | {"name": f"true front ({len(true)})"},
        _points(comparison, ranking, chosen, costs, dot)
        | {"name": plain(f"chosen by {ranking.proxy} ({len(chosen)})")},
    ]
    return _chart(comparison, data, titled(comparison.cost or "", f"from the table; {better('min')}"))


def _points(
    comparison: Comparison, ranking: Ranking, which: Sequence[int], x: Sequence[float], marker: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x[i] for i in which],
        "y": [comparison.quality[i] for i in which],
        "marker": marker,
        "hoverinfo": "text",
        "hovertext": [comparison.about(i, ranking.scores[i]) for i in which],
    }


def _chart(comparison: Comparison, data: list[dict[str, Any]], title: str) -> Figure:
    """Quality over something."""
    goal = comparison.goal
    y_axis = axis(titled(goal.name, f"from the table; {better(goal.direction)}"))
    figure: Figure = {"data": data, "layout": layout(axis(title), y_axis, height=400)}
    return figure


def better(direction: str) -> str:
    """Text about a direction: which values are better."""
    return f"{'less' if direction == 'min' else 'more'} is better"


def over(agreement: Agreement) -> str:
    """Share of the best over which the correlations are taken, as text."""
    return "over all" if agreement.share == 1 else f"best {100 * agreement.share:.0f} %"


def interval(bounds: tuple[float, float]) -> str:
    """The bounds as text; empty when there are none."""
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}" if all(map(math.isfinite, bounds)) else ""


def _hover(proxy: str, agreement: Agreement) -> str:
    within = interval(agreement.spearman_interval)
    text = f"{proxy}, {over(agreement)} ({agreement.n}): {agreement.spearman:.3f}"
    return plain(f"{text}, {within}" if within else text)


def or_least(value: float) -> float:
    """A key for sorting that puts unknown values last."""
    return value if math.isfinite(value) else -math.inf


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
