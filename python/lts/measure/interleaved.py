"""Two models measured in turn on one device, until it is clear whether one of them costs more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lts.errors import MeasurementError, UsageError
from lts.measure.compare import FEWEST, Answer, Bounds, Verdict, verdicts
from lts.measure.outcome import Outcome
from lts.system.text import listed

MOST = 12
"""Processes per side, unless it is said. On a quiet machine four do. Where processes differ by 4 %, and one in ten is
disturbed besides, 10 % more is found nine times of ten, with 6 every second time (``benchmarks/compare.py simulated``).
"""
MOST_ALLOWED = 25
"""More than that, no answer is worth: `enough` of a verdict says what one would take."""

Side = Literal["baseline", "contender"]
Run = Callable[[], Outcome]
"""Measures one of the two in a process of its own; a failure is an outcome's `error`."""
Measured = Mapping[str, Sequence[float]]
"""What processes have measured before: by metric, one value per process."""
Told = Callable[[Side, Outcome, bool], None]
"""Gets each process, when its pair has ended or it has failed: its side, what came out, and whether that counts."""


@dataclass(frozen=True)
class Comparison:
    """What measuring two models in turn has shown.

    Parameters
    ----------
    verdicts
        By metric, on all the processes that count.
    processes
        Every process in the order of time: its side, what came out of it, and whether it counts.
    measured_again
        The metrics of which a regression was seen, so that all was measured again.
    not_seen_again
        Those of them of which the second measurement, alone, showed no regression: what was seen was the machine.
    """

    verdicts: dict[str, Verdict]
    processes: list[tuple[Side, Outcome, bool]]
    measured_again: tuple[str, ...] = ()
    not_seen_again: tuple[str, ...] = ()

    def answers(self, answer: Answer) -> list[str]:
        """The metrics with that answer."""
        return [name for name, each in self.verdicts.items() if each.answer is answer]


def interleave(
    baseline: Run | Measured,
    contender: Run | Measured,
    metrics: Sequence[str],
    *,
    max_regression: Bounds = None,
    most: int = MOST,
    varies: bool = True,
    told: Told | None = None,
) -> Comparison:
    """Measure two things in turn, each time in a process of its own, until every verdict is clear.

    In the order A B B A, in which a machine that slowly changes its speed does the same to both, at least `FEWEST`
    times each, then on as long as a metric is inconclusive and fewer than `most` processes per side were used. When
    that shows a regression, both are measured again in the same way: it is one only when these processes alone show it,
    too, and all of them together. One that is not seen again is inconclusive, unless all together show no change. Of an
    exact metric there is nothing to confirm.

    A process that fails is run once more. A pair of which one was disturbed does not count and is measured again, at
    most `most` times.

    Of a side that was measured before, nothing is run: what its processes have measured is compared with those of the
    other side, which measure in the same way, until it is clear. With two such sides nothing is measured.

    Parameters
    ----------
    baseline, contender
        What is measured, or was.
    metrics
        Columns of the outcomes.
    max_regression
        The bound; by default that of each metric.
    most
        Processes per side that are used at most, and as many more to measure a regression again.
    varies
        Whether another process says something else; if not, one each is enough.
    told
        See `Told`.

    Raises
    ------
    UsageError
        Without metrics, for one that is named twice, or for an argument out of range.
    MeasurementError
        When a process of one side has failed twice in a row, or none was undisturbed.
    """
    if not metrics:
        raise UsageError("there is nothing to compare: no metric is named")
    if len(set(metrics)) < len(metrics):
        raise UsageError(f"the metrics are {listed(metrics)}; expected each once")
    if not FEWEST <= most <= MOST_ALLOWED:
        raise UsageError(f"{most} processes per side; expected {FEWEST} to {MOST_ALLOWED}")
    pairs = _Pairs(baseline, contender, metrics, told, most)
    if not callable(baseline) and not callable(contender):
        return Comparison(pairs.verdicts(max_regression), [])
    if not varies:
        pairs.take(1)
        return Comparison(pairs.verdicts(max_regression), pairs.processes)
    pairs.take(FEWEST)
    found = pairs.verdicts(max_regression)
    while _with(found, Answer.inconclusive) and len(pairs.counted) < most and pairs.take(1):
        found = pairs.verdicts(max_regression)
    seen = [name for name in _with(found, Answer.regression) if not found[name].metric.exact]
    if not seen:
        return Comparison(found, pairs.processes)
    confirmed = _seen_again(pairs, seen, max_regression, most)
    found = {
        name: _doubted(each, each.metric.exact or name in confirmed)
        for name, each in pairs.verdicts(max_regression).items()
    }
    return Comparison(found, pairs.processes, tuple(seen), tuple(name for name in seen if name not in confirmed))


def _seen_again(pairs: _Pairs, seen: list[str], max_regression: Bounds, most: int) -> list[str]:
    """Measure anew, and say which of these regressions that shows by itself."""
    first = len(pairs.counted)
    pairs.lost = 0
    enough = pairs.take(FEWEST)
    while len(pairs.counted) > first:
        alone = pairs.verdicts(max_regression, first)
        unclear = [name for name in seen if alone[name].answer is Answer.inconclusive]
        if not unclear or not enough or len(pairs.counted) - first >= most:
            return [name for name in seen if alone[name].answer is Answer.regression]
        enough = pairs.take(1)
    return []


@dataclass
class _Pairs:
    """Processes of both sides, one of each at a time."""

    baseline: Run | Measured
    contender: Run | Measured
    metrics: Sequence[str]
    told: Told | None
    may_lose: int
    processes: list[tuple[Side, Outcome, bool]] = field(default_factory=list)
    counted: list[dict[Side, Outcome]] = field(default_factory=list)
    taken: int = 0
    lost: int = 0

    def take(self, n: int) -> bool:
        """Measure `n` pairs that count; false where too many were disturbed for that.

        Raises `MeasurementError` when no pair counts at all.
        """
        wanted = len(self.counted) + n
        while len(self.counted) < wanted and self.lost <= self.may_lose:
            self._pair()
        if not self.counted:
            reasons = [text for _, outcome, _ in self.processes if outcome.disturbed for text in outcome.warnings]
            raise MeasurementError(
                f"all {self.lost} pairs of processes were disturbed: {reasons[0] if reasons else 'the device says so'}"
            )
        return len(self.counted) >= wanted

    def verdicts(self, max_regression: Bounds, first: int = 0) -> dict[str, Verdict]:
        """On the pairs that count, from that one on."""

        def values(side: Side) -> dict[str, list[float]]:
            known = self._of(side)
            if not callable(known):
                return {name: list(known[name]) for name in self.metrics}
            return {name: [pair[side].values[name] for pair in self.counted[first:]] for name in self.metrics}

        return verdicts(values("baseline"), values("contender"), max_regression)

    def _pair(self) -> None:
        order: tuple[Side, Side] = ("contender", "baseline") if self.taken % 2 else ("baseline", "contender")
        self.taken += 1
        pair: dict[Side, Outcome] = {
            side: self._measured(run, side) for side in order if callable(run := self._of(side))
        }
        counts = not any(outcome.disturbed for outcome in pair.values())
        if counts:
            self.counted.append(pair)
        else:
            self.lost += 1
        for side, outcome in pair.items():
            self._note(side, outcome, counts)

    def _of(self, side: Side) -> Run | Measured:
        return self.baseline if side == "baseline" else self.contender

    def _measured(self, run: Run, side: Side) -> Outcome:
        outcome = run()
        if self._problem(outcome) is not None:
            self._note(side, outcome, False)
            outcome = run()
        if (problem := self._problem(outcome)) is not None:
            self._note(side, outcome, False)
            raise MeasurementError(f"the {side} cannot be measured: {problem}")
        return outcome

    def _problem(self, outcome: Outcome) -> str | None:
        """Why it cannot count; a quantity of nothing has no relative change."""
        if (problem := outcome.problem(self.metrics)) is not None:
            return problem
        wrong = [name for name in self.metrics if outcome.values[name] <= 0]
        return f"{wrong[0]} is {outcome.values[wrong[0]]:g}; it must be above 0" if wrong else None

    def _note(self, side: Side, outcome: Outcome, counts: bool) -> None:
        self.processes.append((side, outcome, counts))
        if self.told is not None:
            self.told(side, outcome, counts)


def _with(found: dict[str, Verdict], answer: Answer) -> list[str]:
    return [name for name, each in found.items() if each.answer is answer]


def _doubted(verdict: Verdict, confirmed: bool) -> Verdict:
    """A regression that was not seen twice is none yet."""
    if verdict.answer is Answer.regression and not confirmed:
        return replace(verdict, answer=Answer.inconclusive)
    return verdict
