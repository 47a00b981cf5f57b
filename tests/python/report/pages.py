"""What a page holds, read without a browser: its elements, its visible text, and what it stores compressed."""

from __future__ import annotations

import base64
import gzip
import json
from html.parser import HTMLParser
from typing import Any

import pytest

NASTY = "</script><script>alert(1)</script><b x=\"'&amp;"


class Page(HTMLParser):
    """The elements and visible text of a page; raises when tags do not match."""

    VOID = frozenset({"meta", "br", "hr", "img", "input", "link", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.visible = ""
        self.data: dict[str, Any] = {}
        self.scripts: list[str] = []
        """Those that are stored compressed, plotly.js first, and at last the one that the browser finds as it is."""
        self._packed: tuple[str, str] | None = None
        self.feed(text)
        self.close()
        assert self.open == []
        self.figures: dict[str, Any] = self.data["figures"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "script":
            kind, name = attributes.get("data-packed"), attributes.get("data-name")
            self._packed = (kind, name) if kind and name else None
            if self._packed is None:
                self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            if self._packed is None:
                self.scripts[-1] += data
                return
            kind, name = self._packed
            text = gzip.decompress(base64.b64decode(data, validate=True)).decode()
            if kind == "script":
                self.scripts.append(text)
            else:  # what JavaScript's JSON.parse would refuse is refused here
                self.data[name] = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
        elif "style" not in self.open:
            # A name that may be broken into lines is one text.
            joins = bool(self.elements) and self.elements[-1][0] == "wbr" and self.visible.endswith(("_\n", ".\n"))
            self.visible = (self.visible[:-1] if joins else self.visible) + data + "\n"

    @property
    def policy(self) -> str:
        """The page's content security policy."""
        (found,) = (a["content"] for _, a in self.elements if a.get("http-equiv") == "Content-Security-Policy")
        assert found is not None
        return found

    def points(self, figure: str, name: str) -> int:
        """How many points the traces have whose name begins like that."""
        return sum(len(trace["x"]) for trace in self.figures[figure]["data"] if trace.get("name", "").startswith(name))

    def trace(self, figure: str, name: str) -> dict[str, Any]:
        """The markers of the trace whose name begins like that."""
        traces = self.figures[figure]["data"]
        return next(t for t in traces if "markers" in t["mode"] and t.get("name", "").startswith(name))


def asks_for_nothing(text: str, page: Page) -> None:
    """Assert that nothing in a page fetches anything or runs by itself."""
    for part in ("http:", "https:", "@import", "url("):
        assert part not in text
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert not {"src", "srcset", "action", "data", "background", "poster"} & set(attributes)
        assert str(attributes.get("href", "#")).startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert page.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src" not in page.policy
    assert "unsafe-eval" not in page.policy
    assert "script-src 'unsafe-inline'" not in page.policy


def known_to_plotly(page: Page) -> None:
    """Assert that plotly accepts every figure of a page, and that each has an element to be drawn in."""
    from plotly import graph_objects

    def plain(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("var("):
            return "#123456"
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return [plain(entry) for entry in value] if isinstance(value, list) else value

    for figure in page.figures.values():
        graph_objects.Figure(plain(figure))
    assert set(page.figures) <= {attributes.get("id") for _, attributes in page.elements}
