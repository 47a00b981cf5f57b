"""The fronts of all devices of a fleet, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lts._core import analytic_names
from lts.fleet.fronts import DeviceFront
from lts.fleet.stored import StoredFleet
from lts.report import _plotly_js, _write
from lts.report.charts import Figure, axis, layout, plain, titled
from lts.report.elements import escaped, simple_table, tiles
from lts.report.frame import Figures, html_page
from lts.system.text import number

_EXPLAINED = (
    "What was measured on a device is filled, what all measurements together predict for it is open, with the 90 % "
    "interval. Where nothing was measured on a device, and no profile gives a unit, costs are relative: their mean "
    "over all measured architectures is 1."
)


def write_fleet_report(fleet: StoredFleet, out: Path) -> None:
    """Write the page; the file appears at once and whole.

    Raises
    ------
    UsageError
        When the file cannot be written, or plotly is not installed.
    """
    _write(Path(out), document(fleet, _plotly_js()))


def document(fleet: StoredFleet, plotly_js: str) -> str:
    """The whole page."""
    figures = Figures()
    title = f"{fleet.space.name} on {len(fleet.devices)} devices"
    goals = ", ".join(str(objective) for objective in fleet.objectives)
    n_measured = sum(len(front.trials) for front in fleet.fronts)
    numbers = [
        ("devices", number(len(fleet.devices))),
        ("of these measured", number(len(fleet.studies))),
        ("measurements", number(n_measured)),
    ]
    notes = "".join(f'<p class="warn">{escaped(note)}</p>' for note in fleet.notes)
    body = f'<h1>{escaped(title)}</h1><p class="muted">{escaped(goals)}</p>{tiles(numbers)}{notes}'
    body += f"<h2>All fronts</h2><p>{_EXPLAINED}</p>"
    body += "".join(_device(front, i, figures) for i, front in enumerate(fleet.fronts))
    return html_page(title, body, figures, plotly_js, fleet.folder)


def _device(front: DeviceFront, i: int, figures: Figures) -> str:
    name = front.device.name
    facts = [f"target {front.device.target}", *front.device.constraints]
    if front.device.prefer:
        facts.append("prefers " + ", ".join(f"{key} {number(value)}" for key, value in front.device.prefer.items()))
    head = f'<h3>{escaped(name)}</h3><p class="muted">{escaped(" · ".join(facts))}</p>'
    if not len(front.points()):
        return head + "<p>No feasible architecture is known.</p>"
    about = f"Fronts of {name}, measured and predicted"
    return head + figures.place(f"front-{i}", _chart(front), about, table=_table(front))


def _chart(front: DeviceFront) -> Figure:
    """The first objective over the last one."""
    y, x = front.objectives[0].name, front.objectives[-1].name
    unit = "relative" if x in front.relative else "measured and predicted"
    data: list[dict[str, Any]] = []
    if front.measured is not None and len(front.measured):
        data.append(
            {
                "type": "scatter",
                "mode": "markers+lines",
                "name": "measured",
                "x": [trial.values[x] for trial in front.measured],
                "y": [trial.values[y] for trial in front.measured],
                "line": {"shape": "hv", "width": 1, "color": "var(--accent)"},
                "marker": {"symbol": "circle", "size": 8, "color": "var(--accent)"},
                "text": [plain(f"trial {trial.id}") for trial in front.measured],
            }
        )
    if front.predicted:
        ends = [member.interval.get(x) for member in front.predicted]
        values = [member.values[x] for member in front.predicted]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "predicted",
                "x": values,
                "y": [member.values[y] for member in front.predicted],
                "marker": {"symbol": "diamond-open", "size": 7, "color": "var(--warn)"},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "color": "var(--muted)",
                    "thickness": 1,
                    "width": 0,
                    # An interval that is not bounded has no bar.
                    "array": [_bar(e[1] - v, v) if e else 0 for e, v in zip(ends, values, strict=True)],
                    "arrayminus": [_bar(v - e[0], v) if e else 0 for e, v in zip(ends, values, strict=True)],
                },
            }
        )
    better = str(front.objectives[0]).partition(":")[2]
    return {"data": data, "layout": layout(axis(titled(x, unit)), axis(titled(y, better)), height=340)}


def _bar(length: float, value: float) -> float:
    return length if length < 100 * value else 0.0


def _table(front: DeviceFront) -> str:
    """Members with what was measured and what is predicted in columns of their own."""
    counted = set(analytic_names())
    names = [objective.name for objective in front.objectives]
    exact = [name for name in names if name in counted]
    costs = [name for name in names if name not in counted]
    rows: list[list[object]] = []
    for trial in front.measured or ():
        rows.append(
            [
                f"trial {trial.id}",
                *(number(trial.values[name]) for name in exact),
                *(cell for name in costs for cell in (number(trial.values[name]), "")),
            ]
        )
    for member in front.predicted:
        rows.append(
            [
                "not measured",
                *(number(member.values[name]) for name in exact),
                *(cell for name in costs for cell in ("", number(member.values[name]))),
            ]
        )
    head = ["member", *exact, *(f"{name} ({kind})" for name in costs for kind in ("measured", "predicted"))]
    return simple_table(head, rows)
