"""Two models measured in turn: in which order, how often, and what counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from inspect import signature
from itertools import chain, repeat
from math import exp
from random import Random
from typing import Any

import pytest

from lts import Architecture
from lts.cli.compare import command
from lts.errors import MeasurementError, UsageError
from lts.measure.compare import Answer
from lts.measure.evaluator import TargetEvaluator
from lts.measure.interleaved import MOST, interleave
from lts.measure.models.comparison import compare_architectures
from lts.measure.outcome import Outcome
from lts.targets.target import load_target

SMALL = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=128, n_layer=2)
LARGE = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=256, n_layer=2)
DISTURBED = Outcome(values={"latency_ms": 99.0}, disturbed=True, warnings=["prefill: the memory ran out"])
CRASHED = Outcome(error="it crashed")


def timed(value: float) -> Outcome:
    return Outcome(values={"latency_ms": value}, provenance={"latency_ms": "measured"})


class Machine:
    """Runs "A" and "B", which take what is said, one process after the other, and notes in which order."""

    def __init__(self, **outcomes: Iterable[float | Outcome]) -> None:
        self.order = ""
        self._outcomes: dict[str, Iterator[float | Outcome]] = {name: iter(each) for name, each in outcomes.items()}

    def run(self, name: str) -> Callable[[], Outcome]:
        def measured() -> Outcome:
            self.order += name
            outcome = next(self._outcomes[name])
            return outcome if isinstance(outcome, Outcome) else timed(outcome)

        return measured

    def interleave(self, **options: Any) -> Any:
        return interleave(self.run("A"), self.run("B"), ["latency_ms"], **options)


def noisy(center: float, spread: float = 0.005) -> Iterator[float]:
    """A little more and a little less in turn."""
    return (center * (1 + sign * spread * step) for step in (1, 2, 3, 1, 2, 3) * 9 for sign in (1, -1))


def test_equal_ones_take_four_processes_each_in_mirrored_order() -> None:
    machine = Machine(A=noisy(10), B=noisy(10.01))
    found = machine.interleave()
    assert machine.order == "ABBA" * 2
    assert found.verdicts["latency_ms"].answer is Answer.same
    assert [side for side, _, _ in found.processes] == ["baseline", "contender", "contender", "baseline"] * 2
    assert found.measured_again == ()


def test_a_drift_of_the_machine_is_no_difference() -> None:
    """In the order AAAABBBB it would be one of 16 %."""
    clock = [10.0]

    def run() -> Outcome:
        clock[0] *= 1.04
        return timed(clock[0])

    assert interleave(run, run, ["latency_ms"]).verdicts["latency_ms"].answer is not Answer.regression
    assert abs(interleave(run, run, ["latency_ms"]).verdicts["latency_ms"].change) < 0.05


def test_a_regression_is_measured_again() -> None:
    machine = Machine(A=noisy(10), B=noisy(11))
    found = machine.interleave()
    assert machine.order == "ABBA" * 4
    verdict = found.verdicts["latency_ms"]
    assert verdict.answer is Answer.regression
    assert (verdict.baseline.n, verdict.contender.n) == (8, 8)
    assert (found.measured_again, found.not_seen_again) == (("latency_ms",), ())
    assert found.answers(Answer.regression) == ["latency_ms"]


def test_of_an_exact_metric_there_is_nothing_to_confirm() -> None:
    def outcomes(size: float) -> Iterator[Outcome]:
        for each in noisy(10):
            yield Outcome(values={"latency_ms": each, "size_bytes": size})

    machine = Machine(A=outcomes(100), B=outcomes(101))
    found = interleave(machine.run("A"), machine.run("B"), ["latency_ms", "size_bytes"])
    assert machine.order == "ABBA" * 2
    assert {name: each.answer for name, each in found.verdicts.items()} == {
        "latency_ms": Answer.same,
        "size_bytes": Answer.regression,
    }
    assert (found.measured_again, found.not_seen_again) == ((), ())


def test_a_regression_that_is_not_seen_again_is_none() -> None:
    machine = Machine(A=noisy(10), B=chain([11.0, 11.1, 11.05, 11.02], noisy(10)))
    found = machine.interleave()
    assert found.verdicts["latency_ms"].answer is Answer.inconclusive
    assert found.not_seen_again == ("latency_ms",)
    # Not even when both together would still say so.
    machine = Machine(A=repeat(10.0), B=chain([12.0] * 4, [10.8, 10.8, 10.8, 9.9, 9.9, 10.8]))
    verdict = machine.interleave(most=6).verdicts["latency_ms"]
    assert verdict.answer is Answer.inconclusive
    assert verdict.change > 0.05
    assert verdict.change_interval[0] > 0


def test_what_is_unclear_when_measured_again_takes_more_too() -> None:
    machine = Machine(A=repeat(10.0), B=chain([11.0] * 4, [11.0, 9.9], repeat(11.0)))
    found = machine.interleave(most=8)
    assert found.verdicts["latency_ms"].answer is Answer.regression
    assert 4 + 4 < found.verdicts["latency_ms"].baseline.n <= 4 + 8
    machine = Machine(A=repeat(10.0), B=chain([11.0] * 4, [11.0, 9.9], repeat(11.0)))
    found = machine.interleave(most=5)
    assert found.verdicts["latency_ms"].answer is Answer.inconclusive
    assert (found.verdicts["latency_ms"].baseline.n, found.not_seen_again) == (9, ("latency_ms",))


def test_an_improvement_is_taken_as_it_is() -> None:
    machine = Machine(A=noisy(10), B=noisy(9))
    assert machine.interleave().verdicts["latency_ms"].answer is Answer.improvement
    assert machine.order == "ABBA" * 2


def test_what_is_unclear_takes_more_until_it_is_clear_or_all_are_used() -> None:
    unclear = [10.0, 10.9, 10.2, 10.8]
    machine = Machine(A=chain(unclear, repeat(10.4)), B=chain(reversed(unclear), repeat(10.4)))
    found = machine.interleave(most=20)
    assert found.verdicts["latency_ms"].answer is Answer.same
    assert 8 < len(machine.order) < 40
    machine = Machine(A=noisy(10, 0.05), B=noisy(10.3, 0.05))
    found = machine.interleave(most=7)
    assert found.verdicts["latency_ms"].answer is Answer.inconclusive
    assert found.verdicts["latency_ms"].enough > 7
    assert len(machine.order) == 14


def test_what_was_disturbed_does_not_count() -> None:
    machine = Machine(A=noisy(10), B=chain([10.0, DISTURBED], noisy(10)))
    told: list[tuple[str, bool]] = []
    found = machine.interleave(told=lambda side, outcome, counts: told.append((side, counts)))
    assert found.verdicts["latency_ms"].answer is Answer.same
    assert found.verdicts["latency_ms"].contender.high < 11
    assert machine.order == "ABBA" * 2 + "AB"
    assert [counts for _, counts in told] == [True, True, False, False, *[True] * 6]
    assert told == [(side, counts) for side, _, counts in found.processes]


def test_where_all_is_disturbed_nothing_is_said() -> None:
    machine = Machine(A=repeat(10.0), B=repeat(DISTURBED))
    with pytest.raises(MeasurementError, match=r"^all 7 pairs of processes were disturbed: prefill: the memory ran"):
        machine.interleave(most=6)
    some = Machine(A=repeat(10.0), B=chain([20.0, 20.0], repeat(DISTURBED)))
    found = some.interleave().verdicts["latency_ms"]
    assert (found.answer, found.contender.n, found.enough) == (Answer.inconclusive, 2, 4)


def test_a_second_measurement_that_is_disturbed_confirms_nothing() -> None:
    found = Machine(A=noisy(10), B=chain([12.0] * 4, repeat(DISTURBED))).interleave()
    assert found.verdicts["latency_ms"].answer is Answer.inconclusive
    assert found.not_seen_again == ("latency_ms",)


def test_a_process_that_fails_is_run_once_more() -> None:
    machine = Machine(A=chain([10.0, CRASHED], noisy(10)), B=noisy(10))
    assert machine.interleave().verdicts["latency_ms"].answer is Answer.same
    assert machine.order == "ABBAA" + "ABBA"
    for name, side in (("A", "baseline"), ("B", "contender")):
        outcomes: dict[str, Iterable[float | Outcome]] = {"A": repeat(10.0), "B": repeat(10.0), name: repeat(CRASHED)}
        with pytest.raises(MeasurementError, match=f"^the {side} cannot be measured: it crashed$"):
            Machine(**outcomes).interleave()
    with pytest.raises(MeasurementError, match=r"the contender cannot be measured: latency_ms is 0; it must be above"):
        Machine(A=repeat(10.0), B=repeat(0.0)).interleave()
    with pytest.raises(MeasurementError, match="the contender cannot be measured: no value for 'latency_ms'"):
        Machine(A=repeat(10.0), B=repeat(Outcome())).interleave()


@pytest.mark.parametrize("deviation", [0.02, 0.04, 0.08])
def test_of_200_models_with_themselves_at_most_two_fail(deviation: float) -> None:
    """Expected are 0, 0.1 and 0.4 %: see ``benchmarks/compare.py simulated``."""
    random = Random(1)

    def run() -> Outcome:
        return timed(exp(random.gauss(0, deviation)))

    found = [interleave(run, run, ["latency_ms"]).verdicts["latency_ms"].answer for _ in range(200)]
    assert found.count(Answer.regression) <= 2


def test_ten_percent_more_is_found_beside_the_noise_of_a_shared_machine() -> None:
    """One process in ten is disturbed; expected are 94 %."""
    random = Random(1)

    def taking(center: float) -> Callable[[], Outcome]:
        def run() -> Outcome:
            disturbed = random.expovariate(1 / 0.3) if random.random() < 0.1 else 0
            return timed(center * exp(random.gauss(0, 0.04)) * (1 + disturbed))

        return run

    found = [interleave(taking(1.0), taking(1.1), ["latency_ms"]).answers(Answer.regression) for _ in range(100)]
    assert sum(map(bool, found)) >= 85


def test_fewer_processes_answer_as_the_first_of_more() -> None:
    """What a budget does not reach yet is inconclusive; else it is what more of them say."""
    random = Random(2)
    for _ in range(100):
        one, other = ([center * exp(random.gauss(0, 0.05)) for _ in range(24)] for center in (1.0, 1.08))
        few, many = (Machine(A=one, B=other).interleave(most=most) for most in (6, 12))
        n = len(few.processes)
        assert [value for _, value, _ in few.processes] == [value for _, value, _ in many.processes][:n]
        if not few.answers(Answer.inconclusive):
            assert few.verdicts == many.verdicts


def test_the_command_takes_as_many_processes_by_default() -> None:
    assert signature(command).parameters["processes"].default == MOST


@pytest.mark.parametrize("most", [3, 26])
def test_a_budget_that_is_refused(most: int) -> None:
    with pytest.raises(UsageError, match=f"^{most} processes per side; expected 4 to 25$"):
        Machine(A=[], B=[]).interleave(most=most)


def test_metrics_that_are_refused() -> None:
    run = Machine(A=[]).run("A")
    with pytest.raises(UsageError, match="no metric is named"):
        interleave(run, run, [])
    with pytest.raises(UsageError, match="expected each once"):
        interleave(run, run, ["latency_ms", "latency_ms"])


class Board(TargetEvaluator):
    """A device whose time grows with the feed-forward width, and that may count instructions instead."""

    def __init__(self, *, emulated: bool = False) -> None:
        super().__init__(load_target("host"), "board", "onnxruntime")
        self.costs = ("instructions",) if emulated else ("latency_ms", "tokens_per_second")
        self.provenance = "emulated" if emulated else "measured"
        self.varies = not emulated
        self.n = 0

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        self.n += 1
        cost = sum(architecture.d_ff) * (1 if self.provenance == "emulated" else 1 + 0.001 * (self.n % 3))
        known = {"latency_ms": cost, "instructions": cost, "tokens_per_second": 1e3 / cost}
        return Outcome(values={name: known[name] for name in columns})


def test_architectures_on_a_device() -> None:
    board = Board()
    metrics = ("latency_ms", "tokens_per_second")
    found = compare_architectures(SMALL, LARGE, board, metrics)
    assert found.answers(Answer.regression) == list(metrics)
    assert found.verdicts["latency_ms"].change == pytest.approx(1, abs=0.01)
    assert found.verdicts["tokens_per_second"].change == pytest.approx(-0.5, abs=0.01)
    assert compare_architectures(LARGE, SMALL, board, metrics).answers(Answer.improvement) == list(metrics)
    assert compare_architectures(SMALL, SMALL, board, metrics).answers(Answer.same) == list(metrics)


def test_what_is_counted_is_run_once() -> None:
    board = Board(emulated=True)
    found = compare_architectures(SMALL, LARGE, board, ["instructions"])
    assert board.n == 2
    assert found.answers(Answer.regression) == ["instructions"]
    assert compare_architectures(SMALL, LARGE, board, ["instructions"], max_regression=1).answers(Answer.same)


def test_what_a_device_does_not_measure_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown metric 'latency' of baseline.*; expected one of latency_ms, tok"):
        compare_architectures(SMALL, LARGE, Board(), ["latency"])
    still = Board()
    still.varies = False
    with pytest.raises(UsageError, match="latency_ms is not measured there"):
        compare_architectures(SMALL, LARGE, still, ["latency_ms"])
    short = Architecture("gpt2", 512, 16, 64, n_head=4, d_ff=128, n_layer=2)
    with pytest.raises(UsageError, match=r"^the contender: n_prompt is 128, which needs n_positions 128; it has 16"):
        compare_architectures(SMALL, short, Board(), ["latency_ms"])
