"""Pages in Debian's Chromium: what they request, what goes wrong there, and faults of their layout as it was laid out.

    with launched() as chromium, chromium.opened(path, width=360, scheme="dark") as window:
        assert not window.errors and not window.requests and not layout_faults(window.page)

`launched` skips the test where Chromium or playwright is absent; the fixture `chromium` of the tests of reports is it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chromium import EXECUTABLE, started

WIDTHS = (360, 768, 1280, 1920)
SCHEMES = ("light", "dark")

_TIMEOUT_MS = 30_000  # of a single wait; a busy machine is no fault of a page


@dataclass
class Window:
    """A page that is open: playwright's `page`, what went wrong in it, and what it asked for besides itself."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def settled(self) -> None:
        """Return when the page says that it has drawn its charts, with all layout done."""
        self.page.wait_for_function("() => document.documentElement.dataset.drawn !== undefined", timeout=_TIMEOUT_MS)
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@dataclass
class Chromium:
    """A running browser."""

    browser: Any

    @contextmanager
    def opened(
        self,
        path: Path,
        *,
        width: int = 1280,
        height: int = 800,
        scheme: str = "light",
        fragment: str = "",
        before: str = "",
    ) -> Iterator[Window]:
        """The page of a file in a window of its own, offline, when its charts are drawn; `before` runs before its own
        scripts."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, accept_downloads=True
        )
        context.set_default_timeout(_TIMEOUT_MS)
        try:
            page = context.new_page()
            window = Window(page)
            if before:
                page.add_init_script(before)
            address = path.resolve().as_uri() + fragment

            def requested(request: Any) -> None:
                own = request.url.split("#")[0] == address.split("#")[0] or request.url.startswith("blob:")
                if not own:  # what the page itself made is no request to anybody
                    window.requests.append(request.url[:200])

            page.on("request", requested)
            page.on("pageerror", lambda error: window.errors.append(str(error)))
            page.on("console", lambda said: said.type in ("error", "warning") and window.errors.append(said.text))
            page.goto(address)
            window.settled()
            yield window
        finally:
            context.close()


@contextmanager
def launched() -> Iterator[Chromium]:
    """Chromium, driven by playwright; the test is skipped where one of the two is absent."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if EXECUTABLE is None:
        pytest.skip("no Chromium here: install Debian's chromium")
    with playwright.sync_playwright() as running:
        try:
            browser = started(running, "--disable-gpu")
        except playwright.Error as error:
            pytest.skip(f"Chromium does not run here: {str(error)[:200]}")
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def layout_faults(page: Any) -> list[str]:
    """What a person would see to be wrong: overflow, cut text, broken words, text of charts on other text."""
    found: list[str] = page.evaluate(_script("layout_faults"))
    return found


def contrast_faults(page: Any, least: float = 4.5) -> list[str]:
    """Text of a contrast below `least` with what lies behind it, as rendered."""
    found: list[str] = page.evaluate(_script("contrast_faults"), least)
    return found


def rgb(color: str) -> list[float]:
    """Red, green and blue, from 0 to 1, of a color such as #1f6fb2."""
    return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def luminance(color: Sequence[float]) -> float:
    """Relative luminance (WCAG 2.2) of red, green and blue."""
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Contrast ratio (WCAG 2.2) of two colors."""
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def _script(name: str) -> str:
    return Path(__file__).with_name(f"{name}.js").read_text(encoding="utf-8")
