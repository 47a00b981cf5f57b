"""The user's own baselines in a report: points on the charts of the front, and what the front has beside them."""

from __future__ import annotations

from lts.report.charts import Figure, plain, value_text, wrapped
from lts.report.contents import Charted, Contents
from lts.report.elements import escaped, table
from lts.study.baselines import Baseline
from lts.study.comparison import compare
from lts.system.outside import sentence

_LABEL = 40  # characters of a name beside its point
_MARKER = {"size": 13, "symbol": "star-diamond", "color": "var(--warn)", "line": {"width": 1, "color": "var(--edge)"}}


def marked(figure: Figure, contents: Charted, x: str | None, y: str) -> Figure:
    """A chart of the front with the baselines on it; as it is where there are none, or trials are its x axis."""
    complete = [each for each in contents.baselines if each.trial.state == "complete"]
    known = [each for each in complete if {x, y} <= each.trial.values.keys()]
    if x is None or not known:
        return figure
    points = {
        "type": "scatter",
        "mode": "markers+text",
        "name": "baselines",
        "x": [each.trial.values[x] for each in known],
        "y": [each.trial.values[y] for each in known],
        "text": [plain(sentence(each.name, _LABEL)) for each in known],
        "textposition": "top center",
        "marker": dict(_MARKER),
        "hoverinfo": "text",
        "hovertext": [_hover(contents, each) for each in known],
    }
    return {**figure, "data": [*figure["data"], points]}


def section(contents: Contents) -> str:
    """What the front has at the size and at the cost of each baseline; nothing without baselines."""
    if not contents.baselines:
        return ""
    head = ["baseline", *contents.objectives]
    rows = []
    sentences = []
    for each in contents.baselines:
        if each.trial.state == "complete":
            cells = "".join(
                f'<td class="n">{escaped(value_text(each.trial, name))}</td>' for name in contents.objectives
            )
            rows.append(f"<td>{escaped(each.name)}</td>{cells}")
        if contents.front.trials:
            sentences += compare(contents.front, each).sentences()
    measured = table([escaped(cell) for cell in head], rows, right=range(1, len(head))) if rows else ""
    said = "".join(f"<li>{escaped(text)}</li>" for text in sentences)
    note = "Models of the user's own, measured as the trials were; they are none of these, and not on the front."
    return f'<h2>Baselines</h2><p class="muted">{escaped(note)}</p>{measured}<ul>{said}</ul>'


def _hover(contents: Charted, baseline: Baseline) -> str:
    trial = baseline.trial
    lines = [f"<b>baseline {plain(baseline.name)}</b>"]
    lines += [plain(f"{name} {value_text(trial, name)}") for name in contents.columns if name in trial.values]
    lines += [plain(line) for line in wrapped(trial.architecture)]
    return "<br>".join(lines)
