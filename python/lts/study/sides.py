"""Sides of a comparison: each one model, or many by name, and what came out of comparing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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
from lts.measure.result_file import is_result_file, read_results
from lts.study.sources import read_sources
from lts.system.text import listed

Told = Callable[[str, Side, Outcome, bool], None]
"""Gets each process: the pair's name, its side, what came out, and whether that counts."""

Members = Mapping[str, Source | Result]
"""What a side has, by the name that its counterpart has on the other side; "" where it is one model."""


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


@dataclass(frozen=True)
class Matched:
    """Two sides by name: what both have, and what one of them lacks."""

    both: dict[str, tuple[Source | Result, Source | Result]]
    gone: list[str]
    new: list[str]


def read_side(text: str) -> Members:
    """What a user names: a file of results, or models as `lts.study.sources.read_sources` reads them.

    Raises
    ------
    UsageError
        When it is none of these, saying why.
    """
    path = Path(text)
    if is_result_file(path):
        return members(read_results(path))
    return read_sources(text)


def members(results: Sequence[Result]) -> Members:
    """Results by model; where a model was measured with several workloads, by these, too.

    Raises
    ------
    UsageError
        When two are of the same model and workload.
    """
    if len(results) == 1:
        return {"": results[0]}
    names = [result.model for result in results]
    found: dict[str, Source | Result] = {}
    for result in results:
        several = names.count(result.model) > 1
        name = f"{result.model}, {result.workload or result.inputs}" if several else result.model
        if name in found:
            raise UsageError(
                f"there are two results of {name}; expected one of each, as of one call of lts-engine bench"
            )
        found[name] = result
    return found


def matched(baseline: Members, contender: Members) -> Matched:
    """Members of two sides by name; two single ones belong together whatever they are called.

    Raises
    ------
    UsageError
        When no name is on both sides.
    """
    if len(baseline) == 1 and len(contender) == 1:
        (one,), (other,) = baseline.values(), contender.values()
        return Matched({next(iter(contender)): (one, other)}, [], [])
    both = {name: (baseline[name], contender[name]) for name in baseline if name in contender}
    if not both:
        raise UsageError(
            f"no model is on both sides: the baseline has {listed(map(_called, baseline), 5)}, "
            f"the contender {listed(map(_called, contender), 5)}"
        )
    return Matched(
        both, [name for name in baseline if name not in contender], [name for name in contender if name not in baseline]
    )


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
        self, found: Matched, wanted: Conditions, metrics: Sequence[str] | None, *, across: bool = False
    ) -> None:
        results = [each for pair in found.both.values() for each in pair if isinstance(each, Result)]
        self._wanted, self._across = wanted, across
        self._place: OpenDevice | None = None
        if len(results) < 2 * len(found.both):
            like = results[0] if results else None
            self._place = OpenDevice(
                wanted.target or (like.target if like else "host"),
                wanted.device or (like.device if like else None),
                wanted.backend or (like.backend if like else None),
                timeout=wanted.timeout,
            )
        self.device_name = None if self._place is None else self._place.name
        try:
            self.pairs = [self._pair(name, *both, metrics) for name, both in found.both.items()]
        except BaseException:
            self.close()
            raise

    def compare(
        self, *, max_regression: Bounds = None, most: int = MOST, told: Told | None = None
    ) -> Iterator[Compared]:
        """Compare one pair after the other; see `lts.measure.models.comparison.compare_models`."""
        for pair in self.pairs:

            def tell(side: Side, outcome: Outcome, counts: bool, name: str = pair.name) -> None:
                if told is not None:
                    told(name, side, outcome, counts)

            yield Compared(
                pair,
                compare_models(
                    pair.baseline,
                    pair.contender,
                    pair.metrics,
                    max_regression=max_regression,
                    most=most,
                    across=self._across,
                    told=tell,
                ),
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

    def _pair(self, name: str, one: Source | Result, other: Source | Result, metrics: Sequence[str] | None) -> Pair:
        baseline = one if isinstance(one, Result) else self._open(one, other)
        contender = other if isinstance(other, Result) else self._open(other, one)
        columns = list(metrics) if metrics is not None else metrics_of(baseline, contender)
        if not columns:
            raise UsageError(
                f"{_called(name)}: the baseline and the contender have no metric in common; name some with --metric"
            )
        check_comparable(baseline, contender, columns, across=self._across)
        known: dict[Side, Result] = {"baseline": conditions(baseline), "contender": conditions(contender)}
        return Pair(name or known["contender"].model, baseline, contender, columns, known)

    def _open(self, source: Source, beside: Source | Result) -> Model:
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


def _called(name: str) -> str:
    return name or "a single model"
