"""The report of a study as one HTML document."""

from __future__ import annotations

from statistics import median

from lts.report import (
    agreement_charts,
    baselines,
    charts,
    deployment,
    explorer,
    heading,
    prediction,
    sections,
    subnetworks,
)
from lts.report.contents import Contents
from lts.report.elements import escaped
from lts.report.frame import Figures, html_page
from lts.study.edges import edge_notes
from lts.system.text import number


def document(contents: Contents, plotly_js: str) -> str:
    """The whole page."""
    figures = Figures()
    body = "".join(
        (
            heading.heading(contents),
            deployment.estimates(contents),
            _front(contents),
            baselines.section(contents),
            subnetworks.section(contents),
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
    extra = explorer.extra(contents) if contents.complete else None
    return html_page(heading.title(contents), body, figures, plotly_js, contents.path, extra)


def _front(contents: Contents) -> str:
    names = contents.objectives
    parts = ["<h2>The front</h2>"]
    if not contents.complete:
        return parts[0] + "<p>No trial is complete yet.</p>"
    parts.append(explorer.section())
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
        figure = agreement_charts.comparison_chart(
            contents, "peak_memory_estimate_mib", "peak_memory_mib", (1.0, 0.0), "measured = estimated"
        )
        parts.append(
            "<h3>Peak memory</h3><p>Peak memory of the running model over its estimate: the median trial took "
            f"{ratio:.3g} times its estimate.</p>{figures.place('memory', figure, 'Measured over estimated memory')}"
        )
    timed = [t for t in contents.complete if {"latency_ms", "flops_prefill"} <= t.values.keys()]
    line = agreement_charts.fitted_line(
        [t.values["flops_prefill"] for t in timed], [t.values["latency_ms"] for t in timed]
    )
    if line is not None and _ran(contents, "latency_ms"):
        slope, intercept, r2 = line
        figure = agreement_charts.comparison_chart(
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
