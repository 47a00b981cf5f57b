"""One seed gives one search on x86-64 and on aarch64: the same program, built for both, prints the same bytes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = Path("tests/cpp/same_search_probe")
CROSS_LIBRARIES = Path("/usr/aarch64-linux-gnu")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: cmake ninja-build g++-aarch64-linux-gnu qemu-user)")


def run(*command: str | Path) -> bytes:
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{(done.stdout + done.stderr).decode()[-4000:]}"
    return done.stdout


def build(folder: Path, *configuration: str) -> Path:
    """The probe, built into the folder; later calls rebuild only what changed."""
    run("cmake", "-S", ROOT, "-B", folder, *configuration)
    run("cmake", "--build", folder, "--target", "same_search_probe")
    return folder / PROBE


@pytest.fixture(scope="module")
def native() -> bytes:
    """What the probe prints when built for this machine."""
    need("cmake", "ninja")
    options = ("-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DLTS_BUILD_TESTS=OFF", "-DLTS_BUILD_PROBE=ON")
    return run(build(ROOT / "build" / "probe", *options))


@pytest.fixture(scope="module")
def aarch64() -> bytes:
    """What the probe prints when built for aarch64, emulated."""
    need("cmake", "ninja", "aarch64-linux-gnu-g++", "qemu-aarch64")
    probe = build(ROOT / "build" / "aarch64", "--preset", "aarch64")
    return run("qemu-aarch64", "-L", CROSS_LIBRARIES, probe)


def test_every_algorithm_searches_every_family(native: bytes) -> None:
    lines = native.decode().splitlines()
    searches = {tuple(line.split(" of ")[0].removeprefix("algorithm ").split(", space ")) for line in lines[::2]}
    algorithms = {"lts", "nsga2", "local", "random", "exhaustive"}
    assert searches == {(a, s) for a in algorithms for s in ("gpt2", "gpt2-bounded", "transformer_xl", "llama")}
    assert all(state.startswith("{") for state in lines[1::2])


def test_the_same_machine_gives_the_same_bytes_again(native: bytes) -> None:
    assert run(ROOT / "build" / "probe" / PROBE) == native


def test_aarch64_gives_the_same_bytes(native: bytes, aarch64: bytes) -> None:
    differing = [
        f"{a.decode()[:300]}\n{b.decode()[:300]}"
        for a, b in zip(native.splitlines(), aarch64.splitlines(), strict=True)
        if a != b
    ]
    assert not differing, "x86-64, then aarch64:\n" + "\n".join(differing)
    assert native == aarch64
