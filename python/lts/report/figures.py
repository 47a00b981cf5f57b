"""The charts of a report as figures of plotly, for notebooks and for programs of your own."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.report import agreement_charts, baselines, charts
from lts.report.contents import Charted
from lts.study.front import Front
from lts.study.schema import store_path
from lts.study.stored import StoredStudy, read_study
from lts.study.study import Study

Shown = Study | StoredStudy | Front | str | os.PathLike[str]
"""What can be charted: a study, a front, or the directory or store of a search."""

_TRIAL = "trial"  # the number of the trial, in place of a column


def plot_front(study: Shown, x: str | None = None, y: str | None = None, *, color: str | None = None) -> Any:
    """Every complete trial by two columns, with the Pareto front, its knee and the baselines of a stored study.

    Parameters
    ----------
    study
        A study or front, or the directory or store (.db file) of a search, which is only read.
    x, y
        Columns of the axes; "trial" for the number of the trial. By default the report's: the first objective over
        latency, or over the second objective.
    color
        Column of the color of the front; by default the next objective that is on no axis.

    Returns
    -------
    plotly.graph_objects.Figure
        Trials that have no value of a column are left out.

    Raises
    ------
    UsageError
        For a column that no trial has, naming those there are; for a store that cannot be read; when there is no
        complete trial, or plotly is not installed.
    """
    shown = _charted(study)
    default_x, default_y = axes(shown.objectives)
    x = x or (_TRIAL if default_x is None else default_x)
    y = y or (default_y if default_y != x else default_x) or default_y
    left = [name for name in shown.objectives if name not in (x, y)]
    color = color or next((name for name in left if len(shown.objectives) > 2), None)
    for name in (x, y, color):
        _check(shown, name)
    if color is not None:  # a color needs a value of each
        front = replace(shown.front, trials=[trial for trial in shown.front if color in trial.values])
        shown = shown if len(front) == len(shown.front) else replace(shown, front=front)
    across = None if x == _TRIAL else x
    return _figure(baselines.marked(charts.front_chart(shown, across, y, color), shown, across, y))


def axes(names: list[str]) -> tuple[str | None, str]:
    """Of objectives, those of the x and y axes: latency, or the second one, is x."""
    y, *rest = names
    return ("latency_ms" if "latency_ms" in rest else next(iter(rest), None)), y


def plot_hypervolume(study: Shown) -> Any:
    """The share of the box of the observed values that the front dominates, after each trial.

    Arguments, result and errors as `plot_front`.
    """
    shown = _charted(study)
    if isinstance(study, Front):
        raise UsageError("a front does not know the trials before it; give the study")
    return _figure(charts.hypervolume_chart(shown))


def plot_predictions(study: Shown, column: str) -> Any:
    """How far measurements of a column were from what a surrogate had predicted, with the predicted intervals.

    Arguments, result and errors as `plot_front`; also `UsageError` for a column that nothing was predicted of.
    """
    shown = _charted(study)
    trials = [trial for trial in shown.complete if column in trial.predicted]
    if not trials:
        known = sorted({name for trial in shown.complete for name in trial.predicted})
        raise UsageError(f"nothing was predicted of '{column}'; predicted are {', '.join(known) or 'no columns'}")
    return _figure(agreement_charts.residual_chart(shown, trials, column))


def _charted(study: Shown) -> Charted:
    """What of a study the charts need."""
    if isinstance(study, str | os.PathLike):
        study = read_study(store_path(Path(study)))
    if isinstance(study, Study):
        about = study.evaluator.describe()
        shown = Charted(about, list(study.constraints), study.trials, study.front(), {}, [], [])
    elif isinstance(study, StoredStudy):
        about = study.configuration
        shown = Charted(about, study.constraints, study.trials, study.front, {}, [], study.baselines)
    elif isinstance(study, Front):
        shown = Charted({}, [], study.trials, study, {}, [], [])
    else:
        raise UsageError(f"a study, a front or a path is expected, not {type(study).__name__}")
    if not shown.complete:
        raise UsageError("there is nothing to show: no trial is complete yet")
    return shown


def _check(shown: Charted, name: str | None) -> None:
    if name is None or name == _TRIAL or shown.has(name):
        return
    there = ", ".join(sorted(column for column in shown.columns if shown.has(column)))
    raise UsageError(f"no column '{name}'; the trials have {there}")


def _figure(figure: charts.Figure) -> Any:
    try:
        from plotly.graph_objects import Figure
    except ImportError:
        raise UsageError("charts need plotly: pip install 'lts-engine[report]'") from None
    data, layout = _colored([figure["data"], figure["layout"]], _colors())
    layout |= {"paper_bgcolor": _colors()["card"], "plot_bgcolor": _colors()["card"]}
    return Figure(data=data, layout=layout)


def _colors() -> dict[str, str]:
    """The colors of a report by day: a figure alone has no page that knows them."""
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([\w-]+): (#\w+)", css[: css.index("@media")]))


def _colored(value: Any, colors: dict[str, str]) -> Any:
    """The same with colors in place of the variables of CSS that stand for them."""
    if isinstance(value, dict):
        return {key: _colored(each, colors) for key, each in value.items()}
    if isinstance(value, list):
        return [_colored(each, colors) for each in value]
    if isinstance(value, str) and (found := re.fullmatch(r"var\(--([\w-]+)\)", value)):
        return colors[found[1]]
    return value
