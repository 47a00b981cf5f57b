"""One seed gives one search on x86-64 and on 64- and 32-bit Arm: one program, built for each, prints the same bytes."""

from __future__ import annotations

import subprocess

import pytest
from embedding import AARCH64, ARMV7, HOST, Platform, build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def output(platform: Platform) -> bytes:
    """What the probe prints when built for a platform."""
    probe = build(platform, "same_search_probe") / "tests/cpp/same_search_probe"
    return subprocess.run([*platform.run, str(probe)], stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture(scope="module")
def native() -> bytes:
    return output(HOST)


def test_every_algorithm_searches_every_family(native: bytes) -> None:
    lines = native.decode().splitlines()
    searches = {tuple(line.split(" of ")[0].removeprefix("algorithm ").split(", space ")) for line in lines[::2]}
    algorithms = {"lts", "nsga2", "local", "random", "exhaustive"}
    assert searches == {
        (a, s) for a in algorithms for s in ("gpt2", "gpt2-bounded", "transformer_xl", "llama", "pruned")
    }
    assert all(state.startswith("{") for state in lines[1::2])


def test_the_same_machine_gives_the_same_bytes_again(native: bytes) -> None:
    assert output(HOST) == native


@pytest.mark.parametrize("platform", [AARCH64, ARMV7], ids=lambda p: p.preset)
def test_arm_gives_the_same_bytes(native: bytes, platform: Platform) -> None:
    arm = output(platform)
    differing = [
        f"{a.decode()[:400]}\n{b.decode()[:400]}"
        for a, b in zip(native.splitlines(), arm.splitlines(), strict=True)
        if a != b
    ]
    assert not differing, f"x86-64, then {platform.preset}:\n" + "\n".join(differing)
    assert native == arm
