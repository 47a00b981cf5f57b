"""Models measured by turns in several processes each: what a table of results, or a later comparison, stands on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from lts.errors import MeasurementError, UsageError
from lts.measure.compare import Metric
from lts.measure.models.model import Model
from lts.measure.outcome import Outcome
from lts.measure.result import Result, result_of
from lts.system.temperature import celsius

PROCESSES = 5
"""Per model, unless it is said."""
MOST_PROCESSES = 100
COOLING_TIMEOUT = 600.0
"""Seconds that are waited at most for a processor to cool down."""

_POLL = 1.0

Told = Callable[[Model, Outcome, bool], None]
"""Gets each process: its model, what came out, and whether that counts."""


def bench(
    models: Sequence[Model],
    costs: Sequence[str] | None = None,
    *,
    processes: int = PROCESSES,
    cooldown: float = 0.0,
    max_celsius: float | None = None,
    timeout: float | None = None,
    told: Told | None = None,
) -> list[Result]:
    """Measure models on their device by turns, each time in a process of its own.

    All models have their first process, then all their second one in the opposite order, and so on: a machine that
    slowly changes its speed does the same to all. A process that was disturbed does not count and is measured again, as
    often as there are processes; one that failed is run once more, and a model of which two in a row fail is a result
    with an `error`. Where every process says the same, one is enough.

    Parameters
    ----------
    models
        What is measured, on one device.
    costs
        Of the models; by default each one's own.
    processes
        Per model.
    cooldown
        Seconds of rest before each process.
    max_celsius
        The hottest that this machine may be when a process begins; where it is hotter, it is waited for.
    timeout
        Seconds for one process; by default those of the models' evaluators.
    told
        See `Told`.

    Raises
    ------
    UsageError
        For a cost that a model does not have, or an argument out of range.
    MeasurementError
        When the device runs nothing at all, or the machine does not cool down.
    """
    if not models:
        raise UsageError("there is nothing to measure: no model is named")
    if not 1 <= processes <= MOST_PROCESSES:
        raise UsageError(f"{processes} processes; expected 1 to {MOST_PROCESSES}")
    if max_celsius is not None and celsius() is None:
        raise UsageError("the temperature of this machine cannot be read; leave the highest one out")
    wanted = [list(dict.fromkeys(costs or model.default_costs)) for model in models]
    for model, columns in zip(models, wanted, strict=True):
        model.check(columns)
    runs = [
        _Runs(
            model, columns, processes if model.varies and not all(Metric.named(name).exact for name in columns) else 1
        )
        for model, columns in zip(models, wanted, strict=True)
    ]
    turn = 0
    while waiting := [each for each in runs if not each.done]:
        for each in waiting if turn % 2 == 0 else waiting[::-1]:
            _rest(cooldown, max_celsius)
            each.run(timeout, told)
        turn += 1
    return [each.result() for each in runs]


class _Runs:
    """The processes of one model."""

    def __init__(self, model: Model, costs: Sequence[str], wanted: int) -> None:
        self.model, self.costs, self.wanted = model, costs, wanted
        self.counted: list[Outcome] = []
        self.disturbed: list[Outcome] = []
        self.error: str | None = None
        self._failed = False

    @property
    def done(self) -> bool:
        return self.error is not None or len(self.counted) >= self.wanted

    def run(self, timeout: float | None, told: Told | None) -> None:
        outcome = self.model.measure(self.costs, timeout)
        problem = outcome.problem(self.costs)
        counts = problem is None and not outcome.disturbed
        if counts:
            self.counted.append(outcome)
        elif problem is None:
            self.disturbed.append(outcome)
            if len(self.disturbed) > self.wanted:
                why = outcome.warnings[0] if outcome.warnings else "the device says so"
                self.error = f"{len(self.disturbed)} processes were disturbed: {why}"
        elif self._failed:
            self.error = problem
        self._failed = problem is not None
        if told is not None:
            told(self.model, outcome, counts)

    def result(self) -> Result:
        counted = self.counted
        if self.error is not None:
            counted = [*counted, Outcome(error=self.error)]
        return result_of(self.model, self.costs, counted)


def _rest(cooldown: float, max_celsius: float | None) -> None:
    if cooldown > 0:
        time.sleep(cooldown)
    if max_celsius is None:
        return
    end = time.monotonic() + COOLING_TIMEOUT
    while (now := celsius()) is not None and now > max_celsius:
        if time.monotonic() > end:
            raise MeasurementError(
                f"the machine is at {now:.0f} °C and does not come down to {max_celsius:.0f} °C within "
                f"{COOLING_TIMEOUT:.0f} s; let it cool, or allow more"
            )
        time.sleep(_POLL)
