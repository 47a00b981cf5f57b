"""The figures of a benchmark of algorithms, as the JSON of plotly.js."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lts.benchmarks.summary import Summary
from lts.report.charts import Figure, axis, layout, plain, titled
from lts.report.ranking_charts import better

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Colors with that of a band; when they are used up, the next dashes: distinguishable without color, too.
_COLORS = (
    ("var(--accent)", "var(--accent-band)"),
    ("var(--warn)", "var(--warn-band)"),
    ("var(--scale-2)", "var(--scale-2-band)"),
    ("var(--ink)", "var(--ink-band)"),
)
_DASHES = ("solid", "dash", "dot", "dashdot")


def _style(place: int) -> tuple[dict[str, Any], str]:
    color, band = _COLORS[place % len(_COLORS)]
    return {"width": 2, "color": color, "dash": _DASHES[place // len(_COLORS) % len(_DASHES)]}, band


def anytime_chart(summary: Summary) -> Figure:
    """The share of the hypervolume over the number of evaluations: medians, with bands between the quartiles."""
    data: list[dict[str, Any]] = []
    for place, name in enumerate(summary.algorithms):
        low, middle, high = np.quantile(summary.curves[name], [0.25, 0.5, 0.75], axis=0)
        line, band = _style(place)
        group = {"type": "scatter", "legendgroup": plain(name), "name": plain(name), "x": summary.grid}
        edge = group | {"mode": "none", "hoverinfo": "skip", "showlegend": False}
        data += [
            edge | {"y": _rounded(low)},
            edge | {"y": _rounded(high), "fill": "tonexty", "fillcolor": band},
            group
            | {
                "mode": "lines",
                "y": _rounded(middle),
                "line": line,
                "hoverinfo": "text",
                "hovertext": [
                    plain(f"{name} after {n}: {m:.4f} ({a:.4f} to {b:.4f})")
                    for n, a, m, b in zip(summary.grid, low, middle, high, strict=True)
                ],
            },
        ]
    x_axis = axis("evaluations") | {"type": "log", "dtick": 1}
    y_axis = axis(titled("hypervolume", f"share of the reference front's; {better('max')}"))
    return {"data": data, "layout": layout(x_axis, y_axis, height=520)}


def attainment_chart(summary: Summary, algorithm: str) -> Figure:
    """What all, half and one of the runs of an algorithm attain of two objectives, with the reference front."""
    first, second = summary.problem.objectives
    signs = summary.problem.signs
    line, _ = _style(0)
    named = ("one run at least", "half of the runs", "all runs")
    data = [
        _stairs(summary.front * signs, "reference front", {"width": 1, "color": "var(--muted)"}),
        *(
            _stairs(surface * signs, name, line | {"dash": dash})
            for surface, name, dash in zip(summary.surfaces(algorithm), named, ("dot", "solid", "dash"), strict=True)
            if len(surface)
        ),
    ]
    x_axis = axis(titled(first.name, better(first.direction)))
    y_axis = axis(titled(second.name, better(second.direction)))
    return {"data": data, "layout": layout(x_axis, y_axis, height=420)}


def _stairs(points: NDArray[np.float64], name: str, line: dict[str, Any]) -> dict[str, Any]:
    points = points[points[:, 0].argsort()]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain(name),
        "x": _rounded(points[:, 0]),
        "y": _rounded(points[:, 1]),
        "line": line | {"shape": "hv"},
    }


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
