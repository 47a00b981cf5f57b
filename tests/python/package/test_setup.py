"""Setting up as pyproject.toml and HACKING.md say it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]


def extras_in(name: str) -> set[str]:
    """The extras of ours that an extra consists of."""
    return {
        extra
        for requirement in EXTRAS[name]
        for inside in re.findall(r"^lts-engine\[(.*)\]$", requirement)
        for extra in inside.split(",")
    }


def test_all_leaves_out_what_its_comment_says() -> None:
    left_out = set(EXTRAS) - extras_in("all") - {"all", "dev"}
    assert len(EXTRAS["all"]) == 1
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (comment,) = re.findall(r"((?:^#.*\n)+)^all = ", text, re.MULTILINE)
    assert set(re.findall(r"'lts-engine\[([\w-]+)\]'", comment)) == left_out


@pytest.mark.parametrize("file", ["HACKING.md", "install.sh"])
def test_what_builds_is_installed_before_the_editable_package(file: str) -> None:
    """`--no-build-isolation` takes it from the environment."""
    if not (ROOT / file).exists():
        pytest.skip(f"{file} is not here")
    text = (ROOT / file).read_text(encoding="utf-8")
    editable = re.search(r"pip install --no-build-isolation -e ['\"]\.\[dev\]['\"]", text)
    assert editable
    before = re.findall(r"pip install (.*)", text[: editable.start()])
    for requirement in PYPROJECT["build-system"]["requires"]:
        assert any(f'"{requirement}"' in line for line in before), f"{file} does not install {requirement} before"
