"""Sub-networks evaluated: their perplexity on text, and their costs on a device, both as they are deployed."""

from __future__ import annotations

import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lts._core import Architecture, SearchSpace
from lts.compress.arrays import save_array
from lts.compress.keeping import keep
from lts.compress.members import Kept, LikelyMembers
from lts.compress.source import KEY
from lts.compress.subnetworks import Subnetworks
from lts.compress.text import Windows
from lts.devices.device import Device
from lts.errors import MeasurementError, UsageError
from lts.export.decoder import PHASES
from lts.export.encodings import Array
from lts.export.files import MODEL_FILE, export
from lts.measure.columns import QUALITY
from lts.measure.evaluator import TargetEvaluator
from lts.measure.measured import MeasuredEvaluator
from lts.measure.outcome import Outcome
from lts.measure.perplexity import Perplexity, perplexities
from lts.measure.statistics import student_quantile
from lts.system.files import make_directory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Losses = NDArray[np.float64]

PERPLEXITY, EVAL_PERPLEXITY = QUALITY
_Weights: TypeAlias = Callable[[], Mapping[str, Array]]


class SubnetworkEvaluator(TargetEvaluator):
    """Measures the perplexity of sub-networks on this machine, and their costs by another evaluator.

    Perplexity is that of the exported model in the precision of the workload, on windows that are held out; where
    there is a second text, ``eval_perplexity`` is the same on that. It is measured once per sub-network, and kept in
    a folder. Its interval is that of the ratio to the original on the same windows, so that how hard these are does
    not count.

    On this machine with ONNX Runtime, costs are those of files with the sub-network's own weights; elsewhere weights
    are random, which changes neither time nor memory.

    Parameters
    ----------
    costs
        What measures, estimates or looks up the costs. It is closed with this one.
    subnetworks
        What is known of the sub-networks; it must be prepared.
    original
        The architecture of the model.
    likely
        Members of the predicted front.
    windows
        Of the texts.
    folder
        Where perplexities are kept, and in a folder beside it what sub-networks keep.
    about
        What else the values depend on, as JSON.
    """

    surrogate = "additive"
    provenance = "measured"

    def __init__(
        self,
        costs: TargetEvaluator,
        subnetworks: Subnetworks,
        original: Architecture,
        likely: LikelyMembers,
        windows: Windows,
        folder: Path,
        about: Mapping[str, Any],
    ) -> None:
        super().__init__(costs.target, costs.device_name, costs.backend_name, costs.workload)
        self._inner = costs
        self._subnetworks = subnetworks
        self._original = likely.whole
        self._likely = likely
        self._whole = original
        self._windows = {PERPLEXITY: windows.held_out}
        if windows.second is not None:
            self._windows[EVAL_PERPLEXITY] = windows.second
        make_directory(folder)
        self._folder = folder
        self._about = dict(about)
        self._digest = windows.digest
        self.costs = (*self._windows, *costs.costs)
        self.varies = costs.varies
        self.compiles = costs.compiles
        self.priors = costs.priors

    @property
    def default_objectives(self) -> tuple[str, ...]:  # type: ignore[override]
        _, *costs = self._inner.default_objectives
        return (f"{PERPLEXITY}:min", *costs)

    @property
    def device(self) -> Device | None:
        return self._inner.device

    @property
    def no_energy(self) -> str:
        return self._inner.no_energy

    def tuning(self) -> dict[str, Any]:
        return self._inner.tuning()

    def describe(self) -> dict[str, Any]:
        return {**self._inner.describe(), KEY: self._about}

    def environment(self) -> dict[str, Any]:
        return self._inner.environment()

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        columns = list(columns)
        super().check(space, columns)
        self._inner.check(space, [name for name in columns if name not in QUALITY])

    def check_architecture(self, architecture: Architecture, columns: Iterable[str]) -> None:
        columns = list(columns)
        super().check_architecture(architecture, columns)
        self._inner.check_architecture(architecture, [name for name in columns if name not in QUALITY])
        if not self._subnetworks.space.contains(architecture):
            raise UsageError("it is no sub-network of the model, and has no weights")

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        begun = time.monotonic()
        costs = [name for name in columns if name not in QUALITY]
        keep(self._folder.parent, self._whole, architecture, self._subnetworks.kept(architecture))
        weights = cache(lambda: self._subnetworks.weights(architecture))
        try:
            found = self._quality(architecture, weights)
        except MeasurementError as error:
            return Outcome(error=str(error), seconds={PERPLEXITY: time.monotonic() - begun})
        taken = time.monotonic() - begun
        found |= Outcome(seconds={PERPLEXITY: taken})
        left = None if timeout is None else timeout - taken
        if left is not None and left <= 0:
            return found | Outcome(error="the time was not enough to measure its costs")
        return found | self._costs(architecture, weights, costs, left)

    def first(self, n: int, kept: Kept) -> Sequence[Architecture]:
        return self._likely.first(n, kept)

    def whole(self, column: str) -> float:
        """The original's value of a column of `lts.measure.columns.QUALITY`."""
        found = self._losses(self._original, lambda: self._subnetworks.weights(self._original))
        return found[column].value

    def quality_of(self, architecture: Architecture, weights: Mapping[str, Array]) -> dict[str, float]:
        """The columns of `lts.measure.columns.QUALITY` with other weights, measured anew.

        Raises
        ------
        MeasurementError
            When the model does not run.
        """
        precision = self.workload.precision
        return {
            name: perplexities(architecture, weights, windows, [precision])[precision].value
            for name, windows in self._windows.items()
        }

    def stop(self) -> None:
        self._inner.stop()

    def close(self) -> None:
        self._inner.close()

    def _costs(
        self, architecture: Architecture, weights: _Weights, columns: list[str], timeout: float | None
    ) -> Outcome:
        inner, load = self._inner, self.workload
        if not isinstance(inner, MeasuredEvaluator) or inner.backend_name != "onnxruntime":
            return inner.evaluate(architecture, columns, timeout)
        with tempfile.TemporaryDirectory(prefix="member-", dir=self._folder) as folder:
            export(
                architecture,
                folder,
                ["onnx"],
                precision=load.precision,
                logits=load.logits,
                cache=load.cache,
                weights=weights(),
            )
            models = dict.fromkeys(PHASES, Path(folder) / MODEL_FILE)
            return inner.evaluate_files(architecture, models, columns, timeout)

    def _quality(self, architecture: Architecture, weights: _Weights) -> Outcome:
        """Perplexities, with intervals against the original's."""
        here = self._losses(architecture, weights)
        whole = (
            here
            if architecture == self._original
            else self._losses(self._original, lambda: self._subnetworks.weights(self._original))
        )
        values = {name: found.value for name, found in here.items()}
        intervals = {name: interval_beside(found, whole[name]) for name, found in here.items()}
        return Outcome(
            values=values,
            provenance=dict.fromkeys(values, "measured"),
            interval={name: bounds for name, bounds in intervals.items() if bounds is not None},
        )

    def _losses(self, architecture: Architecture, weights: _Weights) -> dict[str, Perplexity]:
        """The perplexities of a sub-network, which are measured where no file has them yet."""
        precision = self.workload.precision
        key = hashlib.sha256(f"{architecture.to_json()} {precision} {self._digest}".encode()).hexdigest()[:24]
        file = self._folder / f"{key}.npy"
        names = [*self._windows]
        windows = np.concatenate([*self._windows.values()])
        losses = _kept(file, len(windows))
        if losses is None:
            losses = perplexities(architecture, weights(), windows, [precision])[precision].losses
            _keep(file, losses)
        ends = np.cumsum([len(each) for each in self._windows.values()])[:-1]
        return {name: Perplexity(part) for name, part in zip(names, np.split(losses, ends), strict=True)}


def interval_beside(found: Perplexity, whole: Perplexity) -> tuple[float, float] | None:
    """Where a perplexity is with 95 %, were the original's known: from the differences window by window (Student's t).

    None with one window, and for the original itself.
    """
    differences = found.losses - whole.losses
    n = len(differences)
    if n < 2 or not differences.any():
        return None
    half = student_quantile(0.95, n - 1) * float(differences.std(ddof=1)) / math.sqrt(n)
    return found.value * math.exp(-half), found.value * math.exp(half)


def _kept(file: Path, n: int) -> Losses | None:
    """What an earlier evaluation has measured; None where there is nothing of use."""
    try:
        found: Losses = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (n,) and found.dtype == np.float64 and np.isfinite(found).all() else None


def _keep(file: Path, losses: Losses) -> None:
    try:
        save_array(file, losses)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror or error}") from None
