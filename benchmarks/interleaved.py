"""Architectures measured again in turn, so that all have the same machine; shared by the benchmarks that compare them.

A search chooses what it measured to be fast, so that its own figures flatter what it chose: a claim needs new ones.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnxruntime

import lts
from lts.measure.evaluator import TargetEvaluator
from lts.measure.trial import Trial
from lts.study.front import Front
from lts.study.spread import center, spread_of
from lts.system.environment import fingerprint

_TRIES = 3
_ANY = lts.Architecture("gpt2", 2, 2, 2, n_head=[1], d_ff=[2])  # of trials that are rounds and nothing else

Values = dict[str, list[float]]
"""By column what every process has measured, in the order of the rounds."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of what was measured in the same rounds, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def inverse(self) -> Ratio:
        """The ratio the other way round."""
        return Ratio(1 / self.value, 1 / self.high, 1 / self.low)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def measured(
    evaluator: TargetEvaluator, architectures: Sequence[lts.Architecture], columns: Sequence[str], rounds: int
) -> list[Values]:
    """What further processes say of architectures, one process each in every round.

    Rounds go through them forwards and backwards in turn: neighbors stay neighbors, and none always comes first. An
    architecture that occurs twice is measured twice. What was disturbed is measured once more. Ends the program with 3
    when something cannot be measured.
    """
    found: list[Values] = [{column: [] for column in columns} for _ in architectures]
    for number in range(rounds):
        places = range(len(architectures)) if number % 2 == 0 else reversed(range(len(architectures)))
        for place in places:
            for _ in range(_TRIES):
                outcome = evaluator.evaluate(architectures[place], columns)
                if outcome.error is None and not outcome.disturbed:
                    break
            if outcome.error is not None:
                print(f"could not measure {architectures[place].to_json()}: {outcome.error}", file=sys.stderr)
                sys.exit(3)
            for column in columns:
                found[place][column].append(outcome.values[column])
        print(f"measured again: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def ratios(ones: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> list[Ratio]:
    """Ratio of each of `ones` to the one of `others` beside it, both measured in the same rounds.

    The value is the center of the ratios of all rounds. How much rounds differ is pooled over all pairs
    (`lts.study.spread`), which are at least one, of two rounds or more.
    """
    rounds = [[a / b for a, b in zip(one, other, strict=True)] for one, other in zip(ones, others, strict=True)]
    spread = spread_of([Trial(0, "complete", _ANY, rounds={"ratio": each}) for each in rounds], "ratio")
    if spread is None:
        raise ValueError("no ratio has two rounds")
    return [with_half_width(center(each), spread.half_width(len(each))) for each in rounds]


def with_half_width(value: float, half: float) -> Ratio:
    """A ratio with half of its interval, a logarithm."""
    return Ratio(value, value * math.exp(-half), value * math.exp(half))


def geometric_mean(found: Sequence[Ratio]) -> Ratio:
    """The geometric mean of independent ratios, with its interval."""
    half = math.sqrt(sum(math.log(each.high / each.value) ** 2 for each in found)) / len(found)
    return with_half_width(statistics.geometric_mean(each.value for each in found), half)


def cheapest(front: Front, n_params: int, column: str) -> Trial | None:
    """The member with the least of a cost among those with at least so many decoder parameters; None without one."""
    large = [trial for trial in front if lts.decoder_params(trial.architecture) >= n_params]
    return min(large, key=lambda trial: trial.values[column], default=None)


def described(evaluator: TargetEvaluator) -> str:
    """One line for people: what was run, on what machine, and with which versions."""
    machine: dict[str, Any] = fingerprint(threads=evaluator.workload.threads)
    load = evaluator.workload
    return (
        f"{machine.get('cpu') or machine.get('machine')}, ONNX Runtime {onnxruntime.__version__}, lts-engine "
        f"{lts.__version__}, {load.threads} thread(s): prompt of {load.n_prompt}, {load.n_gen} generated, logits "
        f"{load.logits}, {load.precision}"
    )
