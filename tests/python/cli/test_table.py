"""Tables on terminals of every width, and without one: every number of the results is there, whole."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import lts
from lts.cli.arguments import Format
from lts.cli.output import Spread, cell, emit, front_results
from lts.measure.trial import Trial
from lts.study.front import Front

SPACE = lts.SearchSpace.load("gpt2-lts")
LONG = 593_950_419
INSTRUCTIONS = {"instructions": LONG, "decode_instructions": 4_593_950_41, "peak_memory_mib": 123.456}
LATENCY = {"latency_ms": 8.31, "peak_memory_mib": 7.902}

# Prints the front of a study that is made here, with values that are long.
CODE = """
import sys
sys.path.insert(0, {folder!r})
from test_table import front_of
from lts.cli.arguments import Format
from lts.cli.output import emit, front_results
emit(front_results(front_of({kind!r})), Format.table)
"""


def front_of(kind: str) -> Front:
    values = INSTRUCTIONS if kind == "instructions" else LATENCY
    trials = [
        Trial(
            id=565 + i,
            state="complete",
            architecture=architecture,
            values={"decoder_params": lts.decoder_params(architecture), **values},
            provenance={
                "decoder_params": "exact",
                **dict.fromkeys(values, "emulated" if kind == "instructions" else "measured"),
            },
            interval={"latency_ms": (8.28, 8.35)} if "latency_ms" in values else {},
            feasible=True,
        )
        for i, architecture in enumerate(SPACE.sample(3, seed=1))
    ]
    objectives = [
        lts._core.parse_objective("decoder_params:max"),
        *(lts._core.parse_objective(f"{n}:min") for n in values),
    ]
    return Front(trials, objectives)


def expected(front: Front) -> list[str]:
    """All that has to be there, in groups of digits as they are printed."""
    found = []
    for trial in front:
        found += [str(trial.id), *(cell(value) for value in trial.values.values())]
    return found


@pytest.mark.parametrize("kind", ["instructions", "latency"])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_nothing_is_cut_on_a_terminal(kind: str, width: int) -> None:
    pexpect = pytest.importorskip("pexpect")
    code = CODE.format(folder=str(Path(__file__).parent), kind=kind)
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    child = pexpect.spawn(
        sys.executable,
        ["-c", code],
        dimensions=(60, width),
        timeout=60,
        encoding="utf-8",
        env={**environment, "TERM": "xterm"},
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", child.read()).replace("\r", "")
    front = front_of(kind)
    assert max(map(len, text.splitlines())) <= width
    for wanted in expected(front):
        assert wanted in text, text
    for name in ("trial", "decoder_params", "n_layer", "d_model", "n_head", "d_ff"):
        assert name in text, text
    for trial in front:  # every width of a layer, in whichever form lists are broken
        for value in {*trial.architecture.d_ff, *trial.architecture.n_head}:
            assert re.search(rf"\b{value}\b", text), text
    if kind == "latency":
        assert text.count("8.310 ±0.04") == 3


@pytest.mark.parametrize("kind", ["instructions", "latency"])
def test_without_a_terminal_a_row_is_a_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    front = front_of(kind)
    emit(front_results(front), Format.table)
    text = capsys.readouterr().out
    for trial in front:
        (line,) = [line for line in text.splitlines() if line.split()[:1] == [str(trial.id)]]
        assert all(cell(value) in line for value in trial.values.values())
        assert " ".join(map(cell, [trial.architecture.n_layer, trial.architecture.d_model])) in re.sub(" +", " ", line)


def test_a_very_long_list_is_a_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    deep = lts.Architecture(
        "gpt2", vocab_size=97, n_positions=64, d_model=64, n_head=[1, 2] * 200, d_ff=[64, 128] * 200
    )
    front = front_of("latency")
    emit(front_results(Front([replace(front[0], architecture=deep)], front.objectives)), Format.table)
    assert " ".join(["64 128"] * 200) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "bounds", "text"),
    [
        (8.31, (8.28, 8.35), "8.310 ±0.04"),
        (1234.0, (1000.0, 1240.0), "1\u202f234 ±234"),
        (0.05538, (0.0551, 0.0559), "0.05538 ±0.00052"),
        (0.06246, (0.06239, 0.0625), "0.06246 ±0.00007"),
        (5.0, (5.0, 5.0), "5"),
    ],
)
def test_what_is_measured_has_its_interval(value: float, bounds: tuple[float, float], text: str) -> None:
    assert cell(Spread(value, bounds)) == text


def test_front_shows_the_interval_in_markdown_too(capsys: pytest.CaptureFixture[str]) -> None:
    emit(front_results(front_of("latency")), Format.md)
    assert capsys.readouterr().out.count("8.310 ±0.04") == 3
