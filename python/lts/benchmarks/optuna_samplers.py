"""Samplers of Optuna (Akiba et al. 2019) in a benchmark."""

from __future__ import annotations

import optuna

from lts.benchmarks.optimizers import Evaluations, population_of


def tpe(evaluations: Evaluations, seed: int) -> None:
    """Multi-objective TPE, as it is by default."""
    _optimize(evaluations, optuna.samplers.TPESampler(seed=seed))


def nsga2(evaluations: Evaluations, seed: int) -> None:
    """NSGA-II, as it is by default but for the population."""
    population = population_of(evaluations.budget)
    _optimize(evaluations, optuna.samplers.NSGAIISampler(seed=seed, population_size=population))


def _optimize(evaluations: Evaluations, sampler: optuna.samplers.BaseSampler) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(evaluations.problem.objectives))
    distributions = {
        f"{i:03}": optuna.distributions.IntDistribution(0, size - 1)
        for i, size in enumerate(evaluations.problem.domain.sizes)
    }
    while True:
        trial = study.ask(dict(distributions))
        study.tell(trial, [float(value) for value in evaluations.at([trial.params[name] for name in distributions])])
