"""Pairs of models that are compared, and what came out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from lts.errors import UsageError
from lts.measure.compare import Bounds
from lts.measure.interleaved import MOST, Comparison, Side
from lts.measure.models.comparison import check_comparable, compare_models, conditions, differing, metrics_of
from lts.measure.models.model import Model
from lts.measure.models.onnx_file import BELOW, OnnxModel
from lts.measure.models.opening import OpenDevice
from lts.measure.models.source import Source
from lts.measure.outcome import Outcome
from lts.measure.result import Result
from lts.study.sides import Matched, Member, called
from lts.system.outside import sentence
from lts.system.text import listed
from lts.targets.target import target_names

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

    @property
    def given(self) -> bool:
        """Whether any of them is asked for."""
        return replace(self, workload={}) != Conditions() or any(each is not None for each in self.workload.values())


@dataclass(frozen=True)
class Pair:
    """Two models that belong together."""

    name: str
    baseline: Model | Result
    contender: Model | Result
    metrics: list[str]
    conditions: Mapping[Side, Result]
    """Each side as a result, or with what one would say of it besides what is measured."""
    differ: list[str]
    """What differs between the conditions of a result and the other side."""

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
    def notes(self) -> list[str]:
        """What is to be known before they are compared: conditions that differ, or that nothing does."""
        differ, same = self.differ, "the baseline and the contender are the same architecture"
        return [
            *([f"the conditions of {self.name} differ: {listed(differ)}"] if differ else []),
            *([same] if self.same else []),
        ]

    @property
    def run(self) -> str:
        """With what they are measured, for people."""
        known = self.conditions["contender"]
        return f"{known.target} with {known.backend}, {known.run}"


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
        sources = [each for pair in found.both.values() for each in pair if isinstance(each, Source)]
        if wanted.shapes and not any(each.kind == OnnxModel.kind for each in sources):
            raise UsageError("shapes of inputs are for ONNX files, and none is measured; leave them out")
        # Both sides are measured alike: with what the first study among them was searched for.
        self._searched = next((each.workload for each in sources if each.workload), {})
        if sources:
            self._place = _opened_place(wanted, results[0] if results else None)
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
    def notes(self) -> list[str]:
        """What is to be known of the pairs before they are compared, one sentence each."""
        return [note for pair in self.pairs for note in pair.notes]

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
        elif missing := [name for name in self._also if name not in contender.rounds]:
            raise UsageError(f"{missing[0]} was not measured of {contender.model}, so its limit cannot be checked")
        known: dict[Side, Result] = {"baseline": conditions(baseline), "contender": conditions(contender)}
        differ = differing(baseline, contender, columns)
        return Pair(name or known["contender"].model, baseline, contender, columns, known, differ)

    def _opened(self, member: Member, beside: Member, like: Model | Result | None = None) -> Model | Result:
        if isinstance(member, Result):
            return member
        if isinstance(member, Source):
            return self._open(member, beside)
        if like is None:
            raise UsageError(f"{member.name} is of a history, and so can only be the baseline")
        return member.history.latest(member.name, conditions(like))

    def _open(self, source: Source, beside: Member) -> Model:
        """The model with the workload that is asked for, else of the result beside it, else of a study's search."""
        assert self._place is not None
        workload = {name: value for name, value in self._wanted.workload.items() if value is not None}
        shapes = dict(self._wanted.shapes)
        known: Mapping[str, Any]
        if isinstance(beside, Result):
            # What the files of a source say is compared with the result's, and not asked of them.
            known = {"threads": beside.threads} if beside.workload is None else beside.workload.describe()
            shapes = shapes or dict(beside.inputs)
        else:
            known = self._searched
        workload = {**{name: value for name, value in known.items() if name not in source.form}, **workload}
        return self._place.open(
            source, shapes=shapes if source.kind == OnnxModel.kind else None, below=self._wanted.below, **workload
        )


def _opened_place(wanted: Conditions, like: Result | None) -> OpenDevice:
    """The device, by default that of the results on the other side.

    A file of results may come from anywhere, so what it calls a device or a target is no address and no path.
    """
    target, device = wanted.target, wanted.device
    if target is None and like is not None and like.target:
        if like.target not in target_names():
            raise UsageError(
                f"{like.model} is of the target '{sentence(like.target, 60)}', which is none of ours; "
                "name its file with --target"
            )
        target = like.target
    if device is None and like is not None and like.device:
        if not like.device.isidentifier():
            raise UsageError(
                f"{like.model} was measured on '{sentence(like.device, 60)}'; "
                "name what the other side is measured on with --device"
            )
        device = like.device
    backend = wanted.backend or (like.backend if like is not None else "") or None
    return OpenDevice(target or "host", device, backend, timeout=wanted.timeout)
