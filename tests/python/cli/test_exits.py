"""How commands end: faults of ours, logs and results that cannot be written, signals, terminals that close."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from mounts import mounted

COMMAND = str(Path(sys.executable).with_name("lts-engine"))
SEARCH = ("search", "gpt2-tiny", "--n-prompt", "8", "--surrogate", "none", "--output-dir", "out")


def finished(store: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT count(*) FROM trial WHERE record LIKE '%\"complete\"%'").fetchone()
            return int(found[0])
    except sqlite3.Error:
        return 0


def wait_for_trials(store: Path, n: int) -> None:
    deadline = time.monotonic() + 60
    while finished(store) < n:
        assert time.monotonic() < deadline, "no trials within a minute"
        time.sleep(0.02)


def with_fault(fault: str, *, debug: bool = False, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`space list` where the function that names the spaces raises."""
    code = (
        "import lts.spaces.space as module\n"
        f"def broken(): {fault}\n"
        "module.space_names = broken\n"
        "from lts.cli import main\n"
        "main()\n"
    )
    environment = {**os.environ, **({"LTS_DEBUG": "1"} if debug else {})}
    command = [sys.executable, "-c", code, "space", "list"]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "fault",
    ["assert False", "{}['absent']", "None.absent", "1 + ''", "raise ValueError('of ours')", "1 / 0", "[][1]"],
)
def test_a_fault_of_ours_is_one_sentence_and_exit_70(fault: str, tmp_path: Path) -> None:
    done = with_fault(fault, cwd=tmp_path)
    assert done.returncode == 70, done.stderr
    assert done.stderr.startswith("error: a fault of lts-engine")
    assert "LTS_DEBUG=1 shows the traceback" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    shown = with_fault(fault, debug=True, cwd=tmp_path)
    assert shown.returncode == 70
    assert "Traceback (most recent call last)" in shown.stderr


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("raise OverflowError('too large')", 2),
        ("raise PermissionError(13, 'denied', 'x')", 2),
        ("raise MemoryError", 2),
    ],
)
def test_what_the_user_or_the_machine_caused_is_exit_2(fault: str, code: int, tmp_path: Path) -> None:
    done = with_fault(fault, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "fault" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("count", "a.json", "--n-prompt", "9" * 23),
        ("count", "a.json", "--batch", "1000000000000"),
        ("estimate", "a.json", "--target", "arm64", "--n-prompt", "9" * 23),
        ("estimate", "a.json", "--target", "arm64", "--n-prompt", "9000000000000000000"),
        ("estimate", "a.json", "--target", "arm64", "--threads", "9" * 23),
        ("search", "transformer-xl-tiny", "--n-prompt", "9" * 23),
        ("search", "gpt2-tiny", "--seed", "9" * 23),
        ("target", "calibrate", "--seed", "9" * 23),
        ("space", "sample", "gpt2-tiny", "--seed", "9" * 23),
    ],
)
def test_absurd_numbers_are_usage_errors(arguments: tuple[str, ...], tmp_path: Path) -> None:
    sample = subprocess.run([COMMAND, "space", "sample", "gpt2-tiny"], capture_output=True, check=True, timeout=60)
    (tmp_path / "a.json").write_bytes(sample.stdout)
    done = subprocess.run([COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "fault" not in done.stderr


@pytest.mark.parametrize("log", ["reader gone", "/dev/full", "closed"])
def test_a_log_that_cannot_be_written_changes_nothing(log: str, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    full = os.open("/dev/full", os.O_WRONLY)
    close = {"closed": lambda: os.close(2)}.get(log)
    done = subprocess.run(
        [COMMAND, *SEARCH, "--trials", "6", "--export", "knee", "-o", "jsonl"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr={"reader gone": write, "/dev/full": full, "closed": subprocess.DEVNULL}[log],
        preexec_fn=close,
        check=False,
        timeout=120,
    )
    os.close(write)
    os.close(full)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") >= 1
    assert finished(tmp_path / "out" / "study.db") == 6
    assert list((tmp_path / "out" / "models").iterdir())


@pytest.mark.parametrize("arguments", [("nonsense",), ("front", "absent"), ("search", "absent")])
def test_an_error_that_nobody_reads_keeps_its_code(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([COMMAND, *arguments], cwd=tmp_path, stderr=full, check=False, timeout=60)
    assert done.returncode == 2


@pytest.mark.parametrize(
    "arguments", [("space", "list"), ("--help",), ("target", "detect"), ("target", "list", "-o", "csv")]
)
def test_a_full_stdout_is_exit_2_and_a_closed_one_is_none(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, *arguments], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert done.returncode == 2
    assert done.stderr == "error: the results cannot be written to stdout: No space left on device\n"
    read, write = os.pipe()
    os.close(read)
    gone = subprocess.run(
        [COMMAND, *arguments], cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )
    os.close(write)
    assert (gone.returncode, gone.stderr) == (0, "")


def test_a_search_whose_stdout_is_full_still_writes_models_and_report(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, *SEARCH, "--trials", "3"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 2
    assert "cannot be written to stdout" in done.stderr
    assert "study: " in done.stderr
    assert list((tmp_path / "out" / "models").iterdir())


def test_a_hang_up_is_an_interrupt(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, *SEARCH, "--trials", "500"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_trials(tmp_path / "out" / "study.db", 2)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command resumes" in stderr
    assert "Pareto front" in stdout


def test_nohup_is_respected(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, *SEARCH, "--trials", "6", "--export", "none"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_for_trials(tmp_path / "out" / "study.db", 1)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert finished(tmp_path / "out" / "study.db") == 6


def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(COMMAND, [*SEARCH, "--trials", "500"], cwd=str(tmp_path), timeout=60, dimensions=(40, 120))
    child.expect("hypervolume")
    wait_for_trials(tmp_path / "out" / "study.db", 2)
    os.close(child.child_fd)  # the emulator is gone: the kernel hangs up
    _, status = os.waitpid(child.pid, 0)
    child.ptyproc.closed = child.closed = child.terminated = True
    assert os.waitstatus_to_exitcode(status) == 130
    if find_spec("plotly") is not None:
        assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.skipif(find_spec("tvm") is None, reason="TVM is not installed: pip install 'lts-engine[tvm]'")
def test_temporary_files_on_a_disk_from_which_nothing_can_be_run(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "noexec,size=400m") as disk:
        done = subprocess.run(
            [COMMAND, *SEARCH, "--backend", "tvm", "--trials", "2"],
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(disk)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 3
        assert done.stderr.splitlines()[-1] == (
            f"error: compiled models cannot be run: {disk}, where temporary files go, is mounted noexec; "
            "set TMPDIR to another folder"
        )
        assert "Traceback" not in done.stderr
        assert not [path for path in disk.rglob("*") if path.is_file()]
    done = subprocess.run(
        [COMMAND, *SEARCH, "--backend", "tvm", "--trials", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert finished(tmp_path / "out" / "study.db") == 2
