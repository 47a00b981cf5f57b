"""The figures of a report, as the JSON that plotly.js draws. Colors are CSS variables: the page has two schemes."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lts._core import Architecture
from lts.measure.dimensions import in_words
from lts.measure.trial import Trial
from lts.report.contents import Charted
from lts.report.thinning import MOST, spread, steps
from lts.system.outside import sentence
from lts.system.text import number, unit

Figure = dict[str, Any]

SCALE = [[i / 4, f"var(--scale-{i})"] for i in range(5)]
"""Colors of a value from its least to its greatest: as light, or dark, as can be told from the page at every point."""

_WIDTH = 54  # characters of a line of hover text
_LONGEST = 120  # characters of a title, and of what is said of a column


def front_chart(contents: Charted, x: str | None, y: str, color: str | None) -> Figure:
    """All complete trials, the front among them colored; without `x` over the number of the trial."""
    knee = contents.knee
    front = contents.front.trials
    marker: dict[str, Any] = {"size": 11, "color": "var(--accent)", "line": {"width": 1, "color": "var(--edge)"}}
    if color is not None and front:
        marker |= {
            "color": [trial.values[color] for trial in front],
            "colorscale": SCALE,
            "showscale": True,
            "colorbar": {
                "thickness": 10,
                "outlinewidth": 0,
                "exponentformat": "SI",
                "nticks": 5,
                "title": {"text": _title(contents, color), "side": "right"},
            },
        }
    grey = {"size": 7, "color": "var(--grey)"}
    cross = {"size": 7, "color": "var(--grey)", "symbol": "x-thin", "line": {"width": 1.5, "color": "var(--grey)"}}
    data = [
        points(contents, contents.dominated, x, y, "not on the front", grey),
        points(contents, contents.infeasible, x, y, "violates a constraint", cross),
        points(contents, front, x, y, "Pareto front", marker, whole=True, bars=True),
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
        data.append(points(contents, [knee], x, y, f"knee (trial {knee.id})", ring) | {"hoverinfo": "skip"})
    x_axis = column_axis(contents, x) if x is not None else trial_axis()
    shown = [trace for trace in data if trace["x"]]
    return {"data": shown, "layout": layout(x_axis, column_axis(contents, y), height=520)}


def hypervolume_chart(contents: Charted) -> Figure:
    """How much of the box of the observed values the front dominates, after each trial."""
    shown = [(contents.trials[i], contents.hypervolume[i]) for i in steps(contents.hypervolume)]
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": [trial.id for trial, _ in shown],
        "y": [value for _, value in shown],
        "line": {"shape": "hv", "width": 2, "color": "var(--accent)"},
        "hoverinfo": "text",
        "hovertext": [plain(f"after trial {trial.id}: {value:.4f}") for trial, value in shown],
        "showlegend": False,
    }
    y_axis = {"title": {"text": "hypervolume, of the observed box", "standoff": 10}, "rangemode": "tozero"}
    return {"data": [line], "layout": layout(trial_axis(), y_axis, height=320)}


def hover_text(contents: Charted, trial: Trial) -> str:
    """Everything about a trial, in plotly's markup."""
    marks = [word for word, yes in (("knee", trial is contents.knee), ("infeasible", trial.feasible is False)) if yes]
    lines = [f"<b>trial {plain(str(trial.id))}</b>" + "".join(f" · {mark}" for mark in marks)]
    for name in contents.columns:
        if name in trial.values:
            said = f"{sentence(name, _LONGEST)} {value_text(trial, name)}"
            lines += [plain(line) for line in textwrap.wrap(said, _WIDTH, subsequent_indent="    ")]
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


def points(
    contents: Charted,
    trials: Sequence[Trial],
    x: str | None,
    y: str,
    name: str,
    marker: Mapping[str, Any],
    *,
    whole: bool = False,
    bars: bool = False,
) -> dict[str, Any]:
    """Markers of trials that have values of both columns, with error bars if wanted.

    Those that lie on others are left out where there are many, unless `whole`.
    """
    known = [trial for trial in trials if y in trial.values and (x is None or x in trial.values)]
    most = len(known) if whole else MOST
    places = [(float(trial.id) if x is None else trial.values[x], trial.values[y]) for trial in known]
    trials = [known[i] for i in spread([at for at, _ in places], [at for _, at in places], most)]
    if len(trials) < len(known):
        name += f" ({number(len(trials))} of {number(len(known))} drawn)"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain(name),
        "x": [trial.id if x is None else trial.values[x] for trial in trials],
        "y": [trial.values[y] for trial in trials],
        "marker": dict(marker),
        "hoverinfo": "text",
        "hovertext": [hover_text(contents, trial) for trial in trials],
        **(_bars(trials, x, y) if bars else {}),
    }


def _bars(trials: Sequence[Trial], x: str | None, y: str) -> dict[str, Any]:
    """Error bars where a value has an interval; for markers of all these trials."""
    found: dict[str, Any] = {}
    for axis, name in (("error_x", x), ("error_y", y)):
        if name is None or not any(name in trial.interval for trial in trials):
            continue
        ends = [(t.values[name], *t.interval.get(name, (t.values[name],) * 2)) for t in trials]
        found[axis] = {
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, high - value) for value, _, high in ends],
            "arrayminus": [max(0.0, value - low) for value, low, _ in ends],
            "color": "var(--muted)",
            "thickness": 1,
            "width": 3,
        }
    return found


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
    name, notes = sentence(name, _LONGEST), sentence(notes, _LONGEST)
    return f"{plain(name)}<br><span style='font-size:11px'>{plain(notes)}</span>"


def axis(title: str) -> dict[str, Any]:
    """An axis of numbers of any magnitude; the title is plotly's markup."""
    return {"title": {"text": title, "standoff": 10}, "exponentformat": "SI", "nticks": 8}


def column_axis(contents: Charted, name: str) -> dict[str, Any]:
    """An axis of a column, with its unit, where its values are from, and which are better."""
    return axis(_title(contents, name))


def trial_axis() -> dict[str, Any]:
    """An axis of the numbers of trials."""
    return {"title": {"text": "trial", "standoff": 10}, "tickformat": "d", "nticks": 8}


def layout(x: Mapping[str, Any], y: Mapping[str, Any], *, height: int) -> dict[str, Any]:
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
        "margin": {"l": 60, "r": 16, "t": 16, "b": 60},
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
        # Above, because below there are titles of one line or of several.
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "xaxis": lines | dict(x),
        "yaxis": lines | dict(y),
    }


def plain(text: str) -> str:
    """Text for plotly, whose markup is a part of HTML; quotes mean nothing to it."""
    return html.escape(text, quote=False)
