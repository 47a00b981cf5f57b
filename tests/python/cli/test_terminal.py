"""Commands on terminals as people have them: what fits, what is left when they end, and where nothing is rewritten."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from board import SMALL
from terminal import ABSENT, Terminal

HELPERS = Path(__file__).resolve().parents[1]
SIZES = [(80, 24), (120, 40)]
needs_tmux = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)

# lts-engine with a device on which a model takes a while, and matrices that do.
PROGRAM = f"""
import sys, time
sys.path.append({str(HELPERS)!r})
from board import Board
from lts.cli import main
from lts.measure import opening
from lts.measure.counted import counted
from lts.proxies import capacity
from lts.system.progress import Work

SECONDS = float(sys.argv.pop(1))

class Slow(Board):
    def evaluate(self, architecture, columns, timeout=None):
        time.sleep(SECONDS)
        costs = super().evaluate(architecture, [each for each in columns if each in self.costs], timeout)
        return counted(architecture, columns, **self.workload.counted) | costs

def slow(architecture, source, observe):
    for i in range(30):
        observe(Work("decomposing matrices", i, 30, f"model.layers.{{i}}.a_matrix_with_a_name_that_is_rather_long"))
        time.sleep(SECONDS)
    raise SystemExit(0)

opening.open_evaluator = lambda *_, **__: Slow()
capacity.capacity_of = slow
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(textwrap.dedent(PROGRAM))
    (tmp_path / "slow").write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "slow.py"} "$@"\n')
    (tmp_path / "slow").chmod(0o755)
    return tmp_path


@pytest.fixture(params=SIZES, ids=[f"{columns}x{lines}" for columns, lines in SIZES])
def terminal(request: pytest.FixtureRequest, folder: Path) -> Iterator[Terminal]:
    with Terminal(folder, *request.param) as made:
        yield made


SEARCH = "search gpt2-tiny --timeout 10m -O out --trials"


def live_part(lines: list[str], first: str) -> list[str]:
    """What is rewritten: from its last beginning on."""
    start = max(i for i, line in enumerate(lines) if line.startswith(first))
    return [line for line in lines[start:] if line]


@needs_tmux
def test_a_search_on_a_terminal(terminal: Terminal) -> None:
    """Its table never wraps and says what it leaves out; Ctrl-C leaves nothing of it, and the rest whole."""
    terminal.type(f"./slow 0.4 {SEARCH} 40")
    terminal.see("trials 6 of 40", "time left")
    for _ in range(5):
        shown, joined = terminal.screen(), terminal.screen(joined=True)
        if (part := live_part(shown, "trials ")) == live_part(joined, "trials "):
            break  # else it was rewritten in between
    else:
        pytest.fail(f"a line was wrapped: {shown}")
    assert max(map(len, part)) < terminal.columns
    text = " ".join(part)
    assert re.search(r"evaluating candidates: trial \d+", text)
    (head,) = [line.split() for line in part if line.split()[:1] == ["trial"]]
    assert head[1:4] == ["decoder_params", "request_ms", "peak_memory_mib"]
    missing = [name for name in ("n_layer", "d_model", "d_ff") if name not in head]
    assert bool(missing) == (terminal.columns < 100)
    for name in missing:
        assert name in text.partition("at the end, or on a wider terminal: ")[2]
    assert terminal.cursor[0] is False
    terminal.interrupt()
    terminal.see("code 130")
    said = terminal.history()
    assert not [line for line in said if line.startswith(("trials ", "evaluating", "^C")) or "hypervolume" in line]
    (interrupted,) = [line for line in said if "interrupted" in line]
    assert re.fullmatch(r"interrupted after \d+ trials; the same command resumes", interrupted)
    assert [line.split(":")[0] for line in said if line.startswith(("next:", "or:"))] == ["next", "or", "or"]
    assert terminal.cursor == (True, 2)


@needs_tmux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_bar_on_a_terminal(terminal: Terminal, how: signal.Signals) -> None:
    (terminal.folder / "a.json").write_text(json.dumps(SMALL.to_dict()))
    terminal.type("sh -c 'echo $$ > pid; exec ./slow 0.5 proxy capacity a.json'")
    lines = [line for line in terminal.see("decomposing matrices", "3 of 30", "left", "━") if line]
    assert lines == [line for line in terminal.screen(joined=True) if line] or terminal.screen() != lines
    assert max(map(len, lines)) < terminal.columns
    assert "a_matrix_with_a_name_that_is_rather_long" in " ".join(lines)
    if how is signal.SIGINT:
        terminal.interrupt()
    else:
        os.kill(int((terminal.folder / "pid").read_text()), how)
    terminal.see("code 130")
    assert [line for line in terminal.screen() if line] == ["interrupted", "code 130", "$"]
    assert terminal.cursor == (True, 2)


@needs_tmux
def test_the_width_that_somebody_asks_for(folder: Path) -> None:
    with Terminal(folder, 120, 40) as wide:
        wide.type(f"COLUMNS=60 ./slow 0.2 {SEARCH} 40")
        part = live_part(wide.see("trials 3 of 40"), "trials ")
        assert max(map(len, part)) <= 60
        assert "at the end, or on a wider terminal:" in part[-1] or "at the end" in part[-2]
        wide.interrupt()
        wide.see("code 130")


@needs_tmux
def test_a_terminal_that_rewrites_nothing(folder: Path) -> None:
    with Terminal(folder, 80, 24) as dumb:
        dumb.type(f"TERM=dumb ./slow 0.1 {SEARCH} 4 --no-confirm --export none 2>&1 | tee said")
        dumb.see("code 0")
        dumb.type(f"TERM=dumb ./slow 0.1 {SEARCH} 6 --no-confirm --export none")
        dumb.see("[6/6] trial 5: decoder_params ", "code 0")
        assert "hypervolume" not in "\n".join(dumb.history())
    said = (folder / "said").read_text()
    assert "\x1b" not in said
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("[")] == [
        f"[{i + 1}/4] trial {i}" for i in range(4)
    ]


@needs_tmux
def test_a_terminal_with_ascii_alone(folder: Path) -> None:
    with Terminal(folder, 100, 40) as plain:
        plain.type(f"LC_ALL=C ./slow 0.2 {SEARCH} 40 --export none")
        shown = "\n".join(plain.see("trials 4 of 40"))
        plain.interrupt()
        plain.see("code 130")
        ended = "\n".join(plain.history())
    for text in (shown, ended):
        assert text.isascii()
        assert "?" not in text
    assert re.search(r"\b\d{2} \d{3} ", shown), "groups of digits with a plain space"


def test_a_pipe(folder: Path) -> None:
    """Lines for people who look later, and nothing that only a terminal understands."""
    command = [folder / "slow", "0.05", *SEARCH.split(), "4", "--no-confirm", "--export", "none"]
    environment = {**os.environ, "COLUMNS": "20"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert "\x1b" not in done.stderr + done.stdout
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"time: .* at most: .* to search, .* to measure again what is in doubt, .*", lines[1]) is None
    assert re.fullmatch(r"time: .* at most: .* to search, .* to write the results", lines[1])
    assert sum(line.startswith("[") for line in lines) == 4
    assert max(map(len, done.stdout.splitlines())) > 20, "not on a terminal there is no width to respect"
