"""Multi-objective regularized evolution of Syne Tune (Salinas et al. 2022) in a benchmark."""

from __future__ import annotations

from syne_tune.config_space import randint
from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution

from lts.benchmarks.optimizers import Evaluations, population_of


def morea(evaluations: Evaluations, seed: int) -> None:
    """As it is by default but for the population."""
    names = [f"{i:03}" for i in range(len(evaluations.problem.domain.sizes))]
    searcher = MultiObjectiveRegularizedEvolution(
        config_space={
            name: randint(0, size - 1) for name, size in zip(names, evaluations.problem.domain.sizes, strict=True)
        },
        population_size=population_of(evaluations.budget),
        random_seed=seed,
    )
    trial = 0
    while True:
        config = searcher.suggest()
        point = evaluations.at([config[name] for name in names])
        searcher.on_trial_complete(trial, config, point.tolist())
        trial += 1
