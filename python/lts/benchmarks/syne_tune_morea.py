"""Multi-objective regularized evolution of Syne Tune (Salinas et al. 2022) in a benchmark."""

from __future__ import annotations

import numpy as np
from syne_tune.config_space import randint
from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution

from lts.benchmarks.optimizers import Evaluations, population_of


def morea(evaluations: Evaluations, seed: int) -> None:
    """As it is by default but for the population, whose first members are drawn here: its own do not heed the seed."""
    names = [f"{i:03}" for i in range(len(evaluations.problem.domain.sizes))]
    space = {name: randint(0, size - 1) for name, size in zip(names, evaluations.problem.domain.sizes, strict=True)}
    population, random = population_of(evaluations.budget), np.random.RandomState(seed)
    searcher = MultiObjectiveRegularizedEvolution(
        config_space=space,
        points_to_evaluate=[
            {name: int(choice.sample(random_state=random)) for name, choice in space.items()} for _ in range(population)
        ],
        population_size=population,
        random_seed=seed,
    )
    trial = 0
    while True:
        config = searcher.suggest()
        point = evaluations.at([config[name] for name in names])
        searcher.on_trial_complete(trial, config, point.tolist())
        trial += 1
