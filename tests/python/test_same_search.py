"""One seed gives one search on x86-64 and on 64- and 32-bit Arm: one program, built for each, prints the same bytes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = Path("tests/cpp/same_search_probe")
# By preset: compiler, Debian's package of it, emulator, the libraries that it needs.
CROSS = {
    "aarch64": ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu", "qemu-aarch64", "/usr/aarch64-linux-gnu"),
    "armv7": ("arm-linux-gnueabihf-g++", "g++-arm-linux-gnueabihf", "qemu-arm", "/usr/arm-linux-gnueabihf"),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def need(packages: dict[str, str]) -> None:
    """Skip unless the programs are there; the values are Debian's packages of them."""
    missing = {program: package for program, package in packages.items() if shutil.which(program) is None}
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: {' '.join(missing.values())})")


def run(*command: str | Path) -> bytes:
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{(done.stdout + done.stderr).decode()[-4000:]}"
    return done.stdout


def build(folder: Path, *configuration: str) -> Path:
    """The probe, built into the folder; later calls rebuild only what changed."""
    need({"cmake": "cmake", "ninja": "ninja-build"})
    run("cmake", "-S", ROOT, "-B", folder, *configuration)
    run("cmake", "--build", folder, "--target", "same_search_probe")
    return folder / PROBE


@pytest.fixture(scope="module")
def native() -> bytes:
    """What the probe prints when built for this machine."""
    options = ("-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DLTS_BUILD_TESTS=OFF", "-DLTS_BUILD_PROBE=ON")
    return run(build(ROOT / "build" / "probe", *options))


def emulated(preset: str) -> bytes:
    """What the probe prints when built by a preset of `CROSS`."""
    compiler, package, emulator, libraries = CROSS[preset]
    need({compiler: package, emulator: "qemu-user"})
    return run(emulator, "-L", libraries, build(ROOT / "build" / preset, "--preset", preset))


def test_every_algorithm_searches_every_family(native: bytes) -> None:
    lines = native.decode().splitlines()
    searches = {tuple(line.split(" of ")[0].removeprefix("algorithm ").split(", space ")) for line in lines[::2]}
    algorithms = {"lts", "nsga2", "local", "random", "exhaustive"}
    assert searches == {(a, s) for a in algorithms for s in ("gpt2", "gpt2-bounded", "transformer_xl", "llama")}
    assert all(state.startswith("{") for state in lines[1::2])


def test_the_same_machine_gives_the_same_bytes_again(native: bytes) -> None:
    assert run(ROOT / "build" / "probe" / PROBE) == native


@pytest.mark.parametrize("preset", CROSS)
def test_arm_gives_the_same_bytes(native: bytes, preset: str) -> None:
    arm = emulated(preset)
    differing = [
        f"{a.decode()[:400]}\n{b.decode()[:400]}"
        for a, b in zip(native.splitlines(), arm.splitlines(), strict=True)
        if a != b
    ]
    assert not differing, f"x86-64, then {preset}:\n" + "\n".join(differing)
    assert native == arm
