"""What a search says of disturbed trials: once when it begins, once at the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import lts
from lts.cli.live import Live
from lts.measure.trial import Trial
from lts.study.loop import Progress

ARCHITECTURE = lts.Architecture("gpt2", 512, 256, 64, n_head=[2, 4], d_ff=[64, 256])
FAULTS = "decode: 900 major page faults in 9 of 10 timed runs: memory is short"
HOT = "prefill: the processor was slowed down 3 times while the model ran: it is too hot"


def progress(n: int, warnings: list[str], *, disturbed: bool = True) -> Progress:
    trial = Trial(
        id=n,
        state="complete",
        architecture=ARCHITECTURE,
        values={"latency_ms": 1.0},
        feasible=True,
        warnings=warnings,
        disturbed=disturbed,
    )
    return Progress(trial, n, 0, 1, 100, float(n), None)


def said(shown: list[Progress], capsys: pytest.CaptureFixture[str]) -> list[str]:
    study: Any = SimpleNamespace(objectives=[SimpleNamespace(name="latency_ms")])
    with Live(study) as live:
        for each in shown:
            live(each)
    return [line for line in capsys.readouterr().err.splitlines() if "warning" in line]


def test_every_kind_is_told_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    outlier = "latency_ms: 3 of 10 samples are outliers, up to 4.0 times the median: other programs interfere"
    trials = [[], [FAULTS, outlier], [FAULTS, FAULTS], [HOT], [FAULTS.replace("900", "123")], []]
    lines = said([progress(i, warnings, disturbed=bool(warnings)) for i, warnings in enumerate(trials)], capsys)
    assert lines == [
        f"warning: trial 1: {FAULTS}",
        f"warning: trial 3: {HOT}",
        "warning: too little memory disturbed 3 trials, 1, 2, 4; their values may not show what the models take",
    ]


def test_many_are_not_all_listed(capsys: pytest.CaptureFixture[str]) -> None:
    first, last = said([progress(i, [FAULTS]) for i in range(50)], capsys)
    assert first.startswith("warning: trial 0: ")
    assert "disturbed 50 trials, 0, 1, 2, 3, 4, 5, 6, 7 and 42 more;" in last


def test_swapping_is_told_although_it_does_not_count_as_a_disturbance(capsys: pytest.CaptureFixture[str]) -> None:
    warning = "prefill: the machine swapped 12 MiB while the model ran: its memory is short"
    assert said([progress(0, [warning], disturbed=False)], capsys) == [f"warning: trial 0: {warning}"]


def test_a_device_that_does_not_say_why(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said([progress(0, []), progress(1, ["prefill: it rained"])], capsys)
    assert lines[0] == "warning: trial 0: the device says that it was disturbed"
    assert lines[1].startswith("warning: something else disturbed 2 trials, 0, 1;")


def test_an_undisturbed_search_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert said([progress(i, ["latency_ms: noisy"], disturbed=False) for i in range(3)], capsys) == []
