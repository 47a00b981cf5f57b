"""Colors of pages: contrast (WCAG 2) by day and by night, computed from the style sheet itself."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from browser import contrast, luminance, rgb

import lts.report

CSS = Path(lts.report.__file__).with_name("page.css").read_text(encoding="utf-8")
TEXT, MARKS = 4.5, 3.0


def variables(scheme: str) -> dict[str, str]:
    day, night = CSS.split("@media (prefers-color-scheme: dark)")
    night = night[: night.index("}")]
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text)) for text in (day, night))
    assert light.keys() == dark.keys(), "each has all of them"
    return light if scheme == "light" else dark


def test_contrast_is_what_the_standard_says() -> None:
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_and_marks_be_seen(scheme: str) -> None:
    colors = variables(scheme)
    for name in ("ink", "muted", "warn", "accent"):
        for behind in ("paper", "card", "chosen"):
            ratio = contrast(rgb(colors[name]), rgb(colors[behind]))
            assert ratio >= TEXT, f"{name} on {behind}: {ratio:.2f}"
    for name in ("grey", *(f"scale-{i}" for i in range(5))):
        for behind in ("paper", "card"):
            ratio = contrast(rgb(colors[name]), rgb(colors[behind]))
            assert ratio >= MARKS, f"{name} on {behind}: {ratio:.2f}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scale_is_of_one_direction(scheme: str) -> None:
    """So that it is read without its colors, too."""
    colors = variables(scheme)
    levels = [luminance(rgb(colors[f"scale-{i}"])) for i in range(5)]
    assert all(b > 1.2 * a for a, b in itertools.pairwise(levels if scheme == "dark" else levels[::-1]))
