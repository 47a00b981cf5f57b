"""The examples that embed the core: one seed gives one search everywhere, in little memory; killed, they resume."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from embedding import AARCH64, ARMV7, HOST, Platform, build, command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def program(name: str, platform: Platform = HOST) -> list[str]:
    """The words that run an example."""
    return [*platform.run, str(build(platform, name) / "examples" / name / name)]


@pytest.fixture(scope="module", params=["embed_c", "embed_cpp"])
def example(request: pytest.FixtureRequest) -> list[str]:
    return program(request.param)


def run(words: list[str], *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*words, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=600, errors="replace"
    )
    assert done.returncode == code, done.stderr
    return done


def n_told(state: Path) -> int:
    """How many candidates the saved state has results of; 0 when there is none."""
    return int(json.loads(state.read_text(encoding="utf-8"))["n_told"]) if state.exists() else 0


def stop_in_the_middle(words: list[str], state: Path, number: signal.Signals) -> int:
    """Runs until something is saved, then sends the signal. The exit code."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while n_told(state) == 0 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    return process.wait(60)


# --- One seed, one search ---


@pytest.mark.parametrize("platform", [AARCH64, ARMV7], ids=lambda p: p.preset)
def test_the_search_in_c_is_the_same_candidate_by_candidate(platform: Platform, tmp_path: Path) -> None:
    logs = {}
    fronts = {}
    for where in (HOST, platform):
        log = tmp_path / f"{where.preset}.log"
        arguments = ("--trials", "3000", "--seed", "7", "--log", log)
        fronts[where] = run(program("embed_c", where), *arguments).stdout
        logs[where] = log.read_text(encoding="utf-8").splitlines()
    assert len(logs[HOST]) == 3000
    assert logs[HOST] == logs[platform]
    assert fronts[HOST] == fronts[platform]
    assert len(fronts[HOST].splitlines()) > 20


def test_another_seed_is_another_search(tmp_path: Path) -> None:
    words = program("embed_c")
    assert run(words, "--trials", "200", "--seed", "1").stdout != run(words, "--trials", "200", "--seed", "2").stdout


def test_a_hundred_thousand_candidates_in_32_mebibytes(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    done = run(program("embed_c"), "--trials", "100000", "--state", state)
    assert n_told(state) == 100_000
    (peak,) = re.findall(r"peak memory of this process ([\d.]+) MiB, measured", done.stderr)
    assert float(peak) <= 32


# --- Killed, interrupted, told wrong things ---


def test_killed_it_goes_on(tmp_path: Path) -> None:
    words = program("embed_c")
    arguments = ["--trials", "60000", "--seed", "3", "--every", "200"]
    whole, state = tmp_path / "whole.json", tmp_path / "state.json"
    logs = [tmp_path / "whole.log", tmp_path / "state.log"]
    expected = run(words, *arguments, "--state", whole, "--log", logs[0]).stdout
    stopped = [*words, *arguments, "--state", str(state), "--log", str(logs[1])]
    assert stop_in_the_middle(stopped, state, signal.SIGKILL) == -signal.SIGKILL
    assert 0 < n_told(state) < 60_000
    assert run(stopped).stdout == expected
    assert state.read_text(encoding="utf-8") == whole.read_text(encoding="utf-8")
    assert logs[0].read_bytes() == logs[1].read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_it_goes_on_from_what_was_saved(example: list[str], number: signal.Signals, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    trials = "200000" if "embed_cpp" not in example[-1] else "1500"
    words = [*example, "--every", "50", "--state", str(state), "--trials", trials]
    code = stop_in_the_middle(words, state, number)
    assert code == (-number if number == signal.SIGKILL else 130)
    reached = n_told(state)
    assert 0 < reached < int(trials)
    done = run(example, "--every", "50", "--state", state, "--trials", str(reached + 60))
    assert n_told(state) == reached + 60
    front = [json.loads(line) for line in done.stdout.splitlines()]
    assert front
    # No member is beaten by another one.
    for a in front:
        assert not any(
            b is not a and b["decoder_params"] >= a["decoder_params"] and b["latency_ms"] <= a["latency_ms"]
            for b in front
        )


def test_finished_it_prints_the_same_again(example: list[str], tmp_path: Path) -> None:
    arguments = ("--trials", "120", "--state", tmp_path / "state.json")
    assert run(example, *arguments).stdout == run(example, *arguments).stdout


@pytest.mark.parametrize("text", ["", "{", '{"schema":1}', "\xff", "[" * 100_000])
def test_a_state_that_is_none_is_refused(example: list[str], text: str, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(text, encoding="latin-1")
    done = run(example, "--state", state, code=2)
    assert str(state) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert state.read_text(encoding="latin-1") == text, "it may be somebody's"


@pytest.mark.parametrize(
    "arguments", [["--trials", "0"], ["--trials", "x"], ["--every", "-1"], ["--seed"], ["--nonsense", "1"], ["7"]]
)
def test_wrong_arguments_are_refused(example: list[str], arguments: list[str]) -> None:
    done = run(example, *arguments, code=2)
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_a_state_that_cannot_be_written_is_said(example: list[str], tmp_path: Path) -> None:
    done = run(example, "--trials", "60", "--every", "50", "--state", tmp_path / "missing" / "state.json", code=2)
    assert "cannot write" in done.stderr
    assert "No such file or directory" in done.stderr


def test_a_full_disk_is_said(example: list[str]) -> None:
    """What is printed does not get lost without a word."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*example, "--trials", "60"], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=600
        )
    assert done.returncode == 2
    assert "cannot write" in done.stderr


def test_nothing_but_libraries_of_the_system_is_needed(example: list[str]) -> None:
    names = set(re.findall(r"^\s*(?:/\S*/)?(\S+?)\.so", command("ldd", example[-1]), re.MULTILINE))
    assert names <= {"liblts", "libstdc++", "libm", "libc", "libgcc_s", "linux-vdso", "ld-linux-x86-64"}


@pytest.mark.parametrize("what", ["/dev/full", "."])
def test_a_state_that_is_no_plain_file_is_refused(example: list[str], what: str) -> None:
    done = run(example, "--state", what, code=2)
    assert "is not a plain file" in done.stderr
