"""The shared library: what it exports, what it needs, how large it is, and how its interface is compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from embedding import AARCH64, ARMV7, HOST, ROOT, Platform, build, command, need

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MAX_SIZE = 600_000  # bytes, stripped, on aarch64
C_LIBRARY = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-armhf.so.3", "ld-linux-aarch64.so.1"}


def library(platform: Platform, *, static: bool = False) -> Path:
    """The stripped library, with the C++ library in it or not."""
    folder = build(platform, "lts_c", static_libstdcxx=static)
    stripped = folder / ("stripped-static.so" if static else "stripped.so")
    command(f"{platform.tools}strip", "-o", stripped, folder / "liblts.so")
    return stripped


def needed(path: Path) -> set[str]:
    need("readelf", packages="binutils")
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", command("readelf", "-d", path)))


@pytest.mark.parametrize("platform", [HOST, AARCH64, ARMV7], ids=lambda p: p.preset)
def test_exports_what_was_reviewed(platform: Platform) -> None:
    lines = command(f"{platform.tools}nm", "-D", "--defined-only", library(platform)).splitlines()
    exported = sorted(line.split()[-1].split("@")[0] for line in lines)
    assert exported == (ROOT / "tests/abi/exports.txt").read_text(encoding="utf-8").split()


@pytest.mark.parametrize("platform", [HOST, AARCH64, ARMV7], ids=lambda p: p.preset)
def test_needs_the_c_and_cpp_libraries_alone(platform: Platform) -> None:
    assert needed(library(platform)) <= C_LIBRARY | {"libm.so.6", "libstdc++.so.6"}


@pytest.mark.parametrize("platform", [AARCH64, ARMV7], ids=lambda p: p.preset)
def test_static_libstdcxx_leaves_the_c_library(platform: Platform) -> None:
    rounding = set() if platform is AARCH64 else {"libm.so.6"}  # no instruction of ARMv7
    assert needed(library(platform, static=True)) <= C_LIBRARY | rounding


@pytest.mark.parametrize("static", [False, True])
def test_is_small_on_aarch64(static: bool) -> None:
    path = library(AARCH64, static=static)
    assert "AArch64" in command("readelf", "-h", path)
    assert path.stat().st_size <= MAX_SIZE


def test_the_name_has_the_version(tmp_path: Path) -> None:
    assert "[liblts.so.0.1]" in command("readelf", "-d", library(HOST))


def test_header_and_project_have_one_version() -> None:
    header = (ROOT / "cpp/include/lts/lts.h").read_text(encoding="utf-8")
    parts = re.findall(r"#define LTS_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)
    (project,) = re.findall(r"^project\(lts VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    (python,) = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert ".".join(parts) == project == python


def test_the_header_declares_what_is_exported() -> None:
    text = (ROOT / "cpp/include/lts/lts.h").read_text(encoding="utf-8")
    exported = set((ROOT / "tests/abi/exports.txt").read_text(encoding="utf-8").split())
    assert set(re.findall(r"^LTS_API [^(]*?\b(lts_\w+)\(", text, re.MULTILINE)) == exported
