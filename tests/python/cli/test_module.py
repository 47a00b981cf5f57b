"""`python -m lts` does what `lts-engine` does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [str(Path(sys.executable).with_name("lts-engine"))]
MODULE = [sys.executable, "-m", "lts"]


def run(command: list[str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["space", "show", "gpt2-tiny"], 0),
        ([], None),
        (["--no-such-option"], 2),
        (["space", "show", "absent"], 2),
        (["front", "absent"], 2),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_the_module_is_the_command(arguments: list[str], code: int | None, tmp_path: Path) -> None:
    command = run(COMMAND, *arguments, cwd=tmp_path)
    module = run(MODULE, *arguments, cwd=tmp_path)
    assert module.returncode == command.returncode
    assert code is None or module.returncode == code

    def words(text: str) -> list[str]:  # lines are broken elsewhere, as the names are of different lengths
        return text.replace("python -m lts", "lts-engine").split()

    assert words(module.stdout) == words(command.stdout)
    assert words(module.stderr) == words(command.stderr)


def test_a_search_with_workers(tmp_path: Path) -> None:
    """Processes that the module starts do not take it for a program of their own."""
    search = ("search", "gpt2-tiny", "--trials", "2", "--n-prompt", "8", "--export", "none", "-o", "csv")
    done = run(MODULE, *search, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "decoder_params" in done.stdout.splitlines()[0]
    assert len(done.stdout.splitlines()) > 1


def test_importing_it_runs_nothing(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", "import lts.__main__"], cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
