"""A front compared with a baseline: what one gains at the same size, and at the same cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lts._core import Objective
from lts.measure.trial import Trial
from lts.study.baselines import Baseline
from lts.study.distinct import doubt
from lts.study.front import Front, minimized
from lts.system.outside import sentence
from lts.system.text import number, unit, with_bounds

_SAME = "the same"
_TIMES = ("ns", "µs", "ms", "s")


@dataclass(frozen=True)
class Comparison:
    """A baseline and the members of a front that stand beside it.

    Parameters
    ----------
    baseline
        The baseline.
    objectives
        Those of the front; the first one is size, or quality, and the second one the cost.
    same_size
        The cheapest member whose first objective is at least as good; None where there is none.
    same_cost
        The best member, by the first objective, whose cost is at most the baseline's; None where there is none.
    """

    baseline: Baseline
    objectives: list[Objective]
    same_size: Trial | None
    same_cost: Trial | None

    def sentences(self) -> list[str]:
        """What the comparison says, for people."""
        name, own = self.baseline.name, self.baseline.trial
        if own.state != "complete":
            return [f"baseline {name} could not be measured: {sentence(own.error)}"]
        size, *costs = self.objectives
        first = costs[0] if costs else size
        if self.same_size is None:
            least = "at least" if size.direction == "max" else "at most"
            found = [f"no member of the front has {least} the {size.name} of baseline {name}, {_value(own, size.name)}"]
        else:
            at = self._than(self.same_size, first, size, " at ") if costs else self._than(self.same_size, size)
            found = [f"at the same size or better, {at}"]
        if not costs or (self.same_cost is not None and self.same_cost is self.same_size):
            return found
        if self.same_cost is None:
            most = "at most" if first.direction == "min" else "at least"
            none = f"no member of the front has {most} the {first.name} of baseline {name}, {_value(own, first.name)}"
            return [*found, none]
        return [*found, f"at the same cost or less, {self._than(self.same_cost, size, first, ' and ')}"]

    def _than(self, trial: Trial, gain: Objective, other: Objective | None = None, link: str = "") -> str:
        own = self.baseline.trial
        changes = _change(trial, own, gain.name)
        if other is not None:
            further = _change(trial, own, other.name)
            changes += f"{' at ' if further.startswith(_SAME) else link}{further}"
        values = ", ".join(
            f"{each.name} {_value(trial, each.name)} against {_value(own, each.name)}"
            for each in (self.objectives[1:] or self.objectives)
        )
        than = "as" if changes.count(_SAME) == (1 if other is None else 2) else "than"
        return f"trial {trial.id}: {changes} {than} baseline {self.baseline.name} ({values})"


def compare(front: Front, baseline: Baseline) -> Comparison:
    """What a front has beside a baseline. Where the front has one objective, that is size and cost."""
    own, objectives = baseline.trial, list(front.objectives)
    if own.state != "complete":
        return Comparison(baseline, objectives, None, None)
    points = [tuple(map(float, row)) for row in front.points()]
    here = tuple(map(float, minimized([own], objectives)[0]))
    cost = 1 if len(objectives) > 1 else 0
    as_large = [i for i, point in enumerate(points) if point[0] <= here[0]]
    as_cheap = [i for i, point in enumerate(points) if point[cost] <= here[cost]]
    same_size = min(as_large, key=lambda i: (points[i][cost], points[i]), default=None)
    same_cost = min(as_cheap, key=lambda i: points[i], default=None)
    return Comparison(
        baseline,
        objectives,
        None if same_size is None else front[same_size],
        None if same_cost is None else front[same_cost],
    )


def _change(trial: Trial, own: Trial, name: str) -> str:
    """How the value of a trial differs from a baseline's, such as "12 % faster"."""
    value, before = trial.values[name], own.values[name]
    more, less, noun = _words(name)
    if value == before:
        return f"{_SAME} {name}"
    if value <= 0 or before <= 0:
        return f"{number(abs(value - before))} {more if value > before else less}{noun}"
    if abs(math.log(value / before)) <= doubt(trial, own, name):
        return f"{_SAME} {name} within the intervals"
    return f"{_percent(100 * abs(value / before - 1))} {more if value > before else less}{noun}"


def _words(name: str) -> tuple[str, str, str]:
    """What a larger and a smaller value are called, and of what."""
    of = unit(name)
    if of.split(" per ")[0] in _TIMES:
        return "slower", "faster", ""
    if of == "parameters":
        return "more", "fewer", " parameters"
    return "more", "less", " memory" if "memory" in name else f" {name}"


def _percent(share: float) -> str:
    return f"{share:.0f} %" if share >= 10 else f"{share:.1f} %" if share >= 0.05 else "less than 0.1 %"


def _value(trial: Trial, name: str) -> str:
    return with_bounds(trial.values[name], trial.interval.get(name))
