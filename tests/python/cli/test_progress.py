"""What is shown while people wait, with a time of its own: nothing here waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import lts
from lts.cli import progress
from lts.cli.live import Live
from lts.cli.log import say
from lts.cli.progress import Display, Waiting, clock_text, cut, packed
from lts.measure.trial import Trial
from lts.study.loop import Progress
from lts.study.study import Study
from lts.system.progress import Work

ARCHITECTURE = lts.Architecture("gpt2", 512, 256, 64, n_head=[2, 4], d_ff=[64, 256])


class Time:
    """A clock that goes on only while something waits for it: `run` lets so many seconds pass."""

    def __init__(self) -> None:
        self.now = 100.0
        self._left = 0.0
        self._turn = threading.Condition()
        self._over = self._idle = False

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        """For the thread of a display: it is idle until its seconds have passed."""
        with self._turn:
            self._idle = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._over or self._left >= seconds)
            self._idle = False
            if self._over:
                return True
            self._left -= seconds
            self.now += seconds
            return False

    def run(self, seconds: float) -> None:
        with self._turn:
            self._left += seconds
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: self._idle and self._left < 1.0, timeout=60)

    def end(self) -> None:
        with self._turn:
            self._over = True
            self._turn.notify_all()


@pytest.fixture
def time() -> Iterator[Time]:
    made = Time()
    yield made
    made.end()


Shown = Callable[..., Waiting]


@pytest.fixture
def waiting(time: Time) -> Shown:
    def made(*arguments: Any, **options: Any) -> Waiting:
        return Waiting(*arguments, clock=time.clock, wait=time.wait, **options)

    return made


def test_a_slow_step_is_told_now_and_then(time: Time, waiting: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("compiling the front", 6) as shown:
        shown(Work("compiling the front", 2, 6, "trial 9 checking prefill"))
        time.run(9)
        assert capsys.readouterr().err == ""
        time.run(1)
        assert capsys.readouterr().err == "compiling the front: 2 of 6, trial 9 checking prefill, 0:20 left\n"
        time.run(30)
        lines = capsys.readouterr().err.splitlines()
        assert [line.rpartition(", ")[2] for line in lines] == ["0:40 left", "1:00 left", "1:20 left"]
        time.end()
    assert capsys.readouterr().err == ""


def test_nothing_is_told_where_something_else_is(
    time: Time, waiting: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting("measuring"):
        for _ in range(5):
            time.run(8)
            say("[1/5] trial 0")
        assert capsys.readouterr().err == "[1/5] trial 0\n" * 5
        time.run(11)
        assert capsys.readouterr().err == "measuring: since 0:51\n"
        time.end()


def test_what_is_short_is_not_told(waiting: Shown, time: Time, capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("exporting", 3) as shown:
        for _ in range(3):
            shown.piece()
        time.end()
    assert capsys.readouterr().err == ""


def test_the_time_that_is_left(time: Time, waiting: Shown) -> None:
    shown = waiting("compiling", 4, end=time.now + 100)
    time.now += 10
    assert shown.line() == "compiling: 0 of 4, since 0:10, at most 1:30 left"
    shown(Work("compiling", 1, 4))
    assert shown.line() == "compiling: 1 of 4, 0:30 left"
    time.now += 80
    assert shown.line() == "compiling: 1 of 4, 0:10 left", "the end comes first"
    shown(Work("training", 1, 4, left=7.0))
    assert shown.line() == "training: 1 of 4, 0:07 left", "the work knows better"
    shown(Work("writing"))
    time.now += 3
    assert shown.line() == "writing: since 0:03, at most 0:07 left", "other work begins anew"
    assert waiting("opening host").line() == "opening host: since 0:00"


@pytest.mark.parametrize("width", [10, 30, 56, 76, 116, 300])
def test_no_line_of_a_bar_is_wider_than_the_terminal(width: int, waiting: Shown) -> None:
    shown = waiting("compiling the front", 1_234)
    shown(Work("compiling the front", 617, 1_234, "trial 390 checking prefill, trial 411 compiling decode"))
    lines = shown.picture(width, 24).splitlines()
    assert max(map(len, lines)) <= width
    text = "  ".join(lines)
    assert "trial 411 compiling decode" in text or "..." in text
    assert ("━" * 10 + "─" * 10 in text) == (width >= 70)
    assert len(shown.picture(10, 2).splitlines()) <= 2


def test_a_terminal_without_signs_gets_ascii(waiting: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SimpleNamespace(encoding="ascii", isatty=lambda: True)
    monkeypatch.setattr(progress.sys, "stderr", stream)
    shown = waiting("exporting", 1_234)
    shown(Work("exporting", 617, 1_234))
    assert shown.picture(100, 24) == f"exporting  {'#' * 10}{'-' * 10}  617 of 1 234  0:00 left"


@pytest.mark.parametrize(
    ("terminal", "kind", "expected"),
    [(True, "xterm", True), (True, "dumb", False), (True, None, False), (False, "xterm", False)],
)
def test_which_terminals_are_rewritten(
    terminal: bool, kind: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.sys, "stderr", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.delenv("TERM", raising=False)
    if kind is not None:
        monkeypatch.setenv("TERM", kind)
    assert progress.rewrites() is expected


def test_of_displays_in_one_another_the_outermost_is_shown(
    time: Time, waiting: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting("outside"):
        with waiting("inside") as inside:
            assert inside._watcher is None
            time.run(10)
        assert capsys.readouterr().err == "outside: since 0:10\n"
        time.end()
    assert Display._outermost is None


def test_an_exception_ends_a_display(waiting: Shown, time: Time) -> None:
    def interrupted() -> None:
        with shown:
            time.end()
            raise KeyboardInterrupt

    shown = waiting("exporting")
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert Display._outermost is None
    assert shown._watcher is not None
    assert not shown._watcher.is_alive()


def test_words() -> None:
    assert [clock_text(each) for each in (0, 9.6, 61, 3_723, -1)] == ["0:00", "0:10", "1:01", "1:02:03", "0:00"]
    assert [cut("abcdefgh", n) for n in (8, 7, 3, 2, 0)] == ["abcdefgh", "abcd...", "...", "..", ""]
    assert packed(["one", "two", "three", "a long part"], 10) == ["one  two", "three", "a long ..."]


def test_a_slow_candidate_is_told(time: Time, capsys: pytest.CaptureFixture[str]) -> None:
    """A search that runs one model for minutes says which."""
    study: Any = SimpleNamespace(objectives=[SimpleNamespace(name="cost")])
    with Live(study, timeout=300.0, clock=time.clock, wait=time.wait) as live:
        live.working(Work("choosing candidates"))
        time.run(10)
        live.working(Work("evaluating candidates", 3, 40, "trial 3, trial 4"))
        time.run(20)
        time.end()
    assert capsys.readouterr().err.splitlines() == [
        "choosing candidates, time left 4:50",
        "evaluating candidates: 3 of 40, trial 3, trial 4, time left 4:40",
        "evaluating candidates: 3 of 40, trial 3, trial 4, time left 4:30",
    ]


@pytest.mark.parametrize("width", [26, 56, 76, 116])
@pytest.mark.parametrize("n_objectives", [1, 3, 6])
def test_the_live_table_fits(width: int, n_objectives: int) -> None:
    """No line is wider, or says less than that something is missing."""
    from rich.console import Console

    names = [f"a_rather_long_cost_{i}_ms" for i in range(n_objectives)]
    space = lts.SearchSpace.load("gpt2-tiny")
    with Study(
        space, lambda a: dict.fromkeys(names, float(a.d_model)), objectives=[f"{n}:min" for n in names]
    ) as study:
        live = Live(study, timeout=60.0)
        live._live = SimpleNamespace(console=SimpleNamespace(size=(width, 24)), update=lambda *_, **__: None)
        study.run(trials=20, progress=live, observe=live.working)
        console = Console(width=width, height=24, color_system=None)
        with console.capture() as capture:
            console.print(live.picture(width, 24))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert max(map(len, lines)) <= width
    assert len(lines) < 24
    text = " ".join(" ".join(lines).split())
    assert "trials 20 of 20" in text or "..." in text
    missing = [name for name in (*names, "n_layer", "d_model", "d_ff") if name not in text]
    assert not missing or "..." in text
    row = next(line for line in lines if line.split()[:1] == ["trial"])
    assert ("wider terminal" in text) == ("d_ff" not in row.split()) or "..." in text


def test_a_study_tells_what_runs() -> None:
    told: list[Work] = []
    with Study(lts.SearchSpace.load("gpt2-tiny"), lambda a: {"cost": a.d_model}, objectives=["cost:min"]) as study:
        study.run(trials=2, observe=told.append)
    assert [(work.what, work.done, work.total, work.now) for work in told] == [
        ("choosing candidates", 0, None, ""),
        ("evaluating candidates", 0, 2, "trial 0"),
        ("choosing candidates", 1, None, ""),
        ("evaluating candidates", 1, 2, "trial 1"),
        ("choosing candidates", 2, None, ""),
    ]


def test_a_trial_is_a_line_where_nothing_is_rewritten(capsys: pytest.CaptureFixture[str]) -> None:
    study: Any = SimpleNamespace(objectives=[SimpleNamespace(name="cost")])
    trial = Trial(id=7, state="complete", architecture=ARCHITECTURE, values={"cost": 1.5}, feasible=True)
    with Live(study) as live:
        live(Progress(trial, 8, 0, 3, 40, 2.0, None))
    assert capsys.readouterr().err == "[8/40] trial 7: cost 1.500  front 3\n"
