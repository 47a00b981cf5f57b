"""The figures of a report, as the JSON that plotly.js draws. Colors are CSS variables: the page has two schemes."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lts._core import Architecture
from lts.measure.dimensions import in_words
from lts.measure.trial import Trial
from lts.report.contents import Charted
from lts.system.text import number, unit

Figure = dict[str, Any]

_WIDTH = 54  # characters of a line of hover text


def front_chart(contents: Charted, x: str | None, y: str, color: str | None) -> Figure:
    """All complete trials, the front among them colored; without `x` over the number of the trial."""
    knee = contents.knee
    front = contents.front.trials
    marker: dict[str, Any] = {"size": 11, "color": "var(--accent)", "line": {"width": 1, "color": "var(--edge)"}}
    if color is not None and front:
        marker |= {
            "color": [trial.values[color] for trial in front],
            "colorscale": "Viridis",
            "showscale": True,
            "colorbar": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "len": 0.6,
                "thickness": 10,
                "outlinewidth": 0,
                "exponentformat": "SI",
                "nticks": 5,
                "title": {"text": _title(contents, color), "side": "top"},
            },
        }
    grey = {"size": 7, "color": "var(--grey)", "opacity": 0.75}
    cross = {"size": 7, "color": "var(--grey)", "symbol": "x-thin", "line": {"width": 1.5, "color": "var(--grey)"}}
    data = [
        _points(contents, contents.dominated, x, y, "not on the front", grey),
        _points(contents, contents.infeasible, x, y, "violates a constraint", cross),
        _points(contents, front, x, y, "Pareto front", marker),
    ]
    if x is not None and len(contents.objectives) == 2 and {x, y} == set(contents.objectives):
        data.insert(0, _staircase(contents, x, y))
    if knee is not None:
        ring = {
            "size": 19,
            "symbol": "circle-open",
            "color": "var(--accent)",
            "line": {"width": 2.5, "color": "var(--accent)"},
        }
        data.append(_points(contents, [knee], x, y, f"knee (trial {knee.id})", ring) | {"hoverinfo": "skip"})
    top = 92 if "colorbar" in marker else 16
    x_axis = _axis(contents, x) if x is not None else _trial_axis()
    shown = [trace for trace in data if trace["x"]]
    return {"data": shown, "layout": layout(x_axis, _axis(contents, y), top=top, height=520)}


def hypervolume_chart(contents: Charted) -> Figure:
    """How much of the box of the observed values the front dominates, after each trial."""
    history = contents.hypervolume
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [trial.id for trial in contents.trials],
        "y": history,
        "line": {"shape": "hv", "width": 2, "color": "var(--accent)"},
        "hoverinfo": "text",
        "hovertext": [
            plain(f"after trial {trial.id}: {value:.4f}") for trial, value in zip(contents.trials, history, strict=True)
        ],
        "showlegend": False,
    }
    y_axis = {"title": {"text": "hypervolume, of the observed box", "standoff": 10}, "rangemode": "tozero"}
    return {"data": [line], "layout": layout(_trial_axis(), y_axis, top=16, height=320)}


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
        _points(
            contents,
            trials,
            x,
            y,
            "trials",
            {"size": 7, "color": "var(--accent)", "opacity": 0.8, "line": {"width": 0.5, "color": "var(--edge)"}},
        ),
    ]
    return {"data": data, "layout": layout(_axis(contents, x), _axis(contents, y), top=16, height=380)}


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
    return {"data": data, "layout": layout(_trial_axis(), y_axis, top=16, height=320)}


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


def hover_text(contents: Charted, trial: Trial) -> str:
    """Everything about a trial, in plotly's markup."""
    marks = [word for word, yes in (("knee", trial is contents.knee), ("infeasible", trial.feasible is False)) if yes]
    lines = [f"<b>trial {plain(str(trial.id))}</b>" + "".join(f" · {mark}" for mark in marks)]
    for name in contents.columns:
        if name in trial.values:
            lines.append(plain(f"{name} {value_text(trial, name)}"))
    lines += [plain(line) for line in wrapped(trial.architecture)]
    return "<br>".join(lines)


def value_text(trial: Trial, name: str) -> str:
    """A value with its unit, interval and provenance."""
    text = f"{number(trial.values[name])} {unit(name)}".rstrip()
    notes = []
    if name in trial.interval:
        low, high = trial.interval[name]
        notes.append(f"{number(low)} to {number(high)}")
    if name in trial.provenance:
        notes.append(trial.provenance[name])
    return text + (f" ({', '.join(notes)})" if notes else "")


def wrapped(architecture: Architecture) -> list[str]:
    """The architecture in lines that fit a hover label."""
    found = in_words(architecture)
    lines = [f"{architecture.family}, {found.pop('n_layer')} layers, d_model {found.pop('d_model')}"]
    for name, text in found.items():
        lines += textwrap.wrap(f"{name} {text}", _WIDTH, subsequent_indent="    ")
    return lines


def _points(
    contents: Charted, trials: Sequence[Trial], x: str | None, y: str, name: str, marker: Mapping[str, Any]
) -> dict[str, Any]:
    trials = [trial for trial in trials if y in trial.values and (x is None or x in trial.values)]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain(name),
        "x": [trial.id if x is None else trial.values[x] for trial in trials],
        "y": [trial.values[y] for trial in trials],
        "marker": dict(marker),
        "hoverinfo": "text",
        "hovertext": [hover_text(contents, trial) for trial in trials],
    }


def _staircase(contents: Charted, x: str, y: str) -> dict[str, Any]:
    """The border of what a front of two objectives dominates."""
    trials = sorted(contents.front.trials, key=lambda trial: trial.values[x])
    less_x = next(o.direction for o in contents.front.objectives if o.name == x) == "min"
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [trial.values[x] for trial in trials],
        "y": [trial.values[y] for trial in trials],
        "line": {"shape": "hv" if less_x else "vh", "width": 1, "color": "var(--muted)"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _title(contents: Charted, name: str) -> str:
    goals = {o.name: "less" if o.direction == "min" else "more" for o in contents.front.objectives}
    notes = contents.label(name) + (f"; {goals[name]} is better" if name in goals else "")
    return titled(name, notes)


def titled(name: str, notes: str) -> str:
    """A title of two lines, in plotly's markup."""
    return f"{plain(name)}<br><span style='font-size:11px'>{plain(notes)}</span>"


def axis(title: str) -> dict[str, Any]:
    """An axis of numbers of any magnitude; the title is plotly's markup."""
    return {"title": {"text": title, "standoff": 10}, "exponentformat": "SI", "nticks": 8}


def _axis(contents: Charted, name: str) -> dict[str, Any]:
    return axis(_title(contents, name))


def _trial_axis() -> dict[str, Any]:
    return {"title": {"text": "trial", "standoff": 10}, "tickformat": "d", "nticks": 8}


def layout(x: Mapping[str, Any], y: Mapping[str, Any], *, top: int, height: int) -> dict[str, Any]:
    """What all charts look like, with these two axes."""
    lines = {
        "gridcolor": "var(--line)",
        "linecolor": "var(--line)",
        "zeroline": False,
        "automargin": True,
        "tickfont": {"size": 11},
    }
    return {
        "height": height,
        "margin": {"l": 60, "r": 16, "t": top, "b": 60},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "var(--ink)"},
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--grey)", "activecolor": "var(--ink)"},
        "hoverlabel": {
            "bgcolor": "var(--card)",
            "bordercolor": "var(--muted)",
            "align": "left",
            "font": {"family": "ui-monospace, monospace", "size": 11, "color": "var(--ink)"},
        },
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.22, "yanchor": "top"},
        "xaxis": lines | dict(x),
        "yaxis": lines | dict(y),
    }


def plain(text: str) -> str:
    """Text for plotly, whose markup is a part of HTML; quotes mean nothing to it."""
    return html.escape(text, quote=False)
