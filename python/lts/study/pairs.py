"""Pairs of models that are compared, and what came out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from lts.errors import UsageError
from lts.measure.compare import Bounds
from lts.measure.interleaved import MOST, Comparison, Side
from lts.measure.models.comparison import check_comparable, compare_models, conditions, metrics_of
from lts.measure.models.model import Model
from lts.measure.models.onnx_file import BELOW
from lts.measure.models.opening import OpenDevice
from lts.measure.models.source import Source
from lts.measure.outcome import Outcome
from lts.measure.result import Result, differences
from lts.study.sides import Matched, Member, called

LIMIT = "limit"
"""The kind of a result that stands for a limit."""

Told = Callable[["Pair", Side, Outcome, bool], None]
"""Gets each process: its pair, its side, what came out, and whether that counts."""


@dataclass(frozen=True)
class Conditions:
    """Where and with what models are measured; None is as in the results of the other side, or the default.

    Parameters
    ----------
    target, device, backend
        As of `lts.measure.opening.open_evaluator`.
    workload
        Values of `lts.targets.workload.Workload` by name.
    shapes, below
        Of the inputs of ONNX files, see `lts.measure.models.onnx_file.OnnxModel`.
    timeout
        Seconds for one process.
    """

    target: str | None = None
    device: str | None = None
    backend: str | None = None
    workload: Mapping[str, Any] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    below: int = BELOW
    timeout: float | None = None


@dataclass(frozen=True)
class Pair:
    """Two models that belong together."""

    name: str
    baseline: Model | Result
    contender: Model | Result
    metrics: list[str]
    conditions: Mapping[Side, Result]
    """Each side as a result, or with what one would say of it besides what is measured."""

    @property
    def differ(self) -> list[str]:
        """What differs between the conditions of a result and the other side."""
        if isinstance(self.baseline, Model) and isinstance(self.contender, Model):
            return []
        return differences(self.conditions["baseline"], self.conditions["contender"])

    @property
    def changed(self) -> bool:
        """Whether they are known to be different architectures."""
        one, other = self.baseline.architecture, self.contender.architecture
        return one is not None and other is not None and one != other

    @property
    def limit(self) -> bool:
        """Whether the baseline is nothing but a limit."""
        return isinstance(self.baseline, Result) and self.baseline.kind == LIMIT

    @property
    def same(self) -> bool:
        """Whether they are the same architecture, of which neither has files of its own."""
        kinds = {self.baseline.kind, self.contender.kind}
        return kinds == {"architecture"} and self.baseline.architecture == self.contender.architecture

    @property
    def run(self) -> str:
        """With what they are measured, for people."""
        known = self.conditions["contender"]
        inputs = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in known.inputs.items())
        return f"{known.target} with {known.backend}, {known.workload or inputs or 'its own inputs'}"


@dataclass(frozen=True)
class Compared:
    """A pair with what comparing it has shown."""

    pair: Pair
    comparison: Comparison
    inconclusive_fails: bool = False
    """Whether a gate fails where it is inconclusive."""


class OpenPairs:
    """Pairs that can be compared: what is not a result is on its device.

    Parameters
    ----------
    found
        The sides.
    wanted
        Where and with what models are measured.
    metrics
        What is compared; by default what is measured by default, or was.
    also
        What is measured of contenders besides.
    across
        Whether results may be of other conditions than the other side.

    Attributes
    ----------
    pairs
        In the order of the baseline.
    device_name
        Where models are measured; None where nothing is.

    Raises
    ------
    UsageError
        For what cannot be measured, or compared.
    MeasurementError
        When the device cannot be reached.
    """

    def __init__(
        self,
        found: Matched,
        wanted: Conditions,
        metrics: Sequence[str] | None,
        *,
        also: Iterable[str] = (),
        across: bool = False,
    ) -> None:
        results = [each for pair in found.both.values() for each in pair if isinstance(each, Result)]
        self._wanted, self._also, self._across = wanted, tuple(also), across
        self._place: OpenDevice | None = None
        if any(isinstance(each, Source) for pair in found.both.values() for each in pair):
            like = results[0] if results else None
            self._place = OpenDevice(
                wanted.target or (like.target if like else "") or "host",
                wanted.device or (like.device if like else "") or None,
                wanted.backend or (like.backend if like else "") or None,
                timeout=wanted.timeout,
            )
        self.device_name = None if self._place is None else self._place.name
        try:
            self.pairs = [self._pair(name, *both, metrics) for name, both in found.both.items()]
        except BaseException:
            self.close()
            raise

    def compare(
        self,
        *,
        max_regression: Bounds = None,
        most: int = MOST,
        inconclusive_fails: bool = False,
        told: Told | None = None,
    ) -> Iterator[Compared]:
        """Compare one pair after the other; see `lts.measure.models.comparison.compare_models`."""
        for pair in self.pairs:

            def tell(side: Side, outcome: Outcome, counts: bool, pair: Pair = pair) -> None:
                if told is not None:
                    told(pair, side, outcome, counts)

            yield Compared(
                pair,
                compare_models(
                    pair.baseline,
                    pair.contender,
                    pair.metrics,
                    max_regression=max_regression,
                    also=self._also,
                    most=most,
                    across=self._across,
                    told=tell,
                ),
                inconclusive_fails,
            )

    @property
    def metrics(self) -> list[str]:
        """The metrics of all pairs, each once."""
        return list(dict.fromkeys(name for pair in self.pairs for name in pair.metrics))

    def close(self) -> None:
        """Close the device."""
        if self._place is not None:
            self._place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pair(self, name: str, one: Member, other: Member, metrics: Sequence[str] | None) -> Pair:
        contender = self._opened(other, one)
        baseline = self._opened(one, other, contender)
        columns = list(metrics) if metrics is not None else metrics_of(baseline, contender)
        if not columns:
            raise UsageError(
                f"{called(name)}: the baseline and the contender have no metric in common; name some with --metric"
            )
        check_comparable(baseline, contender, columns, across=self._across)
        if isinstance(contender, Model):
            contender.check(self._also)
        known: dict[Side, Result] = {"baseline": conditions(baseline), "contender": conditions(contender)}
        return Pair(name or known["contender"].model, baseline, contender, columns, known)

    def _opened(self, member: Member, beside: Member, like: Model | Result | None = None) -> Model | Result:
        if isinstance(member, Result):
            return member
        if isinstance(member, Source):
            return self._open(member, beside)
        if like is None:
            raise UsageError(f"{member.name} is of a history, and so can only be the baseline")
        return member.history.latest(member.name, conditions(like))

    def _open(self, source: Source, beside: Member) -> Model:
        """The model with the workload that is asked for, or else that of the result that it is compared with."""
        assert self._place is not None
        workload = {name: value for name, value in self._wanted.workload.items() if value is not None}
        shapes = dict(self._wanted.shapes)
        if isinstance(beside, Result):
            workload = {**(beside.workload.describe() if beside.workload is not None else {}), **workload}
            shapes = shapes or dict(beside.inputs)
            if source.form:  # what its files say is compared with the result's, and not asked of them
                workload = {name: value for name, value in workload.items() if name not in source.form}
        return self._place.open(
            source, shapes=shapes if source.kind == "onnx" else None, below=self._wanted.below, **workload
        )
