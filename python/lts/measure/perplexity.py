"""Perplexity of exported models on text: what ONNX Runtime computes from the files that are deployed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import Architecture
from lts.errors import MeasurementError, UsageError
from lts.export import export
from lts.export.files import MODEL_FILE
from lts.export.weights import Weights
from lts.measure.logits import OnnxLogits
from lts.measure.tokens import Ids
from lts.system.workdir import WorkDirectory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST_WINDOWS = 32
"""Windows of a text that count, at most: on two processors a few minutes for 100 million parameters."""
LONGEST_WINDOW = 1024
"""Tokens of a window, at most: the logits of all its positions are in memory at once."""
_ROWS = 64


@dataclass(frozen=True)
class Perplexity:
    """Perplexity on windows of a text.

    Attributes
    ----------
    losses
        By window the mean negative log-likelihood of all its tokens but the first, in nats per token, (n_windows,).
    """

    losses: Array

    @property
    def value(self) -> float:
        """The exponential of the mean."""
        return math.exp(float(self.losses.mean()))

    @property
    def error(self) -> float | None:
        """Its standard error over the windows (delta method); None with one window."""
        return _scaled_error(self.losses, self.value)

    def change(self, other: Perplexity) -> tuple[float, float | None]:
        """By which part this perplexity is above another one on the same windows, and the standard error of that.

        The differences are taken window by window, so that how hard the windows are does not count as error.
        """
        differences = self.losses - other.losses
        factor = math.exp(float(differences.mean()))
        return factor - 1.0, _scaled_error(differences, factor)


def _scaled_error(values: Array, factor: float) -> float | None:
    return factor * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def windows_of(ids: Ids, n_positions: int) -> Ids:
    """A text in windows that do not overlap, (n_windows, length), each as long as the positions allow.

    At most `MOST_WINDOWS` of at most `LONGEST_WINDOW` tokens. What is left at the end does not count; a text that is
    shorter than a window is one.

    Raises
    ------
    UsageError
        For fewer than two tokens or positions.
    """
    length = min(n_positions, LONGEST_WINDOW, len(ids))
    if length < 2:
        raise UsageError(f"perplexity needs at least 2 tokens and positions; there are {len(ids)} and {n_positions}")
    n = min(MOST_WINDOWS, len(ids) // length)
    return ids[: n * length].reshape(n, length)


def perplexities(
    architecture: Architecture, weights: Weights, windows: Ids, precisions: Iterable[str]
) -> dict[str, Perplexity]:
    """The perplexity of an architecture with these weights in every precision.

    The model with logits at all positions is exported and run on this machine, one window at a time.

    Raises
    ------
    UsageError
        For a precision that the installed ONNX Runtime does not run, or weights that do not fit.
    MeasurementError
        When a model does not run, or its logits are not finite.
    """
    from lts.backends.precisions import check_runtime

    chosen = list(dict.fromkeys(precisions))
    for precision in chosen:
        check_runtime(precision)
    found: dict[str, Perplexity] = {}
    for precision in chosen:
        with _folder() as folder:
            export(architecture, folder, ["onnx"], precision=precision, logits="all", weights=weights)
            try:
                found[precision] = Perplexity(_losses(folder / MODEL_FILE, windows))
            except MeasurementError as error:
                raise MeasurementError(f"{precision}: {error}") from None
    return found


def sentences(found: Mapping[str, Perplexity], windows: Ids, text: str) -> list[str]:
    """What was found, for people: every perplexity, and how far it is above the first one."""
    n, length = windows.shape
    first = next(iter(found))
    lines = [
        f"perplexity on {text}, measured with ONNX Runtime: {n} window{'s' if n > 1 else ''} of {length} tokens, "
        + ("± one standard error over them" if n > 1 else "too few for a standard error")
    ]
    for name, perplexity in found.items():
        line = f"  {name}: {_with_error(perplexity.value, perplexity.error, '.4g')}"
        if name != first:
            change, error = perplexity.change(found[first])
            percent = None if error is None else 100 * error
            line += f", {_with_error(100 * change, percent, '+.2f')} % against {first}"
        lines.append(line)
    return lines


def _with_error(value: float, error: float | None, form: str) -> str:
    return f"{value:{form}}" if error is None else f"{value:{form}} ± {error:.2g}"


def _losses(model: Path, windows: Ids) -> Array:
    """The mean negative log-likelihood of each window, (n_windows,)."""
    logits = OnnxLogits(model)
    return np.array([_loss(logits(window[:-1]), window[1:]) for window in windows])


def _loss(logits: NDArray[Any], targets: Ids) -> float:
    """The mean cross entropy of logits (n, vocab_size) with the tokens that follow, (n,), in nats."""
    total = 0.0
    for begin in range(0, len(targets), _ROWS):  # in float64, of which all rows at once would be large
        rows = logits[begin : begin + _ROWS].astype(np.float64)
        rows -= rows.max(axis=1, keepdims=True)
        chosen = rows[np.arange(len(rows)), targets[begin : begin + _ROWS]]
        total += float((np.log(np.exp(rows).sum(axis=1)) - chosen).sum())
    if not math.isfinite(total):
        raise MeasurementError("logits are not finite")
    return total / len(targets)


@contextmanager
def _folder() -> Iterator[Path]:
    work = WorkDirectory()
    try:
        yield work.path
    finally:
        work.close()
