"""Acquisition functions of BoTorch (Balandat et al. 2020) in a benchmark, on a Gaussian process for each objective."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import torch
from botorch import fit_gpytorch_mll
from botorch.acquisition.multi_objective.logei import qLogExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.parego import qLogNParEGO
from botorch.models import ModelListGP, SingleTaskGP
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from gpytorch.mlls import SumMarginalLogLikelihood

from lts._core import Search, nondominated
from lts.benchmarks.optimizers import Evaluations

# Random architectures before the first model, and of how many the acquisition function chooses: the space is discrete,
# and its function has no gradient that says anything between two members.
_INITIAL, _CANDIDATES = 20, 512
# Half of the candidates are neighbors of the front.
_NEIGHBORS = _CANDIDATES // 2
# Models are fitted anew after so many evaluations; in between they only learn what was evaluated.
_REFIT = 10
# Weights on a scale of so many steps are taken in turns where scalarizations are fixed.
_STEPS = 10

Chooser = Callable[[Any, Any, Any, int], Any]


def ehvi(evaluations: Evaluations, seed: int) -> None:
    """Expected hypervolume improvement, by its logarithm (Ament et al. 2023)."""

    def acquisition(model: Any, x: Any, y: Any, step: int) -> Any:
        point = y.min(dim=0).values - 0.1 * (y.max(dim=0).values - y.min(dim=0).values)
        parts = FastNondominatedPartitioning(ref_point=point, Y=y)
        return qLogExpectedHypervolumeImprovement(model, ref_point=point, partitioning=parts)

    _optimize(evaluations, seed, acquisition)


def parego(evaluations: Evaluations, seed: int) -> None:
    """Augmented Chebyshev scalarizations with random weights."""

    def acquisition(model: Any, x: Any, y: Any, step: int) -> Any:
        return qLogNParEGO(model, X_baseline=x, prune_baseline=True)

    _optimize(evaluations, seed, acquisition)


def parego_fixed(evaluations: Evaluations, seed: int) -> None:
    """The same with weights that are spread evenly, one after the other."""
    m = len(evaluations.problem.objectives)
    steps = [w for w in product(range(_STEPS + 1), repeat=m) if sum(w) == _STEPS]
    weights = torch.tensor(steps, dtype=torch.double) / _STEPS

    def acquisition(model: Any, x: Any, y: Any, step: int) -> Any:
        chosen = weights[step % len(weights)]
        return qLogNParEGO(model, X_baseline=x, prune_baseline=True, scalarization_weights=chosen)

    _optimize(evaluations, seed, acquisition)


def _optimize(evaluations: Evaluations, seed: int, acquisition: Chooser) -> None:
    torch.manual_seed(seed)
    domain, random = evaluations.problem.domain, np.random.default_rng(seed)
    sizes = np.array(domain.sizes)
    first = Search(domain.space, ["x:min"], (), "random", seed).ask(min(_INITIAL, evaluations.budget))
    rows = [np.maximum(domain.positions([each.architecture])[0], 0) for each in first]
    points = [evaluations.at(row.tolist()) for row in rows]
    state: dict[str, Any] | None = None
    for step in range(evaluations.left + 1):
        x = torch.tensor(np.array(rows) / np.maximum(sizes - 1, 1), dtype=torch.double)
        y = -torch.tensor(np.array(points), dtype=torch.double)  # BoTorch maximizes
        y = (y - y.mean(dim=0)) / y.std(dim=0).clamp_min(1e-12)
        model = ModelListGP(*(SingleTaskGP(x, y[:, i : i + 1], outcome_transform=None) for i in range(y.shape[1])))
        if state is None or step % _REFIT == 0:
            fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
            state = model.state_dict()
        else:
            model.load_state_dict(state)
            model.eval()
        candidates = _candidates(sizes, rows, points, random)
        scaled = torch.tensor(candidates / np.maximum(sizes - 1, 1), dtype=torch.double)
        with torch.no_grad():
            best = int(acquisition(model, x, y, step)(scaled.unsqueeze(1)).argmax())
        rows.append(candidates[best])
        points.append(evaluations.at(candidates[best].tolist()))


def _candidates(sizes: Any, rows: list[Any], points: list[Any], random: np.random.Generator) -> Any:
    """Positions that were not evaluated: random ones, and members of the front with one or two changed."""
    front = np.array(rows)[nondominated(np.array(points))]
    near = front[random.integers(len(front), size=_NEIGHBORS)].copy()
    for _ in range(2):
        where = random.integers(len(sizes), size=_NEIGHBORS)
        near[np.arange(_NEIGHBORS), where] = random.integers(sizes[where])
    some = random.integers(sizes, size=(_CANDIDATES - _NEIGHBORS, len(sizes)))
    every = np.vstack([near, some])
    known = {tuple(row) for row in rows}
    kept = [i for i, row in enumerate(every.tolist()) if tuple(row) not in known]
    return every[kept or slice(None)]
