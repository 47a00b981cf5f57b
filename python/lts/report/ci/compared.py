"""Records of a comparison, read once: what every format shows of them, with text that is fit to be shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from lts.errors import UsageError
from lts.measure.compare import Answer, Metric
from lts.measure.result import Result
from lts.system.outside import sentence
from lts.system.text import number, unit, with_bounds
from lts.targets.workload import Workload

_PLACE = ("target", "device", "backend", *(field.name for field in fields(Workload)))
_NAME = 200


@dataclass(frozen=True)
class Side:
    """What one side's processes say of a metric: their median, and an interval of it with its coverage."""

    value: float
    low: float
    high: float
    coverage: float
    processes: int


@dataclass(frozen=True)
class Compared:
    """One metric of one model, compared.

    All text is one printable line, and names have at most 200 characters: they come from files, and may be anything.

    Parameters
    ----------
    model
        The name under which the model is compared, or what the contender was given as. No two of a comparison have
        the same model and metric: the second is "NAME (2)".
    metric
        With its unit at its end.
    verdict
        See `lts.measure.compare.Answer`.
    fails
        Whether the gate fails for it.
    provenance
        "measured" or "emulated".
    baseline, contender
        Both sides, in the unit of the metric.
    given
        What the contender was given as: mostly a path.
    change, change_interval
        Of the contender, relative to the baseline: 0.1 is 10 % more.
    max_regression
        The bound, relative.
    not_seen_again
        Whether a regression was seen that a second measurement did not show.
    place
        What the values hold for: target, device, backend, and what was run.
    seconds
        How long the runs took that were timed, of both sides.
    alone
        Whether it is a result that was compared with nothing: the baseline is then itself.
    """

    model: str
    metric: str
    verdict: Answer
    fails: bool
    provenance: str
    baseline: Side
    contender: Side
    given: str
    change: float
    change_interval: tuple[float, float] | None
    max_regression: float
    not_seen_again: bool
    place: dict[str, str]
    seconds: float
    alone: bool = False

    @property
    def unit(self) -> str:
        """Of the values: "ms"; of instructions the word itself."""
        return unit(self.metric) or self.metric.split("_")[-1]

    def shown(self, side: Side) -> str:
        """A value with its ±, and without its unit: "1.085 ±0.037"; a count is the same every time, ±0."""
        if side.low == side.high and (side.processes > 1 or Metric.named(self.metric).exact):
            return f"{number(side.value)} ±0"
        return with_bounds(side.value, (side.low, side.high))

    @property
    def shown_change(self) -> str:
        """The change with its interval: "+3.1 % (+1.2 to +5 %)"."""
        if self.change_interval is None or self.change_interval[0] == self.change_interval[1]:
            return f"{100 * self.change:+.3g} %"
        low, high = self.change_interval
        return f"{100 * self.change:+.3g} % ({100 * low:+.3g} to {100 * high:+.3g} %)"

    @property
    def shown_bound(self) -> str:
        """The bound: "5 %"."""
        return f"{100 * self.max_regression:.3g} %"

    @property
    def where(self) -> str:
        """Target, device and backend: "arm64 on emulated with tvm"; empty where a record does not say."""
        named = (("", "target"), ("on ", "device"), ("with ", "backend"))
        return " ".join(f"{word}{self.place[key]}" for word, key in named if self.place.get(key))

    @property
    def text(self) -> str:
        """All of it but the model, in one sentence."""
        said = "; a regression was seen, but not when it was measured again" if self.not_seen_again else ""
        return (
            f"{self.metric} ({self.provenance}): {self.verdict.value}, "
            f"baseline {self.shown(self.baseline)} {self.unit}, "
            f"contender {self.shown(self.contender)} {self.unit}, change {self.shown_change}, "
            f"bound {self.shown_bound}{f', for {self.where}' if self.where else ''}{said}"
        )


def read(records: Iterable[Mapping[str, Any]], *, inconclusive_fails: bool = False) -> list[Compared]:
    """What records of `lts-engine compare` say, in their order.

    Parameters
    ----------
    records
        One per metric and model, as `lts-engine compare -o json` prints them.
    inconclusive_fails
        Whether the gate fails where the measurements do not say, for records that do not say that themselves.

    Raises
    ------
    UsageError
        For what is no such record.
    """
    rows: list[Compared] = []
    for i, record in enumerate(records, 1):
        try:
            rows.append(_row(record, bool(record.get("inconclusive_fails", inconclusive_fails))))
        except KeyError as error:
            raise UsageError(f"record {i} of the comparison has no {sentence(error.args[0])}") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"record {i} of the comparison is none of lts-engine compare: {sentence(error)}") from None
    return _told_apart(rows)


def of_results(results: Iterable[Result]) -> list[Compared]:
    """The values of results, which were compared with nothing; of one that failed there are none.

    A model that was measured with several workloads is named with each of them.
    """
    results = list(results)
    known = Counter(result.saved or result.model for result in results)
    rows = []
    for result in results:
        name_of = result.saved or result.model
        if known[name_of] > 1:
            name_of = f"{name_of}, {result.workload or result.inputs}"
        load = {} if result.workload is None else result.workload.describe()
        place = {**load, "target": result.target, "device": result.device, "backend": result.backend}
        for name, value in result.values.items():
            low, high = result.interval[name]
            side = Side(value, low, high, result.coverage, len(result.rounds[name]))
            rows.append(
                Compared(
                    model=sentence(name_of, _NAME) or "model",
                    metric=sentence(name),
                    verdict=Answer.same,
                    fails=False,
                    provenance=result.provenance[name],
                    baseline=side,
                    contender=side,
                    given=sentence(result.model, _NAME),
                    change=0.0,
                    change_interval=None,
                    max_regression=0.0,
                    not_seen_again=False,
                    place={key: sentence(str(each)) for key, each in place.items()},
                    seconds=sum(map(sum, result.samples_ns.values())) / 1e9,
                    alone=True,
                )
            )
    return _told_apart(rows)


def _told_apart(rows: Sequence[Compared]) -> list[Compared]:
    """With a number behind the model where another one has the same name and metric."""
    found: list[Compared] = []
    taken: set[tuple[str, str]] = set()
    for given in rows:
        row, n = given, 1
        while (row.model, row.metric) in taken:
            n += 1
            row = replace(given, model=f"{given.model} ({n})")
        taken.add((row.model, row.metric))
        found.append(row)
    return found


def tally(rows: Sequence[Compared]) -> str:
    """How often each verdict was given, the worst first: "1 regression, 2 same"."""
    counts = Counter(row.verdict for row in rows)
    order = (Answer.regression, Answer.inconclusive, Answer.improvement, Answer.same)
    said = [f"{counts[each]} {each.value}{_PLURAL[each] if counts[each] > 1 else ''}" for each in order if counts[each]]
    return ", ".join(said) or "nothing was compared"


_PLURAL = {Answer.regression: "s", Answer.inconclusive: "", Answer.improvement: "s", Answer.same: ""}


def _row(record: Mapping[str, Any], inconclusive_fails: bool) -> Compared:
    verdict = Answer(record["verdict"])
    interval = record["change_interval"]
    given = sentence(record["contender"]["name"], _NAME) or "contender"
    return Compared(
        model=sentence(record.get("model") or "", _NAME) or given,
        metric=sentence(record["metric"]) or "metric",
        verdict=verdict,
        fails=verdict is Answer.regression or (inconclusive_fails and verdict is Answer.inconclusive),
        provenance=sentence(record["provenance"]),
        baseline=_side(record["baseline"]),
        contender=_side(record["contender"]),
        given=given,
        change=_finite(record["change"]),
        change_interval=None if interval is None else (_finite(interval[0]), _finite(interval[1])),
        max_regression=_finite(record["max_regression"]),
        not_seen_again=bool(record.get("not_seen_again")),
        place={key: sentence(record[key]) for key in _PLACE if record.get(key) is not None},
        seconds=_seconds(record.get("samples_ns") or ()),
    )


def _side(record: Mapping[str, Any]) -> Side:
    low, high = record["interval"]
    return Side(
        _finite(record["value"]), _finite(low), _finite(high), _finite(record["coverage"]), int(record["processes"])
    )


def _finite(value: Any) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"{found} is not a finite number")
    return found


def _seconds(samples: Sequence[Mapping[str, Sequence[int]]]) -> float:
    return _finite(sum(ns for process in samples for each in process.values() for ns in each)) / 1e9
