"""Searching for arm64 from another machine, as a user meets it: estimates, libraries, the emulator, the report."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from emulation import emulation_is_missing

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).with_name("lts-engine")
ARGUMENTS = ["search", "gpt2-tiny", "--target", "arm64", "--n-prompt", "8", "--trials", "60", "--front-size", "2"]


@pytest.fixture(autouse=True, scope="module")
def _everything_is_here() -> None:
    if reason := emulation_is_missing():
        pytest.skip(reason)


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(
        [COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=600, env=env, check=False
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One search that several tests look at."""
    folder = tmp_path_factory.mktemp("arm64")
    return folder, run(folder, *ARGUMENTS, "-o", "json")


def test_a_search_without_a_device(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, result = searched
    assert result.returncode == 0, result.stderr
    records: list[dict[str, Any]] = json.loads(result.stdout)
    assert len(records) == 2
    directory = folder / "gpt2-tiny-arm64-estimated"
    for record in records:
        values, provenance = record["values"], record["provenance"]
        for name in ("latency_ms", "peak_memory_mib", "latency_published_ms"):
            assert provenance[name] == "estimated"
            assert values[name] > 0
        assert "measured" not in provenance.values()
        assert provenance["decoder_params"] == "exact"
        for name in ("instructions", "decode_instructions", "output_error"):
            assert provenance[name] == "emulated"
        assert values["instructions"] > values["decode_instructions"] > 10_000
        assert values["output_error"] < 1e-5
        library = directory / "models" / str(record["trial"]) / "arm64" / "model.so"
        told = subprocess.run(["file", library], capture_output=True, text=True, check=True).stdout
        assert "ARM aarch64" in told
        assert f"trial {record['trial']}: " in result.stderr
    assert result.stderr.count("correct in the emulator") == 2
    assert "costs are estimated from the profile of arm64" in result.stderr
    report = (directory / "report-estimated.html").read_text()
    assert "Nothing was measured" in report
    assert "ssh://USER@HOST" in report
    assert "Compiled for arm64" in report
    assert "emulated on none" not in report


def test_the_same_command_again_finds_everything_done(
    searched: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, first = searched
    models = sorted(folder.rglob("model.so"))
    before = [path.stat().st_mtime_ns for path in models]
    again = run(folder, *ARGUMENTS, "-o", "json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert [path.stat().st_mtime_ns for path in sorted(folder.rglob("model.so"))] == before


def test_tables_say_how_numbers_came_about(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = searched
    table = run(folder, "front", "gpt2-tiny-arm64-estimated", "-o", "md").stdout.splitlines()[0]
    assert "latency_ms (estimated)" in table
    assert "decoder_params (exact)" in table


def test_an_exported_member_runs_again_with_its_weights(
    searched: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder, _ = searched
    arguments = ("export", "gpt2-tiny-arm64-estimated", "--format", "tvm", "-O", str(tmp_path), "-o", "json")
    result = run(folder, *arguments)
    assert result.returncode == 0, result.stderr
    (model,) = (Path(record["file"]) for record in json.loads(result.stdout))
    assert model.name == "arm64"
    manifest = json.loads((model / "model.json").read_text())
    assert {(model / weight["file"]).is_file() for weight in manifest["weights"]} == {True}
    assert manifest["triple"] == "aarch64-linux-gnu"


@pytest.mark.parametrize(
    ("missing", "code", "sentence"),
    [
        ("aarch64-linux-gnu-g++", 3, "apt-get install g++-aarch64-linux-gnu"),
        ("qemu-aarch64", 0, "apt-get install qemu-user"),
    ],
)
def test_without_a_tool(tmp_path: Path, missing: str, code: int, sentence: str) -> None:
    """PATH without one program: the front is there all the same."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            link = tools / program.name
            if program.name != missing and not link.exists() and not link.is_symlink():
                link.symlink_to(program)
    result = run(tmp_path, *ARGUMENTS, "--front-size", "1", "-o", "json", PATH=str(tools))
    assert result.returncode == code, result.stderr
    assert len(json.loads(result.stdout)) == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def counting_qemu(folder: Path) -> tuple[str, Path]:
    """A PATH whose qemu notes every run of lts-runner in a file, and that file."""
    notes = folder / "runs"
    shim = folder / "bin" / "qemu-aarch64"
    shim.parent.mkdir()
    shim.write_text(
        f'#!/bin/sh\ncase "$*" in *--once*) echo run >> {notes} ;; esac\nexec {shutil.which("qemu-aarch64")} "$@"\n'
    )
    shim.chmod(0o755)
    return f"{shim.parent}:{os.environ['PATH']}", notes


def test_an_emulated_device_has_instructions_as_its_cost(tmp_path: Path) -> None:
    arguments = ["search", "gpt2-tiny", "--target", "cortex-a53", "--device", "emulated", "--trials", "3"]
    path, notes = counting_qemu(tmp_path)
    result = run(tmp_path, *arguments, "--n-prompt", "8", "-o", "json", PATH=path)
    assert result.returncode == 0, result.stderr
    front = json.loads(result.stdout)
    assert result.stderr.count("correct in the emulator") == len(front)
    # The prompt pass of every trial, the decode step of the front, which the search had not run, and who it is.
    assert len(notes.read_text().splitlines()) == 3 + len(front) + 1
    for record in front:
        assert set(record["values"]) >= {"decoder_params", "instructions", "output_error"}
        assert "latency_ms" not in record["values"]
        assert record["provenance"]["instructions"] == "emulated"
    assert (tmp_path / "gpt2-tiny-cortex-a53-emulated" / "study.db").is_file()
    result = run(tmp_path, *arguments, "--objective", "latency_ms:min")
    assert result.returncode == 2
    assert "latency_ms" in result.stderr
    result = run(tmp_path, *arguments, "--backend", "onnxruntime")
    assert result.returncode == 2
    assert "--backend tvm" in result.stderr


def test_a_prompt_as_long_as_the_positions_has_no_decode_step(tmp_path: Path) -> None:
    arguments = ["search", "gpt2-tiny", "--target", "arm64", "--n-prompt", "256", "--trials", "20", "--front-size", "1"]
    result = run(tmp_path, *arguments)
    assert result.returncode == 2
    assert (
        "n_prompt is 256 and n_gen 32, which needs n_positions 287; gpt2-tiny has 256, enough for 225" in result.stderr
    )
    result = run(tmp_path, *arguments, "--n-gen", "0", "-o", "json")
    assert result.returncode == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert record["deployed"] == "correct"
    assert "instructions" in record["values"]
    assert "decode_instructions" not in record["values"]


def test_a_target_of_ones_own(tmp_path: Path) -> None:
    """It is known by what its file says, not by its name."""
    profile = tmp_path / "cortex-a53.toml"  # a name that a target of ours has, too
    profile.write_text('like = "cortex-a72"\n')
    arguments = ["search", "gpt2-tiny", "--target", profile.name, "--n-prompt", "8", "--trials", "20"]
    result = run(tmp_path, *arguments, "--export", "none", "-o", "json")
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.rglob("model.so"))
    profile.write_text('like = "cortex-a72"\nfrequency_mhz = 500\n')
    result = run(tmp_path, *arguments, "--export", "none")
    assert result.returncode == 2
    assert "the profile of the target differs in estimate, frequency_mhz" in result.stderr
    profile.unlink()
    result = run(tmp_path, "export", "gpt2-tiny-cortex-a53-estimated", "--format", "tvm", "-o", "json")
    assert result.returncode == 0, result.stderr
    (manifest,) = tmp_path.rglob("model.json")
    assert manifest.parent.name == "cortex-a53"


def test_what_the_compile_stage_stumbles_over_comes_after_the_results(tmp_path: Path) -> None:
    in_the_way = tmp_path / "out" / "models"
    in_the_way.parent.mkdir()
    in_the_way.write_text("")
    result = run(tmp_path, *ARGUMENTS, "--output-dir", "out", "-o", "json")
    assert result.returncode == 2
    assert json.loads(result.stdout)
    assert "models" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_ctrl_c_while_the_front_is_compiled(tmp_path: Path) -> None:
    arguments = [a if a != "2" else "6" for a in ARGUMENTS]
    process = subprocess.Popen(
        [COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "exported to" in line:
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the same command resumes" in errors
    assert "Traceback" not in errors
    assert "gpt2" in output or "trial" in output
    result = run(tmp_path, *ARGUMENTS, "-o", "json")
    assert result.returncode == 0, result.stderr
    assert all("output_error" in record["values"] for record in json.loads(result.stdout))
