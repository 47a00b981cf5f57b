"""Candidates per second of one evolutionary search: the core against the same loop in plain Python and NumPy.

Run: python benchmarks/bench_core.py [--candidates 100000] [--python-candidates 3000] [--repeats 3]

All search the GPT-2 space of LiteTransformerSearch for the most decoder parameters, the least work of a prompt pass and
the least memory, with 20 parents, 40 mutants and 40 crossovers in a generation and the probabilities of that paper. The
loop in Python is written as the original is: genes in a dict, every candidate counted in Python, the front found anew
among all results after every generation. 3,000 candidates are what 30 generations of the original evaluate. A second
loop is kinder: it keeps its front up to date in a NumPy array.

Rates are per second of processor time, all on one thread. First all must give equal numbers for the same architectures;
then the fronts of equally long searches are compared, so that speed is not bought with quality.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from typing import Any

import numpy as np

import lts

SPACE: dict[str, list[int]] = {
    "n_layer": list(range(2, 17)),
    "d_model": list(range(128, 1025, 64)),
    "n_head": [2, 4, 8],
    "d_ff": list(range(256, 4097, 64)),
}
OBJECTIVES = {"decoder_params": "max", "flops_prefill": "min", "peak_memory_estimate_mib": "min"}
VOCAB_SIZE = 50257
N_POSITIONS = 1024
N_PROMPT = 128

Genes = dict[str, Any]


# --- The numbers of one candidate ---


def decoder_params(genes: Genes) -> int:
    d = genes["d_model"]
    params = 2 * d
    for d_ff in genes["d_ff"]:
        params += (4 * d * d + 4 * d) + (2 * d * d_ff + d_ff + d) + 4 * d
    return params


def flops_prefill(genes: Genes) -> float:
    d = genes["d_model"]
    per_token = VOCAB_SIZE * d
    per_pair = 0
    for d_ff in genes["d_ff"]:
        per_token += 4 * d * d + 2 * d * d_ff
        per_pair += 2 * d
    return 2.0 * (N_PROMPT * per_token + N_PROMPT * N_PROMPT * per_pair)


def peak_memory_mib(genes: Genes) -> float:
    d = genes["d_model"]
    alive = 0
    for n_head, d_ff in zip(genes["n_head"], genes["d_ff"], strict=True):
        attention = N_PROMPT * 4 * d + 2 * N_PROMPT * N_PROMPT * n_head
        alive = max(alive, attention, 2 * N_PROMPT * d_ff)
    alive = max(alive + 2 * N_PROMPT * d, N_PROMPT * (VOCAB_SIZE + d))
    weights = (VOCAB_SIZE + N_POSITIONS) * d + decoder_params(genes)
    cache = N_PROMPT * 2 * d * genes["n_layer"]
    return 4 * (weights + cache + alive) / 1024**2


def evaluate(genes: Genes) -> tuple[float, float, float]:
    """The objectives, all minimized."""
    return -float(decoder_params(genes)), flops_prefill(genes), peak_memory_mib(genes)


# --- The loop in Python ---


class PythonSearch:
    """The evolutionary search of LiteTransformerSearch (arXiv 2203.02094, algorithm 1)."""

    population_size = 100
    n_parents = 20
    n_mutants = 40
    n_crossovers = 40
    mutation_probability = 0.3
    crossover_probability = 0.5

    def __init__(self, seed: int, incremental: bool) -> None:
        self.incremental = incremental
        self.history: list[tuple[Genes, tuple[float, float, float]]] = []
        self.random = random.Random(seed)
        self.numpy_random = np.random.default_rng(seed)
        self.seen: set[tuple[object, ...]] = set()
        self.front = np.empty((0, len(OBJECTIVES)))
        self.front_genes: list[Genes] = []
        self.front_uses: list[int] = []

    def random_genes(self) -> Genes:
        n_layer = self.random.choice(SPACE["n_layer"])
        return {
            "d_model": self.random.choice(SPACE["d_model"]),
            "n_layer": n_layer,
            "n_head": [self.random.choice(SPACE["n_head"]) for _ in range(n_layer)],
            "d_ff": [self.random.choice(SPACE["d_ff"]) for _ in range(n_layer)],
        }

    def with_depth(self, genes: Genes) -> Genes:
        """The genes with the number of layers that they say: cut, or filled with random ones."""
        for name in ("n_head", "d_ff"):
            values = genes[name][: genes["n_layer"]]
            values += [self.random.choice(SPACE[name]) for _ in range(genes["n_layer"] - len(values))]
            genes[name] = values
        return genes

    def mutate(self, genes: Genes) -> Genes:
        child: Genes = {}
        for name, value in genes.items():
            if isinstance(value, list):
                child[name] = [
                    self.random.choice(SPACE[name]) if self.random.random() < self.mutation_probability else v
                    for v in value
                ]
            elif self.random.random() < self.mutation_probability:
                child[name] = self.random.choice(SPACE[name])
            else:
                child[name] = value
        return self.with_depth(child)

    def crossover(self, a: Genes, b: Genes) -> Genes:
        child: Genes = {}
        for name, value in a.items():
            if isinstance(value, list):
                longer = max(value, b[name], key=len)
                mixed = [
                    y if self.random.random() < self.crossover_probability else x
                    for x, y in zip(value, b[name], strict=False)
                ]
                child[name] = mixed + longer[len(mixed) :]
            else:
                child[name] = b[name] if self.random.random() < self.crossover_probability else value
        return self.with_depth(child)

    def claim(self, genes: Genes) -> bool:
        """False when it was proposed before."""
        key = (genes["d_model"], *genes["n_head"], *genes["d_ff"])
        if key in self.seen:
            return False
        self.seen.add(key)
        return True

    def insert(self, genes: Genes, point: np.ndarray) -> None:
        if len(self.front):
            no_better = (self.front <= point).all(axis=1)
            if no_better.any():
                return
            stays = ~(self.front >= point).all(axis=1)
            if not stays.all():
                self.front = self.front[stays]
                kept = np.flatnonzero(stays)
                self.front_genes = [self.front_genes[i] for i in kept]
                self.front_uses = [self.front_uses[i] for i in kept]
        self.front = np.vstack([self.front, point])
        self.front_genes.append(genes)
        self.front_uses.append(0)

    def rebuild(self) -> None:
        """The front of all results; as in the original, a point must be worse in every objective to be left out."""
        uses = {id(genes): n for genes, n in zip(self.front_genes, self.front_uses, strict=True)}
        front = []
        points = [point for _, point in self.history]
        for genes, (a, b, c) in self.history:
            for x, y, z in points:
                if x < a and y < b and z < c:
                    break
            else:
                front.append((genes, (a, b, c)))
        self.front_genes = [genes for genes, _ in front]
        self.front_uses = [uses.get(id(genes), 0) for genes in self.front_genes]
        self.front = np.array([point for _, point in front])

    def parents(self) -> list[Genes]:
        weights = 1.0 / (1.0 + np.array(self.front_uses))
        drawn = self.numpy_random.choice(len(self.front_genes), size=self.n_parents, p=weights / weights.sum())
        for i in drawn:
            self.front_uses[i] += 1
        return [self.front_genes[i] for i in drawn]

    def generation(self) -> list[Genes]:
        parents = self.parents()
        children: list[Genes] = []
        while len(children) < self.n_mutants:
            child = self.mutate(self.random.choice(parents))
            if self.claim(child):
                children.append(child)
        while len(children) < self.n_mutants + self.n_crossovers:
            child = self.crossover(self.random.choice(parents), self.random.choice(parents))
            if self.claim(child) or self.claim(child := self.mutate(child)):
                children.append(child)
        return children

    def run(self, n: int) -> None:
        population = [self.random_genes() for _ in range(self.population_size)]
        done = 0
        while True:
            for genes in population[: n - done]:
                point = evaluate(genes)
                if self.incremental:
                    self.insert(genes, np.array(point))
                else:
                    self.history.append((genes, point))
                done += 1
            if not self.incremental:
                self.rebuild()
            if done == n:
                return
            population = self.generation()


# --- The comparison ---


def space() -> lts.SearchSpace:
    return lts.SearchSpace(name="gpt2-lts", vocab_size=VOCAB_SIZE, n_positions=N_POSITIONS, **SPACE)


def check_equal_numbers(n: int = 1000) -> None:
    """Both count the same architecture alike."""
    python = PythonSearch(seed=0, incremental=True)
    for _ in range(n):
        genes = python.random_genes()
        architecture = lts.Architecture(
            "gpt2", VOCAB_SIZE, N_POSITIONS, genes["d_model"], n_head=genes["n_head"], d_ff=genes["d_ff"]
        )
        core = [lts.analytic(name, architecture, n_prompt=N_PROMPT) for name in OBJECTIVES]
        if not all(math.isclose(abs(a), b, rel_tol=1e-12) for a, b in zip(evaluate(genes), core, strict=True)):
            raise SystemExit(f"the two count differently: {evaluate(genes)} and {core} of {genes}")


def core_search(n: int, seed: int) -> tuple[float, lts.Search]:
    search = lts.Search(space(), objectives=OBJECTIVES, algorithm="lts", seed=seed)
    start = time.process_time()
    done = search.run(n)
    seconds = time.process_time() - start
    if done != n:
        raise SystemExit(f"the core evaluated {done} of {n} candidates")
    return seconds, search


def python_search(n: int, seed: int, incremental: bool) -> tuple[float, PythonSearch]:
    search = PythonSearch(seed, incremental)
    start = time.process_time()
    search.run(n)
    return time.process_time() - start, search


def minimized_front(search: lts.Search) -> np.ndarray:
    signs = {name: -1.0 if direction == "max" else 1.0 for name, direction in OBJECTIVES.items()}
    return np.array([[signs[name] * value for name, value in member.values.items()] for member in search.front()])


def volume(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Share of the box that the points dominate."""
    return lts.hypervolume((points - low) / (high - low), [1.1, 1.1, 1.1]) / 1.1**3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=100_000, help="candidates of the core's search")
    parser.add_argument("--python-candidates", type=int, default=3_000, help="candidates of the searches in Python")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, alternating")
    arguments = parser.parse_args()

    check_equal_numbers()
    print("equal numbers for 1000 random architectures: yes")

    n_core, n_python = arguments.candidates, arguments.python_candidates
    names = ("core", "python, as the original", "python, incremental front")
    rates: dict[str, list[float]] = {name: [] for name in names}
    fronts: dict[str, np.ndarray] = {}
    for seed in range(1, arguments.repeats + 1):
        rates["core"].append(n_core / core_search(n_core, seed)[0])
        for name in names[1:]:
            seconds, search = python_search(n_python, seed, incremental="incremental" in name)
            rates[name].append(n_python / seconds)
            fronts[name] = search.front
        fronts["core"] = minimized_front(core_search(n_python, seed)[1])

    everything = np.vstack(list(fronts.values()))
    low, high = everything.min(axis=0), everything.max(axis=0)
    core_rate = statistics.median(rates["core"])
    for name in names:
        rate = statistics.median(rates[name])
        spread = f"{min(rates[name]):,.0f} to {max(rates[name]):,.0f}"
        share = volume(fronts[name], low, high)
        print(
            f"{name:26} {rate:10,.0f} candidates/s ({spread}); core is {core_rate / rate:,.0f} x; "
            f"after {n_python:,} candidates {share:.4f} of the box is dominated"
        )


if __name__ == "__main__":
    main()
