"""Configuring with CMake where GoogleTest and Google Benchmark are not installed: only the tests need them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from embedding import ROOT, command, need

HIDE = {name: f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("GTest", "benchmark")}
TESTS_LEFT_OUT = (
    "-- The C++ tests are left out: GoogleTest is not installed; install it (Debian's package libgtest-dev)"
)
BENCHMARKS_LEFT_OUT = (
    "-- The C++ benchmarks are left out: Google Benchmark is not installed; "
    "install it (Debian's package libbenchmark-dev)"
)

Configure = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Configure the project into a folder of the test's own."""
    need("cmake", "ninja", "g++", packages="cmake ninja-build g++")

    def configured(*options: str) -> subprocess.CompletedProcess[str]:
        words = ["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(tmp_path / "build"), *options]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    return configured


def targets(folder: Path) -> set[str]:
    listed = command("ninja", "-C", folder / "build", "-t", "targets", "all")
    return set(re.findall(r"^(\w[\w-]*): phony", listed, re.MULTILINE))


def lines_about(what: str, done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stdout.splitlines() if what in line]


def test_without_both_the_rest_is_built(configure: Configure, tmp_path: Path) -> None:
    done = configure(*HIDE.values())
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert lines_about("tests are", done) == [TESTS_LEFT_OUT]
    assert lines_about("benchmarks are", done) == [BENCHMARKS_LEFT_OUT]
    assert {"lts", "lts_c", "install"} <= targets(tmp_path)
    assert not targets(tmp_path) & {"lts_tests", "lts_c_tests", "headers_stand_alone", "bench_core", "test"}


def test_tests_are_built_once_google_test_is_there(configure: Configure, tmp_path: Path) -> None:
    """What an earlier configuration did not find is no choice of the user's."""
    first = configure(HIDE["GTest"])
    assert first.returncode == 0, first.stderr
    assert lines_about("tests are", first) == [TESTS_LEFT_OUT]
    second = configure("-UCMAKE_DISABLE_FIND_PACKAGE_GTest")
    assert second.returncode == 0, second.stderr
    if lines_about("tests are", second):
        pytest.skip("GoogleTest is not installed (Debian: libgtest-dev)")
    assert {"lts_tests", "lts_c_tests", "lts_allocation_tests", "test"} <= targets(tmp_path)


@pytest.mark.parametrize(
    ("option", "hidden", "says"),
    [
        (
            "LTS_BUILD_TESTS",
            "GTest",
            "LTS_BUILD_TESTS is ON, and GoogleTest is not installed; install it .*libgtest-dev",
        ),
        ("LTS_BUILD_BENCHMARKS", "benchmark", "LTS_BUILD_BENCHMARKS is ON, and Google Benchmark .*libbenchmark-dev"),
    ],
)
def test_what_is_asked_for_is_not_left_out(option: str, hidden: str, says: str, configure: Configure) -> None:
    done = configure(f"-D{option}=ON", *HIDE.values())
    assert done.returncode != 0
    assert re.search(says, " ".join(done.stderr.split())), done.stderr


def test_what_is_refused_is_not_looked_for(configure: Configure) -> None:
    done = configure("-DLTS_BUILD_TESTS=OFF", HIDE["GTest"])
    assert done.returncode == 0, done.stderr
    assert not lines_about("GoogleTest", done)


@pytest.mark.parametrize("preset", ["dev", "release", "asan", "tsan"])
def test_presets_with_tests_promise_them(preset: str, configure: Configure) -> None:
    """Else `ctest` would pass because there is nothing to run."""
    done = configure("--preset", preset, *HIDE.values())
    assert done.returncode != 0
    assert "LTS_BUILD_TESTS is ON" in done.stderr
