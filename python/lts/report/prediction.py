"""What a surrogate predicted for trials before they were measured, and how accurate that was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lts.report.agreement_charts import residual_chart
from lts.report.charts import Figure
from lts.report.contents import Contents
from lts.report.elements import escaped, simple_table
from lts.system.text import plural

Place = Callable[[str, Figure, str], str]


def predictions(contents: Contents, place: Place) -> str:
    """Measured against predicted by column, with intervals, and the errors in the order of the trials."""
    trials = [trial for trial in contents.complete if trial.predicted]
    predicted = [name for t in trials for name, (value, _, _) in t.predicted.items() if value > 0 and name in t.values]
    columns = list(dict.fromkeys(predicted))
    notes = "".join(f'<p class="warn">{escaped(note)}</p>' for note in contents.notes)
    if not columns:
        return f"<h2>Predictions</h2>{notes}" if notes else ""
    rows, figures = [], []
    for i, name in enumerate(columns):
        found = [
            (t.values[name], t.predicted[name])
            for t in trials
            if name in t.values and t.predicted.get(name, (0.0,))[0] > 0
        ]
        errors = np.array([value / predicted - 1 for value, (predicted, _, _) in found])
        held = sum(low <= value <= high for value, (_, low, high) in found)
        rows.append(
            [
                name,
                len(found),
                f"{np.abs(errors).mean():.2%}",
                f"{np.abs(errors).max():.2%}",
                f"{held} of {len(found)}",
            ]
        )
        figures.append(place(f"residual-{i}", residual_chart(contents, trials, name), f"Errors of predicting {name}"))
    head = ["column", "trials", "mean error", "largest error", "inside of the 90 % interval"]
    return (
        f"<h2>Predictions</h2>{notes}<p>Chosen by predictions from earlier trials, and then measured: "
        f"{plural(len(trials), 'trial')}. The front has measured architectures only. A pattern in the errors suggests "
        "that the costs of layers do not simply add up on this device, or that it changed speed.</p>"
        f"{simple_table(head, rows)}"
        f"{''.join(figures)}"
    )
