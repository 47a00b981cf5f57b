"""What notebooks show of architectures and their values: small tables of HTML without scripts, fetching nothing."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from lts._core import Architecture, analytic
from lts.measure.dimensions import in_words
from lts.measure.outcome import Outcome
from lts.system.text import number, unit, with_bounds

Rows = Sequence[Sequence[str]]

_COUNTED = ("decoder_params", "total_params")  # exact in every family, whatever is run


def escaped(value: object) -> str:
    """Text as HTML, also within quotes."""
    return html.escape(str(value))


def table(caption: str, head: Sequence[str], rows: Rows, right: Iterable[int] = ()) -> str:
    """A table of texts, which are escaped; the columns `right` hold numbers."""
    numbers = frozenset(right)

    def line(tag: str, cells: Sequence[str]) -> str:
        styles = [f"text-align:{'right' if i in numbers else 'left'}" for i in range(len(cells))]
        return "".join(
            f'<{tag} style="{style}">{escaped(cell)}</{tag}>' for style, cell in zip(styles, cells, strict=True)
        )

    headings = f"<thead><tr>{line('th', head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    title = f'<caption style="text-align:left">{escaped(caption)}</caption>'
    return f"<table>{title}{headings}<tbody>{body}</tbody></table>"


def value_cell(outcome: Outcome, name: str) -> str:
    """A value with how far its interval reaches; empty where there is none."""
    return with_bounds(outcome.values[name], outcome.interval.get(name)) if name in outcome.values else ""


def heading(name: str, outcomes: Iterable[Outcome]) -> str:
    """A column with where its values come from, as in "latency_ms (measured)"."""
    kinds = sorted({outcome.provenance[name] for outcome in outcomes if name in outcome.provenance})
    return f"{name} ({', '.join(kinds)})" if kinds else name


def architecture_html(architecture: Architecture) -> str:
    """An architecture: its dimensions, and what is counted of it exactly."""
    counts = [[f"{name} (exact)", number(analytic(name, architecture))] for name in _COUNTED]
    about = f"{architecture.family}, vocabulary {number(architecture.vocab_size)}"
    return table(f"Architecture: {about}", (), [*map(list, in_words(architecture).items()), *counts])


def outcome_html(caption: str, outcome: Outcome, architecture: Architecture) -> str:
    """What came out of evaluating an architecture, why not, and what it was."""
    rows = [[heading(name, [outcome]), f"{value_cell(outcome, name)} {unit(name)}".rstrip()] for name in outcome.values]
    if outcome.error is not None:
        rows.append(["error", outcome.error])
    rows += [["warning", text] for text in dict.fromkeys(outcome.warnings)]
    rows.append(["family", architecture.family])
    return table(caption, (), [*rows, *map(list, in_words(architecture).items())])
