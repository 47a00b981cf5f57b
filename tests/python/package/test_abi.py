"""The shared library: what it exports, what it needs, how large it is, and how its interface is compared."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import pytest
from embedding import AARCH64, ARMV7, HOST, ROOT, Platform, build, command, locked, need

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Bytes, stripped, on aarch64. Linked for pages of 64 KB the file grows by as much at once, when the code has grown past
# the next page.
MAX_SIZE = 600_000
C_LIBRARY = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-armhf.so.3", "ld-linux-aarch64.so.1"}


@functools.cache
def library(platform: Platform, *, static: bool = False) -> Path:
    """The stripped library, with the C++ library in it or not."""
    folder = build(platform, "lts_c", static_libstdcxx=static)
    stripped = folder / "stripped.so"
    with locked(folder):
        command(f"{platform.tools}strip", "-o", stripped, folder / "liblts.so")
    return stripped


def needed(path: Path) -> set[str]:
    need("readelf", packages="binutils")
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", command("readelf", "-d", path)))


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
@pytest.mark.parametrize("platform", [HOST, AARCH64, ARMV7], ids=lambda p: p.preset)
def test_exports_what_was_reviewed(platform: Platform, static: bool) -> None:
    path = library(platform, static=static)
    lines = command(f"{platform.tools}nm", "-D", "--defined-only", path).splitlines()
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


# --- scripts/abi_diff, on small libraries ---

OLD = """#include <stdint.h>
enum { LTS_OK = 0, LTS_EXHAUSTED = 1 };
typedef struct lts_progress { uint64_t n_asked; uint64_t n_told; } lts_progress;
int lts_look(const lts_progress* progress, uint32_t depth);
"""
BREAKING = {
    "a function is gone": (
        "int lts_look(const lts_progress* progress, uint32_t depth);\n",
        "int lts_see(int depth);\n",
    ),
    "a parameter more": ("uint32_t depth", "uint32_t depth, int more"),
    "a narrower parameter": ("uint32_t depth", "uint16_t depth"),
    "fields in another order": ("uint64_t n_asked; uint64_t n_told;", "uint64_t n_told; uint64_t n_asked;"),
    "a narrower field": ("uint64_t n_told", "uint32_t n_told"),
    "another constant": ("LTS_EXHAUSTED = 1", "LTS_EXHAUSTED = 7"),
}


def small_library(folder: Path, header: str, soname: str = "liblts.so.0.1") -> Path:
    (folder / "include" / "lts").mkdir(parents=True)
    (folder / "include/lts/lts.h").write_text(header)
    functions = [line.rstrip(";") for line in header.splitlines() if line.startswith("int ")]
    source = folder / "lts.c"
    source.write_text('#include "include/lts/lts.h"\n' + "\n".join(f"{f} {{ return 0; }}" for f in functions))
    command("gcc", "-g", "-shared", "-fPIC", f"-Wl,-soname,{soname}", source, "-o", folder / "liblts.so")
    return folder


def abi_diff(old: Path, new: Path) -> tuple[int, str]:
    need("gcc", "abidiff", packages="gcc abigail-tools")
    words = [str(ROOT / "scripts/abi_diff"), str(old), str(new)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("change", BREAKING)
def test_changes_that_break_programs_are_found(change: str, tmp_path: Path) -> None:
    old = small_library(tmp_path / "old", OLD)
    header = OLD.replace(*BREAKING[change])
    code, text = abi_diff(old, small_library(tmp_path / "new", header))
    assert code == 1, text
    assert "raise the version" in text
    code, text = abi_diff(old, small_library(tmp_path / "renamed", header, "liblts.so.0.2"))
    assert code == 0, text


@pytest.mark.parametrize("more", ["", "int lts_more(void);\n", "enum { LTS_MORE = 9 };\n"])
def test_additions_are_compatible(more: str, tmp_path: Path) -> None:
    code, text = abi_diff(small_library(tmp_path / "old", OLD), small_library(tmp_path / "new", OLD + more))
    assert (code, text.splitlines()[-1]) == (0, f"abi_diff: compatible with {tmp_path / 'old'}")
