"""From published measurements to the coefficients of `lts.targets.assumptions.Published`. Needs NumPy."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts._core import Architecture
from lts.errors import UsageError
from lts.targets.assumptions import Assumptions, Published
from lts.targets.estimate.costs import estimate
from lts.targets.target import Target
from lts.targets.workload import Workload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TERMS = ("layer_ms_per_gflop", "output_ms_per_gflop", "ns_per_logit", "ns_per_activation", "ns_per_score")


@dataclass(frozen=True)
class Fit:
    """A fit and how well it predicts.

    Parameters
    ----------
    coefficients
        By the names of `TERMS`.
    fitted_ms
        Prediction of the fit for each model.
    left_out_ms
        Prediction for each model of a fit to all others.
    error, error_max
        Mean and largest relative error of `left_out_ms`.
    spearman
        Rank correlation of `left_out_ms` with the measurements.
    """

    coefficients: dict[str, float]
    fitted_ms: list[float]
    left_out_ms: list[float]
    error: float
    error_max: float
    spearman: float


def read_table(path: Path, family: str) -> list[tuple[Architecture, dict[str, float]]]:
    """Architectures of a table of LiteTransformerSearch, each with its latency (ms) and memory (MB).

    Raises
    ------
    UsageError
        When the file cannot be read or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                (_architecture(row, family), {key: float(row[key]) for key in ("latency", "memory")})
                for row in csv.DictReader(file)
            ]
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{path} is no table of LiteTransformerSearch with latency and memory: {error}") from None


def _architecture(row: dict[str, str], family: str) -> Architecture:
    return Architecture(
        family,
        vocab_size=int(row["n_token"]),
        n_positions=int(row["tgt_len"]),
        d_model=int(row["d_model"]),
        n_head=json.loads(row["n_head"]),
        d_ff=json.loads(row["d_inner"]),
        d_embed=int(row["d_embed"]),
        div_val=int(row["div_val"]),
        cutoffs=json.loads(row["cutoffs"]),
        tie_projs=json.loads(row["tie_projs"]),
    )


def amounts(architecture: Architecture, target: Target, n_prompt: int) -> list[float]:
    """The amounts that the coefficients are multiplied with, in the order of `TERMS`."""
    found = []
    for term in TERMS:
        coefficients = dict.fromkeys(TERMS, 0.0) | {term: 1.0}
        p = Published("", "", architecture.family, n_prompt, target.threads, 1, 0.0, 0.0, **coefficients)
        one = replace(target, estimate=Assumptions(published=p))
        found.append(estimate(architecture, one, Workload(n_prompt, 0)).values["latency_published_ms"])
    return found


def fit(models: Sequence[tuple[Architecture, float]], target: Target, n_prompt: int) -> Fit:
    """Coefficients, none negative, with the least sum of squared relative errors, and each model left out once.

    Parameters
    ----------
    models
        Architectures with their measured time in milliseconds; more than there are terms.
    target
        Any that can be estimated, in float32.
    n_prompt
        Tokens of the prompt that was measured.

    Raises
    ------
    UsageError
        For too few models, or a time that is not positive.
    """
    import numpy as np

    if len(models) <= len(TERMS) or any(not ms > 0 for _, ms in models):
        raise UsageError(f"a fit needs more than {len(TERMS)} models, each with a time above 0 ms; got {len(models)}")
    x = np.array([amounts(architecture, target, n_prompt) for architecture, _ in models])
    y = np.array([ms for _, ms in models])
    coefficients = _solve(x, y)
    left_out = np.array([x[i] @ _solve(np.delete(x, i, 0), np.delete(y, i)) for i in range(len(y))])
    errors = np.abs(left_out / y - 1)
    return Fit(
        coefficients=dict(zip(TERMS, coefficients.tolist(), strict=True)),
        fitted_ms=(x @ coefficients).tolist(),
        left_out_ms=left_out.tolist(),
        error=float(errors.mean()),
        error_max=float(errors.max()),
        spearman=spearman(left_out.tolist(), y.tolist()),
    )


def _solve(x: Array, y: Array) -> Array:
    """Non-negative least squares of ``x c / y = 1``: the best of the ordinary ones over all sets of terms. Exact."""
    import numpy as np

    scaled = x / y[:, None]
    norms = np.linalg.norm(scaled, axis=0)
    scaled = scaled / norms
    n = x.shape[1]
    best, found = np.inf, np.zeros(n)
    for size in range(1, n + 1):
        for terms in combinations(range(n), size):
            chosen = scaled[:, terms]
            solution = np.linalg.lstsq(chosen, np.ones(len(y)), rcond=None)[0]
            residual = float(((chosen @ solution - 1) ** 2).sum())
            if (solution >= 0).all() and residual < best:
                best, found = residual, np.zeros(n)
                found[list(terms)] = solution
    result: Array = found / norms
    return result


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation; equal values share their mean rank."""
    import numpy as np

    def ranks(values: Any) -> Array:
        array = np.asarray(values, dtype=np.float64)
        less = (array[:, None] > array[None, :]).sum(1)
        equal = (array[:, None] == array[None, :]).sum(1)
        result: Array = less + (equal - 1) / 2
        return result

    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])
