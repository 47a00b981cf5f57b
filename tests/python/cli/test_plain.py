"""Our own signs where a stream has ASCII alone: nothing becomes a question mark that has a form there."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lts.cli.plain import form_of, plain, readable
from lts.spaces.space import space_names
from lts.system.text import grouped, magnitude, runs, time_each, with_bounds

PROGRAM = str(Path(sys.executable).with_name("lts-engine"))
C = {"LC_ALL": "C"}


def test_numbers_are_as_before_in_ascii() -> None:
    assert plain(grouped(1_175_144_443)) == "1 175 144 443"
    assert plain(magnitude(1_260_791_464_262_085)) == "1.26 x 10^15"
    assert plain(with_bounds(81.2, (80.0, 82.0))) == "81.20 +/-1.2"
    assert plain(runs([2, 2, 2, 8])) == "3x2 8"
    assert plain(time_each(3.1e-6)) == "3.1 us"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_power_of_ten_stays_one(encoding: str) -> None:
    """Latin-1 has some superscripts and not others: 10¹5 would be another number."""
    assert readable(magnitude(10**15), encoding) == "1.00 x 10^15"
    assert readable(magnitude(10**15), "utf-8") == magnitude(10**15)


def written(text: str, encoding: str, errors: str) -> bytes:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
    stream.write(text)
    stream.flush()
    return stream.buffer.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_streams_replace_what_nobody_has_replaced() -> None:
    text = "10¹⁵ × 2 ± 1 in größe/日本"
    assert written(text, *form_of("ascii", {})) == b"10^15 x 2 +/- 1 in gr??e/??"
    # Under the locale C, Python writes UTF-8; what a user has named is written so still.
    assert written(text, *form_of("utf-8", C)) == "10^15 x 2 +/- 1 in größe/日本".encode()
    assert written("\udcff", *form_of("utf-8", C)) == b"?"


@pytest.mark.parametrize(
    ("environment", "ascii_alone"),
    [
        (C, True),
        ({"LANG": "POSIX"}, True),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "C"}, False),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ({}, False),  # as in containers, whose logs take UTF-8
        ({**C, "PYTHONIOENCODING": "utf-8"}, False),
    ],
)
def test_who_asks_for_ascii(environment: dict[str, str], ascii_alone: bool) -> None:
    assert (form_of("utf-8", environment)[0] == "ascii") is ascii_alone


def test_the_command_itself() -> None:
    """Columns stay columns, and what programs read stays as it is."""
    environment = {**os.environ, **C}
    command = [PROGRAM, "space", "list"]
    shown = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True).stdout
    text = shown.decode("ascii")
    assert "?" not in text
    assert " 1.26 x 10^15 " in text
    lines = [line for line in text.splitlines() if any(name in line for name in space_names())]
    assert len({tuple(i for i, sign in enumerate(line) if sign == "|") for line in lines}) == 1
    others = [
        subprocess.run([*command, "-o", "csv"], env=each, capture_output=True, timeout=120, check=True).stdout
        for each in (environment, {**os.environ, "LC_ALL": "C.UTF-8"})
    ]
    assert others[0] == others[1]
