"""The frame of every page: one HTML file around a body, charts, data and scripts, which asks nothing of anybody.

Charts, data and scripts are stored compressed, and are inflated by the browser. Scripts run only when their hash is in
the page's policy, whatever else slips into the page.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lts.report.chart_table import chart_table
from lts.report.elements import escaped

Figure = dict[str, Any]

# Nothing is fetched, whatever the page contains; images are allowed because charts can be saved as files.
_POLICY = (
    "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass
class Figures:
    """Figures by the id of the element that they are drawn in."""

    known: dict[str, Figure] = field(default_factory=dict)

    def place(
        self, key: str, figure: Figure, alternative: str, table: str | None = None, summary: str = "Table of this chart"
    ) -> str:
        """The element that the figure is drawn in, and below it its points as a table.

        Parameters
        ----------
        key
            The id of the element.
        figure
            What plotly.js draws, of at least the keys ``data`` and ``layout``. Colors are ``var(--NAME)`` of page.css.
        alternative
            Describes the chart to screen readers; text.
        table
            HTML with what the chart shows; by default a table of its points. Empty where the page has one anyway.
        summary
            What opens the table; text.
        """
        self.known[key] = figure
        height = figure["layout"]["height"]
        data = chart_table(figure) if table is None else table
        details = f"<details><summary>{escaped(summary)}</summary>{data}</details>" if data else ""
        return (
            f'<figure class="card chart"><div id="{key}" role="img" aria-label="{escaped(alternative)}" '
            f'style="min-height:{height}px"></div>{details}</figure>'
        )


@dataclass(frozen=True)
class Extra:
    """What a page has besides its body and its charts.

    Parameters
    ----------
    data
        Values for JSON, by a name that is an identifier: `lts.data.NAME` in scripts. Nothing of it is HTML.
    scripts
        JavaScript, run in this order when plotly.js and all data are there and before the page's own charts are
        drawn. They share the global scope, and find the object `lts`:

        * `lts.data.NAME`: the data;
        * `lts.draw(id, {data, layout, config})`: draws with plotly.js in the element of that id, in the colors of the
          page (`var(--NAME)`), fits titles and ticks to its width, and does so again whenever its width or the color
          scheme changes; returns a promise;
        * `lts.colored(value)`: the value with colors in place of `var(--NAME)`;
        * `lts.waiting`: an array of promises; when all are fulfilled the page says `data-drawn` at its root element,
          which tests and `scripts/screenshots` wait for.
    style
        CSS after page.css.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    scripts: Sequence[str] = ()
    style: str = ""


def html_page(title: str, body: str, figures: Figures, plotly_js: str, source: Path, extra: Extra | None = None) -> str:
    """A document that needs nothing else, around a body of HTML; the title and the source are text."""
    extra = extra or Extra()
    page_js = f"\n{_asset('page.js')}"
    scripts = [_lines(script) for script in (plotly_js, *extra.scripts)]
    policy = _POLICY.format(" ".join(map(_hashed, (page_js, *scripts))))
    data = {"figures": figures.known, **extra.data}
    blobs = [_packed("json", name, json.dumps(value, separators=(",", ":"))) for name, value in data.items()]
    blobs += [_packed("script", f"{i}", script) for i, script in enumerate(scripts)]
    written = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{_asset('page.css')}{extra.style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f'<main id="content" tabindex="-1">{body}'
        "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>"
        '<p class="warn" id="too-old" hidden>The charts need a newer browser; the tables do not.</p>'
        f"<footer>Written {written} from {escaped(source)}. This file needs no network.</footer></main>\n"
        f"{''.join(blobs)}<script>{page_js}</script>\n</body>\n</html>\n"
    )


def _packed(kind: str, name: str, text: str) -> str:
    """An element that holds a text compressed: the same text, the same bytes."""
    packed = gzip.compress(text.encode("utf-8", "backslashreplace"), 6, mtime=0)
    content = base64.b64encode(packed).decode("ascii")
    return f'<script type="text/plain" data-packed="{kind}" data-name="{escaped(name)}">{content}</script>\n'


def _lines(script: str) -> str:
    """A script with the line breaks that a browser sees, which the hash is of."""
    return script.replace("\r\n", "\n").replace("\r", "\n")


def _hashed(script: str) -> str:
    """The source expression that allows this very script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
