"""Models measured by turns in several processes each: what a table of results, or a later comparison, stands on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

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
_MOST_CELSIUS = 150.0

Told = Callable[[Model, Outcome, bool], None]
"""Gets each process: its model, what came out, and whether that counts."""


class Bench:
    """Models that are measured on their device by turns, each time in a process of its own.

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

    Raises
    ------
    UsageError
        For a cost that a model does not have, or an argument out of range.
    """

    def __init__(
        self,
        models: Sequence[Model],
        costs: Sequence[str] | None = None,
        *,
        processes: int = PROCESSES,
        cooldown: float = 0.0,
        max_celsius: float | None = None,
        timeout: float | None = None,
    ) -> None:
        if not models:
            raise UsageError("there is nothing to measure: no model is named")
        if not 1 <= processes <= MOST_PROCESSES:
            raise UsageError(f"{processes} processes; expected 1 to {MOST_PROCESSES}")
        if not (cooldown >= 0 and math.isfinite(cooldown)):
            raise UsageError(f"the rest before a process is {cooldown} s; it must be at least 0")
        if max_celsius is not None and not 0 < max_celsius <= _MOST_CELSIUS:
            raise UsageError(
                f"the highest temperature is {max_celsius:g} °C; expected one above 0 and at most {_MOST_CELSIUS:g}"
            )
        if max_celsius is not None and celsius() is None:
            raise UsageError("the temperature of this machine cannot be read; leave the highest one out")
        self._cooldown, self._max_celsius, self._timeout = cooldown, max_celsius, timeout
        self._runs = []
        for model in models:
            columns = list(dict.fromkeys(costs or model.default_costs))
            model.check(columns)
            one = not model.varies or all(Metric.named(name).exact for name in columns)
            self._runs.append(_Runs(model, columns, 1 if one else processes))

    def run(self, told: Told | None = None) -> None:
        """Measure until every model has its processes, or an error.

        Raises
        ------
        MeasurementError
            When the device runs nothing at all, or the machine does not cool down.
        """
        turn = 0
        while waiting := [each for each in self._runs if not each.done]:
            for each in waiting if turn % 2 == 0 else waiting[::-1]:
                _rest(self._cooldown, self._max_celsius)
                each.run(self._timeout, told)
            turn += 1

    @property
    def results(self) -> list[Result]:
        """What is known by now, of each model of which a process counts or that cannot be measured.

        One that has fewer processes than it should, because `run` was interrupted, says so in its `warnings`.
        """
        return [each.result() for each in self._runs if each.counted or each.error is not None]

    @property
    def finished(self) -> list[Result]:
        """Of the `results` those that were measured to their end."""
        return [each.result() for each in self._runs if each.done and each.error is None]


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
    """Measure models by turns: all of `Bench`, whose arguments these are, in one call.

    Raises
    ------
    UsageError, MeasurementError
        As `Bench` and `Bench.run`.
    """
    turns = Bench(models, costs, processes=processes, cooldown=cooldown, max_celsius=max_celsius, timeout=timeout)
    turns.run(told)
    return turns.results


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
        found = result_of(self.model, self.costs, counted)
        if self.done:
            return found
        missing = f"it was interrupted after {len(self.counted)} of {self.wanted} processes"
        return replace(found, warnings=[*found.warnings, missing])


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
