"""Commands of the user's own: what they say, line by line, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from lts.system.shell import run_command


def said(command: str, folder: Path, expected: int = 0) -> list[str]:
    lines: list[str] = []
    assert run_command(["sh", "-c", command], folder, lines.append) == expected
    return lines


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("true", []),
        ("echo one; echo two >&2; printf three", ["one", "two", "three"]),
        ("printf 'windows\\r\\nnext\\n\\n'", ["windows", "next", ""]),
        ("printf ' 1 %%\\r50 %%\\r100 %%\\n'", ["100 %"]),
        ("printf '\\377\\n'", ["�"]),
        ("exec >&- 2>&-; sleep 0.2", []),
        ("pwd", ["{folder}"]),
        ("cat; echo end", ["end"]),
    ],
)
def test_lines(tmp_path: Path, command: str, lines: list[str]) -> None:
    assert said(command, tmp_path) == [line.format(folder=tmp_path) for line in lines]


def test_exit_codes(tmp_path: Path) -> None:
    said("exit 7", tmp_path, 7)
    said("kill -TERM $$", tmp_path, -15)
    with pytest.raises(FileNotFoundError):
        run_command(["nonsense-4711"], tmp_path, print)


def test_lines_come_while_it_runs(tmp_path: Path) -> None:
    """The command waits for a file that is only made once its line was seen."""

    def told(line: str) -> None:
        assert line == "ready"
        (tmp_path / "seen").touch()

    command = "echo ready; while [ ! -e seen ]; do sleep 0.02; done"
    assert run_command(["sh", "-c", command], tmp_path, told, timeout=60) == 0


def test_much_output_is_passed_on_whole(tmp_path: Path) -> None:
    lines = said("head -c 3000000 /dev/zero | tr '\\0' x; echo; seq 100000", tmp_path)
    assert lines[-100_000:] == [str(number) for number in range(1, 100_001)]
    assert "".join(lines[:-100_000]) == "x" * 3_000_000
    assert max(map(len, lines)) < 200_000, "a line without an end is not kept whole"


def test_an_error_of_the_reader_ends_it(tmp_path: Path) -> None:
    def told(line: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(["sh", "-c", "echo one; sleep 1000"], tmp_path, told)
