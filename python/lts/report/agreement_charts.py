"""Measurements beside what was estimated or predicted of them, as the JSON that plotly.js draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lts.measure.trial import Trial
from lts.report.charts import Figure, column_axis, hover_text, layout, plain, points, trial_axis
from lts.report.contents import Charted


def comparison_chart(contents: Charted, x: str, y: str, line: tuple[float, float], name: str) -> Figure:
    """A measured column over an estimated one, with the line ``y = slope x + intercept``."""
    trials = [trial for trial in contents.complete if x in trial.values and y in trial.values]
    slope, intercept = line
    low, high = (bound(trial.values[x] for trial in trials) for bound in (min, max))
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": plain(name),
            "x": [low, high],
            "y": [slope * low + intercept, slope * high + intercept],
            "line": {"width": 1.5, "color": "var(--muted)", "dash": "dash"},
            "hoverinfo": "skip",
        },
        points(
            contents,
            trials,
            x,
            y,
            "trials",
            {"size": 7, "color": "var(--accent)", "line": {"width": 0.5, "color": "var(--edge)"}},
            bars=True,
        ),
    ]
    return {"data": data, "layout": layout(column_axis(contents, x), column_axis(contents, y), height=380)}


def residual_chart(contents: Charted, trials: Sequence[Trial], name: str) -> Figure:
    """How far measurements were from what was predicted, in the order of the trials, with the predicted intervals."""
    shown = [t for t in trials if name in t.values and t.predicted.get(name, (0.0,))[0] > 0]
    predicted = [trial.predicted[name] for trial in shown]
    errors = [100 * (trial.values[name] / value - 1) for trial, (value, _, _) in zip(shown, predicted, strict=True)]
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "predicted, 90 % interval",
            "x": [trial.id for trial in shown],
            "y": [0.0] * len(shown),
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": [100 * (high / value - 1) for value, _, high in predicted],
                "arrayminus": [100 * (1 - low / value) for value, low, _ in predicted],
                "color": "var(--grey)",
                "thickness": 1.5,
                "width": 3,
            },
            "marker": {"size": 3, "color": "var(--grey)"},
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": "measured",
            "x": [trial.id for trial in shown],
            "y": errors,
            "text": [hover_text(contents, trial) for trial in shown],
            "hoverinfo": "text",
            "marker": {"size": 7, "color": "var(--accent)", "line": {"width": 0.5, "color": "var(--edge)"}},
        },
    ]
    y_axis = {"title": {"text": f"{plain(name)}: measured over predicted - 1, %", "standoff": 10}, "nticks": 8}
    return {"data": data, "layout": layout(trial_axis(), y_axis, height=320)}


def fitted_line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float] | None:
    """Slope, intercept and R² of the least-squares line; None when there is no line."""
    if len(set(x)) < 2:
        return None
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    dx, dy = xs - xs.mean(), ys - ys.mean()
    slope = float(dx @ dy / (dx @ dx))
    rest = float(((dy - slope * dx) ** 2).sum())
    total = float((dy**2).sum())
    return slope, float(ys.mean() - slope * xs.mean()), 1.0 - rest / total if total > 0 else 1.0
