"""The report as one HTML document."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from lts.report import baselines, charts, deployment, prediction, sections
from lts.report.contents import Contents
from lts.report.sections import escaped
from lts.study.edges import edge_notes
from lts.system.text import number

# Nothing is fetched, whatever the page contains; images are allowed because charts can be saved as files.
# Only our own scripts run, known by their hashes: what slips in from a store does not.
_POLICY = (
    "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass
class Figures:
    """Figures by the id of the element that they are drawn in."""

    known: dict[str, charts.Figure] = field(default_factory=dict)

    def place(self, key: str, figure: charts.Figure, alternative: str) -> str:
        """The element that the figure is drawn in; `alternative` describes it to screen readers."""
        self.known[key] = figure
        height = figure["layout"]["height"]
        return (
            f'<div class="card chart"><div id="{key}" role="img" aria-label="{escaped(alternative)}" '
            f'style="min-height:{height}px"></div></div>'
        )

    def json(self) -> str:
        """The figures for a script element, without any character that HTML could take for markup."""
        text = json.dumps(self.known, separators=(",", ":"))
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def document(contents: Contents, plotly_js: str) -> str:
    """The whole page."""
    figures = Figures()
    body = "".join(
        (
            sections.heading(contents),
            deployment.estimates(contents),
            _front(contents, figures),
            baselines.section(contents),
            deployment.compiled(contents),
            sections.objectives(contents),
            _hypervolume(contents, figures),
            prediction.predictions(contents, figures.place),
            _comparisons(contents, figures),
            sections.seconds(contents),
            sections.troubles(contents),
            sections.summary(contents),
            sections.environments(contents),
        )
    )
    return html_page(sections.title(contents), body, figures, plotly_js, contents.path)


def html_page(title: str, body: str, figures: Figures, plotly_js: str, source: Path) -> str:
    """A document that needs nothing else, around a body of HTML; the title and the source are text."""
    scripts = [_lines(script) for script in (plotly_js, f"\n{_asset('page.js')}")]
    policy = _POLICY.format(" ".join(map(_hashed, scripts)))
    written = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{_asset('page.css')}</style>\n</head>\n<body>\n"
        f"<main>{body}<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>"
        f"<footer>Written {written} from {escaped(source)}. This file needs no network.</footer></main>\n"
        f'<script type="application/json" id="figures">{figures.json()}</script>\n'
        f"<script>{scripts[0]}</script>\n<script>{scripts[1]}</script>\n</body>\n</html>\n"
    )


def _lines(script: str) -> str:
    """A script with the line breaks that a browser sees, which the hash is of."""
    return script.replace("\r\n", "\n").replace("\r", "\n")


def _hashed(script: str) -> str:
    """The source expression that allows this very script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _front(contents: Contents, figures: Figures) -> str:
    names = contents.objectives
    x, y, color, others = axes(names)
    parts = ["<h2>The front</h2>"]
    if not contents.complete:
        return parts[0] + "<p>No trial is complete yet.</p>"
    chart = baselines.marked(charts.front_chart(contents, x, y, color), contents, x, y)
    parts.append(figures.place("front", chart, f"Scatter of {y} over {x or 'trial'}"))
    if contents.failed:
        parts.append(f'<p class="muted">Failed and therefore not shown: {number(len(contents.failed))} trials.</p>')
    for i, other in enumerate(others):
        figure = baselines.marked(charts.front_chart(contents, other, y, color), contents, other, y)
        parts.append(figures.place(f"front-{i}", figure, f"Scatter of {y} over {other}"))
    if (knee := contents.knee) is not None:
        values = ", ".join(f"{name} {charts.value_text(knee, name)}" for name in names)
        lines = "; ".join(charts.wrapped(knee.architecture))
        parts.append(
            f"<p>The knee, the best compromise by shape of the front, is trial {escaped(knee.id)}: {escaped(values)}. "
        )
        parts.append(f'<span class="muted">{escaped(lines)}</span></p>')
    edges = edge_notes([trial.architecture for trial in contents.front], contents.space, contents.front.objectives)
    parts += [f'<p class="warn">{escaped(note)}</p>' for note in edges]
    parts.append(sections.front_table(contents))
    return "".join(parts)


def axes(names: list[str]) -> tuple[str | None, str, str | None, list[str]]:
    """Objectives for x, y and color, and those that are left: latency, or the second one, is x."""
    y, *rest = names
    x = "latency_ms" if "latency_ms" in rest else (rest[0] if rest else None)
    rest = [name for name in rest if name != x]
    return x, y, (rest[0] if rest else None), rest[1:]


def _hypervolume(contents: Contents, figures: Figures) -> str:
    if not any(contents.hypervolume):
        return ""
    chart = figures.place("hypervolume", charts.hypervolume_chart(contents), "Hypervolume over trials")
    kinds = sorted({kind for name in contents.objectives for kind in contents.provenances(name)})
    return (
        "<h2>Hypervolume</h2><p>The share that the front dominates, after each trial, of the box between the best and "
        "the worst feasible values of all trials (extended by 10 % at the worst end); "
        f"the values are {escaped(' and '.join(kinds) or 'not labelled')}. "
        f"At the end {contents.hypervolume[-1]:.4f}. If the curve has been flat for long, more trials would change "
        f"little.</p>{chart}"
    )


def _comparisons(contents: Contents, figures: Figures) -> str:
    parts = []
    both = [t for t in contents.complete if {"peak_memory_mib", "peak_memory_estimate_mib"} <= t.values.keys()]
    if both and _ran(contents, "peak_memory_mib"):
        ratio = median(t.values["peak_memory_mib"] / max(t.values["peak_memory_estimate_mib"], 1e-9) for t in both)
        figure = charts.comparison_chart(
            contents, "peak_memory_estimate_mib", "peak_memory_mib", (1.0, 0.0), "measured = estimated"
        )
        parts.append(
            "<h3>Peak memory</h3><p>Peak memory of the running model over its estimate: the median trial took "
            f"{ratio:.3g} times its estimate.</p>{figures.place('memory', figure, 'Measured over estimated memory')}"
        )
    timed = [t for t in contents.complete if {"latency_ms", "flops_prefill"} <= t.values.keys()]
    line = charts.fitted_line([t.values["flops_prefill"] for t in timed], [t.values["latency_ms"] for t in timed])
    if line is not None and _ran(contents, "latency_ms"):
        slope, intercept, r2 = line
        figure = charts.comparison_chart(
            contents, "flops_prefill", "latency_ms", (slope, intercept), f"least squares, R² {r2:.3f}"
        )
        parts.append(
            "<h3>Latency</h3><p>Latency over the operations of the prompt pass, with the line of least squares: "
            f"{number(intercept)} ms + {number(slope * 1e9)} ms per 10⁹ operations, R² {r2:.3f}.</p>"
            f"{figures.place('latency', figure, 'Latency over operations')}"
        )
    return f"<h2>Measured against estimated</h2>{''.join(parts)}" if parts else ""


def _ran(contents: Contents, name: str) -> bool:
    """Whether values of the column come from running the model."""
    return bool({"measured", "emulated"} & set(contents.provenances(name)))


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
